"""Options as frozen dataclasses: what a section holds, and values checked against it.

A section of a configuration is a dataclass beside the code that reads it (see `SECTIONS`). Unknown keys are
refused with the nearest known name, so that a misspelt option is never silently ignored. Fields made by
`contrasep_lib.config.choices.choice_of` hold the options of a part that is chosen by name. The types of fields hold
the bounds of their values (`contrasep_lib.config.bounds`); `convert` checks both.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from contrasep_lib.config.bounds import scalar, shown, split, words
from contrasep_lib.config.choices import is_choice, options_class, refuse_unknown
from contrasep_lib.errors import ContrasepError

SECTIONS = {
    "corpus": "contrasep_lib.corpus.options:CorpusOptions",
    "mix": "contrasep_lib.mix.options:MixOptions",
    "dump": "contrasep_lib.io.options:DumpOptions",
    "features": "contrasep_lib.nodes.options:FeatureOptions",
    "model": "contrasep_lib.models.options:ModelOptions",
    "pretrain": "contrasep_lib.train.options:TrainOptions",
    "finetune": "contrasep_lib.train.options:TrainOptions",
    "modularity": "contrasep_lib.modularity.options:ModularityOptions",
    "separate": "contrasep_lib.separate.options:SeparateOptions",
    "score": "contrasep_lib.score.options:ScoreOptions",
    "asr": "contrasep_lib.asr.options:AsrOptions",
}

Options = TypeVar("Options")

# metadata of an option that came after others were in use: see `as_key`
LATER = {"later": True}


def section_options(name: str) -> type[Any]:
    """The options dataclass of a section of `SECTIONS`."""
    module, _, attribute = SECTIONS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def build(options: type[Options], values: Any, where: str) -> Options:
    """Make an options dataclass of a mapping, checking keys, types and bounds (nested ones too).

    Raises:
        ContrasepError: naming ``where`` and the key; a ValueError of the dataclass's own
            ``__post_init__`` is passed on the same way.
    """
    if not isinstance(values, dict):
        raise ContrasepError(f"{where}: expected a mapping, got {shown(values)}")
    fields = {field.name: field for field in dataclasses.fields(options)}  # type: ignore[arg-type]
    for name, field in fields.items():
        if field.metadata.get("inline"):
            return options(**{name: _field(field, None, values, where)})
    refuse_unknown(values, fields, where, "key")
    kinds = kinds_of(options)  # type: ignore[arg-type]
    made = {key: _field(fields[key], kinds[key], value, f"{where}.{key}") for key, value in values.items()}
    try:
        return options(**made)
    except (ValueError, TypeError, ContrasepError) as error:
        # those that begin with an option complete its dotted name
        begin = re.match(r"(\w+)[.,:]", str(error))
        raise ContrasepError(f"{where}{'.' if begin and begin[1] in fields else ': '}{error}") from None


@functools.cache
def kinds_of(options: type[Any]) -> dict[str, Any]:
    """Field -> type with its bounds, of an options dataclass."""
    hints = typing.get_type_hints(options, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(options)}


@dataclasses.dataclass(frozen=True)
class Bounded:
    """Options that check types and bounds of their values wherever they are made.

    Checks of several options against one another follow in ``__post_init__`` of the class that derives from it, which
    calls this one first.

    Raises:
        ValueError: naming the option, what was expected and the value.
    """

    def __post_init__(self) -> None:
        for name, kind in kinds_of(type(self)).items():  # type: ignore[arg-type]
            try:
                convert(kind, getattr(self, name), name)
            except ContrasepError as error:
                raise ValueError(str(error)) from None


def _field(field: dataclasses.Field[Any], kind: Any, value: Any, where: str) -> Any:
    if "choice" in field.metadata:
        return _chosen(field.metadata, value, where)
    if "choices" in field.metadata:
        parts = parts_tree(value, where)
        family = field.metadata["choices"]
        return {
            name: build(options_class(family, name, where), part, f"{where}.{name}") for name, part in parts.items()
        }
    return convert(kind, value, where)


def _chosen(metadata: Mapping[str, Any], value: Any, where: str) -> Any:
    """The options of one member of a family."""
    if value is None and metadata["optional"]:
        return None
    part = part_tree(value, where)
    name = part.pop("name", metadata["default"])
    return build(options_class(metadata["choice"], name, where), part, where)


def part_tree(value: Any, where: str) -> dict[str, Any]:
    """A chosen part as a mapping: a name alone is the part with its defaults.

    Raises:
        ContrasepError: neither a name nor a mapping.
    """
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, dict):
        raise ContrasepError(f"{where}: expected a name, or a mapping with a name, got {shown(value)}")
    return dict(value)


def parts_tree(value: Any, where: str) -> dict[str, dict[str, Any]]:
    """Several chosen parts as name -> mapping; see `contrasep_lib.config.choices.choices_of`.

    Raises:
        ContrasepError: another form, or a name that stands twice.
    """
    if isinstance(value, (list, tuple)):
        parts: dict[str, dict[str, Any]] = {}
        for item in value:
            part = part_tree(item, where)
            name = part.pop("name", None)
            if not isinstance(name, str) or name in parts:
                raise ContrasepError(f"{where}: expected names, each once, got {shown(value)}")
            parts[name] = part
        return parts
    if not isinstance(value, dict):
        raise ContrasepError(f"{where}: expected a mapping of names, or a list of them, got {shown(value)}")
    return {name: _weighted(part, f"{where}.{name}") for name, part in value.items()}


def _weighted(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"weight": value}
    if not isinstance(value, dict):
        raise ContrasepError(f"{where}: expected a weight, or a mapping of options, got {shown(value)}")
    return dict(value)


def convert(kind: Any, value: Any, where: str) -> Any:
    """A value of a type, within its bounds; lists of a configuration become tuples where the type has those.

    Raises:
        ContrasepError: naming ``where``, what was expected and the value.
    """
    bare, _ = split(kind)
    origin, arguments = typing.get_origin(bare), typing.get_args(bare)
    if bare is Any:
        return value
    if dataclasses.is_dataclass(bare):
        nested = typing.cast("type[Any]", bare)
        return value if isinstance(value, nested) else build(nested, value, where)
    if origin in (typing.Union, types.UnionType):
        return _one_of(bare, value, where)
    if origin in (tuple, list) and isinstance(value, (list, tuple)):
        return origin(convert(arguments[0], item, where) for item in value)
    if origin is dict and isinstance(value, dict):
        return {convert(arguments[0], k, where): convert(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    if origin is typing.Literal and any(type(value) is type(known) and value == known for known in arguments):
        return value
    try:
        return scalar(kind, value)
    except ValueError as error:
        raise ContrasepError(f"{where}: {error}") from None


def _one_of(kind: Any, value: Any, where: str) -> Any:
    """A value of one of several types."""
    for argument in typing.get_args(kind):
        try:
            return convert(argument, value, where)
        except ContrasepError:
            # what is wrong within a list or a mapping says more than that it is none of the types
            container = typing.get_origin(split(argument)[0])
            if container in (list, tuple, dict) and isinstance(value, dict if container is dict else (list, tuple)):
                raise
    raise ContrasepError(f"{where}: expected {words(kind)}, got {shown(value)}")


def as_tree(options: Any) -> Any:
    """Options, or a mapping of them, as plain values; a chosen part has its ``name`` first."""
    return _tree(options, lambda field, value: True)


def as_key(options: Any) -> Any:
    """As `as_tree`, without options of `LATER` that have their default.

    What a stage or a training depends on is known by this: so an option that the toolkit gains
    leaves what was made before it valid.
    """
    return _tree(options, lambda field, value: not field.metadata.get("later") or value != default_of(field))


def _tree(value: Any, keep: Any, named: bool = True) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        tree: dict[str, Any] = {"name": value.name} if named and is_choice(value) else {}  # type: ignore[attr-defined]
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            if field.metadata.get("inline"):
                return {name: _tree(part, keep, named=False) for name, part in inner.items()}
            if keep(field, inner):
                # the names of several parts are the keys already
                tree[field.name] = (
                    {name: _tree(part, keep, named=False) for name, part in inner.items()}
                    if "choices" in field.metadata else _tree(inner, keep)
                )
        return tree
    if isinstance(value, Mapping):
        return {name: _tree(part, keep) for name, part in value.items()}
    return value


def default_of(field: dataclasses.Field[Any]) -> Any:
    """The default of a field; `dataclasses.MISSING` where it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
