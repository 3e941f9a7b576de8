"""Counting the speakers of a mixture: how many communities stand out from the null.

Communities are split in two for as long as some community has a cut that exceeds what one
speaker's cloud of the same spread and the same sizes gives (:mod:`.null`). After each split
all borders are found anew (:mod:`.soft`). In the end each pair of communities has to pass
the same test, else it is joined again: a start that went astray must not add a speaker.

The largest Q alone cannot answer "one", see ``docs/modularity.md``. It is reported as
evidence, beside Q of one-speaker surrogates cut into as many communities.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from contrasep_lib.modularity.diagnostics import conductance_of, mean_conductance
from contrasep_lib.modularity.graphs import Graph, KernelGraph
from contrasep_lib.modularity.nodes import NodeSet
from contrasep_lib.modularity.null import Cut, CutTest, Null, calibrated, robust_centre
from contrasep_lib.modularity.objective import modularity, quantities
from contrasep_lib.modularity.soft import SoftPartition, best_of, unit, whole
from contrasep_lib.modularity.solvers import Solver

MAX_TEST_NODES = 4096
"""Counting looks at this many nodes at most, drawn without replacement by weight from the seed."""

_EVIDENCE_NODES = 1024
_SURROGATES = 3
_RESTARTS = 4


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What speaks for K communities in one utterance.

    Q, null and conductance are taken on at most 1,024 of the nodes, all of them alike.

    Attributes:
        num_communities: K.
        modularity: Q of the best partition found into K.
        null_mean, null_spread: mean and standard deviation of Q over one-speaker
            surrogates (the nodes turned about their common centre) cut into K.
        excess: ``modularity - null_mean``.
        sizes: share of the weight of all nodes in each community, decreasing, ``K`` numbers.
        mean_conductance: mean cut(S) / min(vol S, vol rest); NaN for K = 1 or zero volume.
        split_score: the largest score of a cut through one of the K communities, and
        joint_score: the smallest score of a cut between two of them, both in standard
            deviations of the null and to be compared with ``threshold``. K is right when the
            first lies below and the second above it. NaN where the search did not go.
        threshold: of both scores.
    """

    num_communities: int
    modularity: float
    null_mean: float
    null_spread: float
    excess: float
    sizes: tuple[float, ...]
    mean_conductance: float
    split_score: float
    joint_score: float
    threshold: float


@dataclasses.dataclass(frozen=True)
class CountDecision:
    """How many communities one utterance has, which ones, and why.

    Attributes:
        count: the chosen K, 1 to ``k_max``.
        at_limit: a community could have been split further, but ``k_max`` was reached.
        labels: ``(nodes,)`` int64 in 0..K-1, by decreasing size; -1 on invalid nodes.
        assign: ``(nodes, K)``, soft; zeros on invalid nodes.
        centroids: ``(K, dim)`` unit-norm means of the communities.
        evidence: one entry for each K in 1..``k_max``, in order.
        reason: the decision in words.
    """

    count: int
    at_limit: bool
    labels: torch.Tensor
    assign: torch.Tensor
    centroids: torch.Tensor
    evidence: tuple[Evidence, ...]
    reason: str


def count_communities(
    nodes: NodeSet,
    k_max: int,
    graph: Graph | None = None,
    solver: Solver | None = None,
    seed: int = 0,
    null: Null | None = None,
    min_share: float = 0.02,
) -> list[CountDecision]:
    """Count the communities of each utterance of a batch.

    The decision does not depend on the other utterances of the batch nor on the device; the
    same nodes and seed give the same decision. Time is that of at most 4,096 nodes, plus one
    pass over all for the labels.

    Args:
        nodes: node set with unit-norm embeddings ``(batch, nodes, dim)``; its gradient is
            not followed.
        k_max: the largest count considered, at least 1.
        graph: in which Q and conductance of the evidence are measured;
            ``KernelGraph(power=2)`` when None. The decision itself is made on angles.
        solver: its partition into K is one more starting point for each K; without it,
            splits of the partition into K - 1 and k-means++ are the starts.
        seed: of the drawn nodes, starts and surrogates.
        null: the bar for a second speaker, see :func:`fit_null`; when None the round null,
            which suits clouds as round as those of contrastive training.
        min_share: least share of the weight that counts as a speaker, in (0, 0.5).

    Returns:
        One decision per utterance.

    Raises:
        ValueError: ``k_max`` or ``min_share`` is out of range, embeddings have no unit norm,
            or an utterance has no valid node of positive weight (is all silent).
    """
    if isinstance(k_max, bool) or not isinstance(k_max, int) or k_max < 1:
        raise ValueError(f"k_max: an integer of at least 1 wanted, got {k_max!r}")
    _check(nodes, min_share)
    graph = KernelGraph() if graph is None else graph
    null = Null() if null is None else null
    return [
        _Counter(nodes, row, k_max, graph, solver, seed, null, min_share).decide()
        for row in range(nodes.z.shape[0])
    ]


