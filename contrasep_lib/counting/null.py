"""The null of counting: what a cut through ONE speaker's cloud looks like.

A cut of a community into shares p and 1 - p has, in the graph with edges linear in the
cosine, a modularity that grows with the square of

    G(p) = sqrt(p (1 - p)) |mean of one side - mean of the other|.

Even the best cut of one round cloud has G(p) > 0, so G is only worth its excess over the
null. The null turns every node about the community's centre: it keeps its angle to the
centre and gets a random bearing. That holds exactly for each cloud that is round about its
centre, whatever its spread: von Mises-Fisher, heavy-tailed, or mixed with outliers that
are uniform on the sphere. No distribution has to be guessed, and the sizes are those of
the cut in question, so that a talker of 5 % is not measured against cuts in halves.

A real talker's cloud is not quite round. :func:`fit_null` measures on single-speaker speech
by how much its cuts exceed the round null, and raises the bar by that.

Learned embeddings of real speech are far from round: the best cut of one talker exceeds the round
null two- to threefold, and so does that of two. Such a null takes the odds instead: how wide a community
is, how much of that its best cut explains and how far the halves lie apart say how likely it holds
more than one talker, with weights fitted on mixtures of known talkers under the same model
(:mod:`.calibration`); they do not carry over to another one.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Sequence

import numpy as np
from scipy.special import betainc

from contrasep_lib.modularity.soft import unit

RESOLUTION = 0.02
"""Angles below this (radian, about one degree) do not tell two talkers apart."""

MIN_NODES = 24
"""A community of fewer nodes is not tested: any few points can be cut well."""

FEATURES = 4
"""Number of :attr:`Cut.features`."""

_HALF = np.array([0.02, 0.03, 0.04, 0.055, 0.075, 0.1, 0.14, 0.19, 0.25, 0.32, 0.4, 0.5])
_SHARES = np.concatenate([_HALF, 1 - _HALF[-2::-1]])
_DIRECTIONS = 3
_WINSOR = 2.0
_MOST_CLOUDS = 64
_DRAWS = 5
_ANTIPODE_BAR = 7.5
_CAP_COSINES = np.cos(np.deg2rad([15.0, 30.0, 45.0, 60.0, 70.0]))


@dataclasses.dataclass(frozen=True)
class Null:
    """How far a cut must stand out before it is taken for a second speaker.

    The score of a cut is ``(G / (factor * G0) - 1) / sqrt(s0^2 + spread^2)`` where ``G0``
    and ``s0`` are mean and relative standard deviation over the turned clouds.

    Args:
        threshold: least score of a split, standard deviations; above 0.
        factor: G of one talker's best cut over the round null's, mean; at least 1.
        spread: its standard deviation over talkers; at least 0.
        ceiling: the largest ratio seen on one talker; a split must exceed it; at least 1.
        antipode: the largest antipode score seen on one talker; a split must exceed it
            too; at least 0.
        talkers: number of single-speaker recordings it was fitted on; 0: the round null.
        odds: weights of the features of a cut (`Cut.features`), a row for the cut of a whole recording
            and a row for that of a part; without the second, the first serves both. Where there are
            any, the score of a community is the logarithm of the odds that it holds more than one
            talker, the threshold may be any number, and no clouds are turned.
        known: with odds, the largest number of talkers that they were fitted on: no more are counted.

    Raises:
        ValueError: a value is outside its range.
    """

    threshold: float = 7.5
    factor: float = 1.0
    spread: float = 0.0
    ceiling: float = 1.0
    antipode: float = 0.0
    talkers: int = 0
    odds: tuple[tuple[float, ...], ...] = ()
    known: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "odds", tuple(map(tuple, self.odds)))
        if len(self.odds) > 2 or any(len(row) != FEATURES or not all(map(math.isfinite, row)) for row in self.odds):
            raise ValueError(f"odds: up to two rows of {FEATURES} finite weights wanted, got {self.odds}")
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if name == "odds" or (name == "threshold" and self.odds and math.isfinite(value)):
                continue
            low = 1.0 if name in ("factor", "ceiling") else 0.0
            if not (math.isfinite(value) and value >= low) or (name == "threshold" and value <= 0):
                kind = "above" if name == "threshold" else "of at least"
                raise ValueError(f"{name}: a finite value {kind} {low:g} wanted, got {value}")

    def save(self, path: str | pathlib.Path) -> None:
        """Write the null as a small JSON file."""
        pathlib.Path(path).write_text(json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, path: str | pathlib.Path) -> Null:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: the file is not JSON or has unknown or missing fields.
        """
        try:
            fields = json.loads(pathlib.Path(path).read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"path: a JSON file written by Null.save wanted, {path} is none") from error
        wanted = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or set(fields) != wanted:
            raise ValueError(f"path: the fields {sorted(wanted)} wanted, {path} has other ones")
        return cls(**fields)


