"""Where keys of section ``modularity`` of earlier versions are today."""

from __future__ import annotations

from typing import Any

# key -> part and its option
_PLACES = {
    "power": ("graph", "power"),
    "tau": ("graph", "tau"),
    "binary": ("graph", "binary"),
    "null": ("counting", "null_model"),
    "null_utterances": ("counting", "utterances"),
    "null_seconds": ("counting", "seconds"),
    "null_threshold": ("counting", "threshold"),
    **{
        name: ("solver", name)
        for name in (
            "hidden", "train_pool", "train_steps", "train_mixtures", "train_nodes", "learning_rate", "collapse_weight",
            "refine_steps",
        )
    },
}
# part or option -> names of its values that have changed
_VALUES = {
    ("counting",): {"cuts": "recursive_split", "counter": "classifier"},
    ("counting", "null_model"): {"round": "isotropic"},
}


def moved(path: tuple[str, ...], value: Any) -> list[tuple[tuple[str, ...], Any]] | None:
    """See `contrasep_lib.config.legacy.moved`."""
    section, *keys = path
    place = _PLACES.get(keys[0], tuple(keys)) if len(keys) == 1 else tuple(keys)
    known = _VALUES.get(place, {})
    today = known.get(value, value) if isinstance(value, str) else value
    if place == tuple(keys) and today == value:
        return None
    return [((section, *place), today)]
