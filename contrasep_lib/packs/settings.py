"""The configuration in a pack: what separation reads, whole, without bases and plugins.

A configuration is trusted elsewhere: its bases and plugins are followed. One from a pack is read by itself, and may
have neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from contrasep_lib.config import as_key, build, section_options
from contrasep_lib.config.text import parse
from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.checkpoint import plain
from contrasep_lib.packs.layout import SECTIONS

HEAD = "# What separation with this model reads.\n"
DEEPEST = 64


def settings_text(config: Mapping[str, Any]) -> str:
    """``config.yaml`` of a pack: the sections `SECTIONS`, and the rate of ``mix``.

    Args:
        config: of `contrasep_lib.config.load_config`.

    Returns:
        YAML that gives the same options, the same text for the same options.
    """
    tree = {"mix": {"rate": config["mix"].rate}, **{name: plain(as_key(config[name])) for name in SECTIONS}}
    return HEAD + yaml.safe_dump(tree, sort_keys=True, allow_unicode=True, default_flow_style=None, width=120)


def require_settings(path: Path, where: object) -> None:
    """Raise ContrasepError unless a file holds what `settings_text` writes: sections that separation reads, plain.

    Args:
        path: to read.
        where: for the messages.
    """
    text = path.read_bytes()
    try:
        # references of a few bytes stand for any number of values
        _require_flat(text, where)
        tree = parse(text.decode())
    except (ValueError, RecursionError, yaml.YAMLError):
        raise ContrasepError(f"{where}: not valid YAML; name another file") from None
    if not isinstance(tree, dict):
        raise ContrasepError(f"{where}: expected sections, got {type(tree).__name__}; name another file")
    for key in tree:
        if key not in (*SECTIONS, "mix"):
            raise ContrasepError(
                f"{where}: expected {', '.join(SECTIONS)} and the rate of mix, got {_word(key)}; name another file"
            )
    if tree.get("mix", {}).keys() - {"rate"} if isinstance(tree.get("mix", {}), dict) else True:
        raise ContrasepError(f"{where}: mix: expected the rate alone; name another file")
    for name, values in tree.items():
        build(section_options(name), values, f"{where}: {name}")


def _require_flat(text: bytes, where: object) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > DEEPEST:
            raise ContrasepError(f"{where}: expected plain values, got references or nesting; name another file")


def _word(key: object) -> str:
    return f"'{key}'" if isinstance(key, str) and re.fullmatch(r"\w{1,40}", key) else "another key"