def fit_null(
    talkers: Sequence[NodeSet], threshold: float = 6.5, seed: int = 0, min_share: float = 0.02
) -> Null:
    """Calibrate the null on recordings of single speakers.

    Embeddings of one talker are not quite round about their centre. The null learns by how
    much the best cut of one talker exceeds that of the round cloud, mean and spread, and no
    split at or below the largest such ratio seen is ever accepted.

    Args:
        talkers: node sets of single speakers; each utterance of a batch counts as one.
        threshold: least score of a split, standard deviations.
        seed: of drawn nodes and turned clouds.
        min_share: as will be used in counting.

    Raises:
        ValueError: there is no utterance, or as for :func:`count_communities`.

    Example:
        >>> null = fit_null(single_speaker_sets)
        >>> null.save("null.json")
        >>> count_communities(mixture, 5, null=Null.load("null.json"))
    """
    cuts: list[Cut] = []
    for nodes in talkers:
        _check(nodes, min_share)
        for row in range(nodes.z.shape[0]):
            z, weight, _ = _drawn(nodes, row, seed)
            cuts.append(CutTest(z, weight, Null(), min_share, seed)(np.arange(len(z))))
    if not cuts:
        raise ValueError("talkers: at least one single-speaker utterance wanted, got none")
    return calibrated(cuts, threshold)