@dataclasses.dataclass(frozen=True)
class Cut:
    """The most striking cut of a community, measured against the null.

    Attributes:
        score: excess over the null, in standard deviations; 0 where nothing was tested.
        ratio: G over the mean G of the turned clouds; 1 where none was turned.
        share: part of the weight on the smaller side.
        antipode: score of a second cloud opposite the centre.
        split: whether the cut is taken for two speakers.
        side: ``(nodes,)`` bool, one side of the cut.
        width: of the community, 1 minus the squared length of its mean node. This and the following
            are measured for a null of odds alone.
        told: share of the width that lies between the sides.
        cosine: of the means of the sides.
    """

    score: float
    ratio: float
    share: float
    antipode: float
    split: bool
    side: np.ndarray
    width: float = 0.0
    told: float = 0.0
    cosine: float = 1.0

    @property
    def features(self) -> np.ndarray:
        """What the odds weigh, ``(FEATURES,)``: one, and three measures of the cut."""
        return np.array([1.0, math.log(max(self.width, 1e-6)), self.told, self.cosine])


class CutTest:
    """Cuts communities of one node set and scores the cuts.

    Args:
        z: unit-norm embeddings ``(nodes, dim)`` with dim of at least 2, float64.
        weight: positive weights ``(nodes,)``.
        null: the bar.
        min_share: least share of all weight that a speaker has.
        seed: of the turned clouds.
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
        told = float(shares.prod() * np.square(means[0] - means[1]).sum()) / width
        cosine = float(np.prod(unit(means), axis=0).sum())
        measured = dataclasses.replace(cut, share=float(shares.min()), side=side, width=width, told=told, cosine=cosine)
        score = float(measured.features @ odds)
        return dataclasses.replace(measured, score=score, split=score > self.null.threshold)

    def _stray(self, index: np.ndarray, cosine: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Nodes far from the community's core and without company: outliers.

        A second cloud is far from the core as well, but its nodes have neighbours.
        """
        angle = np.arccos(cosine)
        reach = 3 * max(_weighted_median(angle, weight), RESOLUTION)
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
            # whether to cut is for the odds to say, where to cut for the largest G
            gains = np.where(allowed[:, None], observed, 0.0)
            row, column = (int(at) for at in np.unravel_index(gains.argmax(), gains.shape))
            share = float(min(_SHARES[row], 1 - _SHARES[row]))
            return Cut(0.0, 1.0, share, 0.0, False, _side(projected[column], weight, row))

        turned: list[np.ndarray] = []
        rng = np.random.default_rng(self.seed)
        few = 32 if len(points) <= 500 else 24 if len(points) <= 1500 else 16
        checks, bar = (4, 8, few), self.null.threshold
        for number in range(_MOST_CLOUDS):
            order = rng.permutation(len(points))
            bearings = _bearings(number, len(points), points.shape[1], self.seed)
            cloud = bearings * radius[order][:, None]
            cuts = _best_cuts(cloud, weight[order])[0].max(1)
            turned.append(np.maximum(cuts, cuts[::-1]))
            if number + 1 in checks:
                # Far from the bar on either side, more clouds cannot change the answer.
                so_far = self._scores(observed, turned, allowed)[0].max()
                above, below = (5, 0) if number + 1 == 4 else (5, 1 / 3) if number + 1 == 8 else (2, 0.5)
                if so_far > above * bar or so_far < below * bar:
                    break
        score, ratio = self._scores(observed, turned, allowed)
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
        self, observed: np.ndarray, turned: list[np.ndarray], allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score and ratio of each share and direction."""
        sample = np.array(turned)
        mean = np.maximum(sample.mean(0), 1e-12)
        variance = (sample.std(0, ddof=1) / mean) ** 2
        # A dozen clouds tell a variance badly; neighbouring shares have nearly the same.
        smooth = np.convolve(np.pad(variance, 2, mode="edge"), np.ones(5) / 5, "valid")
        spread = np.sqrt(np.maximum(smooth, 0.004**2) + self.null.spread**2)
        # Below the resolution all is one point: such clouds have the null's G by definition.
        ratio = np.where(mean[:, None] > 1e-9, observed / mean[:, None], 1.0)
        score = (ratio / self.null.factor - 1) / spread[:, None]
        return np.where(allowed[:, None], score, -np.inf), ratio


def robust_centre(z: np.ndarray, weight: np.ndarray, iterations: int = 8) -> np.ndarray:
    """Centre ``(dim,)`` on the sphere whose nodes pull with a force bounded by the median chord.

    Huber's M-estimator by reweighting; the mean direction would be moved by outliers by more
    than a narrow cloud is wide.
    """
    total = weight @ z
    for _ in range(iterations):
        norm = np.linalg.norm(total)
        if norm < 1e-9 * weight.sum():
            return z[int(np.argmax(weight))]
        chord = np.sqrt(np.maximum(2 - 2 * (z @ (total / norm)), 0))
        bound = max(float(np.median(chord)), RESOLUTION / 2)
        total = (weight * np.minimum(1, bound / np.maximum(chord, 1e-9))) @ z
    norm = np.linalg.norm(total)
    return total / norm if norm > 1e-9 * weight.sum() else z[int(np.argmax(weight))]


def stereographic(z: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Plane coordinates ``(nodes, dim - 1)``: length ``2 tan(angle / 2)``, bearing kept.

    The projection spreads what lies far from the centre, where a second cloud is, and
    bearings are all the null changes, so it costs the null nothing.
    """
    mirror = centre.copy()
    mirror[0] += 1.0 if centre[0] > 0 else -1.0
    mirror /= np.linalg.norm(mirror)
    flat = (z - 2 * np.outer(z @ mirror, mirror))[:, 1:]
    return flat * (2 / np.maximum(1 + z @ centre, 1e-3))[:, None]


