"""Ark files with their scp: writing them by kaldiio, reading them as data alone (`contrasep_lib.io.kaldi`)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from contrasep_lib.io.atomic import atomic_path
from contrasep_lib.io.kaldi import Bytes, Content, RefusedError, read_content
from contrasep_lib.io.pipes import is_command
from contrasep_lib.io.scp import read_table, table_text

# longest key of an archive that is read from its beginning
LONGEST_KEY = 255


def save_ark(ark: str | os.PathLike, scp: str | os.PathLike, entries: Mapping[str, Any], **how: Any) -> None:
    """Write entries to an ark and its scp, each under its name only when whole, the scp last.

    Args:
        ark: archive to write.
        scp: table ``key ark:offset`` to write.
        entries: key -> what kaldiio writes: matrices, or ``(rate, int16 samples)``.
        how: further arguments of ``kaldiio.save_ark``.
    """
    import kaldiio

    with atomic_path(scp) as raw_scp:
        with atomic_path(ark) as temporary:
            kaldiio.save_ark(str(temporary), dict(entries), scp=str(raw_scp), **how)
        # kaldiio noted the temporary name of the ark
        offsets = {key: entry.rpartition(":")[2] for key, entry in read_table(raw_scp).items()}
        rows = {key: f"{Path(ark)}:{offset}" for key, offset in offsets.items()}
        # into the file that is there: another in its place would have no lock, and pass for one that a kill left
        raw_scp.write_text(table_text(scp, rows), encoding="utf-8")


def parse_entry(entry: str) -> tuple[str, int | None]:
    """File and offset of an scp entry, ``path`` or ``path:offset``.

    Raises:
        RefusedError: a command (``cmd |``), or a range (``path:offset[0:9]``).
    """
    entry = entry.strip()
    if is_command(entry):
        raise RefusedError(f"'{entry}' is a command; commands in tables are never run, write their output to a file")
    if re.search(r"\[[^]/]*\]$", entry):
        raise RefusedError(f"'{entry}' has a range; ranges are not read")
    path, _, offset = entry.rpartition(":")
    if path and offset.isascii() and offset.isdigit() and len(offset) < 20:
        return path, int(offset)
    return entry, None


def load_entry(entry: str) -> Content:
    """Read what an scp entry points to; see `contrasep_lib.io.kaldi.read_content` for what it may be.

    Args:
        entry: ``path`` or ``path:offset``.

    Raises:
        FileNotFoundError: no such file.
        OSError: a file that cannot be opened.
        RefusedError: an entry or content of a kind that is not read.
        ValueError: damaged content, or an offset beyond the end.
    """
    path, offset = parse_entry(entry)
    with _open(path) as file:
        if offset:
            if offset > os.fstat(file.fileno()).st_size:
                raise ValueError(f"offset {offset} lies beyond the end")
            file.seek(offset)
        return read_content(file)


def load_first(ark: str | os.PathLike) -> tuple[str, Content]:
    """Key and content of an archive's first entry; errors as those of `load_entry`."""
    with _open(os.fspath(ark)) as file:
        key = Bytes(file).token(LONGEST_KEY)
        if not key:
            raise ValueError("no key at the beginning")
        return key.decode("utf-8"), read_content(file)


def _open(path: str) -> IO[bytes]:
    # a pipe or a device has no end and may wait for ever
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise RefusedError(f"{path} is no regular file")
    return open(path, "rb")