class _Counter:
    """The search on one utterance: fits, splits and joins."""

    def __init__(self, nodes, row, k_max, graph, solver, seed, null, min_share) -> None:
        self.nodes, self.row, self.k_max, self.graph, self.null = nodes, row, k_max, graph, null
        self.solver, self.seed, self.min_share = solver, seed, min_share
        self.z, self.weight, self.index = _drawn(nodes, row, seed)
        self.rng = np.random.default_rng(seed)
        self.test = CutTest(self.z, self.weight, null, min_share, seed)
        self.fits: dict[int, SoftPartition] = {1: whole(self.z, self.weight)}
        self.split_scores: dict[int, float] = {}
        self.joint_scores: dict[int, float] = {}

    def decide(self) -> CountDecision:
        count, more = self._grow()
        count, joined = self._join(count)
        at_limit = more and not joined
        for k in range(2, self.k_max + 1):
            if k not in self.fits:
                self.fits[k] = self._fit(k, [])
        evidence = tuple(self._evidence())
        return self._decision(count, at_limit, evidence)

    def _fit(self, k: int, starts: list[tuple[np.ndarray, np.ndarray]]) -> SoftPartition:
        starts = [*starts]
        if self.solver is not None:
            part = NodeSet.from_embeddings(
                torch.from_numpy(self.z)[None], weight=torch.from_numpy(self.weight)[None]
            )
            labels = self.solver.solve(part, k, self.graph, self.seed).labels[0].numpy()
            hard = np.eye(k)[labels] * self.weight[:, None]
            starts.append((unit(hard.T @ self.z), hard.sum(0) / self.weight.sum()))
        return best_of(self.z, self.weight, k, starts, _RESTARTS, self.rng)

    def _grow(self) -> tuple[int, bool]:
        """Split until no community can be; K and whether one still could at ``k_max``."""
        k = 1
        while True:
            fit = self.fits[k]
            labels = fit.labels(self.z)
            members = [np.flatnonzero(labels == c) for c in range(k)]
            cuts = [self.test(part) for part in members]
            self.split_scores[k] = max(cut.score for cut in cuts)
            ranked = sorted((c for c in range(k) if cuts[c].split), key=lambda c: -cuts[c].score)
            if not ranked or k == self.k_max:
                return k, bool(ranked)
            k += 1
            self.fits[k] = self._fit(k, [self._start(fit, c, members[c], cuts[c]) for c in ranked[:2]])

    def _start(self, fit: SoftPartition, community: int, members: np.ndarray, cut: Cut):
        """Centroids and sizes after splitting one community along a cut."""
        sides = [members[cut.side], members[~cut.side]]
        centroids = [unit(self.weight[side] @ self.z[side]) for side in sides]
        mass = np.array([self.weight[side].sum() for side in sides])
        sizes = fit.sizes[community] * mass / mass.sum()
        return (
            np.concatenate([np.delete(fit.centroids, community, 0), centroids]),
            np.concatenate([np.delete(fit.sizes, community), sizes]),
        )

    def _join(self, k: int) -> tuple[int, bool]:
        """Join pairs between which no cut exceeds the null."""
        joined = False
        while k > 1:
            fit = self.fits[k]
            labels = fit.labels(self.z)
            score, pair, split = self._weakest_pair(labels, k)
            self.joint_scores[k] = score
            if split:
                break
            a, b = pair
            k, joined = k - 1, True
            sizes = fit.sizes.copy()
            sizes[a] += sizes[b]
            centroids = fit.centroids.copy()
            centroids[a] = unit(fit.sizes[a] * fit.centroids[a] + fit.sizes[b] * fit.centroids[b])
            self.fits[k] = self._fit(k, [(np.delete(centroids, b, 0), np.delete(sizes, b))])
        return k, joined

    def _weakest_pair(self, labels: np.ndarray, k: int) -> tuple[float, tuple[int, int], bool]:
        weakest = (np.inf, (0, 0), True)
        mass = np.bincount(labels, weights=self.weight, minlength=k)
        for a in range(k):
            for b in range(a):
                small = min(mass[a], mass[b]) < self.test.min_weight
                if small:
                    score, split = 0.0, False
                else:
                    cut = self.test(np.flatnonzero((labels == a) | (labels == b)))
                    score, split = cut.score, cut.split
                if (split, score) < (weakest[2], weakest[0]):
                    weakest = (score, (a, b), split)
        return weakest

    def _evidence(self) -> list[Evidence]:
        pick = np.sort(np.random.default_rng(self.seed).permutation(len(self.z))[:_EVIDENCE_NODES])
        z, weight = self.z[pick], self.weight[pick]
        clouds = _turned(z, weight, _SURROGATES, self.seed)
        surrogates = _node_set(clouds, weight)
        rows = []
        for k in range(1, self.k_max + 1):
            fit = self.fits[k]
            labels = fit.labels(self.z)
            gram, degree, two_m = quantities(_node_set(z[None], weight), _one_hot(labels[pick][None], k), self.graph)
            volume = torch.zeros(1, k, dtype=degree.dtype)
            volume.scatter_add_(1, torch.from_numpy(labels[pick])[None], degree)
            total = float(two_m)
            q = float(gram[0].diagonal().sum() / total - (volume / total).square().sum()) if total > 0 else 0.0
            null_q = np.zeros(_SURROGATES)
            if k > 1:
                cut = [best_of(cloud, weight, k, [], 1, self.rng).labels(cloud) for cloud in clouds]
                null_q = modularity(surrogates, _one_hot(np.stack(cut), k), self.graph).numpy()
            sizes = np.sort(np.bincount(labels, weights=self.weight, minlength=k))[::-1] / self.weight.sum()
            rows.append(
                Evidence(
                    num_communities=k,
                    modularity=q,
                    null_mean=float(null_q.mean()),
                    null_spread=float(null_q.std(ddof=1)),
                    excess=q - float(null_q.mean()),
                    sizes=tuple(float(size) for size in sizes),
                    mean_conductance=float(mean_conductance(conductance_of(gram, volume, two_m))[0]),
                    split_score=self.split_scores.get(k, float("nan")),
                    joint_score=self.joint_scores.get(k, float("nan")),
                    threshold=self.null.threshold,
                )
            )
        return rows

    def _decision(self, count: int, at_limit: bool, evidence: tuple[Evidence, ...]) -> CountDecision:
        fit = self.fits[count]
        valid = _taking_part(self.nodes, self.row)
        z = _padded(self.nodes.z.detach()[self.row][valid].to("cpu", torch.float64).numpy())
        weight = self.nodes.weight.detach()[self.row][valid].to("cpu", torch.float64).numpy()
        soft = fit.assign(z)
        hard = soft.argmax(1)
        order = np.argsort(-np.bincount(hard, weights=weight, minlength=count), kind="stable")
        device, total = self.nodes.z.device, self.nodes.z.shape[1]
        labels = torch.full((total,), -1, dtype=torch.int64, device=device)
        labels[valid] = torch.from_numpy(np.argsort(order)[hard]).to(device)
        assign = torch.zeros(total, count, dtype=torch.float32, device=device)
        assign[valid] = torch.from_numpy(soft[:, order]).to(device, torch.float32)
        centroids = fit.centroids[order][:, : self.nodes.z.shape[2]]
        return CountDecision(
            count=count,
            at_limit=at_limit,
            labels=labels,
            assign=assign,
            centroids=torch.from_numpy(centroids).to(device, torch.float32),
            evidence=evidence,
            reason=_reason(count, at_limit, evidence[count - 1], self.k_max),
        )


