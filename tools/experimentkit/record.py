"""What a table of a sweep was made with, kept beside it, so that the same sweep with other values is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.dumpset import UTT2CHECKSUM


def claim(
    table: Path, common: Callable[[], Mapping[str, Any]], named: Mapping[str, Mapping[str, Any]],
    made: Mapping[str, Collection[str]],
) -> None:
    """Write what a table is made with beside it (``judged.json`` of ``judged.tsv``), or make sure that it is the same.

    A table without such a file was made before there was one; it is taken as it is, and gets none.

    Args:
        table: that is made, or goes on.
        common: gives plain values of all its rows; not asked for a table without such a file.
        named: kind -> name -> plain value of the rows of that name, e.g. of a partition.
        made: kind -> names that the table has rows of.

    Raises:
        ContrasepError: the table was made with other values.
    """
    from contrasep_lib.models.checkpoint import first_difference

    path, known = table.with_suffix(".json"), dict[str, Any]()
    if table.is_file():
        if not path.is_file():
            return
        known = _read(path)
    # as JSON has them: a tuple is a list there
    values, named = json.loads(json.dumps(common())), json.loads(json.dumps(named))
    kept = {kind: {name: value for name, value in known.get(kind, {}).items() if name in made[kind]} for kind in named}
    asked = {kind: {name: each.get(name, value) for name, value in kept[kind].items()} for kind, each in named.items()}
    # a phase says more than its models do, so what is common comes first
    for there, here in (({name: known.get(name) for name in values}, values), (kept, asked)):
        if known and (difference := first_difference(there, here)):
            raise ContrasepError(f"{table}: made with other values: {difference}; delete it, or name another sweep")
    whole = {**values, **{kind: {**kept[kind], **each} for kind, each in named.items()}}
    write_text(path, json.dumps(whole, indent=1, sort_keys=True) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContrasepError(f"{path}: cannot be read ({error}); delete it and the table beside it") from None
    if not isinstance(known, dict):
        raise ContrasepError(f"{path}: expected a mapping; delete it and the table beside it")
    return known


def said_of_sets(folders: Sequence[Path]) -> dict[str, str]:
    """Name -> what tells a dumped set from others, wherever it lies: utterances, speakers and checksums, where noted.

    Raises:
        ContrasepError: no dumped set.
    """
    from contrasep_lib.io.dumpset import DumpSet

    found = {}
    for folder in folders:
        dump, path = DumpSet(folder), folder / UTT2CHECKSUM
        sums = path.read_text(encoding="utf-8") if path.is_file() else ""
        found[folder.name] = _digest(json.dumps([[(key, dump.speakers[key]) for key in dump.keys], sums]).encode())
    return found


def said_of_file(path: Path) -> str:
    """What tells a file from others."""
    return _digest(path.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
