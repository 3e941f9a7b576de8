"""What a listening page shows, whatever it was read from."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from contrasep_lib.nodes.options import FeatureOptions

# of a cell that holds nothing
NOTHING = "-"
# of longer recordings a page holds the beginning, seconds
MOST_SECONDS = 300.0


@dataclasses.dataclass(frozen=True)
class Track:
    """One signal of a mixture, a lane of the page.

    Attributes:
        title: what it is, e.g. ``output 2 for source 1``.
        samples: ``(samples,)`` float32 in [-1, 1].
        group: name of the experiment, or of what all experiments share.
        note: a score or the like; may be empty.
        colour: number of its colour, from 0; None for what belongs to no talker.
    """

    title: str
    samples: np.ndarray
    group: str = ""
    note: str = ""
    colour: int | None = None


@dataclasses.dataclass(frozen=True)
class Communities:
    """Which output each unit of a mixture went to.

    Attributes:
        title: whose, and what it shows.
        colours: ``(frames, freq)`` int, ``freq = 1`` where units are frames: number of the colour, -1 for silent units.
        names: colour -> what it stands for, in the order of the key.
        features: framing of the units.
        group: as in `Track`.
    """

    title: str
    colours: np.ndarray
    names: Mapping[int, str]
    features: FeatureOptions
    group: str = ""


@dataclasses.dataclass(frozen=True)
class CountEvidence:
    """What speaks for a number of speakers.

    Attributes:
        group: as in `Track`.
        chosen: the number of outputs.
        given: whether the number was given.
        true: the true number; None where nobody knows it.
        probabilities: of 1, 2, .. speakers; empty where the counter knows none.
        qualities: for 1, 2, .. speakers the quality of the best partition, and mean and standard deviation of its
            null; empty where they were not kept.
        words: the decision in words.
    """

    group: str
    chosen: int
    given: bool
    true: int | None = None
    probabilities: Sequence[float] = ()
    qualities: Sequence[tuple[float, float, float]] = ()
    words: str = ""


@dataclasses.dataclass(frozen=True)
class Scene:
    """A mixture with all that is heard and seen of it.

    Attributes:
        rate: of all tracks, Hz.
        tracks: in the order of the page; the first is the mixture.
        features: framing of the spectrograms.
        seconds: of the whole recording, of which the tracks may be the beginning.
    """

    rate: int
    tracks: Sequence[Track]
    features: FeatureOptions
    seconds: float
    communities: Sequence[Communities] = ()
    evidence: Sequence[CountEvidence] = ()


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it shows.
        value: by what it is sorted; None sorts last.
        share: of its row, 0 to 1, which shades it; None for no shade.
    """

    text: str
    value: float | str | None = None
    share: float | None = None


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that can be sorted.

    Attributes:
        title: stands above it.
        header: titles of the columns.
        rows: a cell for each column.
        sorted_by: the column by which the rows are sorted, and whether upwards; None for none.
        notes: paragraphs below it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    sorted_by: tuple[int, bool] | None = None
    notes: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Choice:
    """A mixture that can be heard.

    Attributes:
        row: its row in the table of mixtures.
        name: its heading.
        group: the test set, or the like.
        load: reads it.
    """

    row: int
    name: str
    group: str
    load: Callable[[], Scene]


@dataclasses.dataclass(frozen=True)
class Content:
    """A page before its audio is read.

    Attributes:
        title: of the page.
        owner: whose recordings it holds.
        summaries: tables of the experiments; the first stands above the mixtures, the others below.
        mixtures: the table of mixtures, worst first.
        choices: mixtures that are to be heard, the most telling first.
    """

    title: str
    owner: str
    summaries: Sequence[Table]
    mixtures: Table
    choices: Sequence[Choice]


def number_cell(value: Any, decimals: int = 2, unit: str = "") -> Cell:
    """A cell of a number, or of None."""
    if value is None:
        return Cell(NOTHING)
    return Cell(f"{value:.{decimals}f}{unit}", float(value))


def text_cell(text: object) -> Cell:
    """A cell of words, sorted by them."""
    return Cell(str(text), str(text)) if str(text) else Cell(NOTHING)


def names_of(folders: Sequence[str | os.PathLike]) -> list[str]:
    """Names that tell folders apart: their own, with those above them where two have the same.

    Example:
        >>> names_of(["exp/best", "other/exp/best", "exp/small"])
        ['exp/best', 'other/exp/best', 'exp/small']
        >>> names_of(["exp/best/", "exp/small"])
        ['best', 'small']
    """
    short = [os.path.basename(os.path.abspath(folder)) for folder in folders]
    return short if len(set(short)) == len(short) else [os.fspath(folder) for folder in folders]


def telling(values: Sequence[float | None], number: int) -> list[int]:
    """Places of the most telling mixtures: of every four the two worst that are left, the best and a median one.

    Args:
        values: a score of each, the larger the better; those without one come last.
        number: how many at most.

    Example:
        >>> telling([3.0, 1.0, 2.0, 5.0, 4.0], 4)
        [1, 3, 2, 0]
    """
    known = [place for place, value in enumerate(values) if value is not None]
    ranked = sorted(known, key=lambda place: values[place])
    middle = (len(ranked) - 1) / 2
    inner = [place for _, place in sorted((abs(rank - middle), place) for rank, place in enumerate(ranked))]
    queues = itertools.cycle([iter(ranked), iter(ranked[::-1]), iter(ranked), iter(inner)])
    chosen: dict[int, None] = {}
    while len(chosen) < min(number, len(known)):
        chosen[next(place for place in next(queues) if place not in chosen)] = None
    return [*chosen, *(place for place, value in enumerate(values) if value is None)][:number]
