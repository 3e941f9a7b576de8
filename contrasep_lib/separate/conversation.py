"""How many people talk in a recording, and who in which second, from the blocks of all of its windows.

Seconds with one talker are points whose scatter within and between talkers is known
(`contrasep_lib.separate.voices`). The sequence of points is explained by a hidden Markov model whose states are
talkers: a talker goes on with a chance of its own, whoever follows is drawn by shares. Means of talkers are latent,
and variational Bayes finds posteriors of means, of states and of shares together; talkers who are not needed lose
their share (VBx: Landini, Profant, Diez and Burget, Computer Speech & Language 71, 2022, equations 10 to 23). It begins
with more talkers than there are, from an agglomeration that joins whom the two-covariance model says is one person.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from contrasep_lib.separate.voices import Blocks, VoiceSpace

# VBx: points of a talker depend on each other, so each counts for a part; chance of going on
_ACOUSTIC, _LOOP = 0.25, 0.7
# regularisation of means, and that with a speaker encoder: a voice that reads characters is still one
# (docs/experiments/conversations.md)
_MEANS, _MEANS_HEARD = 3.0, 8.0
# points from which on each counts for less: a voice drifts over an hour, and that makes no other talker
_MANY = 600
_ITERATIONS, _ENOUGH = 60, 1e-3
# talkers to begin with, and points from which they are joined at once
_BEGIN, _CHUNK = 10, 200
# what a talker needs: blocks, and share of all
_LEAST_BLOCKS, _LEAST_SHARE = 4, 0.01
# weight of a block by the median block's
_QUIET = 0.05
# length of a half's mean that makes it a point; share of pure blocks under which halves are points too
_WHOLE, _FEW = 0.8, 0.5


@dataclasses.dataclass(frozen=True)
class Heard:
    """What a speaker encoder says of the blocks of a recording.

    Attributes:
        vectors: of each window's blocks, ``(blocks, dim)`` of unit norm.
        space: of the encoder.
        regular: regularisation of means; the larger, the fewer talkers.
    """

    vectors: Sequence[np.ndarray]
    space: VoiceSpace
    regular: float = _MEANS_HEARD


@dataclasses.dataclass(frozen=True)
class Decision:
    """Who talks in a recording.

    Attributes:
        count: talkers.
        talkers: of each window's blocks, ``(blocks,)`` int64; -1 where there is not just one, or nobody.
        halves: of each window's blocks, ``(blocks, 2)`` int64; -1 where there is just one talker, or nobody.
    """

    count: int
    talkers: tuple[np.ndarray, ...]
    halves: tuple[np.ndarray, ...]

    def present(self, window: int, least: int = 2) -> list[int]:
        """Talkers of a window, ascending: those who talk alone in some block, or together with others in ``least``."""
        alone = np.bincount(self.talkers[window][self.talkers[window] >= 0], minlength=self.count)
        pairs = self.halves[window]
        pairs = pairs[(pairs[:, 0] >= 0) & (pairs[:, 0] != pairs[:, 1])]
        together = np.bincount(pairs.ravel(), minlength=self.count)
        return np.flatnonzero((alone > 0) | (together >= least)).tolist()


def decide(
    windows: Sequence[Blocks], space: VoiceSpace, num_spk: int | None = None, heard: Heard | None = None
) -> Decision:
    """Find the talkers of a recording.

    Args:
        windows: blocks of each window, in order of time.
        space: of the model that embedded them.
        num_spk: number of talkers, or None to find it.
        heard: what a speaker encoder says of the blocks; None without one.

    Returns:
        Talkers in order of first appearance. With ``num_spk`` there are so many, unless there are fewer points.
    """
    sizes = [len(blocks.mass) for blocks in windows]
    joined = Blocks(*map(np.concatenate, zip(*(dataclasses.astuple(each) for each in windows))))
    loud = joined.mass > _QUIET * np.median(joined.mass[joined.mass > 0]) if joined.mass.any() else joined.mass > 0
    pure = joined.pure & loud
    window = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.flatnonzero(pure)
    points = space.points(joined.mean[rows])
    after = (window[rows][1:] == window[rows][:-1]) & (joined.number[rows][1:] == joined.number[rows][:-1] + 1)
    first = np.concatenate([[True], ~after])[: len(rows)]
    mixed = loud & ~pure
    whole = np.linalg.norm(joined.halves, axis=2) >= _WHOLE
    if len(rows) < _FEW * loud.sum():
        extra = space.points(joined.halves[mixed[:, None] & whole])
        points, first = np.concatenate([points, extra]), np.concatenate([first, np.ones(len(extra), bool)])
    between = space.between
    if heard is not None:
        further = heard.space.points(np.concatenate(heard.vectors)[rows])
        # halves of a block were not heard alone
        further = np.concatenate([further, np.zeros((len(points) - len(rows), further.shape[1]))])
        points, between = np.concatenate([points, further], axis=1), np.concatenate([between, heard.space.between])
    labels, means = _talkers(points, first, between, num_spk, _MEANS if heard is None else heard.regular)
    means = means[:, : len(space.between)]
    talkers = np.full(len(loud), -1)
    talkers[rows] = labels[: len(rows)]
    halves = np.full((len(loud), 2), -1)
    halves[mixed] = _nearest(space.points(joined.halves[mixed]), means)
    order = _by_appearance(talkers, halves, len(means))
    talkers, halves = (np.where(each >= 0, order[each], -1) for each in (talkers, halves))
    edges = np.cumsum(sizes)[:-1]
    return Decision(len(means), tuple(np.split(talkers, edges)), tuple(np.split(halves, edges)))


def _by_appearance(talkers: np.ndarray, halves: np.ndarray, count: int) -> np.ndarray:
    """New number of each talker, ``(count,)``, by the first block."""
    place = np.full(count, len(talkers))
    for column in (halves[:, 1], halves[:, 0], talkers):
        known = np.flatnonzero(column >= 0)[::-1]
        found = np.full(count, len(talkers))
        found[column[known]] = known
        place = np.minimum(place, found)
    return place.argsort(kind="stable").argsort(kind="stable")


def _nearest(points: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Nearest of the means ``(talkers, dim)`` to points ``(.., dim)``."""
    return np.square(points[..., None, :] - means).sum(axis=-1).argmin(axis=-1)


