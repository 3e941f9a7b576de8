"""What a scheduler of a cluster is asked, and how its programs are called."""

from __future__ import annotations

import abc
import os
import subprocess
from collections import namedtuple

from .base import JobError
from .settings import Settings

# over: it runs no more and will not run again; words: what the scheduler calls it; sure: it cannot have written a
# marker of late; final: another attempt is not wanted; held: it will not run until somebody does something
State = namedtuple("State", "over words sure final held", defaults=(False, False, False))


class Scheduler(abc.ABC):
    """Programs of one kind of cluster.

    Args:
        settings: the site's; where the submitting program is named by its path, the others are beside it.
    """

    # of the backend, and of the program as users know it
    name = title = ""
    # environment variable of a job that holds its place in the array, counted from 1
    index = ""
    # and one that counts how often the scheduler itself began it again, where there is one
    restarts = ""
    # what to do before the same command is run again, by words of states
    remedies: dict[str, str] = {}

    def __init__(self, settings: Settings):
        self.settings = settings
        self._folder = os.path.dirname(settings.command[0])

    @abc.abstractmethod
    def submit(self, script: str, name: str, count: int, at_once: int | None, flags: list[str]) -> str:
        """Submit a script as an array of ``count`` tasks, ``at_once`` of which may run; returns its id.

        Raises:
            JobError: it is refused, or the scheduler does not answer.
        """

    @abc.abstractmethod
    def ask(self, name: str) -> dict[tuple[str, int], State]:
        """States by (id, place) of the tasks of a name that the scheduler still knows: one question for all.

        Those of an array that it does not list one by one have the place 0.

        Raises:
            JobError: the scheduler does not answer.
        """

    @abc.abstractmethod
    def explain(self, tasks: list[tuple[str, int]]) -> dict[tuple[str, int], State]:
        """What accounts tell of tasks, by (id, place), that ``ask`` knows nothing of; one question for all."""

    @abc.abstractmethod
    def cancel(self, name: str) -> None:
        """End all jobs of a name.

        Raises:
            JobError: the scheduler does not answer.
        """

    def call(self, program: str, *words: str, plain: bool = True) -> str:
        """Output of one of the programs.

        Args:
            program: its name, or the path of the submitting one.
            words: further words.
            plain: English words; the environment of what submits is the job's, and stays as it is.

        Raises:
            JobError: it fails; in its words.
        """
        # a job that submits jobs does not hand on its own resources
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SLURM_") or name == "SLURM_CONF"
        }
        if plain:
            environment["LC_ALL"] = "C"
        path = program if "/" in program else os.path.join(self._folder, program)
        try:
            done = subprocess.run(
                [path, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=environment,
                # Ctrl-C must not leave open whether it was done
                start_new_session=True,
                timeout=120,
            )
        except subprocess.TimeoutExpired:
            raise JobError(f"{program}: no answer in 120 s") from None
        except OSError as error:
            raise JobError(
                f"{program}: {error.strerror}; --backend {self.name} needs the scheduler's programs on PATH"
            ) from None
        if done.returncode:
            lines = (done.stderr or done.stdout).decode("utf-8", "replace").split("\n")
            said = [line.strip() for line in lines if line.strip()]
            raise JobError(f"{program}: {' '.join(said) or f'exit status {done.returncode}'}")
        return done.stdout.decode("utf-8", "replace")
