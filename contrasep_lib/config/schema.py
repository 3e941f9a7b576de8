"""Options as frozen dataclasses: what a section holds, and values checked against it.

A section of a configuration is a dataclass beside the code that reads it (see `SECTIONS`). Unknown keys are
refused with the nearest known name, so that a misspelt option is never silently ignored. Fields made by
`contrasep_lib.config.choices.choice_of` hold the options of a part that is chosen by name.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

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
}

Options = TypeVar("Options")

# metadata of an option that came after others were in use: see `as_key`
LATER = {"later": True}


def section_options(name: str) -> type[Any]:
    """The options dataclass of a section of `SECTIONS`."""
    module, _, attribute = SECTIONS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def build(options: type[Options], values: Any, where: str) -> Options:
    """Make an options dataclass of a mapping, checking keys and types (nested ones too).

    Raises:
        ContrasepError: naming ``where`` and the key; a ValueError of the dataclass's own
            ``__post_init__`` is passed on the same way.
    """
    if not isinstance(values, dict):
        raise ContrasepError(f"{where}: expected a mapping, got {values!r}")
    fields = {field.name: field for field in dataclasses.fields(options)}  # type: ignore[arg-type]
    for name, field in fields.items():
        if field.metadata.get("inline"):
            return options(**{name: _field(field, None, values, where)})
    refuse_unknown(values, fields, where, "key")
    hints = typing.get_type_hints(options)
    made = {key: _field(fields[key], hints[key], value, f"{where}.{key}") for key, value in values.items()}
    try:
        return options(**made)
    except (ValueError, TypeError, ContrasepError) as error:
        raise ContrasepError(f"{where}: {error}") from None


def _field(field: dataclasses.Field[Any], kind: Any, value: Any, where: str) -> Any:
    if "choice" in field.metadata:
        return _chosen(field.metadata, value, where)
    if "choices" in field.metadata:
        parts = parts_tree(value, where)
        family = field.metadata["choices"]
        return {
            name: build(options_class(family, name, where), part, f"{where}.{name}") for name, part in parts.items()
        }
    return _convert(kind, value, where)


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
        raise ContrasepError(f"{where}: expected a name, or a mapping with a name, got {value!r}")
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
                raise ContrasepError(f"{where}: expected names, each once, got {value!r}")
            parts[name] = part
        return parts
    if not isinstance(value, dict):
        raise ContrasepError(f"{where}: expected a mapping of names, or a list of them, got {value!r}")
    return {name: _weighted(part, f"{where}.{name}") for name, part in value.items()}


def _weighted(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"weight": value}
    if not isinstance(value, dict):
        raise ContrasepError(f"{where}: expected a weight, or a mapping of options, got {value!r}")
    return dict(value)


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return build(typing.cast("type[Any]", kind), value, where)
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
            raise ContrasepError(f"{where}: expected one of {', '.join(map(str, arguments))}, got {value!r}")
        return value
    if kind is Any:
        return value
    if origin in (tuple, list) and isinstance(value, list):
        return origin(_convert(arguments[0], item, where) for item in value)
    if origin is dict and isinstance(value, dict):
        return {_convert(arguments[0], k, where): _convert(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _finite(value, where)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    name = getattr(kind, "__name__", str(kind))
    name = {"tuple": "list", "dict": "mapping"}.get(name, name)
    raise ContrasepError(f"{where}: expected {name}, got {value!r}")


def _finite(value: float, where: str) -> float:
    """A number that comparisons of options can be trusted with: NaN passes them all."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ContrasepError(f"{where}: expected a finite number, got {value!r}"[:200])
    return number


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
