"""Writing that a kill cannot leave half done and that no link can lead elsewhere."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

PREFIX = ".contrasep-"
_TEMPORARY = re.compile(re.escape(PREFIX) + r"[0-9a-f]{16}(\.[^.]*)?")


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` and rename it to ``path`` on success.

    The file of the temporary path is there, empty. Its name, ``.contrasep-RANDOM.SUFFIX``, cannot be foreseen and is
    made exclusively, so that nobody's link or file is written to. It keeps the suffix, by which audio libraries choose
    the format. Parent folders are made. It is written into, or replaced by a hard link: another file in its place would
    have no lock, and pass for one that a killed process left.
    On an exception the temporary file is removed and ``path`` is left as it was. What a killed process left behind is
    removed by the next one that writes to the folder.
    """
    path = Path(path)
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent.resolve(), os.getpid())
    temporary, held = _new_file(path)
    try:
        yield temporary
        os.replace(temporary, path)
        # a rename between two names of one file leaves both
        temporary.unlink(missing_ok=True)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, os.fspath(temporary)):
            # the name that a user knows: a write that fails, for want of room, names no file
            error.filename = os.fspath(path)
        raise
    finally:
        os.close(held)


def _new_file(path: Path) -> tuple[Path, int]:
    """Make the temporary file of a path: its name, and its descriptor, which holds the lock."""
    while True:
        temporary = path.with_name(f"{PREFIX}{secrets.token_hex(8)}{path.suffix}")
        # the rights are those of any new file, by the umask
        try:
            held = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            # the name that a user knows
            error.filename = os.fspath(path)
            raise
        _lock(held, fcntl.LOCK_EX)
        # whoever removes leftovers may have taken it for one before it was locked
        if temporary.exists():
            return temporary, held
        os.close(held)


@functools.lru_cache(maxsize=1024)
def _remove_leftovers(folder: Path, process: int) -> None:
    """Remove temporary files that no process holds; once for each folder, as listing a large one takes its time."""
    try:
        found = [os.path.join(folder, name) for name in os.listdir(folder) if _TEMPORARY.fullmatch(name)]
    except OSError:
        # a folder that may be written to and not listed
        return
    for path in found:
        # gone meanwhile, a link, or another user's: left alone
        with contextlib.suppress(OSError):
            held = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                # a second name of a file takes no room, and may be on its way to its own
                if os.fstat(held).st_nlink == 1 and _lock(held, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    os.unlink(path)
            finally:
                os.close(held)


def _lock(held: int, how: int) -> bool:
    """Whether an open file could be locked: by its writer as long as it writes, else by whoever finds it left."""
    try:
        fcntl.flock(held, how)
    except OSError:
        # held by its writer, or a file system without locks
        return False
    return True


def remove_tree(path: str | os.PathLike) -> None:
    """Remove a folder with all that is in it, or the link in its place but not its target, if there is one."""
    with contextlib.suppress(OSError):
        os.unlink(path)
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def atomic_open(path: str | os.PathLike, mode: str = "w") -> Iterator[IO]:
    """Open a file for writing under a temporary name; see `atomic_path`."""
    encoding = None if "b" in mode else "utf-8"
    newline = None if "b" in mode else "\n"
    with atomic_path(path) as temporary, open(temporary, mode, encoding=encoding, newline=newline) as file:
        yield file


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    with atomic_open(path) as file:
        file.write(text)
