"""The means of a set."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.score.intervals import METHOD, mean_over_counts, speaker_interval
from contrasep_lib.score.metrics.base import Column
from contrasep_lib.score.options import ScoreOptions
from contrasep_lib.score.tables import DECIMALS, Row
from contrasep_lib.score.utterance import metrics_of


def mean_columns(options: ScoreOptions) -> list[Column]:
    """The columns of the configured metrics that stand in results, each with its title."""
    return [column for metric in metrics_of(options) for column in metric.columns if column.title is not None]


def rounded(value: float) -> float:
    """A number as results hold it; adding zero turns -0.0 into 0.0."""
    return round(float(value), DECIMALS) + 0.0


def _mean(rows: Sequence[Row], values: Sequence[Any]) -> float | None:
    """Mean over the rows that have a value, each count of speakers weighing the same."""
    present = [(value, row.num_spk) for row, value in zip(rows, values) if value is not None]
    if not present:
        return None
    found, counts = zip(*present)
    return rounded(mean_over_counts(np.array(found, dtype=np.float64)[:, None], counts)[0])


def _scores(rows: Sequence[Row], columns: Sequence[Column]) -> dict[str, Any]:
    """Means and intervals of scores, None for those that some of the rows lack, but for partial columns."""
    made: dict[str, Any] = {}
    whole = rows
    for column in columns:
        rows = [row for row in whole if row[column.name] is not None] if column.partial else whole
        if column.partial:
            made[f"{column.name}_n"] = len(rows)
        speakers, counts = [row.speakers for row in rows], [row.num_spk for row in rows]
        values = [row[column.name] for row in rows]
        made |= {column.name: None, f"{column.name}_ci95": None}
        if not rows or any(value is None for value in values):
            continue
        most = column.cap if column.cap is not None and set(counts) == {1} else math.inf
        (interval,) = speaker_interval(np.array(values), speakers, counts, bounds=(-math.inf, most))
        made[column.name] = _mean(rows, values)
        made[f"{column.name}_ci95"] = interval and [rounded(limit) for limit in interval]
    return made


def _declared(column: Column) -> dict[str, Any]:
    """A column as results name it; what came later stands there only where it differs from results without it."""
    made = dataclasses.asdict(column)
    return made if made.pop("partial") is False else {**made, "partial": True}


def counted_right(row: Row) -> float | None:
    """Whether the estimated count is right, as a number; None without an estimate."""
    return None if row.num_spk_est is None else float(row.num_spk_est == row.num_spk)


def _confusion(rows: Sequence[Row]) -> dict[str, dict[str, int]] | None:
    """True -> estimated number of speakers -> mixtures; None where no number was estimated."""
    pairs = collections.Counter((row.num_spk, row.num_spk_est) for row in rows if row.num_spk_est is not None)
    made: dict[str, dict[str, int]] = {}
    for (true, estimated), mixtures in sorted(pairs.items()):
        made.setdefault(str(true), {})[str(estimated)] = mixtures
    return made or None


def aggregate(rows: list[Row], options: ScoreOptions) -> dict[str, Any]:
    """The means of a set, as they stand under ``sets.<set>`` of results.json.

    ``n`` counts mixtures, ``num_spk`` the speakers of each (a list where they differ), ``speakers`` the different
    people. Every score comes as a mean and, under its name with ``_ci95``, as a 95 % interval over speakers
    (`speaker_interval`; ``interval`` names the method); None where it does not exist. A partial score's mean is over
    the mixtures that have it, which ``<name>_n`` counts. Where the number of speakers
    differs, each number weighs the same in all means (``mean_over``: ``counts``). Single-speaker mixtures have no
    improvement, so improvements of a set that also holds mixtures of more speakers are means over those.

    ``count_accuracy`` is the share of utterances whose estimated count is right, among those that have an estimate;
    ``confusion`` (true number -> estimated number -> utterances) has what was estimated. Means of modularity,
    normalised modularity and conductance are over the utterances that have them. ``fallbacks`` (name -> utterances)
    counts those that another solver partitioned, as the one of the configuration found too few communities. ``oracle``
    holds the mean of each oracle, ``columns`` what the scores are called.

    Args:
        rows: the set's utterances.
        options: metrics and oracles.

    Raises:
        ContrasepError: no rows; or the count was given for some and estimated for others, which
            no mean can hold.
    """
    if not rows:
        raise ContrasepError("no utterance is scored; run stage 6 again")
    if len({row.count_given for row in rows}) > 1:
        raise ContrasepError("the number of speakers was given for some utterances only; run stage 5 again")
    counts = sorted({row.num_spk for row in rows})
    made: dict[str, Any] = {
        "n": len(rows),
        "num_spk": counts[0] if len(counts) == 1 else counts,
        "speakers": len({name for row in rows for name in row.speakers}),
        "mean_over": "mixtures" if len(counts) == 1 else "counts",
        "interval": METHOD,
    }
    columns = mean_columns(options)
    made |= _scores(rows, [column for column in columns if not column.improvement])
    mixtures = [row for row in rows if row.num_spk > 1]
    made |= _scores(mixtures, [column for column in columns if column.improvement])
    made["columns"] = [_declared(column) for column in columns]
    made["count_accuracy"] = _mean(rows, [counted_right(row) for row in rows])
    made["confusion"] = _confusion(rows)
    made["mean_modularity"] = _mean(rows, [row.modularity for row in rows])
    made["mean_normalised_modularity"] = _mean(rows, [row.normalised_modularity for row in rows])
    made["mean_conductance"] = _mean(rows, [row.conductance for row in rows])
    made["fallbacks"] = dict(sorted(collections.Counter(row.fallback for row in rows if row.fallback).items()))
    made["oracle"] = {name: _mean(rows, [row.oracles.get(name) for row in rows]) for name in options.oracles}
    return made
