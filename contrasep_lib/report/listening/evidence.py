"""The evidence of a count as a picture: bars of probabilities, and qualities over their null for one speaker."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from contrasep_lib.report.listening.content import CountEvidence

# of a chart, units of its picture; and of one number's column in it
HEIGHT, COLUMN = 96.0, 44.0
# room above the bars for their values
_HEAD = 14.0


@dataclasses.dataclass(frozen=True)
class Bar:
    """A number of speakers in a chart.

    Attributes:
        number: of speakers.
        text: its value.
        left: of its column.
        top, height: of its bar.
        line: top and bottom of its null, mean plus and minus two standard deviations; None without.
        chosen, true: whether it is the number of outputs, and the true one.
    """

    number: int
    text: str
    left: float
    top: float
    height: float
    line: tuple[float, float] | None
    chosen: bool
    true: bool


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        title: stands above it.
        words: the same in words, for those who do not see it.
        width: of the picture.
        bars: one for each number of speakers.
        has_null: whether its bars have a null.
    """

    title: str
    words: str
    width: float
    bars: Sequence[Bar]
    has_null: bool


def charts_of(evidence: CountEvidence) -> list[Chart]:
    """The charts of what was kept: none, of probabilities, of qualities, or both."""
    charts = []
    if evidence.probabilities:
        values = list(evidence.probabilities)
        charts.append(_chart("probability of the number of speakers", evidence, values, [None] * len(values), "{:.0%}"))
    known = [(quality, mean, spread) for quality, mean, spread in evidence.qualities
             if all(map(math.isfinite, (quality, mean, spread)))]
    if known and len(known) == len(evidence.qualities):
        nulls = [(mean - 2 * spread, mean + 2 * spread) for _, mean, spread in known]
        values = [quality for quality, *_ in known]
        charts.append(_chart("quality of the best partition", evidence, values, nulls, "{:.2f}"))
    return charts


def _chart(
    title: str, evidence: CountEvidence, values: Sequence[float], nulls: Sequence[tuple[float, float] | None], form: str
) -> Chart:
    top = max([*values, *(null[1] for null in nulls if null), 1e-9])
    room = HEIGHT - _HEAD

    def place(value: float) -> float:
        return round(HEIGHT - room * min(max(value / top, 0.0), 1.0), 1)

    bars = [
        Bar(number, form.format(value), COLUMN * (number - 1), place(value), round(HEIGHT - place(value), 1),
            null and (place(null[1]), place(null[0])), number == evidence.chosen, number == evidence.true)
        for number, (value, null) in enumerate(zip(values, nulls), 1)
    ]
    words = "; ".join(f"{bar.number}: {bar.text}" for bar in bars)
    return Chart(title, f"{title}: {words}", COLUMN * len(bars), bars, any(nulls))
