"""Kaldi's two-column text files: wav.scp, utt2spk, text and their kin.

A line is a key, one space, and a value that may hold spaces. Files are sorted by key in
C-locale order (which for UTF-8 is the order of code points, hence Python's own), keys are
unique ids (`contrasep_lib.io.ids`), and the last line ends with a newline.
"""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Iterable, Mapping

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.ids import RULE, is_id, shown


def parse_table(path: str | os.PathLike) -> tuple[list[tuple[str, str]], list[str]]:
    """Read a two-column file without stopping at an error.

    Returns:
        the ``(key, value)`` pairs in the order of the file, and the violations found
        (byte order mark, CR LF, tabs, unsorted, duplicate, empty line, key that is no id or has no value, no final
        newline), one line each.

    Raises:
        ContrasepError: the file is missing or is not UTF-8.
    """
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            content = file.read()
    except FileNotFoundError:
        raise ContrasepError(f"{path}: no such file; run the stage that makes it first") from None
    except UnicodeDecodeError as error:
        raise ContrasepError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise ContrasepError(f"{path}: cannot be read ({error.strerror})") from None
    content, errors = _without_foreign_signs(path, content)
    if content and not content.endswith("\n"):
        errors.append(f"{path}: the last line has no newline; is the file truncated?")
    pairs: list[tuple[str, str]] = []
    seen: set[str] = set()
    lines = content.removesuffix("\n").split("\n") if content else []
    for number, line in enumerate(lines, 1):
        key, _, value = line.partition(" ")
        if not key:
            errors.append(f"{path}:{number}: empty line or leading space; a line is 'KEY VALUE'")
            continue
        if not is_id(key):
            errors.append(f"{path}:{number}: expected an id of {RULE}, got '{shown(key)}'")
        if not value.strip():
            errors.append(f"{path}:{number}: key '{shown(key)}' has no value")
        if key in seen:
            errors.append(f"{path}:{number}: key '{shown(key)}' stands twice")
        elif pairs and key < pairs[-1][0]:
            name = shlex.quote(os.fspath(path))
            errors.append(f"{path}:{number}: not sorted at '{shown(key)}'; fix it by: LC_ALL=C sort -o {name} {name}")
        seen.add(key)
        pairs.append((key, value.strip()))
    return pairs, errors


def _without_foreign_signs(path: str | os.PathLike, content: str) -> tuple[str, list[str]]:
    """Content with LF and spaces alone, and a line for each kind of sign that is not of Kaldi's tables."""
    name, errors = shlex.quote(os.fspath(path)), []

    def line_of(sign: str) -> int:
        return content.count("\n", 0, content.index(sign)) + 1

    if content.startswith("\ufeff"):
        fix = f"sed -i '1s/^\\xEF\\xBB\\xBF//' {name}"
        errors.append(f"{path}: begins with a byte order mark (BOM); remove it by: {fix}")
        content = content[1:]
    if "\r" in content:
        errors.append(f"{path}:{line_of(chr(13))}: ends with CR LF, expected LF; fix it by: sed -i 's/\\r$//' {name}")
        content = content.replace("\r\n", "\n").replace("\r", " ")
    if "\t" in content:
        errors.append(f"{path}:{line_of(chr(9))}: a tab, expected one space; fix it by: sed -i 's/\\t/ /g' {name}")
        content = content.replace("\t", " ")
    return content, errors


def read_table(path: str | os.PathLike) -> dict[str, str]:
    """Read a two-column file; the first violation of the format is an error.

    Raises:
        ContrasepError: see `parse_table`; also for an empty file.
    """
    pairs, errors = parse_table(path)
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ContrasepError(errors[0] + more)
    if not pairs:
        raise ContrasepError(f"{path}: empty; run the stage that makes it again")
    return dict(pairs)


def write_table(path: str | os.PathLike, rows: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
    """Write a two-column file atomically, sorted by key.

    Raises:
        ContrasepError: a key stands twice or is no id.
    """
    write_text(path, table_text(path, rows))


def table_text(path: str | os.PathLike, rows: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """What `write_table` writes; errors name the path."""
    pairs = sorted(rows.items() if isinstance(rows, Mapping) else rows)
    for (key, _), (following, _) in itertools.pairwise(pairs):
        if key == following:
            raise ContrasepError(f"{path}: key '{key}' would stand twice")
    for key, _ in pairs:
        if not is_id(key):
            raise ContrasepError(f"{path}: expected an id of {RULE}, got '{shown(key)}'")
    return "".join(f"{key} {value}\n" for key, value in pairs)


def invert_utt2spk(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """``spk2utt`` of a ``utt2spk``: speaker -> utterance ids in order, separated by spaces."""
    spk2utt: dict[str, list[str]] = {}
    for utt in sorted(utt2spk):
        spk2utt.setdefault(utt2spk[utt], []).append(utt)
    return {spk: " ".join(utts) for spk, utts in spk2utt.items()}
