"""The means of a set."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.score.metrics.base import Column
from contrasep_lib.score.options import ScoreOptions
from contrasep_lib.score.tables import DECIMALS, Row
from contrasep_lib.score.utterance import metrics_of


def mean_columns(options: ScoreOptions) -> list[Column]:
    """The columns of the configured metrics that stand in results, each with its title."""
    return [column for metric in metrics_of(options) for column in metric.columns if column.title is not None]


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return round(float(np.mean(present)), DECIMALS) + 0.0 if present else None


def _scores(rows: Sequence[Row], names: Sequence[str], options: ScoreOptions) -> dict[str, Any]:
    """Means and intervals of scores, None for those that some of the rows lack."""
    from contrasep_lib.score.bootstrap import speaker_interval

    made: dict[str, Any] = {key: None for name in names for key in (name, f"{name}_ci95")}
    columns = [name for name in names if rows and all(row[name] is not None for row in rows)]
    if not columns:
        return made
    values = np.array([[row[name] for name in columns] for row in rows])
    intervals = speaker_interval(values, [row.speakers for row in rows], options.bootstrap, options.seed)
    for name, column, interval in zip(columns, values.T, intervals):
        made[name] = _mean(column)
        made[f"{name}_ci95"] = interval and [round(limit, DECIMALS) + 0.0 for limit in interval]
    return made


def aggregate(rows: list[Row], options: ScoreOptions) -> dict[str, Any]:
    """The means of a set, as they stand under ``sets.<set>`` of results.json.

    ``n`` counts mixtures, ``num_spk`` the speakers of each (a list where they differ), ``speakers``
    the different people. Every score comes as a mean and, under its name with ``_ci95``, as a
    95 % interval by bootstrap over speakers; None where it does not exist. ``count_accuracy`` is the share of
    utterances whose estimated count is right, among those that have an estimate. Means of
    modularity, normalised modularity and conductance are over the utterances that have them. ``fallbacks`` (name ->
    utterances) counts those that another solver partitioned, as the one of the configuration found too few communities.
    Single-speaker mixtures have no improvement, so
    improvements of a set that also holds mixtures of more speakers are means over those. ``oracle`` holds the mean of
    each oracle, ``columns`` what the scores are called.

    Args:
        rows: the set's utterances.
        options: metrics, oracles, resamplings and seed.

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
    }
    columns = mean_columns(options)
    made |= _scores(rows, [column.name for column in columns if not column.improvement], options)
    mixtures = [row for row in rows if row.num_spk > 1]
    made |= _scores(mixtures, [column.name for column in columns if column.improvement], options)
    made["columns"] = [dataclasses.asdict(column) for column in columns]
    made["count_accuracy"] = _mean(
        [float(row.num_spk_est == row.num_spk) for row in rows if row.num_spk_est is not None]
    )
    made["mean_modularity"] = _mean([row.modularity for row in rows])
    made["mean_normalised_modularity"] = _mean([row.normalised_modularity for row in rows])
    made["mean_conductance"] = _mean([row.conductance for row in rows])
    made["fallbacks"] = dict(sorted(collections.Counter(row.fallback for row in rows if row.fallback).items()))
    made["oracle"] = {name: _mean([row.oracles.get(name) for row in rows]) for name in options.oracles}
    return made