def antipode_score(cosine: np.ndarray, weight: np.ndarray, dim: int, min_weight: float) -> float:
    """Standard deviations by which the cap opposite the centre is too full for one cloud.

    Two antipodal talkers lie on one line through the centre, and turning about it changes
    nothing. But the density of one cloud (and of uniform outliers) does not grow with the
    angle: the cap beyond an angle must not be denser than the belt between it and 90 degrees.
    """
    total = weight.sum()
    nodes = total**2 / (weight**2).sum()
    worst = 0.0
    for cosine_cap in _CAP_COSINES:
        cap_area = 0.5 * betainc((dim - 1) / 2, 0.5, 1 - cosine_cap**2)
        inside = weight[cosine < -cosine_cap].sum()
        if inside < min_weight:
            continue
        far = inside / total * nodes
        both = weight[cosine < 0].sum() / total * nodes
        share = cap_area / 0.5
        deviation = math.sqrt(max(both * share * (1 - share), 1.0))
        worst = max(worst, (far - both * share - 0.5) / deviation)
    return float(worst)


def calibrated(cuts: Sequence[Cut], threshold: float) -> Null:
    """The null whose talkers have these cuts (made against the round null)."""
    ratios = np.array([max(cut.ratio, 1.0) for cut in cuts])
    return Null(
        threshold=threshold,
        factor=float(ratios.mean()),
        spread=float(ratios.std(ddof=1) / ratios.mean()) if len(ratios) > 1 else 0.0,
        ceiling=float(ratios.max()),
        antipode=float(max(cut.antipode for cut in cuts)),
        talkers=len(cuts),
    )


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


_bearing_cache: dict[tuple[int, int, int, int], np.ndarray] = {}


def _bearings(number: int, nodes: int, dim: int, seed: int) -> np.ndarray:
    """Uniform bearings ``(nodes, dim)``; drawn once per size class, as drawing costs most."""
    rows = 1 << max(nodes - 1, 31).bit_length()
    key = (number, rows, dim, seed)
    if key not in _bearing_cache:
        if len(_bearing_cache) > 256:
            _bearing_cache.clear()
        drawn = np.random.default_rng([seed, number, rows]).standard_normal((rows, dim), dtype=np.float32)
        norm = np.linalg.norm(drawn, axis=1, keepdims=True)
        _bearing_cache[key] = drawn / np.maximum(norm, 1e-12)
    return _bearing_cache[key][:nodes]


def _weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    order = np.argsort(values, kind="stable")
    mass = np.cumsum(weight[order])
    return float(values[order[min(int(np.searchsorted(mass, 0.5 * mass[-1])), len(order) - 1)]])
