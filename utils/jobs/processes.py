"""Processes of jobs: started so that none of them outlives run.py, and ended with all that they started."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import IO

# each process of a job has it in its environment: names of all run.py above it
VARIABLE = "CONTRASEP_RUN"
# time between SIGTERM and SIGKILL, seconds
GRACE = 5.0
# time for what a job leaves behind, seconds
LINGER = 1.0
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


@functools.cache
def _prctl() -> Callable[..., int] | None:
    try:
        import ctypes

        return ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return None


def signal_at_parents_end(number: int) -> None:
    """Let the kernel send a signal to this process when its parent ends; elsewhere than on Linux nothing."""
    prctl = _prctl()
    if prctl:
        prctl(_SET_DEATH_SIGNAL, number, 0, 0, 0)


def start(
    command: list[str], out: IO[bytes], run: str | None = None, cwd: str | None = None
) -> subprocess.Popen[bytes]:
    """Start a command that dies with this process.

    Args:
        command: words.
        out: for its output and errors.
        run: name of this run.py: the command gets a session of its own and is known by the name. None leaves it in
            the process group that a scheduler ends.
        cwd: folder to run in.

    Raises:
        OSError: there is no such program, or it cannot be started.
    """
    environment = os.environ.copy()
    if run is not None:
        environment[VARIABLE] = ":".join(filter(None, [environment.get(VARIABLE), run]))
    # nothing is loaded after the fork
    _prctl()
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        cwd=cwd,
        env=environment,
        start_new_session=run is not None,
        # a folder that the caller locked stays so until its jobs have ended, even where run.py is killed
        close_fds=run is None,
        preexec_fn=lambda: signal_at_parents_end(signal.SIGKILL),
    )


def start_status(error: OSError) -> int:
    """Exit status of a command that could not be started, as a shell has it."""
    return 127 if isinstance(error, FileNotFoundError) else 126


class Job:
    """A command that leads its session.

    What it leaves in its process group has ``LINGER`` seconds to clean up, as workers do, and is ended then: before the
    leader is waited for, as its number cannot be another's until then.

    Attributes:
        process: the leader.
        lingers: whether it has ended, and others of its group have not.
    """

    def __init__(self, process: subprocess.Popen[bytes]):
        self.process, self.lingers = process, False
        self._begun, self._ended = time.monotonic(), None

    @property
    def seconds(self) -> float:
        """How long it runs, or ran."""
        return (self._ended or time.monotonic()) - self._begun

    def poll(self) -> int | None:
        """What it returned, or None where some of it still runs."""
        if not hasattr(os, "waitid"):
            return self.process.poll()
        pid = self.process.pid
        if self._ended is None and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        self._ended = self._ended or time.monotonic()
        self.lingers = time.monotonic() < self._ended + LINGER and bool(rest_of(pid, pid, younger=True))
        if self.lingers:
            return None
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        return self.process.wait()


def rest_of(group: int, but: int, younger: bool = False) -> list[int]:
    """Living processes of a group other than one; none where /proc does not tell.

    ``younger`` looks only at numbers above its own: few, while few processes were made since. Where numbers began
    anew meanwhile it misses some.
    """
    found = []
    for entry in os.listdir("/proc") if os.path.exists("/proc/self/stat") else ():
        if entry.isdigit() and int(entry) != but and not (younger and int(entry) < but):
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{entry}/stat", "rb") as file:
                    state, _, number = file.read().rsplit(b")", 1)[1].split()[:3]
                if int(number) == group and state not in (b"Z", b"X"):
                    found.append(int(entry))
    return found


def end_all(run: str, groups: list[int], grace: float = GRACE) -> None:
    """End all processes of a run.py: SIGTERM, after ``grace`` seconds SIGKILL; returns when none is left.

    Args:
        run: its name.
        groups: process groups of its jobs; what left them is found by its environment.
        grace: seconds.
    """
    deadline = time.monotonic() + grace
    if grace:
        _signal(run, groups, signal.SIGTERM)
    while _alive(run, groups) and time.monotonic() < deadline:
        time.sleep(0.05)
    # processes that start others while they are ended need more than one round
    deadline = time.monotonic() + 10
    while _signal(run, groups, signal.SIGKILL) and time.monotonic() < deadline:
        time.sleep(0.02)


def _signal(run: str, groups: list[int], number: int) -> bool:
    """Send a signal to all processes; whether there were any."""
    found = _members(run)
    for pid in found or ():
        with contextlib.suppress(OSError):
            os.kill(pid, number)
    if found is not None:
        return bool(found)
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, number)
    return False


def _alive(run: str, groups: list[int]) -> bool:
    found = _members(run)
    if found is not None:
        return bool(found)
    for group in groups:
        try:
            os.killpg(group, 0)
            return True
        except OSError:
            pass
    return False


def _members(run: str) -> list[int] | None:
    """Processes whose environment names a run.py; None where /proc does not tell."""
    name, found = run.encode(), []
    if not os.path.exists("/proc/self/environ"):
        return None
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if any(
                        word.startswith(VARIABLE.encode() + b"=") and name in word for word in file.read().split(b"\0")
                    ):
                        found.append(int(entry))
            except OSError:
                pass
    return found


class Watcher:
    """A process that cleans up when this one is killed.

    It waits at the end of a pipe that closes with this process. Made while there are no jobs yet, it holds
    none of their files.

    Args:
        clean_up: called there; not after ``dismiss``.
    """

    def __init__(self, clean_up: Callable[[], object]):
        read, self._write = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                self._watch(read, clean_up)
            finally:
                os._exit(0)
        os.close(read)

    @staticmethod
    def _watch(read: int, clean_up: Callable[[], object]) -> None:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal_at_parents_end(0)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(0, 1)
        os.dup2(0, 2)
        # among them the writing end of its own pipe, and locks of who called
        os.closerange(3, read)
        os.closerange(read + 1, min(os.sysconf("SC_OPEN_MAX"), 4096))
        os.chdir("/")
        if not os.read(read, 1):
            clean_up()

    def dismiss(self) -> None:
        """Nothing is left to clean up."""
        # whoever kills all jobs of a user kills the watcher too
        with contextlib.suppress(BrokenPipeError):
            os.write(self._write, b".")
        os.close(self._write)
        os.waitpid(self._pid, 0)
