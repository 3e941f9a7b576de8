"""Bounds of options: every numeric one has them, and no hostile value gets past them."""

import dataclasses
import math
import typing
from typing import Annotated

import numpy as np
import pytest

from contrasep_lib.config import (
    FAMILIES,
    SECTIONS,
    Bounded,
    Range,
    as_tree,
    build,
    names,
    options_class,
    section_options,
)
from contrasep_lib.config.bounds import Seed, split, typed, words
from contrasep_lib.config.reading import Layers, configure
from contrasep_lib.config.schema import convert, default_of, kinds_of
from contrasep_lib.errors import ContrasepError

# what a user may type, or a file hold, where a number is expected
HOSTILE = [
    math.nan, math.inf, -math.inf, -1, -1e-9, 0, 0.5, 1, 10**9, 1e308, 2**63, 10**400, 10**5000, "", "1e3", "nan",
    "a b", "../x", "x" * 1000, "a\nb",
    True, False, None, [], [1], [math.nan], [[1]], {}, {"a": 1}, {"a": math.nan}, {1: 2},
    {"../x": 1},
]
# dataclasses of options: sections, and members of all families
OPTIONS = {
    **{name: section_options(name) for name in SECTIONS},
    "pretrain.augment": section_options("pretrain").__dataclass_fields__["augment"].default.__class__,
    **{f"{family}.{name}": options_class(family, name) for family in FAMILIES for name in names(family)},
}
FIELDS = [(where, name) for where, options in OPTIONS.items() for name in kinds_of(options)]


def numbers_in(kind):
    """The types of numbers that a type is made of, with what bounds them."""
    bare, bounds = split(kind)
    if bare in (int, float):
        yield bare, bounds
    for argument in typing.get_args(bare):
        yield from numbers_in(argument)


