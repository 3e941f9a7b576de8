"""Bounds of options: they stand in the type of a field, and one check reads them.

    learning_rate: Annotated[float, Range(0, 1e3, "(]")] = 1e-3
    hidden: tuple[Width, ...] = (64,)
    patience: Steps | None = None

`contrasep_lib.config.schema` checks the values of a configuration by them, and those of options that are made in
Python (`contrasep_lib.config.schema.Bounded`); `typed` checks what is typed at a command line. A number without
bounds has to be finite; NaN is refused always. Bounds are wide: they keep out what cannot be meant, or does not fit
the memory of a machine, not what is unusual. What many options have in common has a name here.
"""

from __future__ import annotations

import dataclasses
import numbers
import re
import reprlib
import sys
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


def shown(value: Any) -> str:
    r"""A value as messages have it: short, and on one line.

    Example:
        >>> shown(2.5), shown("a\nb"), len(shown("x" * 10**6))
        ('2.5', "'a\\nb'", 80)
    """
    try:
        return " ".join(_short.repr(value).split())
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "a number of thousands of digits"


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers that an option takes.

    Attributes:
        low, high: bounds.
        ends: ``[`` and ``]`` where the bound itself is taken, ``(`` and ``)`` where it is not.

    Example:
        >>> [value in Range(0, 1, "(]") for value in (0, 0.5, 1, float("nan"))]
        [False, True, True, False]
        >>> str(Range(0, 1, "(]")), str(Range(1, 64))
        ('above 0 and at most 1', 'from 1 to 64')
    """

    low: float
    high: float
    ends: Literal["[]", "[)", "(]", "()"] = "[]"

    def __contains__(self, value: float) -> bool:
        above = self.low < value if self.ends[0] == "(" else self.low <= value
        return above and (value < self.high if self.ends[1] == ")" else value <= self.high)

    def __str__(self) -> str:
        low, high = _plain(self.low), _plain(self.high)
        if self.ends == "[]":
            return f"from {low} to {high}"
        return (
            f"{'above' if self.ends[0] == '(' else 'of at least'} {low} and "
            f"{'less than' if self.ends[1] == ')' else 'at most'} {high}"
        )


def _plain(bound: float) -> str:
    """A bound as people write it: ``65536``, ``0.5``, ``1e9``."""
    if power := re.fullmatch(r"(-?1)(0{5,})", f"{bound:.0f}"):
        return f"{power[1]}e{len(power[2])}"
    return str(int(bound)) if float(bound).is_integer() else f"{bound:g}"


@dataclasses.dataclass(frozen=True)
class Text:
    """Texts that an option takes.

    Attributes:
        words: what they are, e.g. ``a name of letters and digits``.
        accepts: whether a text is one.
    """

    words: str
    accepts: Callable[[str], bool]

    def __contains__(self, value: str) -> bool:
        return self.accepts(value)

    def __str__(self) -> str:
        return self.words


# finite, and of 64 bits, which arrays hold
_ANY = {float: Range(-sys.float_info.max, sys.float_info.max), int: Range(-(2**63), 2**63 - 1)}
# text of a number -> the number
_TYPED: dict[type, tuple[re.Pattern[str], Callable[[str], float]]] = {
    int: (re.compile(r"[+-]?[0-9]{1,40}"), int),
    float: (re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"), float),
}


def split(kind: Any) -> tuple[Any, Range | Text | None]:
    """A type without its bounds, and the bounds; None for a type that has none."""
    if typing.get_origin(kind) is not Annotated:
        return kind, None
    bare, *notes = typing.get_args(kind)
    return bare, next((note for note in notes if isinstance(note, (Range, Text))), None)


def words(kind: Any) -> str:
    """What a type takes, in words that follow "expected".

    Example:
        >>> words(Seed | None), words(Annotated[float, Range(0, 1, "()")])
        ('null or a whole number from 0 to 2147483647', 'a number above 0 and less than 1')
    """
    bare, bounds = split(kind)
    origin, arguments = typing.get_origin(bare), typing.get_args(bare)
    if origin in (typing.Union, types.UnionType):
        # null first: what follows may be long
        return " or ".join(map(words, sorted(arguments, key=lambda argument: argument is not type(None))))
    if origin is Literal:
        return f"{'one of ' * (len(arguments) > 1)}{', '.join(map(str, arguments))}"
    if bare in (int, float):
        whole = "a whole number" if bare is int else "a number" if bounds else "a finite number"
        return f"{whole} {bounds}" if bounds else whole
    if isinstance(bounds, Text):
        return str(bounds)
    names = {str: "text", bool: "true or false", type(None): "null", tuple: "a list", list: "a list", dict: "a mapping"}
    return names.get(origin or bare, getattr(bare, "__name__", str(bare)))


def scalar(kind: Any, value: Any) -> Any:
    """A number, text or truth value of a type, within its bounds.

    Raises:
        ValueError: another one; ``expected .., got ..``.
    """
    bare, bounds = split(kind)
    if bare in (int, float):
        of_kind = isinstance(value, numbers.Integral if bare is int else numbers.Real) and not isinstance(value, bool)
        number = float(value) if of_kind and not isinstance(value, numbers.Integral) else value
        if of_kind and number in (bounds if isinstance(bounds, Range) else _ANY[bare]):
            return bare(number)
    elif type(value) is bare and (bounds is None or value in bounds):
        return value
    raise ValueError(f"expected {words(kind)}, got {shown(value)}")


def typed(kind: Any, text: str) -> Any:
    """A number of a command line, of a type ``int`` or ``float`` with or without bounds.

    Example:
        >>> typed(Seed, "12"), typed(Seconds, "2.5e1")
        (12, 25.0)

    Raises:
        ValueError: no such number, or one out of bounds; ``expected .., got ..``.
    """
    # Python takes more than people mean by a number: 1_000, other scripts' digits, nan
    pattern, number = _TYPED[split(kind)[0]]
    try:
        return scalar(kind, number(text) if pattern.fullmatch(text) else text)
    except ValueError:
        raise ValueError(f"expected {words(kind)}, got {shown(text)}") from None


# ------------------------------------------------------------------ bounds that several options have

# NumPy takes 32 bits, of which one is left to sums of a seed with epochs and numbers of items
Seed = Annotated[int, Range(0, 2**31 - 1)]
# of loops, and rows of tables: nobody waits for more
Steps = Annotated[int, Range(0, 10**9)]
Count = Annotated[int, Range(1, 10**9)]
# items that are held in memory together
Items = Annotated[int, Range(1, 10**6)]
# nodes of a recording: time-frequency units of a quarter of an hour
Nodes = Annotated[int, Range(2, 2**24)]
# nodes of which all pairs are held: 16 GiB in float32
PairedNodes = Annotated[int, Range(2, 65536)]
# processes of one command
Processes = Annotated[int, Range(0, 1024)]
Jobs = Annotated[int, Range(1, 1024)]
Speakers = Annotated[int, Range(1, 100)]
# channels and cells: weights grow with the square, to 0.27 GB a matrix
Width = Annotated[int, Range(1, 8192)]
Layers = Annotated[int, Range(1, 100)]
# of a kernel, whose features grow with the dimension to its power
Power = Annotated[int, Range(1, 16)]
Restarts = Annotated[int, Range(1, 10**4)]
Rate = Annotated[int, Range(4000, 192000)]
# up to a day; a hundredth is less than a frame
Seconds = Annotated[float, Range(0.01, 86400)]
# twenty years
Minutes = Annotated[float, Range(0, 1e7, "(]")]
LearningRate = Annotated[float, Range(0, 1000, "(]")]
Probability = Annotated[float, Range(0, 1)]
# of a whole, neither nothing nor all of it
Part = Annotated[float, Range(0, 1, "()")]
# weights of terms; beyond, the others are lost in float32
Weight = Annotated[float, Range(0, 1e6)]
PositiveWeight = Annotated[float, Range(0, 1e6, "(]")]
# between levels: hearing spans 130, PCM16 96
Decibels = Annotated[float, Range(0, 300)]
PositiveDecibels = Annotated[float, Range(0, 300, "(]")]
