"""The most striking cut of a community, and its score against the null (:mod:`.null`)."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np

from contrasep_lib.counting.geometry import RESOLUTION, antipode_score, robust_centre, stereographic, weighted_median
from contrasep_lib.counting.null import Null
from contrasep_lib.modularity.soft import unit

MIN_NODES = 24
"""A community of fewer nodes is not tested: any few points can be cut well."""

_HALF = np.array([0.02, 0.03, 0.04, 0.055, 0.075, 0.1, 0.14, 0.19, 0.25, 0.32, 0.4, 0.5])
_SHARES = np.concatenate([_HALF, 1 - _HALF[-2::-1]])
_DIRECTIONS = 3
_WINSOR = 2.0
_MOST_SURROGATES = 64
_DRAWS = 5
_ANTIPODE_BAR = 7.5


@dataclasses.dataclass(frozen=True)
class Cut:
    """The most striking cut of a community, measured against the null.

    Attributes:
        score: excess over the null, in standard deviations; 0 where nothing was tested.
        ratio: G over the mean G of the rotated surrogates; 1 where there are none.
        share: part of the weight on the smaller side.
        antipode: score of a second cloud opposite the centre.
        split: whether the cut is taken for two speakers.
        side: ``(nodes,)`` bool, one side of the cut.
        width: of the community, 1 minus the squared length of its mean node. This and the following
            are measured for a null of odds alone.
        explained: share of the width that lies between the sides.
        cosine: of the means of the sides.
    """

    score: float
    ratio: float
    share: float
    antipode: float
    split: bool
    side: np.ndarray
    width: float = 0.0
    explained: float = 0.0
    cosine: float = 1.0

    @property
    def features(self) -> np.ndarray:
        """What the odds weigh, ``(FEATURES,)``: one, and three measures of the cut."""
        return np.array([1.0, math.log(max(self.width, 1e-6)), self.explained, self.cosine])


class CutTest:
    """Cuts communities of one node set and scores the cuts.

    Args:
        z: unit-norm embeddings ``(nodes, dim)`` with dim of at least 2, float64.
        weight: positive weights ``(nodes,)``.
        null: the bar.
        min_share: least share of all weight that a speaker has.
        seed: of the rotated surrogates.
    """

    def __init__(self, z: np.ndarray, weight: np.ndarray, null: Null, min_share: float, seed: int) -> None:
        self.z, self.weight, self.null, self.seed = z, weight, null, seed
        self.min_share = min_share
        self.min_weight = min_share * weight.sum()
        rng = np.random.default_rng(seed)
        reference = rng.permutation(len(z))[:512]
        self._near = z.astype(np.float32) @ z[reference].astype(np.float32).T

    def __call__(self, index: np.ndarray) -> Cut:
        """The most striking cut of the nodes ``index`` (int64)."""
        z, weight = self.z[index], self.weight[index]
        nothing = Cut(0.0, 1.0, 0.0, 0.0, False, np.zeros(len(index), dtype=bool))
        if len(index) < MIN_NODES or weight.sum() < 2 * self.min_weight:
            return nothing
        centre = robust_centre(z, weight)
        cosine = np.clip(z @ centre, -1.0, 1.0)
        opposite = antipode_score(cosine, weight, z.shape[1], self.min_weight)
        keep = ~self._stray(index, cosine, weight)
        if keep.sum() < MIN_NODES:
            return nothing
        points = stereographic(z[keep], centre).astype(np.float32)
        cut = self._cut(points, weight[keep].astype(np.float32))
        side = np.zeros(len(index), dtype=bool)
        side[keep] = cut.side
        split, score = cut.split, cut.score
        if self.null.odds:
            if opposite > _ANTIPODE_BAR:
                side = cosine < 0
            odds = self.null.odds[0 if len(index) == len(self.z) else -1]
            return self._weighed(z, weight, dataclasses.replace(cut, antipode=opposite, side=side), odds)
        if opposite > max(self.null.threshold, 1.2 * self.null.antipode):
            split = True
            if opposite > score:
                score, side = opposite, cosine < 0
        return Cut(score, cut.ratio, cut.share, opposite, split, side)

    def _weighed(self, z: np.ndarray, weight: np.ndarray, cut: Cut, odds: tuple[float, ...]) -> Cut:
        """The cut with its sides drawn to their means, measured, and scored by the odds."""
        side = cut.side
        for _ in range(_DRAWS):
            means = np.stack([weight[part] @ z[part] for part in (side, ~side)])
            closer = z @ unit(means).T
            moved = closer[:, 0] > closer[:, 1]
            mass = weight[moved].sum()
            if min(mass, weight.sum() - mass) < self.min_weight or np.array_equal(moved, side):
                break
            side = moved
        shares = np.array([weight[part].sum() for part in (side, ~side)]) / weight.sum()
        means = np.stack([weight[part] @ z[part] / weight[part].sum() for part in (side, ~side)])
        width = max(1 - float(np.square(shares @ means).sum()), 1e-12)
        explained = float(shares.prod() * np.square(means[0] - means[1]).sum()) / width
        cosine = float(np.prod(unit(means), axis=0).sum())
        share = float(shares.min())
        measured = dataclasses.replace(cut, share=share, side=side, width=width, explained=explained, cosine=cosine)
        score = float(measured.features @ odds)
        return dataclasses.replace(measured, score=score, split=score > self.null.threshold)

    def _stray(self, index: np.ndarray, cosine: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Nodes far from the community's core and without company: outliers.

        A second cloud is far from the core as well, but its nodes have neighbours.
        """
        angle = np.arccos(cosine)
        reach = 3 * max(weighted_median(angle, weight), RESOLUTION)
        if reach >= np.pi / 2:
            return np.zeros(len(index), dtype=bool)
        company = (self._near[index] > np.cos(reach)).sum(1)
        few = max(1.0, 0.5 * self.min_share * self._near.shape[1])
        return (angle > reach) & (company <= few)

    def _cut(self, points: np.ndarray, weight: np.ndarray) -> Cut:
        radius = np.linalg.norm(points, axis=1)
        cap = max(_WINSOR * float(np.median(radius)), RESOLUTION)
        points = points * np.minimum(1, cap / np.maximum(radius, 1e-12))[:, None]
        radius = np.minimum(radius, cap)
        observed, projected = _best_cuts(points, weight)
        least = min(float(self.min_weight / weight.sum()), 0.4)
        allowed = (_SHARES >= least) & (_SHARES <= 1 - least)
        if self.null.odds:
            # the odds decide whether to cut, the largest G where
            gains = np.where(allowed[:, None], observed, 0.0)
            row, column = (int(at) for at in np.unravel_index(gains.argmax(), gains.shape))
            share = float(min(_SHARES[row], 1 - _SHARES[row]))
            return Cut(0.0, 1.0, share, 0.0, False, _side(projected[column], weight, row))

        rotated: list[np.ndarray] = []
        rng = np.random.default_rng(self.seed)
        few = 32 if len(points) <= 500 else 24 if len(points) <= 1500 else 16
        checks, bar = (4, 8, few), self.null.threshold
        for number in range(_MOST_SURROGATES):
            order = rng.permutation(len(points))
            bearings = _bearings(number, len(points), points.shape[1], self.seed)
            cloud = bearings * radius[order][:, None]
            cuts = _best_cuts(cloud, weight[order])[0].max(1)
            rotated.append(np.maximum(cuts, cuts[::-1]))
            if number + 1 in checks:
                # Far from the bar on either side, more surrogates cannot change the answer.
                so_far = self._scores(observed, rotated, allowed)[0].max()
                above, below = (5, 0) if number + 1 == 4 else (5, 1 / 3) if number + 1 == 8 else (2, 0.5)
                if so_far > above * bar or so_far < below * bar:
                    break
        score, ratio = self._scores(observed, rotated, allowed)
        row, column = (int(at) for at in np.unravel_index(score.argmax(), score.shape))
        value = float(score[row, column])
        return Cut(
            score=value,
            ratio=float(ratio[allowed].max()),
            share=float(min(_SHARES[row], 1 - _SHARES[row])),
            antipode=0.0,
            split=value > self.null.threshold and float(ratio[row, column]) > self.null.ceiling,
            side=_side(projected[column], weight, row),
        )

    def _scores(
        self, observed: np.ndarray, rotated: list[np.ndarray], allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score and ratio of each share and direction."""
        sample = np.array(rotated)
        mean = np.maximum(sample.mean(0), 1e-12)
        variance = (sample.std(0, ddof=1) / mean) ** 2
        # A dozen surrogates estimate a variance badly; neighbouring shares have nearly the same.
        smooth = np.convolve(np.pad(variance, 2, mode="edge"), np.ones(5) / 5, "valid")
        spread = np.sqrt(np.maximum(smooth, 0.004**2) + self.null.spread**2)
        # Below the resolution all is one point: such clouds have the null's G by definition.
        ratio = np.where(mean[:, None] > 1e-9, observed / mean[:, None], 1.0)
        score = (ratio / self.null.factor - 1) / spread[:, None]
        return np.where(allowed[:, None], score, -np.inf), ratio


def _best_cuts(points: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """G at each share along the widest directions, and the projections of the nodes.

    Shapes ``(shares, directions)`` and ``(directions, nodes)``.
    """
    total = weight.sum(dtype=np.float64)
    scatter = (points * weight[:, None]).T @ points
    directions = np.linalg.eigh(scatter)[1][:, ::-1][:, :_DIRECTIONS]
    projected = directions.T.astype(points.dtype) @ points.T
    gain = np.empty((len(_SHARES), len(projected)))
    for column, line in enumerate(projected):
        rank = np.argsort(line, kind="stable")
        mass = np.cumsum(weight[rank], dtype=np.float64)
        moment = np.cumsum(weight[rank] * line[rank], dtype=np.float64)
        place = np.clip(np.searchsorted(mass, _SHARES * total), 0, len(rank) - 2)
        low, share = mass[place], mass[place] / mass[-1]
        rest = np.maximum(mass[-1] - low, 1e-12 * mass[-1])
        gap = (moment[-1] - moment[place]) / rest - moment[place] / low
        gain[:, column] = gap * np.sqrt(np.maximum(share * (1 - share), 0))
    return gain, projected


def _side(line: np.ndarray, weight: np.ndarray, row: int) -> np.ndarray:
    """Nodes ``(nodes,)`` bool above the cut of share ``_SHARES[row]`` along their projections."""
    order = np.argsort(line, kind="stable")
    place = int(np.searchsorted(np.cumsum(weight[order]), _SHARES[row] * weight.sum()))
    side = np.zeros(len(line), dtype=bool)
    side[order[place + 1 :]] = True
    return side


def _bearings(number: int, nodes: int, dim: int, seed: int) -> np.ndarray:
    """Uniform bearings ``(nodes, dim)``; drawn once per size class, as drawing costs most."""
    return _drawn_bearings(number, 1 << max(nodes - 1, 31).bit_length(), dim, seed)[:nodes]


@functools.lru_cache(maxsize=256)
def _drawn_bearings(number: int, rows: int, dim: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng([seed, number, rows]).standard_normal((rows, dim), dtype=np.float32)
    return drawn / np.maximum(np.linalg.norm(drawn, axis=1, keepdims=True), 1e-12)
