"""Counting the speakers of a mixture: how many communities stand out from the null.

Communities are split in two for as long as some community has a cut that exceeds what one
speaker's cloud of the same spread and the same sizes gives (:mod:`.null`). After each split
all borders are found anew (:mod:`.soft`). In the end each pair of communities has to pass
the same test, or is joined again: a poor start must not add a speaker.

The largest Q alone cannot answer "one", see ``docs/concepts/counting.md``. It is reported as
evidence, beside that of one-speaker surrogates cut into as many communities.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from contrasep_lib.counting.cuts import Cut, CutTest
from contrasep_lib.counting.drawing import check_countable, drawn, padded, taking_part
from contrasep_lib.counting.evidence import Evidence, measure
from contrasep_lib.counting.null import Null
from contrasep_lib.modularity.graphs import Graph, KernelGraph
from contrasep_lib.modularity.quality import Modularity, Quality
from contrasep_lib.modularity.soft import SoftPartition, best_of, unit, whole
from contrasep_lib.modularity.solvers.base import Solver
from contrasep_lib.nodes.nodeset import NodeSet

_RESTARTS = 4


@dataclasses.dataclass(frozen=True)
class SplitDecision:
    """How many communities one utterance has, which ones, and why.

    Attributes:
        count: the chosen K, 1 to ``k_max``.
        at_limit: a community could have been split further, but ``k_max`` was reached.
        labels: ``(nodes,)`` int64 in 0..K-1, by decreasing size; -1 on invalid nodes.
        assign: ``(nodes, K)``, soft; zeros on invalid nodes.
        centroids: ``(K, dim)`` unit-norm means of the communities.
        split_score, joint_score, threshold: those of the chosen K, see :class:`Evidence`.
        evidence: one entry for each K in 1..``k_max``, in order; empty if not asked for.
        reason: the decision in words.
    """

    count: int
    at_limit: bool
    labels: torch.Tensor
    assign: torch.Tensor
    centroids: torch.Tensor
    split_score: float
    joint_score: float
    threshold: float
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
    with_evidence: bool = True,
    quality: Quality = Modularity(),
) -> list[SplitDecision]:
    """Count the communities of each utterance of a batch.

    The decision does not depend on the other utterances of the batch nor on the device; the
    same nodes and seed give the same decision. Time is that of at most 4,096 nodes, plus one
    pass over all for the labels.

    Args:
        nodes: node set with unit-norm embeddings ``(batch, nodes, dim)``; its gradient is
            not followed.
        k_max: the largest count considered, at least 1.
        graph: in which qualities and conductance of the evidence are measured;
            ``KernelGraph(power=2)`` when None. The decision itself is made on angles.
        solver: its partition into K is one more starting point for each K; without it,
            splits of the partition into K - 1 and k-means++ are the starts.
        seed: of the drawn nodes, starts and surrogates.
        null: the bar for a second speaker, see :mod:`.calibration`; when None the isotropic null,
            which suits clouds as isotropic as those of contrastive training.
        min_share: least share of the weight that counts as a speaker, in (0, 0.5).
        with_evidence: whether to fill ``evidence``, which takes half of the time; the
            decision is the same without.
        quality: whose null and excess the evidence gives.

    Returns:
        One decision per utterance.

    Raises:
        ValueError: ``k_max`` or ``min_share`` is out of range, embeddings have no unit norm,
            or an utterance has no valid node of positive weight (is all silent).
    """
    if isinstance(k_max, bool) or not isinstance(k_max, int) or k_max < 1:
        raise ValueError(f"k_max: expected an integer of at least 1, got {k_max!r}")
    check_countable(nodes, min_share)
    graph = KernelGraph() if graph is None else graph
    null = Null() if null is None else null
    return [
        _Search(nodes, row, k_max, graph, solver, seed, null, min_share, quality).decide(with_evidence)
        for row in range(nodes.z.shape[0])
    ]


class _Search:
    """The search on one utterance: fits, splits and joins."""

    def __init__(
        self,
        nodes: NodeSet,
        row: int,
        k_max: int,
        graph: Graph,
        solver: Solver | None,
        seed: int,
        null: Null,
        min_share: float,
        quality: Quality,
    ) -> None:
        self.nodes, self.row, self.k_max, self.graph, self.null = nodes, row, k_max, graph, null
        self.solver, self.seed, self.min_share, self.quality = solver, seed, min_share, quality
        # odds are calibrated for at most so many speakers
        self.most = min(k_max, null.known) if null.odds and null.known else k_max
        self.z, self.weight, _ = drawn(nodes, row, seed)
        self.rng = np.random.default_rng(seed)
        self.test = CutTest(self.z, self.weight, null, min_share, seed)
        self.fits: dict[int, SoftPartition] = {1: whole(self.z, self.weight)}
        self.split_scores: dict[int, float] = {}
        self.joint_scores: dict[int, float] = {}

    def decide(self, with_evidence: bool) -> SplitDecision:
        count, more = self._grow()
        count, joined = self._join(count)
        evidence = self._evidence() if with_evidence else ()
        return self._decision(count, more and not joined, joined, evidence)

    def _fit(
        self, k: int, starts: list[tuple[np.ndarray, np.ndarray]], iterations: int = 60
    ) -> SoftPartition:
        starts = [*starts]
        if self.solver is not None:
            part = NodeSet.from_embeddings(
                torch.from_numpy(self.z)[None], weight=torch.from_numpy(self.weight)[None]
            )
            labels = self.solver.solve(part, k, self.graph, self.seed).labels[0].numpy()
            hard = np.eye(k)[labels] * self.weight[:, None]
            starts.append((unit(hard.T @ self.z), hard.sum(0) / self.weight.sum()))
        return best_of(self.z, self.weight, k, starts, _RESTARTS, self.rng, iterations)

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
            if not ranked or k == self.most:
                return k, bool(ranked)
            k += 1
            self.fits[k] = self._fit(k, [self._start(fit, c, members[c], cuts[c]) for c in ranked[:2]])

    def _start(
        self, fit: SoftPartition, community: int, members: np.ndarray, cut: Cut
    ) -> tuple[np.ndarray, np.ndarray]:
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

    def _evidence(self) -> tuple[Evidence, ...]:
        for k in range(2, self.k_max + 1):
            if k not in self.fits:
                self.fits[k] = self._fit(k, [], iterations=12)
        scores = [
            (self.split_scores.get(k, math.nan), self.joint_scores.get(k, math.nan), self.null.threshold)
            for k in range(1, self.k_max + 1)
        ]
        fits = [self.fits[k] for k in range(1, self.k_max + 1)]
        return measure(self.z, self.weight, self.graph, fits, scores, self.seed, self.quality)

    def _decision(
        self, count: int, at_limit: bool, joined: bool, evidence: tuple[Evidence, ...]
    ) -> SplitDecision:
        fit = self.fits[count]
        valid = taking_part(self.nodes, self.row)
        z = padded(self.nodes.z.detach()[self.row][valid].to("cpu", torch.float64).numpy())
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
        return SplitDecision(
            count=count,
            at_limit=at_limit,
            labels=labels,
            assign=assign,
            centroids=torch.from_numpy(centroids).to(device, torch.float32),
            split_score=self.split_scores[count],
            joint_score=self.joint_scores.get(count, math.nan),
            threshold=self.null.threshold,
            evidence=evidence,
            reason=self._reason(count, at_limit, joined),
        )

    def _reason(self, count: int, at_limit: bool, joined: bool) -> str:
        limit = f"{self.null.threshold:g}"
        words = [f"{count} speaker{'s' if count > 1 else ''}:"]
        if count > 1:
            least = f"least score {self.joint_scores[count]:.1f} over {limit}"
            words.append(f"every two communities are separated ({least});")
        cut = f"score {self.split_scores[count]:.1f}"
        if at_limit:
            why = f"k_max is {self.k_max}"
            if self.most < self.k_max:
                why = f"the null is calibrated for at most {self.most} speakers"
            words.append(f"one could be split further ({cut}), but {why}")
        elif joined:
            words.append(f"a further split was tried ({cut}), but its halves were not separated")
        elif self.split_scores[count] > self.null.threshold:
            words.append(f"the best cut ({cut}) is within what the single speakers of the null have")
        else:
            words.append(f"no cut exceeds one speaker's cloud ({cut}, needed {limit})")
        return " ".join(words)