def _reason(count: int, at_limit: bool, row: Evidence, k_max: int) -> str:
    parts = [f"{count} speaker{'s' if count > 1 else ''}:"]
    if count > 1:
        joint = row.joint_score
        parts.append(f"every two communities stand apart (least score {joint:.1f} above {row.threshold:g});")
    if at_limit:
        parts.append(f"one could be split further (score {row.split_score:.1f}), but k_max is {k_max}")
    elif np.isnan(row.split_score):
        parts.append("a further split was tried and joined again")
    elif row.split_score > row.threshold:
        parts.append(f"the cut of score {row.split_score:.1f} found did not hold when tried or is within one talker's")
    else:
        whom = "none of them" if count > 1 else "the cloud"
        parts.append(f"{whom} splits beyond one talker's cloud (score {row.split_score:.1f}, needed {row.threshold:g})")
    return " ".join(parts)


def _check(nodes: NodeSet, min_share: float) -> None:
    if not 0 < min_share < 0.5:
        raise ValueError(f"min_share: a value in (0, 0.5) wanted, got {min_share}")
    nodes.require_unit_norm()
    for row in range(nodes.z.shape[0]):
        if not bool(_taking_part(nodes, row).any()):
            raise ValueError(
                f"nodes: utterance {row} of the batch has no valid node of positive weight (all silent); "
                "at least one is needed to count speakers"
            )


def _taking_part(nodes: NodeSet, row: int) -> torch.Tensor:
    return nodes.valid[row] & (nodes.weight[row] > 0)


def _drawn(nodes: NodeSet, row: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings, weights and indices of the nodes that counting looks at, in float64.

    Among more than :data:`MAX_TEST_NODES` the draw is by weight and without replacement
    (exponential clocks, Efraimidis and Spirakis 2006); those drawn then count alike.
    """
    index = torch.nonzero(_taking_part(nodes, row)).squeeze(1).cpu().numpy()
    weight = nodes.weight.detach()[row].to("cpu", torch.float64).numpy()[index]
    if len(index) > MAX_TEST_NODES:
        clocks = np.random.default_rng(seed).exponential(size=len(index)) / weight
        chosen = np.sort(np.argpartition(clocks, MAX_TEST_NODES)[:MAX_TEST_NODES])
        index, weight = index[chosen], np.ones(MAX_TEST_NODES)
    z = nodes.z.detach()[row][torch.from_numpy(index).to(nodes.z.device)].to("cpu", torch.float64).numpy()
    return unit(_padded(z)), weight / weight.mean(), index


def _padded(z: np.ndarray) -> np.ndarray:
    """At least two dimensions, so that there are bearings."""
    return np.pad(z, ((0, 0), (0, max(2 - z.shape[1], 0))))


def _turned(z: np.ndarray, weight: np.ndarray, count: int, seed: int) -> np.ndarray:
    """``(count, nodes, dim)``: the nodes about their common centre with random bearings."""
    centre = robust_centre(z, weight)
    cosine = np.clip(z @ centre, -1, 1)[:, None]
    drawn = np.random.default_rng([seed, 1]).standard_normal((count, *z.shape))
    bearing = unit(drawn - (drawn @ centre)[..., None] * centre)
    return cosine * centre + np.sqrt(1 - cosine**2) * bearing


def _node_set(z: np.ndarray, weight: np.ndarray) -> NodeSet:
    z = torch.from_numpy(np.ascontiguousarray(z)).float()
    return NodeSet.from_embeddings(z, weight=torch.from_numpy(weight).float().expand(z.shape[:2]))


def _one_hot(labels: np.ndarray, k: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.from_numpy(labels), k).float()
