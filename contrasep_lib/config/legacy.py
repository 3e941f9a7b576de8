"""Spellings of earlier versions, of YAML files, settings and checkpoints, as today's.

One table says where a key went (`moved`); files, ``--set`` and checkpoints all pass through it. Where a
key belongs to a part that is chosen elsewhere, it is known only in the end whether that part reads it: `settle`
drops those that it does not read, and says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from contrasep_lib.config import legacy_modularity
from contrasep_lib.config.choices import options_class
from contrasep_lib.config.schema import SECTIONS, section_options
from contrasep_lib.errors import ContrasepError

Path = tuple[str, ...]

# section -> `moved` of its keys
_SECTIONS: dict[str, Callable[[Path, Any], list[tuple[Path, Any]] | None]] = {"modularity": legacy_modularity.moved}


def moved(path: Path, value: Any) -> list[tuple[Path, Any]] | None:
    """Where a key of an earlier version belongs today.

    Args:
        path: section and key, e.g. ``("model", "layers")``; more for keys within a mapping.
        value: its value.

    Returns:
        paths and values of today, possibly none; None for a key that has not moved.
    """
    if path == ("score", "sdr_filter"):
        sdr = {"filter_length": value}
        metrics = {"si_snr": {}, "sdr": sdr, "si_snri_count_estimated": {}, "si_snri_penalised": {}}
        return [(("score", "metrics"), metrics)]
    table = _SECTIONS.get(path[0])
    return table(path, value) if table else None


def modernise(tree: dict[str, Any]) -> tuple[dict[str, Any], set[Path]]:
    """The sections of a file in today's spelling.

    Returns:
        the sections, and the paths that were moved there.
    """
    result: dict[str, Any] = {}
    paths: set[Path] = set()
    for section, values in tree.items():
        if not isinstance(values, dict):
            result[section] = values
            continue
        result.setdefault(section, {})
        for key, value in values.items():
            places = moved((section, key), value)
            if places is None:
                places = [((section, key), value)]
            else:
                paths.update(path for path, _ in places)
            for path, each in places:
                _put(result, path, each)
    return result, paths


def settle(tree: dict[str, Any], paths: Iterable[Path]) -> list[str]:
    """Drop moved keys that the chosen parts do not read, in place.

    Args:
        tree: all sections, merged.
        paths: those that were moved.

    Returns:
        the keys that were dropped, dotted.
    """
    dropped = []
    for path in sorted(paths):
        if len(path) != 3 or path[0] not in SECTIONS:
            continue
        section, key, inner = path
        part = (tree.get(section) or {}).get(key)
        if isinstance(part, dict) and inner in part and inner not in _options_of(section, key, part):
            tree[section] = {**tree[section], key: {name: value for name, value in part.items() if name != inner}}
            dropped.append(".".join(path))
    return dropped


def _options_of(section: str, key: str, part: dict[str, Any]) -> set[str]:
    """Names of the options of a chosen part; all that it has where it is no part, or of an unknown name."""
    fields = {field.name: field.metadata for field in dataclasses.fields(section_options(section))}
    metadata: Mapping[str, Any] = fields.get(key, {})
    try:
        chosen = options_class(metadata["choice"], part.get("name", metadata["default"]))
    except (KeyError, ContrasepError):
        return set(part)
    return {field.name for field in dataclasses.fields(chosen)}


def _put(tree: dict[str, Any], path: Path, value: Any) -> None:
    node = tree
    for name in path[:-1]:
        inner = node.get(name)
        if isinstance(inner, str):
            inner = {"name": inner}
        node[name] = inner if isinstance(inner, dict) else {}
        node = node[name]
    known = node.get(path[-1])
    # a part whose keys came first keeps them when its name follows
    if isinstance(known, dict) and isinstance(value, str):
        value = {"name": value, **known}
    elif isinstance(known, dict) and isinstance(value, dict):
        value = {**known, **value}
    node[path[-1]] = value