def _talkers(
    points: np.ndarray, first: np.ndarray, between: np.ndarray, num_spk: int | None, regular: float
) -> tuple[np.ndarray, np.ndarray]:
    """Talker of each point, ``(points,)``, and their means, ``(talkers, dim)``; at least one talker."""
    if not len(points):
        return np.zeros(0, np.int64), np.zeros((1, len(between)))
    # what a point counts for
    part = _ACOUSTIC * min(1.0, math.sqrt(_MANY / len(points)))
    labels = _agglomerate(points, between, max(_BEGIN, num_spk or 0), part)
    labels, means = _variational(points, first, between, labels, part, regular)
    least = max(_LEAST_BLOCKS, _LEAST_SHARE * len(points))
    while len(means) > 1:
        sizes = np.bincount(labels, minlength=len(means))
        if sizes.min() >= least and (num_spk is None or len(means) <= num_spk):
            break
        if sizes.min() < least:
            kept = np.delete(means, sizes.argmin(), axis=0)
            labels, means = _variational(points, first, between, _nearest(points, kept), part, regular)
        else:
            labels = _agglomerate(points, between, len(means) - 1, part, labels)
            means = _means(points, labels, between)
    if num_spk is not None and len(means) < num_spk <= len(points):
        labels = _agglomerate(points, between, num_spk, part)
        means = _means(points, labels, between)
    return labels, means


