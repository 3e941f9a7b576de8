"""Folders that one program at a time may work in."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from contrasep_lib.errors import ContrasepError

NAME = ".program.lock"


@contextlib.contextmanager
def alone_in(folder: str | os.PathLike, patience: float = 10.0, together: bool = False) -> Iterator[None]:
    """Keep other programs that ask for the same out of a folder, which is made if need be.

    The lock is the system's (``flock``) and ends with the process, whatever ends it. Where the file system has no
    locks, there is none.

    Args:
        folder: to work in.
        patience: seconds to wait for who has it; a process that was killed takes a moment to be gone.
        together: share the folder with others that say so, as nodes of one training do.

    Raises:
        OSError: the folder cannot be made or written to.
        ContrasepError: another program works in it; names its process and host.
    """
    path = Path(folder) / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        deadline = time.monotonic() + patience
        while not _lock(held, fcntl.LOCK_SH if together else fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                holder = os.read(held, 400).decode("utf-8", "replace").strip() or "another process"
                raise ContrasepError(f"{folder}: in use by {holder}; wait until it has ended, or end it")
            time.sleep(0.2)
        os.ftruncate(held, 0)
        since = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        os.write(held, f"process {os.getpid()} of {socket.gethostname()} since {since}\n".encode())
        yield
    finally:
        os.close(held)


def _lock(held: int, how: int) -> bool:
    """Whether the file is ours, or nobody's for want of locks."""
    try:
        fcntl.flock(held, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
