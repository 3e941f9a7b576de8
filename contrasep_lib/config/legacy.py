"""Spellings of earlier versions, of YAML files, settings and checkpoints, as today's.

Tables say where a key went (`moved`); files, ``--set`` and checkpoints all pass through them. Where a
key belongs to a part that is chosen elsewhere, it is known only in the end whether that part reads it: `settle`
hands such keys to the parts, drops those that none reads, and says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from contrasep_lib.config import legacy_model, legacy_modularity
from contrasep_lib.config.choices import option_names, options_class
from contrasep_lib.config.schema import SECTIONS, as_key, build, parts_tree, section_options
from contrasep_lib.errors import ContrasepError

Path = tuple[str, ...]

# section -> `moved` of its keys
_SECTIONS: dict[str, Callable[[Path, Any], list[tuple[Path, Any]] | None]] = {
    "modularity": legacy_modularity.moved,
    **dict.fromkeys(("model", "separate", "pretrain", "finetune"), legacy_model.moved),
}
# keys of all parts of a field that read them: the field and the option; they stay where they are until `settle`
SHARED: dict[Path, tuple[str, str]] = {
    ("model", "temperature"): ("objectives", "temperature"),
    ("model", "sampled_nodes"): ("objectives", "sampled_nodes"),
    ("model", "decoder_share"): ("objectives", "share"),
    ("score", "sdr_filter"): ("metrics", "filter_length"),
}
# keys that nothing reads any more; `settle` drops them
GONE: frozenset[Path] = frozenset({("score", "bootstrap"), ("score", "seed")})


def moved(path: Path, value: Any) -> list[tuple[Path, Any]] | None:
    """Where a key of an earlier version belongs today.

    Args:
        path: section and key, e.g. ``("model", "layers")``; more for keys within a mapping.
        value: its value.

    Returns:
        paths and values of today, possibly none; None for a key that has not moved.
    """
    if path in SHARED or path in GONE:
        return [(path, value)]
    table = _SECTIONS.get(path[0])
    return table(path, value) if table else None


def modernise(tree: Mapping[str, Any]) -> tuple[dict[str, Any], dict[Path, Path]]:
    """The sections of a file in today's spelling.

    Returns:
        the sections, and the paths that were moved there -> those that the file has.
    """
    result: dict[str, Any] = {}
    paths: dict[Path, Path] = {}
    for section, values in tree.items():
        if not isinstance(values, dict):
            continue
        result.setdefault(section, {})
        for key, value in values.items():
            places = moved((section, key), value)
            if places is None:
                places = [((section, key), value)]
            else:
                paths.update((path, (section, key)) for path, _ in places)
            for path, each in places:
                _put(result, path, each)
    # those with an error are left as they are
    return {**result, **{name: values for name, values in tree.items() if not isinstance(values, dict)}}, paths


def settle(tree: dict[str, Any], paths: Iterable[Path], stated: Iterable[Path] = ()) -> list[str]:
    """Hand moved keys to the chosen parts, and drop those that no part reads, in place.

    Args:
        tree: all sections, merged.
        paths: those that were moved.
        stated: section, field, part and option of values that a key of `SHARED` gives way to.

    Returns:
        the keys that were dropped, dotted.
    """
    paths, stated = set(paths), set(stated)
    dropped = legacy_model.settle(tree, paths)
    dropped += [".".join(path) for path in SHARED if path in paths and not _shared(tree, path, stated)]
    for section, key in GONE & paths:
        if isinstance(tree.get(section), dict) and key in tree[section]:
            tree[section] = {name: value for name, value in tree[section].items() if name != key}
            dropped.append(f"{section}.{key}")
    for path in sorted(paths):
        if len(path) != 3 or path[0] not in SECTIONS:
            continue
        section, key, inner = path
        part = (tree.get(section) or {}).get(key)
        if isinstance(part, dict) and inner in part and inner not in _options_of(section, key, part):
            tree[section] = {**tree[section], key: {name: value for name, value in part.items() if name != inner}}
            dropped.append(".".join(path))
    return dropped


def _shared(tree: dict[str, Any], path: Path, stated: set[Path]) -> bool:
    """Hand a key of `SHARED` to the parts that read it; whether there is one."""
    (section, key), (name, option) = path, SHARED[path]
    values = tree.get(section)
    if not isinstance(values, dict) or key not in values:
        return True  # replaced by a later layer
    value = values.pop(key)
    [field] = [field for field in dataclasses.fields(section_options(section)) if field.name == name]
    family, where = field.metadata["choices"], f"{section}.{name}"
    parts = parts_tree(values.get(name, list(field.metadata["default"])), where)
    readers = [part for part in parts if option in option_names(options_class(family, part, where))]
    for part in readers:
        if (section, name, part, option) not in stated:
            parts[part][option] = value
    if readers:
        values[name] = parts
    return bool(readers)


def _options_of(section: str, key: str, part: dict[str, Any]) -> set[str]:
    """Names of the options of a chosen part; all that it has where it is no part, or of an unknown name."""
    fields = {field.name: field.metadata for field in dataclasses.fields(section_options(section))}
    metadata: Mapping[str, Any] = fields.get(key, {})
    try:
        chosen = options_class(metadata["choice"], part.get("name", metadata["default"]))
    except (KeyError, ContrasepError):
        return set(part)
    return option_names(chosen)


def identity_of_today(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that a training checkpoint names, in today's spelling.

    Args:
        identity: plain values, as `contrasep_lib.train.task.build_arguments` makes them.

    Raises:
        ContrasepError: options that no version had.
    """
    if "silence_db" not in identity:
        return dict(identity)
    today, paths = modernise({
        "separate": {"silence_db": identity["silence_db"]},
        **{name: dict(identity[name]) for name in ("features", "model") if name in identity},
    })
    settle(today, paths)
    kept = {name: value for name, value in identity.items() if name != "silence_db"}
    for name in set(kept) & {"features", "model"}:
        kept[name] = as_key(build(section_options(name), today[name], name))
    return kept


def statistics_of_today(stats: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> dict[int, Any]:
    """Statistics of epochs, epoch -> part -> name -> value, by today's names."""
    return {
        epoch: {part: legacy_model.renamed(values, legacy_model.OBJECTIVES) for part, values in parts.items()}
        for epoch, parts in stats.items()
    }


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
