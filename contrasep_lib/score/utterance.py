"""The scores of one mixture."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping

import numpy as np

from contrasep_lib.config.choices import create
from contrasep_lib.errors import ContrasepError
from contrasep_lib.score.metrics.base import Metric, Mixture, Value
from contrasep_lib.score.options import ScoreOptions
from contrasep_lib.score.ratios import best_matching, pairwise_si_snr


@dataclasses.dataclass(frozen=True)
class UtteranceScore:
    """The scores of one mixture.

    Attributes:
        num_spk: true number of speakers, K.
        outputs: number of outputs, M.
        count_given: whether the separator was given K.
        permutation: for each source the index of its output; None where it has none.
        scores: column of a metric -> value; None where it does not exist.
    """

    num_spk: int
    outputs: int
    count_given: bool
    permutation: tuple[int | None, ...]
    scores: Mapping[str, Value]

    def __getitem__(self, column: str) -> Value:
        """The value of a column; None also where the column is absent, as in a table of an earlier version."""
        return self.scores.get(column)


def metrics_of(options: ScoreOptions) -> list[Metric]:
    """The metrics that a configuration lists.

    Raises:
        ContrasepError: two metrics with a column of the same name.
    """
    metrics = [create(member) for member in options.metrics.values()]
    owner: dict[str, str] = {}
    for name, metric in zip(options.metrics, metrics):
        for column in metric.columns:
            other = owner.setdefault(column.name, name)
            if other != name:
                raise ContrasepError(f"score.metrics: '{other}' and '{name}' both have a column '{column.name}'")
    return metrics


def score_utterance(
    outputs: np.ndarray,
    sources: np.ndarray,
    mixture: np.ndarray,
    options: ScoreOptions = ScoreOptions(),
    count_given: bool = True,
    rate: int = 8000,
) -> UtteranceScore:
    """Score what a separator made of one mixture.

    One matching, the best by SI-SNRi, serves all metrics.

    Args:
        outputs: ``(M, samples)``; M may be 0 when the count was estimated.
        sources: ``(K, samples)``.
        mixture: ``(samples,)``.
        options: metrics.
        count_given: the separator knew K; then M must be K.
        rate: sampling rate, Hz, which perceptual metrics ask for.

    Raises:
        ValueError: lengths differ, NaN or infinite samples, no source, or M is not K though the
            count was given.
        ContrasepError: a metric gives something else than finite numbers in its columns.
    """
    outputs, sources, mixture = _checked(outputs, sources, mixture)
    num_spk, num_out = len(sources), len(outputs)
    if count_given and num_out != num_spk:
        raise ValueError(f"{num_out} outputs for {num_spk} sources though the count was given")
    permutation = best_matching(pairwise_si_snr(outputs, sources) - pairwise_si_snr(mixture[None], sources))
    scored = Mixture(mixture, sources, outputs, permutation, count_given, rate)
    scores: dict[str, Value] = {}
    for name, metric in zip(options.metrics, metrics_of(options)):
        scores |= _checked_scores(name, metric, metric.score(scored))
    return UtteranceScore(num_spk, num_out, count_given, permutation, scores)


def _checked_scores(name: str, metric: Metric, values: Mapping[str, Value]) -> Mapping[str, Value]:
    """The scores of a metric, which may come from outside the package."""
    known = {column.name for column in metric.columns}
    for column, value in values.items():
        if column not in known:
            raise ContrasepError(f"metric '{name}': '{column}' is none of its columns, {', '.join(sorted(known))}")
        for number in value if isinstance(value, (tuple, list)) else (value,):
            if number is not None and not (isinstance(number, numbers.Real) and math.isfinite(number)):
                raise ContrasepError(f"metric '{name}': {column}: expected a finite number, got {number!r}")
    return values


def _checked(
    outputs: np.ndarray, sources: np.ndarray, mixture: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three in double precision, after checking shapes and values."""
    made = []
    for name, signal, dims in (("outputs", outputs, 2), ("sources", sources, 2), ("mixture", mixture, 1)):
        signal = np.asarray(signal, dtype=np.float64)
        if signal.ndim != dims:
            raise ValueError(f"{name}: expected {dims} dimensions, got shape {signal.shape}")
        if not np.isfinite(signal).all():
            raise ValueError(f"{name} hold NaN or infinite samples")
        made.append(signal)
    outputs, sources, mixture = made
    if len(sources) == 0 or mixture.size == 0:
        raise ValueError(f"expected at least one source and one sample, got shape {sources.shape}")
    if sources.shape[1] != mixture.size:
        raise ValueError(f"sources have {sources.shape[1]} samples, the mixture {mixture.size}")
    if outputs.shape[1] != mixture.size:
        raise ValueError(f"outputs have {outputs.shape[1]} samples, the mixture {mixture.size}")
    return outputs, sources, mixture