def _means(points: np.ndarray, labels: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Posterior means of talkers, ``(talkers, dim)``."""
    hard = np.eye(labels.max() + 1)[labels]
    return (hard.T @ points) / (hard.sum(axis=0)[:, None] + 1 / between)


def _evidence(count: np.ndarray, total: np.ndarray, between: np.ndarray, part: float) -> np.ndarray:
    """Logarithm of how likely points are of one talker, up to what does not depend on who they are of.

    Args:
        count: of points, ``(..,)``.
        total: their sum, ``(.., dim)``.
        between: variance of talkers.
        part: that a point counts for.
    """
    count, total = part * count[..., None], part * total
    return 0.5 * (np.square(total) / (count + 1 / between) - np.log1p(count * between)).sum(axis=-1)


def _agglomerate(
    points: np.ndarray, between: np.ndarray, number: int, part: float, labels: np.ndarray | None = None
) -> np.ndarray:
    """Join points until ``number`` groups are left, those first that are most likely one talker's.

    Args:
        points: ``(points, dim)``.
        labels: groups to begin with. By default points themselves, joined within chunks first, so that neither time
            nor memory grows with the square of their number.

    Returns:
        Group of each point, ``(points,)``.
    """
    if labels is None:
        labels = np.arange(len(points))
        if len(points) > _CHUNK:
            chunks = np.array_split(labels, -(-len(points) // _CHUNK))
            labels = np.concatenate(
                [some[0] + _agglomerate(points[some], between, 2 * number, part) for some in chunks]
            )
    group = np.unique(labels, return_inverse=True)[1]
    count = np.bincount(group).astype(np.float64)
    total = np.zeros((len(count), points.shape[1]))
    np.add.at(total, group, points)
    alone = _evidence(count, total, between, part)
    gain = np.full((len(count), len(count)), -np.inf)
    for row in range(1, len(count)):
        joint = _evidence(count[row] + count[:row], total[row] + total[:row], between, part)
        gain[row, :row] = joint - alone[row] - alone[:row]
    alive = np.ones(len(count), bool)
    while alive.sum() > number:
        i, j = np.unravel_index(gain.argmax(), gain.shape)
        group[group == i] = j
        count[j], total[j], alive[i] = count[j] + count[i], total[j] + total[i], False
        alone[j] = _evidence(count[j], total[j], between, part)
        gain[i], gain[:, i] = -np.inf, -np.inf
        others = np.flatnonzero(alive & (np.arange(len(alive)) != j))
        joint = _evidence(count[j] + count[others], total[j] + total[others], between, part)
        gain[np.maximum(others, j), np.minimum(others, j)] = joint - alone[j] - alone[others]
    return np.unique(group, return_inverse=True)[1]


def _variational(
    points: np.ndarray, first: np.ndarray, between: np.ndarray, labels: np.ndarray, part: float, regular: float
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior talkers of a sequence of points; see the top of this module.

    Args:
        points: ``(points, dim)``.
        first: which points follow no other, ``(points,)`` bool.
        between: variance of talkers.
        labels: to begin with.
        part: that a point counts for.
        regular: by which points count for less in means, so that means far apart take more of them.

    Returns:
        Most likely talker of each point, of those that any point has, and the means of these.
    """
    states = np.eye(labels.max() + 1)[labels]
    # who is not sure of its talker yet
    states = 0.9 * states + 0.1 / states.shape[1]
    shares = states.mean(axis=0)
    square = np.square(points).sum(axis=1, keepdims=True)
    for _ in range(_ITERATIONS):
        ratio = part / regular
        variance = 1 / (1 / between + ratio * states.sum(axis=0)[:, None])
        means = ratio * variance * (states.T @ points)
        likely = part * (points @ means.T - 0.5 * (np.square(means) + variance).sum(axis=1) - 0.5 * square)
        before, (states, entered) = states, _forward_backward(likely, shares, first)
        shares = entered / entered.sum()
        if np.abs(states - before).max() < _ENOUGH:
            break
    labels = states.argmax(axis=1)
    used, labels = np.unique(labels, return_inverse=True)
    return labels, means[used]


def _forward_backward(likely: np.ndarray, shares: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors of states, ``(points, states)``, and how often each state was entered anew, ``(states,)``.

    The loop is over points, seconds of the recording. Values are scaled to add up to one at each.
    """
    # what a state has over the best one at each point
    chance = np.exp(likely - likely.max(axis=1, keepdims=True)) + 1e-300
    loop = np.where(first, 0.0, _LOOP)
    ahead, scale = np.empty_like(chance), np.empty(len(chance))
    reached = shares
    for at, here in enumerate(chance):
        row = here * (loop[at] * reached + (1 - loop[at]) * shares)
        scale[at] = row.sum()
        ahead[at] = reached = row / scale[at]
    behind, entered = np.ones_like(chance), np.zeros_like(shares)
    for at in range(len(chance) - 1, -1, -1):
        later = chance[at] * behind[at] / scale[at]
        entered += (1 - loop[at]) * shares * later
        if at:
            behind[at - 1] = loop[at] * later + (1 - loop[at]) * (shares @ later)
    states = ahead * behind
    return states / states.sum(axis=1, keepdims=True), entered
