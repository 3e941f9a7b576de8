"""Split files: which speakers of a corpus are kept for development and for tests.

A split file is a table with tabs: comments (``#``), the header ``speaker part group``, then one
line a speaker. ``part`` is ``dev`` or ``test``; ``group`` says what was balanced (a gender, a
language). All other speakers of the corpus train.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable
from pathlib import Path

import contrasep_lib
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text

HEADER = ("speaker", "part", "group")
PARTS = ("dev", "test")


@dataclasses.dataclass(frozen=True)
class Held:
    """A speaker who is kept out of training.

    Attributes:
        speaker: id, as the corpus's reader has it.
        part: ``dev`` or ``test``.
        group: gender or language.
    """

    speaker: str
    part: str
    group: str


def find_split(path: str) -> Path:
    """A split file: an absolute path, or one relative to where we are or, next, to the toolkit.

    Raises:
        ContrasepError: there is none.
    """
    toolkit = Path(contrasep_lib.__file__).resolve().parents[1]
    for folder in (Path(), toolkit):
        if (folder / path).is_file():
            return folder / path
    raise ContrasepError(
        f"{path}: no such split file, here or in {toolkit}; name one by the corpus's option 'split' "
        "(tools/make_splits.py makes it)"
    )


def read_split(path: str | os.PathLike) -> list[Held]:
    """Read and check a whole split file.

    Raises:
        ContrasepError: missing file, or a faulty line (the first is named): another header or
            number of fields, an unknown part, an id of other characters, a speaker twice.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ContrasepError(f"{path}: cannot be read as a split file ({error})") from None
    rows = [(number, tuple(line.split("\t"))) for number, line in enumerate(lines, 1) if line and line[0] != "#"]
    if not rows or rows[0][1] != HEADER:
        raise ContrasepError(f"{path}: expected the header '{' '.join(HEADER)}', separated by tabs, after the comments")
    held: dict[str, Held] = {}
    for number, fields in rows[1:]:
        if len(fields) != len(HEADER):
            raise ContrasepError(f"{path}:{number}: expected {len(HEADER)} fields separated by tabs, got {len(fields)}")
        speaker, part, group = fields
        if part not in PARTS:
            raise ContrasepError(f"{path}:{number}: expected part {' or '.join(PARTS)}, got '{part}'")
        if not re.fullmatch(r"[A-Za-z0-9._=+-]+", speaker) or not re.fullmatch(r"[A-Za-z0-9._=+-]+", group):
            raise ContrasepError(f"{path}:{number}: expected letters, digits and ._=+- in speaker and group")
        if speaker in held:
            raise ContrasepError(f"{path}:{number}: speaker '{speaker}' stands twice")
        held[speaker] = Held(speaker, part, group)
    return list(held.values())


def speakers_of(held: Iterable[Held], part: str) -> list[str]:
    """Ids of the speakers of a part, in the order of the file."""
    return [entry.speaker for entry in held if entry.part == part]


def write_split(path: str | os.PathLike, comment: str, held: Iterable[Held]) -> None:
    """Write a split file atomically.

    Args:
        path: the file.
        comment: what the file is, one or more lines.
        held: speakers, in the order of the file.
    """
    lines = [f"# {line}" for line in comment.strip().split("\n")] + ["\t".join(HEADER)]
    lines += ["\t".join((entry.speaker, entry.part, entry.group)) for entry in held]
    write_text(path, "\n".join(lines) + "\n")
