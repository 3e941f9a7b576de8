"""How much of a feature is the speaker's: variance ratios, correlations of pairs, divergences, with intervals."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number and its interval of 95 % over speakers, None where there are too few.

    Attributes:
        value: the estimate.
        interval: low and high.
    """

    value: float
    interval: tuple[float, float] | None

    def tree(self) -> dict[str, Any]:
        """As JSON has it."""
        known = self.interval is not None and all(map(math.isfinite, self.interval))
        return {
            "value": round(self.value, 4) if math.isfinite(self.value) else None,
            "interval": [round(limit, 4) for limit in self.interval] if known and self.interval else None,
        }


def jackknife(value: float, without: np.ndarray, low: float = -math.inf, high: float = math.inf) -> Estimate:
    """Interval by the jackknife over speakers (Tukey 1958) and Student's t.

    Args:
        value: of all speakers.
        without: ``(speakers,)``, with each left out.
        low, high: least and largest value possible.
    """
    from scipy.special import stdtrit

    count = len(without)
    if count < 3 or not np.isfinite(without).all() or not math.isfinite(value):
        return Estimate(value, None)
    error = math.sqrt((count - 1) / count * np.square(without - without.mean()).sum())
    half = stdtrit(count - 1, 0.5 + LEVEL / 2) * error
    return Estimate(value, (max(low, value - half), min(high, value + half)))


def mean_over_speakers(values: np.ndarray, low: float = -math.inf, high: float = math.inf) -> Estimate:
    """Mean of one value for each speaker, ``(speakers,)``; NaN for those without."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Estimate(math.nan, None)
    others = (known.sum() - known) / max(len(known) - 1, 1)
    return jackknife(float(known.mean()), others, low, high)


@dataclasses.dataclass(frozen=True)
class OneWay:
    """One-way analysis of variance with speakers as groups.

    Attributes:
        f: F-ratio, mean square between speakers over that within.
        icc: intraclass correlation ICC(1), the share of the variance that lies between speakers.
        speakers, units: their numbers.
    """

    f: Estimate
    icc: Estimate
    speakers: int
    units: int


def one_way(values: np.ndarray, speaker: np.ndarray) -> OneWay:
    """F-ratio and ICC(1) of units that are grouped by speakers, any number of them for each.

    ``ICC(1) = (MSB - MSW) / (MSB + (n0 - 1) MSW)`` (Shrout and Fleiss 1979), ``n0 = (N - sum n_i^2 / N) / (k - 1)`` for
    unequal groups (Donner 1986). Of several columns, each in units of its standard deviation, sums of squares are added
    up. Intervals by the jackknife over speakers on log F; that of ICC(1) is the same, carried over by n0.

    Args:
        values: ``(units, columns)``, finite.
        speaker: ``(units,)`` integers.

    Raises:
        ValueError: fewer than two speakers, or no speaker with two units.
    """
    _, group = np.unique(speaker, return_inverse=True)
    scale = values.std(0)
    values = (values - values.mean(0)) / np.where(scale > 0, scale, 1.0)
    count = np.bincount(group).astype(float)
    groups, units = len(count), len(values)
    if groups < 2 or units <= groups:
        raise ValueError(f"expected two speakers and one with two units, got {groups} speakers and {units} units")
    sums = np.stack([np.bincount(group, column) for column in values.T], axis=1)
    square = np.bincount(group, np.square(values).sum(1))
    own = np.square(sums).sum(1) / count

    def ratio(k: Any, n: Any, total: np.ndarray, squares: Any, means: Any) -> Any:
        between = (means - np.square(total).sum(-1) / n) / (k - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return between / ((squares - means) / (n - k))

    f = float(ratio(groups, units, sums.sum(0), square.sum(), own.sum()))
    others = ratio(
        groups - 1, units - count, sums.sum(0) - sums, square.sum() - square, own.sum() - own
    ) if groups > 2 else np.full(groups, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = jackknife(math.log(f) if f > 0 else math.nan, np.log(others))
    n0 = (units - np.square(count).sum() / units) / (groups - 1)
    limits = None if log.interval is None else (math.exp(log.interval[0]), math.exp(log.interval[1]))

    def icc(x: float) -> float:
        return (x - 1) / (x + n0 - 1)

    return OneWay(
        Estimate(f, limits), Estimate(icc(f), None if limits is None else (icc(limits[0]), icc(limits[1]))), groups,
        units,
    )


def pair_correlations(values: np.ndarray, utterance: np.ndarray, speaker: np.ndarray) -> dict[str, Estimate]:
    """Correlation of the values of two frames of one utterance, of two utterances of one speaker, and of two speakers.

    Means of products of standardised values over all pairs, from sums alone; each speaker counts the same. Of several
    columns, the mean. 0 means that the two frames tell nothing of one another.

    Args:
        values: ``(frames, columns)``, finite.
        utterance: ``(frames,)`` integers, ascending.
        speaker: ``(utterances,)`` integers.

    Returns:
        ``same_utterance``, ``other_utterance``, ``other_speaker``.
    """
    present, unit = np.unique(utterance, return_inverse=True)
    _, own = np.unique(speaker[present], return_inverse=True)
    frames = np.bincount(unit).astype(float)
    held = np.bincount(own, frames)
    # each speaker counts the same in mean and variance
    weight = (1 / held)[own][unit] / len(held)
    centred = values - weight @ values
    spread = np.sqrt(weight @ np.square(centred))
    x = centred / np.where(spread > 0, spread, 1.0)
    columns = x.shape[1]
    by_unit = np.stack([np.bincount(unit, column) for column in x.T], axis=1)
    by_speaker = np.stack([np.bincount(own, column) for column in by_unit.T], axis=1)
    square = np.bincount(unit, np.square(x).sum(1))
    of_units = np.square(by_unit).sum(1)

    def share(top: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        return np.where(pairs > 0, top / np.where(pairs > 0, pairs, 1.0), np.nan) / columns

    same = share(np.bincount(own, of_units - square), np.bincount(own, frames * (frames - 1)))
    other = share(
        np.square(by_speaker).sum(1) - np.bincount(own, of_units), np.square(held) - np.bincount(own, np.square(frames))
    )
    means = by_speaker / held[:, None]
    return {
        "same_utterance": mean_over_speakers(same, -1, 1), "other_utterance": mean_over_speakers(other, -1, 1),
        "other_speaker": _between(means, columns),
    }


def _between(means: np.ndarray, columns: int) -> Estimate:
    """Mean product of the means of two speakers, ``(speakers, columns)``."""
    total, squares, count = means.sum(0), np.square(means).sum(1), len(means)
    if count < 3:
        return Estimate(math.nan, None)
    value = (np.square(total).sum() - squares.sum()) / (count * (count - 1)) / columns
    others = (np.square(total - means).sum(1) - (squares.sum() - squares)) / ((count - 1) * (count - 2)) / columns
    return jackknife(float(value), others, -1, 1)


def gaussian_kl(mean: np.ndarray, cov: np.ndarray, other_mean: np.ndarray, other_cov: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence of normal distributions, nats.

    ``(tr(S2^-1 S1) + (m2 - m1)' S2^-1 (m2 - m1) - d + log(det S2 / det S1)) / 2``.

    Args:
        mean, other_mean: ``(.., d)``.
        cov, other_cov: ``(.., d, d)``, positive definite.

    Returns:
        ``(..)``, of the first from the second.
    """
    inverse, apart = np.linalg.inv(other_cov), other_mean - mean
    spread = np.einsum("...ij,...ji->...", inverse, cov)
    shift = np.einsum("...i,...ij,...j->...", apart, inverse, apart)
    volume = np.linalg.slogdet(other_cov)[1] - np.linalg.slogdet(cov)[1]
    return (spread + shift - mean.shape[-1] + volume) / 2


