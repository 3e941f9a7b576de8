"""Confidence intervals when mixtures share speakers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# how intervals of results are made, as results.json names it
METHOD = "jackknife over speakers"


def mean_over_counts(values: np.ndarray, counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Mean in which each count of speakers weighs the same, whatever the number of its mixtures.

    Args:
        values: ``(mixtures, columns)``.
        counts: speakers of each mixture.

    Returns:
        ``(columns,)``: the mean of the counts' means.
    """
    counts = np.asarray(counts)
    return np.mean([values[counts == count].mean(axis=0) for count in np.unique(counts)], axis=0)


def speaker_interval(
    values: np.ndarray,
    speakers: Sequence[Sequence[str]],
    counts: Sequence[int] | np.ndarray | None = None,
    level: float = 0.95,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> list[tuple[float, float] | None]:
    """Intervals of means for further speakers: jackknife over speakers, Student's t.

    Mixtures that share a speaker are not independent draws: 8 speakers make 28 pairs, but are 8 draws. So each speaker
    in turn is left out with all of its mixtures, within each count of speakers, and the changes of the mean are its
    error (Tukey 1958; of means over all sets of K speakers: Arvesen, "Jackknifing U-statistics", 1969):

        d_s = sum_k 1/G sqrt((n_k - 1) / n_k) (mean_k - mean_k without s),    mean +- t(n - 1) sqrt(sum_s d_s^2)

    over G counts k with n_k speakers each, of which n is the smallest. The weight of a count is fixed. At 8 speakers,
    2 to 5 of them in a mixture, 92 to 98 % of intervals of 95 % hold the truth (simulated in
    ``tests/score/test_intervals.py``). Percentiles of a bootstrap of products of weights, the earlier method, are too
    narrow, and over several counts favour mixtures of few speakers. The interval is too wide where mixtures differ
    much beyond what their speakers explain, or hardly any speaker comes twice (99 %, same simulation), and too
    narrow where one speaker is in most mixtures or two mixtures are all (90 to 95 %).

    Args:
        values: ``(mixtures,)`` or ``(mixtures, columns)``, finite.
        speakers: the speakers of each mixture.
        counts: group of each mixture, its number of speakers, for `mean_over_counts`; None for one group.
        level: coverage aimed at.
        bounds: least and largest value that a mean can have; limits beyond are moved there.

    Returns:
        ``(low, high)`` of each column, around the mean; None for all where a count has a single speaker, or has a
        speaker in all of its mixtures, or where a mixture has more or fewer names than speakers: tables of earlier
        versions cut names at ``_``, so nobody knows who spoke.

    Raises:
        ValueError: no mixtures, values that are not finite, speakers or counts of another number of mixtures.

    Examples:
        >>> low, high = speaker_interval([1.0, 3.0, 5.0], [("a", "b"), ("b", "c"), ("a", "c")])[0]
        >>> round(low, 2), round(high, 2)
        (-6.94, 12.94)
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    by_count = counts is not None
    counts = np.asarray(counts) if by_count else np.zeros(len(values), dtype=int)
    if len(values) == 0 or not len(values) == len(speakers) == len(counts):
        raise ValueError(f"{len(values)} values for {len(speakers)} mixtures")
    if not np.isfinite(values).all():
        raise ValueError("expected finite values, got NaN or infinity")
    if by_count and any(len(named) != count for named, count in zip(speakers, counts)):
        return [None] * values.shape[1]
    # one entry for each speaker of each mixture
    members = [sorted(set(names)) for names in speakers]
    mixture = np.repeat(np.arange(len(members)), [len(names) for names in members])
    names, speaker = np.unique([name for group in members for name in group], return_inverse=True)
    groups = np.unique(counts)
    changes = np.zeros((len(names), values.shape[1]))
    fewest = len(names)
    for group in groups:
        inside = counts[mixture] == group
        change = _changes(values, mixture[inside], speaker[inside], counts == group, len(names))
        if change is None:
            return [None] * values.shape[1]
        changes += change / len(groups)
        fewest = min(fewest, len(np.unique(speaker[inside])))
    return _student(mean_over_counts(values, counts), changes, fewest - 1, level, bounds)


def _changes(
    values: np.ndarray, mixture: np.ndarray, speaker: np.ndarray, chosen: np.ndarray, total: int
) -> np.ndarray | None:
    """How the mean of the chosen mixtures changes with each speaker left out, ``(total, columns)``.

    Scaled so that the squares add up to the variance of the mean. None where a speaker leaves no mixture.
    """
    held = np.bincount(speaker, minlength=total)
    left = np.count_nonzero(chosen) - held
    if not left.all():
        return None
    sums = np.zeros((total, values.shape[1]))
    np.add.at(sums, speaker, values[mixture])
    mean = values[chosen].mean(axis=0)
    without = (values[chosen].sum(axis=0) - sums) / left[:, None]
    present = np.count_nonzero(held)
    # exactly zero for those who are in none of the mixtures
    return np.where(held[:, None] > 0, math.sqrt((present - 1) / present) * (mean - without), 0.0)


def _student(
    means: np.ndarray, changes: np.ndarray, freedom: int, level: float, bounds: tuple[float, float]
) -> list[tuple[float, float] | None]:
    from scipy.special import stdtrit

    half = stdtrit(freedom, 0.5 + level / 2) * np.sqrt(np.square(changes).sum(axis=0))
    limits = np.clip([means - half, means + half], *bounds)
    return [(float(low), float(high)) for low, high in limits.T]
