"""Probes: how far apart two frames may be to be told from two speakers, and what an embedding keeps of a feature."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from contrasep_lib.prosody.statistics import Estimate, jackknife, mean_over_speakers

# frames between the two of a pair, 10 ms to 5 minutes
LAGS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 6000, 30000)
OTHER = "other utterance"
FOLDS = 3
# positive pairs of all speakers together, of one at most, and speakers that a lag needs
PAIRS, PAIRS_EACH, LEAST_SPEAKERS = 12000, 60, 9
# strength of the ridge, of unit variance
RIDGE = 1e-2


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of frames: each of one speaker, and beside it one with the same first frame and another speaker's.

    Attributes:
        first, second, foreign: ``(pairs,)`` numbers of frames.
        speaker: ``(pairs,)`` number of the first frame's speaker.
        fold: ``(pairs,)``; the foreign speaker is of the same fold.
    """

    first: np.ndarray
    second: np.ndarray
    foreign: np.ndarray
    speaker: np.ndarray
    fold: np.ndarray


def folds_of(speakers: int, folds: int, rng: np.random.Generator) -> np.ndarray:
    """A fold for each speaker, ``(speakers,)``, of sizes that differ by one at most."""
    return rng.permutation(speakers) % folds


def draw_pairs(
    usable: np.ndarray, utterance: np.ndarray, speaker: np.ndarray, lag: int | str, fold: np.ndarray,
    rng: np.random.Generator,
) -> Pairs | None:
    """Pairs a lag apart, equally many of each speaker as far as there are some.

    Args:
        usable: ``(frames,)`` bool.
        utterance: ``(frames,)`` ascending.
        speaker: ``(utterances,)``.
        lag: frames, or `OTHER`.
        fold: of each speaker.

    Returns:
        None where fewer than `LEAST_SPEAKERS` speakers have pairs, or a fold fewer than two.
    """
    own = speaker[utterance]
    if lag == OTHER:
        first, second = _across(np.flatnonzero(usable), own, utterance, rng)
    else:
        both = usable[: -int(lag)] & usable[int(lag) :] & (utterance[: -int(lag)] == utterance[int(lag) :])
        first = np.flatnonzero(both)
        second = first + int(lag)
    count = len(np.unique(own[first]))
    if count < LEAST_SPEAKERS:
        return None
    each = max(4, min(PAIRS_EACH, PAIRS // count))
    kept = _first_of_each(own[first], each, rng)
    first, second = first[kept], second[kept]
    foreign = _foreign(first, np.flatnonzero(usable), own, fold, rng)
    if foreign is None:
        return None
    return Pairs(first, second, foreign, own[first], fold[own[first]])


def _first_of_each(group: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Places of at most so many random members of each group."""
    order = rng.permutation(len(group))
    order = order[np.argsort(group[order], kind="stable")]
    ranked = group[order]
    return np.sort(order[np.arange(len(order)) - np.searchsorted(ranked, ranked) < most])


def _across(
    frames: np.ndarray, own: np.ndarray, utterance: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Random pairs of frames of one speaker in different utterances."""
    some = frames[_first_of_each(own[frames], 4 * PAIRS_EACH, rng)]
    order = some[np.argsort(own[some] + rng.random(len(some)), kind="stable")]
    first, second = order[:-1], order[1:]
    kept = (own[first] == own[second]) & (utterance[first] != utterance[second])
    return first[kept], second[kept]


def _foreign(
    first: np.ndarray, frames: np.ndarray, own: np.ndarray, fold: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """For each first frame a random one of another speaker of its fold, each speaker as likely."""
    some = frames[_first_of_each(own[frames], PAIRS_EACH, rng)]
    some = some[np.argsort(own[some], kind="stable")]
    names, starts, counts = np.unique(own[some], return_index=True, return_counts=True)
    chosen = np.empty(len(first), dtype=int)
    for number in np.unique(fold[own[first]]):
        mine = np.flatnonzero(fold[own[first]] == number)
        others = np.flatnonzero(fold[names] == number)
        if len(others) < 2:
            return None
        # a step of 1 to n - 1 along the speakers of the fold never ends at the same one
        place = np.searchsorted(names[others], own[first[mine]])
        there = others[(place + rng.integers(1, len(others), len(mine))) % len(others)]
        chosen[mine] = some[starts[there] + rng.integers(counts[there])]
    return chosen


def pair_features(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What a linear probe sees of two frames, ``(pairs, columns)`` each: distances and products of each column.

    A quadratic form of both, which the likelihood ratio of two normal distributions is, and the distance; symmetric.
    """
    apart = np.abs(one - other)
    return np.concatenate([apart, np.square(apart), one * other], axis=1)


def same_speaker_auc(values: np.ndarray, pairs: Pairs) -> Estimate:
    """Area under the curve of a probe that tells pairs of one speaker from pairs of two.

    Logistic regression on `pair_features`, trained on the speakers of all folds but one and tested on that one, in
    turn. The area is that of a speaker's own pairs against the pairs of the same first frames with others; the mean
    over speakers, and its interval. 0.5 is chance.

    Args:
        values: ``(frames, columns)``, finite where pairs are.
        pairs: of `draw_pairs`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scores = np.full((2, len(pairs.first)), np.nan)
    for number in np.unique(pairs.fold):
        test = pairs.fold == number
        scale = StandardScaler().fit(values[pairs.first[~test]])
        ends = [scale.transform(values[end]) for end in (pairs.first, pairs.second, pairs.foreign)]
        seen = [pair_features(ends[0], end) for end in ends[1:]]
        probe = LogisticRegression(max_iter=300)
        second = StandardScaler().fit(np.concatenate([part[~test] for part in seen]))
        known = np.concatenate([second.transform(part[~test]) for part in seen])
        probe.fit(known, np.repeat([1, 0], int((~test).sum())))
        for row, part in enumerate(seen):
            scores[row, test] = probe.decision_function(second.transform(part[test]))
    areas = [_auc(*scores[:, pairs.speaker == name]) for name in np.unique(pairs.speaker)]
    return mean_over_speakers(np.array(areas), 0.0, 1.0)


def _auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Probability that the first is larger, ties half."""
    higher = positive[:, None] > negative
    return float(higher.mean() + (positive[:, None] == negative).mean() / 2)


def over_lags(
    features: dict[str, np.ndarray], usable: np.ndarray, utterance: np.ndarray, speaker: np.ndarray,
    rng: np.random.Generator, lags: Sequence[int] = LAGS, shown: Callable[[Any], Any] = iter,
) -> list[dict[str, Any]]:
    """`same_speaker_auc` of each feature at each lag that the recordings are long enough for, and across utterances.

    Args:
        features: name -> ``(frames, columns)``, finite where ``usable``.
        usable, utterance, speaker: as for `draw_pairs`.
        lags: frames.
        shown: progress over the lags.

    Returns:
        A row for each lag: ``frames`` (None across utterances), ``pairs``, ``speakers``, ``auc`` (feature -> Estimate).
    """
    fold = folds_of(int(speaker.max()) + 1, FOLDS, rng)
    rows = []
    for lag in shown([*lags, OTHER]):
        if lag != OTHER and lag >= len(usable):
            continue
        pairs = draw_pairs(usable, utterance, speaker, lag, fold, rng)
        if pairs is not None:
            rows.append({
                "frames": None if lag == OTHER else lag, "pairs": len(pairs.first),
                "speakers": len(np.unique(pairs.speaker)),
                "auc": {name: same_speaker_auc(values, pairs) for name, values in features.items()},
            })
    return rows


def explained(inputs: np.ndarray, targets: np.ndarray, speaker: np.ndarray, rng: np.random.Generator) -> Estimate:
    """R^2 of a linear probe from an embedding to a feature, on speakers that it was not trained on.

    Ridge regression, trained on the speakers of all folds but one. ``1 - sum (y - y')^2 / sum (y - mean)^2`` with the
    mean of the training speakers, of several columns in units of their deviation; below 0 where the mean does better.
    Interval by the jackknife over speakers of the ratio.

    Args:
        inputs: ``(frames, dim)``.
        targets: ``(frames, columns)``.
        speaker: ``(frames,)`` integers.
    """
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    names, own = np.unique(speaker, return_inverse=True)
    if len(names) < LEAST_SPEAKERS:
        return Estimate(math.nan, None)
    fold = folds_of(len(names), FOLDS, rng)[own]
    left, whole = np.zeros(len(targets)), np.zeros(len(targets))
    for number in range(FOLDS):
        test = fold == number
        scale, unit = StandardScaler().fit(inputs[~test]), StandardScaler().fit(targets[~test])
        probe = Ridge(alpha=RIDGE * (~test).sum()).fit(scale.transform(inputs[~test]), unit.transform(targets[~test]))
        wanted = unit.transform(targets[test])
        found = probe.predict(scale.transform(inputs[test])).reshape(wanted.shape)
        left[test], whole[test] = np.square(wanted - found).sum(1), np.square(wanted).sum(1)
    of_left, of_whole = np.bincount(own, left), np.bincount(own, whole)
    without = 1 - (of_left.sum() - of_left) / (of_whole.sum() - of_whole)
    return jackknife(float(1 - of_left.sum() / of_whole.sum()), without, high=1.0)
