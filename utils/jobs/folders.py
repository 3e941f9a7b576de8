"""Folders of jobs of a cluster, beside their logs; and jobs that a run.py which was killed left behind."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .base import JobError, token, write_new

if TYPE_CHECKING:
    from .scheduler import Scheduler

_OWNER = "owner"


def prefix(log: str) -> str:
    """What folders of a log begin with: they are hidden and beside it."""
    folder, name = os.path.split(log)
    return os.path.join(folder, f".jobs.{name}.")


def new_folder(log: str) -> str:
    """A folder for the jobs of a log, by its absolute path with the range's name; it is not made yet."""
    return prefix(log) + token()


def make(folder: str, backend: str, name: str) -> None:
    """Make it, with what is needed to cancel its jobs by.

    Raises:
        JobError: it cannot be made.
    """
    try:
        os.makedirs(folder)
        write_new(os.path.join(folder, _OWNER), f"{backend} {name} {os.uname().nodename} {os.getpid()}\n")
    except OSError as error:
        raise JobError(f"{folder}: cannot be written: {error.strerror}") from None


def cancel_left(log: str, schedulers: Callable[[str], Scheduler]) -> None:
    """Cancel what an earlier run.py started for the same log, and could not end.

    Args:
        log: absolute path with the range's name.
        schedulers: of a name.

    Raises:
        JobError: it still runs, or its jobs cannot be cancelled.
    """
    start, parent = os.path.basename(prefix(log)), os.path.dirname(log)
    for name in sorted(os.listdir(parent)) if os.path.isdir(parent) else ():
        rest = name[len(start) :]
        if not name.startswith(start) or len(rest) != 8 or os.path.islink(os.path.join(parent, name)):
            continue
        folder = os.path.join(parent, name)
        try:
            with open(os.path.join(folder, _OWNER), encoding="utf-8") as file:
                backend, jobs, host, process = file.read().split()
        except (OSError, ValueError):
            # it was killed before it submitted anything
            remove(folder)
            continue
        if host == os.uname().nodename and _is_run(process):
            raise JobError(f"{log}: process {process} runs these jobs; wait for it, or end it")
        print(f"run.py: {log}: cancelling jobs of an earlier run that was killed", file=sys.stderr)
        cancel(schedulers(backend), jobs, 60)
        remove(folder)


def _is_run(process: str) -> bool:
    """Whether a process of this machine is a run.py."""
    try:
        with open(f"/proc/{int(process)}/cmdline", "rb") as file:
            return b"run.py" in file.read()
    except (OSError, ValueError):
        return False


def cancel(scheduler: Scheduler, name: str, seconds: float) -> None:
    """Cancel jobs of a name, and wait until the scheduler knows none that runs.

    Raises:
        JobError: the scheduler does not answer.
    """
    scheduler.cancel(name)
    deadline, pause = time.monotonic() + seconds, 1.0
    while time.monotonic() < deadline:
        time.sleep(pause)
        if all(state.over for state in scheduler.ask(name).values()):
            return
        pause = 5.0
    print(f"run.py: {scheduler.title} still ends jobs named {name}", file=sys.stderr)


def remove_file(path: str) -> None:
    """Remove a file that may not be there."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def remove(folder: str) -> None:
    """Remove a folder of ours; what other machines still hold open stays."""
    for parent, names, files in os.walk(folder, topdown=False):
        for name in files:
            remove_file(os.path.join(parent, name))
        for name in names:
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(parent, name))
    with contextlib.suppress(OSError):
        os.rmdir(folder)
