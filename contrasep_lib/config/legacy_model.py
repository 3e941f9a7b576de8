"""Where keys of earlier versions belong that are about the model: section ``model``, and names after its parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from contrasep_lib.config.choices import option_names, options_class
from contrasep_lib.config.schema import part_tree, parts_tree, section_options

Path = tuple[str, ...]

# objectives, which statistics of training are named after
OBJECTIVES = {
    "affinity": "deep_clustering", "whitened": "whitened_deep_clustering",
    # a counter followed from it
    "count": "count",
}
CENTROIDS = {"noise": "label_noise", "solver": "refined_oracle", "found": "kmeans"}
MOVED: dict[Path, Path] = {
    ("separate", "silence_db"): ("features", "silence_db"),
    ("model", "decoder_layers"): ("model", "decoder", "layers"),
    ("model", "decoder_width"): ("model", "decoder", "width"),
    ("model", "count_max"): ("model", "counter", "count_max"),
    **{("model", key): ("model", "backbone", key) for key in ("layers", "width", "dropout", "path", "heads", "band")},
}
# parts and their families
_PARTS = {"backbone": "backbone", "decoder": "decoder", "counter": "count_network"}


def moved(path: Path, value: Any) -> list[tuple[Path, Any]] | None:
    """See `contrasep_lib.config.legacy.moved`."""
    if path in MOVED:
        return [(MOVED[path], value)]
    if path == ("model", "granularity") and value == "attractor":
        return [(path, "tf"), (("model", "decoder"), "attractor")]
    if path[0] in ("pretrain", "finetune") and path[1:] == ("best",) and isinstance(value, str) and value in OBJECTIVES:
        return [(path, OBJECTIVES[value])]
    for key, names in (("objectives", OBJECTIVES), ("centroids", CENTROIDS)):
        if path == ("model", key) and isinstance(value, Mapping) and set(names) & set(value):
            return [(path, renamed(value, names))]
        if path[:2] == ("model", key) and len(path) > 2 and path[2] in names:
            return [((*path[:2], names[path[2]], *path[3:]), value)]
    return None


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A mapping with other names, in its order."""
    return {names.get(name, name): value for name, value in values.items()}


def settle(tree: dict[str, Any], paths: set[Path]) -> list[str]:
    """See `contrasep_lib.config.legacy.settle`."""
    model = tree.get("model")
    if not isinstance(model, dict) or not any(path[0] == "model" for path in paths):
        return []
    objectives = parts_tree(model.get("objectives", list(_default("objectives"))), "model.objectives")
    unread = []
    if any(path[:2] == ("model", "objectives") for path in paths):
        if "count" not in objectives:
            keys = model.pop("counter", None)
            unread += [f"model.counter.{key}" for key in keys or () if ("model", "counter", key) in paths]
        elif _name_of(model, "counter") is None:
            model["counter"] = {"name": "classifier", **(model.get("counter") or {})}
    for part in _PARTS:
        keys = sorted(path[2] for path in paths if path[:2] == ("model", part) and len(path) == 3)
        unread += [f"model.{part}.{key}" for key in keys if not _settled(model, part, key)]
    return unread


def _settled(model: dict[str, Any], part: str, key: str) -> bool:
    """Leave a moved key with its part, or with the decoder, if one reads it; otherwise drop it."""
    if not isinstance(model.get(part), dict) or key not in model[part]:
        return True  # replaced by a later layer
    name = _name_of(model, part)
    if name is not None and key in _fields(_PARTS[part], name):
        return True
    values = dict(model[part])
    value = values.pop(key)
    model[part] = values if name is not None or values else None
    decoder = _name_of(model, "decoder")
    if part != "backbone" or decoder is None or key not in _fields("decoder", decoder):
        return False
    # backbone and decoder had these in common
    own = part_tree(model["decoder"], "model.decoder")
    model["decoder"] = {**own, key: own.get(key, value)}
    return True


def _name_of(model: Mapping[str, Any], part: str) -> str | None:
    value = model.get(part, _default(part))
    return value.get("name", _default(part)) if isinstance(value, dict) else value


def _default(key: str) -> Any:
    """What stands for a part, or parts, of the model where a configuration is silent."""
    [field] = [field for field in dataclasses.fields(section_options("model")) if field.name == key]
    return field.metadata["default"]


def _fields(family: str, name: str) -> set[str]:
    """Names of the options of a part."""
    return option_names(options_class(family, name, f"model.{family}"))
