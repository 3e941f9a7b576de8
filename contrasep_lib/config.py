"""Strict YAML configuration: every key known, every value of its type.

A configuration file has sections; each section is a dataclass beside the code that reads it
(see `SECTIONS`). Unknown sections and keys are refused with the nearest known name, so that a
misspelt option is never silently ignored. The key ``base`` names a file, or several, relative to
this one, whose values stand where this file has none of its own: what recipes share stands once.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import os
import types
import typing
from pathlib import Path
from typing import Any, Sequence, TypeVar

import yaml

from contrasep_lib.errors import ContrasepError

SECTIONS = {
    "corpus": "contrasep_lib.corpus.options:CorpusOptions",
    "mix": "contrasep_lib.mix.options:MixOptions",
    "dump": "contrasep_lib.io.options:DumpOptions",
    "features": "contrasep_lib.features.options:FeatureOptions",
    "model": "contrasep_lib.models.options:ModelOptions",
    "pretrain": "contrasep_lib.train.options:TrainOptions",
    "finetune": "contrasep_lib.train.options:TrainOptions",
    "modularity": "contrasep_lib.separate.options:ModularityOptions",
    "separate": "contrasep_lib.separate.options:SeparateOptions",
    "score": "contrasep_lib.score.options:ScoreOptions",
}

Options = TypeVar("Options")

# metadata of an option that came after others were in use: see `as_key`
LATER = {"later": True}


def load_config(path: str | os.PathLike, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a configuration file and check all of it.

    Args:
        path: YAML file.
        overrides: ``section.key=value`` settings that replace values of the file; values are
            read as YAML.

    Returns:
        section name -> options dataclass, for every section of `SECTIONS` (defaults where the
        file is silent).

    Raises:
        ContrasepError: missing or unreadable file, unknown section or key, value of a wrong type.
    """
    tree = _read_tree(Path(path))
    for setting in overrides:
        _override(tree, setting)
    refuse_unknown(tree, SECTIONS, f"{path}", "section")
    config = {}
    for name in SECTIONS:
        config[name] = build(section_options(name), tree.get(name) or {}, f"{path}: {name}")
    return config


def _read_tree(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The sections of a file over those of its bases; of several bases the later one counts.

    Values are replaced whole, mappings too: objectives of a base are no objectives of the file's.
    """
    if path.resolve() in above:
        raise ContrasepError(f"{path}: is its own base; take the line out of one of the files")
    try:
        with open(path, encoding="utf-8") as file:
            own = yaml.safe_load(file) or {}
    except FileNotFoundError:
        wanted = f", which {above[-1]} takes as its base" if above else "; see conf/ of the recipe"
        raise ContrasepError(f"{path}: no such configuration{wanted}") from None
    except yaml.YAMLError as error:
        raise ContrasepError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(own, dict):
        raise ContrasepError(f"{path}: a mapping of sections wanted, got {type(own).__name__}")
    bases = own.pop("base", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ContrasepError(f"{path}: base: a file or a list of files wanted, got {bases!r}")
    tree: dict[str, Any] = {}
    layers = [_read_tree(path.parent / base, (*above, path.resolve())) for base in bases]
    for layer in (*layers, own):
        for name, section in layer.items():
            known = tree.get(name)
            both = isinstance(known, dict) and isinstance(section, dict)
            tree[name] = {**known, **section} if both else section
    return tree


def section_options(name: str) -> type[Any]:
    """The options dataclass of a section of `SECTIONS`."""
    module, _, attribute = SECTIONS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _override(tree: dict[str, Any], setting: str) -> None:
    dotted, equals, text = setting.partition("=")
    *parents, leaf = dotted.split(".")
    if not equals or not parents or not leaf:
        raise ContrasepError(f"--set {setting}: 'section.key=value' wanted")
    node = tree
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ContrasepError(f"--set {setting}: '{parent}' is a value, not a section")
    try:
        node[leaf] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ContrasepError(f"--set {setting}: '{text}' is not valid YAML") from None


def refuse_unknown(given: typing.Iterable[str], known: typing.Iterable[str], where: str, what: str) -> None:
    """Raise ContrasepError for the first name of ``given`` that is not ``known``."""
    known = list(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known))}"
            raise ContrasepError(f"{where}: unknown {what} '{name}'; {hint}")


def build(options: type[Options], values: Any, where: str) -> Options:
    """Make an options dataclass of a mapping, checking keys and types (nested ones too).

    Raises:
        ContrasepError: naming ``where`` and the key; a ValueError of the dataclass's own
            ``__post_init__`` is passed on the same way.
    """
    if not isinstance(values, dict):
        raise ContrasepError(f"{where}: a mapping wanted, got {values!r}")
    refuse_unknown(values, [field.name for field in dataclasses.fields(options)], where, "key")
    hints = typing.get_type_hints(options)
    made = {key: _convert(hints[key], value, f"{where}.{key}") for key, value in values.items()}
    try:
        return options(**made)
    except (ValueError, TypeError) as error:
        raise ContrasepError(f"{where}: {error}") from None


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return build(kind, value, where)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        kinds = [argument for argument in arguments if argument is not type(None)]
        for argument in kinds:
            try:
                return _convert(argument, value, where)
            except ContrasepError:
                if argument is kinds[-1]:
                    raise
    if origin is typing.Literal:
        if value not in arguments or isinstance(value, bool) != isinstance(arguments[0], bool):
            raise ContrasepError(f"{where}: one of {', '.join(map(str, arguments))} wanted, got {value!r}")
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin is dict and isinstance(value, dict):
        return {_convert(arguments[0], k, where): _convert(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    name = getattr(kind, "__name__", str(kind))
    raise ContrasepError(f"{where}: {name} wanted, got {value!r}")


def as_tree(options: Any) -> Any:
    """A dataclass (or a mapping of them) as plain values, ready for JSON or YAML."""
    if dataclasses.is_dataclass(options):
        return dataclasses.asdict(options)
    return {name: as_tree(value) for name, value in options.items()}


def as_key(options: Any) -> Any:
    """As `as_tree`, without options of `LATER` that have their default.

    What a stage or a training depends on is told by this: so an option that the toolkit gains
    leaves what was made before it valid.
    """
    if not dataclasses.is_dataclass(options):
        return options
    tree = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if not field.metadata.get("later") or value != field.default:
            tree[field.name] = as_key(value)
    return tree