def divergences(
    values: np.ndarray, utterance: np.ndarray, speaker: np.ndarray, rng: np.random.Generator
) -> dict[str, Estimate]:
    """Divergence between the distributions of frames of one speaker's utterances, and of two speakers.

    The estimator is the plug-in of `gaussian_kl`, the mean of both directions: means and covariances of the frames of
    every second utterance of a speaker, against those of the speaker's other utterances (``within``) and of another
    speaker's other utterances (``between``), each speaker against one drawn at random. It is 0 for equal
    distributions and biased upwards by about d (d + 3) / 2n for n independent frames of d columns; frames are not
    independent, so ``within`` is what the bias and a speaker's own variation make together.

    Args:
        values, utterance, speaker: as for `pair_correlations`.
        rng: draws the other speakers.

    Returns:
        ``within``, ``between``, nats; NaN with fewer than 3 speakers with two utterances.
    """
    spread = values.std(0)
    x = (values - values.mean(0)) / np.where(spread > 0, spread, 1.0)
    present, unit = np.unique(utterance, return_inverse=True)
    order = np.argsort(speaker[present], kind="stable")
    names, own, counts = np.unique(speaker[present][order], return_inverse=True, return_counts=True)
    turn = np.empty(len(present), dtype=int)
    turn[order] = (np.arange(len(present)) - (np.cumsum(counts) - counts)[own]) % 2
    of = np.searchsorted(names, speaker[present])
    place = (2 * of + turn)[unit]
    least, half = 5 * x.shape[1] + 2, []
    bounds = np.searchsorted(place[sorted_ := np.argsort(place, kind="stable")], np.arange(2 * len(names) + 1))
    for start, end in itertools.pairwise(bounds):
        part = x[sorted_[start:end]]
        if len(part) < least:
            half.append(None)
            continue
        cov = np.atleast_2d(np.cov(part, rowvar=False)) + 1e-6 * np.eye(x.shape[1])
        half.append((part.mean(0), cov))
    usable = [number for number in range(len(names)) if half[2 * number] and half[2 * number + 1]]
    if len(usable) < 3:
        return {"within": Estimate(math.nan, None), "between": Estimate(math.nan, None)}
    first, second = ([half[2 * number + side] for number in usable] for side in (0, 1))
    mean, cov = (np.stack(part) for part in zip(*first))  # type: ignore[arg-type]
    other_mean, other_cov = (np.stack(part) for part in zip(*second))  # type: ignore[arg-type]
    # a circle through all speakers in random order: nobody is compared with themselves
    circle = rng.permutation(len(usable))
    partner = np.empty_like(circle)
    partner[circle] = np.roll(circle, 1)

    def both(chosen: np.ndarray) -> Estimate:
        pair = mean, cov, other_mean[chosen], other_cov[chosen]
        return mean_over_speakers((gaussian_kl(*pair) + gaussian_kl(*pair[2:], *pair[:2])) / 2, 0.0)

    return {"within": both(np.arange(len(usable))), "between": both(partner)}
