"""What a backend is, and what goes in and out of it."""

from __future__ import annotations

import abc
import os
import signal


class JobError(Exception):
    """An error of the user or of the scheduler, in one line."""


class UsageError(JobError):
    """A wrong call."""


class Task:
    """One command with its log.

    Attributes:
        number: that of the range ``JOB=1:N``.
        log: absolute path.
        shown: the log as the user named it.
        command: words.
        attempt: counted from 1.
    """

    __slots__ = ("attempt", "command", "log", "number", "shown")

    def __init__(self, number: int, log: str, shown: str, command: list[str], attempt: int = 1):
        self.number, self.log, self.shown, self.command, self.attempt = number, log, shown, command, attempt


class Outcome:
    """How a task ended.

    Attributes:
        status: exit status; 128 + N for one that the signal N ended; None for one that ended without telling.
        words: what is known beside the status, empty where nothing is.
        final: whether another attempt is of no use.
    """

    __slots__ = ("final", "status", "words")

    def __init__(self, status: int | None, words: str = "", final: bool = False):
        self.status, self.words, self.final = status, words, final


class Backend(abc.ABC):
    """Where tasks run. All calls come from one thread, and none of them waits for a task."""

    # what the user knows it by
    title = ""
    # seconds between two calls of `ended`, where nothing else wakes the program
    pause = 1.0

    @abc.abstractmethod
    def start(self, waiting: list[Task]) -> None:
        """Take tasks from the front of ``waiting``, as many as may run now.

        Raises:
            JobError: tasks cannot be started at all.
        """

    @abc.abstractmethod
    def ended(self) -> list[tuple[Task, Outcome]]:
        """Tasks that have ended since the last call."""

    @abc.abstractmethod
    def cancel(self, reason: str) -> None:
        """End all that was started, and return when it has ended; ``reason`` goes to the logs."""

    @abc.abstractmethod
    def close(self) -> None:
        """Nothing runs any more: remove what was needed to run it."""


def signal_name(number: int) -> str:
    """Its name, e.g. SIGTERM."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def shell_status(returncode: int) -> int:
    """Exit status as a shell counts it, of what ``subprocess`` returns."""
    return returncode if returncode >= 0 else 128 - returncode


def working_folder() -> str:
    """The current folder, by the name that other machines know: automounters resolve to names of this one."""
    try:
        logical = os.environ.get("PWD", "")
        if os.path.isabs(logical) and os.path.samefile(logical, "."):
            return logical
    except OSError:
        pass
    return os.getcwd()


def write_new(path: str, text: str) -> None:
    """Write a file under a temporary name, and rename it: who sees it sees all of it.

    Closing it hands it to a file server; for a machine's own disk nobody waits.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "x", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def token() -> str:
    """Eight characters that nobody can foresee."""
    return os.urandom(4).hex()