def values_in(tree):
    """All values of a tree, keys too."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield key
            yield from values_in(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from values_in(value)
    else:
        yield tree


def as_lists(tree):
    """Tuples as the lists that a file has."""
    if isinstance(tree, dict):
        return {key: as_lists(value) for key, value in tree.items()}
    return [as_lists(value) for value in tree] if isinstance(tree, (list, tuple)) else tree


def test_all_options_are_here():
    assert len(OPTIONS) > 45 and len(FIELDS) > 150
    assert sum(1 for where, name in FIELDS for _ in numbers_in(kinds_of(OPTIONS[where])[name])) > 100


@pytest.mark.parametrize("where, name", FIELDS)
def test_numbers_have_bounds_that_hold_their_defaults(where, name):
    options = OPTIONS[where]
    kind = kinds_of(options)[name]
    for bare, bounds in numbers_in(kind):
        assert isinstance(bounds, Range), f"{options.__name__}.{name}: {bare.__name__} without bounds"
        assert math.isfinite(bounds.low) and math.isfinite(bounds.high) and bounds.low < bounds.high
        assert issubclass(options, Bounded), f"{options.__name__}: bounds that nothing reads where it is made in Python"
    [field] = [field for field in dataclasses.fields(options) if field.name == name]
    convert(kind, default_of(field), name)


@pytest.mark.parametrize("where, name", FIELDS)
def test_hostile_values_are_legal_or_one_line(where, name):
    options = OPTIONS[where]
    inline = any(field.metadata.get("inline") for field in dataclasses.fields(options))
    for value in HOSTILE:
        try:
            made = build(options, value if inline else {name: value}, where)
        except ContrasepError as error:
            text = str(error)
            assert "\n" not in text and len(text) < 500 and text.startswith(where), text[:500]
        else:
            numbers = [each for each in values_in(as_tree(made)) if isinstance(each, float)]
            assert all(map(math.isfinite, numbers))
            again = as_lists(as_tree(made))
            assert build(options, {key: again[key] for key in again if key != "name"}, where) == made


@pytest.mark.parametrize("where", [where for where in OPTIONS if where not in SECTIONS])
def test_parts_check_themselves_where_python_makes_them(where):
    options = OPTIONS[where]
    for name, kind in kinds_of(options).items():
        for bad in (math.nan, math.inf, -(10**15)):
            if split(kind)[0] in (int, float):
                with pytest.raises(ValueError, match=f"^{name}: expected a .*number"):
                    options(**{name: bad})


def test_several_types_and_words():
    number = Annotated[int, Range(0, 5)] | Annotated[float, Range(0, 1)]
    kind = dict[Annotated[str, "a note of others"], number | bool | None]
    assert convert(kind, {"a": 5, "b": 0.5, "c": True, "d": None}, "k") == {"a": 5, "b": 0.5, "c": True, "d": None}
    for value, says in (
        ({"a": 6}, "k.a: expected null or a whole number from 0 to 5 or a number from 0 to 1 or true or false, got 6"),
        ({1: 2}, "k: expected text, got 1"), ([1], r"k: expected a mapping, got \[1\]"),
    ):
        with pytest.raises(ContrasepError, match=says):
            convert(kind, value, "k")
    assert words(tuple[Seed, ...]) == "a list"
    assert words(Annotated[float, Range(-1, 1, "[)")]) == "a number of at least -1 and less than 1"
    assert type(convert(Annotated[float, Range(0, 9)], 3, "k")) is float
    # numbers of numpy are numbers, truth values are none
    assert convert(Seed, np.int64(3), "k") == 3 and convert(float, np.float32(0.5), "k") == 0.5
    for value in (True, 3.0, "3", 2**31):
        with pytest.raises(ContrasepError, match="k: expected a whole number from 0 to 2147483647, got"):
            convert(Seed, value, "k")
    # without bounds: finite, and of 64 bits
    for kind, value in ((float, math.nan), (float, 10**400), (int, 2**63), (int, -(10**5000))):
        with pytest.raises(ContrasepError, match="^k: expected a (finite|whole) number, got"):
            convert(kind, value, "k")


def test_an_option_of_a_plugin_without_bounds_is_finite_and_one_with_them_is_checked():
    @dataclasses.dataclass(frozen=True)
    class Options:
        level: float = 0.5
        number: Annotated[int, Range(1, 20)] = 2

    assert build(Options, {"level": 1e300, "number": 20}, "c") == Options(1e300, 20)
    for values, says in (
        ({"level": math.nan}, "c.level: expected a finite number, got nan"),
        ({"number": 21}, "c.number: expected a whole number from 1 to 20, got 21"),
    ):
        with pytest.raises(ContrasepError, match=says):
            build(Options, values, "c")


@pytest.mark.parametrize("text, value", [("0", 0), ("+7", 7), ("2147483647", 2**31 - 1), ("007", 7)])
def test_numbers_of_command_lines(text, value):
    assert typed(Seed, text) == value
    assert typed(Annotated[float, Range(0, 2**31)], text) == float(value)


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "1_0", "٣", "²", "nan", "inf", "-inf", "-1", "1e999", "9" * 100, "9" * 10000, "0x1", "1,5"],
)
def test_what_is_no_number_of_a_command_line(text):
    for kind in (Seed, Annotated[float, Range(0, 1e9)]):
        with pytest.raises(ValueError, match="^expected a (whole )?number from 0 to .*, got '") as error:
            typed(kind, text)
        assert len(str(error.value)) < 200 and "\n" not in str(error.value)


def test_names_that_a_configuration_gave_an_option_are_those_of_its_errors(tmp_path):
    def error_of(*settings, **sections):
        layers = Layers()
        layers.add(sections, "c.yaml")
        for setting in settings:
            layers.set(setting)
        with pytest.raises(ContrasepError) as error:
            configure(layers, "c.yaml")
        return str(error.value)

    says = "expected a number above 0 and at most 300, got -1"
    assert error_of("separate.silence_db=-1") == f"c.yaml: separate.silence_db (today features.silence_db): {says}"
    assert error_of(separate={"silence_db": -1}) == f"c.yaml: separate.silence_db (today features.silence_db): {says}"
    # a later layer has today's
    assert error_of("features.silence_db=-1", separate={"silence_db": 3}) == f"c.yaml: features.silence_db: {says}"
    assert error_of("modularity.refine_steps=.nan").startswith(
        "c.yaml: modularity.refine_steps (today modularity.solver.refine_steps): expected a whole number from 0 to 1e9"
    )
    assert error_of("model.objectives={supcon: 1}", "model.temperature=0") == (
        "c.yaml: model.temperature (today model.objectives.supcon.temperature): "
        "expected a number from 0.001 to 100, got 0"
    )
    # checks of options against one another name the option too
    says = "expected a divisor of win (256) up to half of it, got 100"
    assert error_of("features.hop=100") == f"c.yaml: features.hop: {says}"


