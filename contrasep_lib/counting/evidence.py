"""Evidence for each count of communities: a quality, its null for one speaker, sizes and conductance."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from contrasep_lib.counting.drawing import drawn
from contrasep_lib.counting.geometry import robust_centre
from contrasep_lib.modularity.diagnostics import conductance_of
from contrasep_lib.modularity.graphs import Graph
from contrasep_lib.modularity.objective import modularity, normalised_modularity, partition_quality, quantities
from contrasep_lib.modularity.quality import Modularity, Quality
from contrasep_lib.modularity.soft import SoftPartition, best_of, unit, whole
from contrasep_lib.nodes.nodeset import NodeSet

EVIDENCE_NODES = 1024
"""Qualities, their null and conductance are measured on this many nodes at most, all of them alike."""

_RESTARTS = 4
_ITERATIONS = 12

SURROGATES = 3
"""One-speaker clouds behind the null's mean and spread."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What speaks for K communities in one utterance.

    Qualities, null and conductance are taken on at most 1,024 of the nodes, all of them alike.

    Attributes:
        num_communities: K.
        modularity, normalised_modularity: Q and Qn of the best partition found into K.
        quality: value of the partition by the quality that solvers maximise (``modularity.quality``): Q with its
            resolution, or Qn.
        null_mean, null_spread: mean and standard deviation of that quality over one-speaker
            surrogates (the nodes rotated about their common centre) cut into K.
        excess: ``quality - null_mean``.
        sizes: share of the weight of all nodes in each community, decreasing, ``K`` numbers.
        mean_conductance: mean cut(S) / min(vol S, vol rest); NaN for K = 1 or zero volume.
        split_score: the largest score of a cut through one of the K communities, and
        joint_score: the smallest score of a cut between two of them, both in the unit of the
            counter and to be compared with ``threshold``. K is right when the
            first lies below and the second above it. NaN where the counter has none.
        threshold: of both scores.
    """

    num_communities: int
    modularity: float
    normalised_modularity: float
    quality: float
    null_mean: float
    null_spread: float
    excess: float
    sizes: tuple[float, ...]
    mean_conductance: float
    split_score: float
    joint_score: float
    threshold: float


def measure(
    z: np.ndarray,
    weight: np.ndarray,
    graph: Graph,
    fits: list[SoftPartition],
    scores: list[tuple[float, float, float]],
    seed: int,
    quality: Quality = Modularity(),
) -> tuple[Evidence, ...]:
    """Evidence for the partitions ``fits`` into 1, 2, ... communities.

    Args:
        z: unit-norm embeddings ``(nodes, dim)``, float64.
        weight: positive weights ``(nodes,)``.
        graph: in which qualities and conductance are measured.
        fits: one partition for each count.
        scores: split score, joint score and threshold for each count.
        seed: of the drawn nodes and surrogates.
        quality: whose null and excess are measured.
    """
    rng = np.random.default_rng([seed, 2])
    pick = np.sort(rng.permutation(len(z))[:EVIDENCE_NODES])
    part_z, part_weight = z[pick], weight[pick]
    nodes = _node_set(part_z[None], part_weight)
    clouds = one_speaker_clouds(part_z, part_weight, SURROGATES, seed)
    surrogates = _node_set(clouds, part_weight)
    rows = []
    for k, (fit, (split, joint, threshold)) in enumerate(zip(fits, scores), start=1):
        labels = fit.labels(z)
        assign = _one_hot(labels[pick][None], k)
        gram, degree, two_m = quantities(nodes, assign, graph)
        conductance = conductance_of(gram, (degree.unsqueeze(1) @ assign).squeeze(1), two_m)
        value = float(partition_quality(nodes, assign, graph, quality))
        null = np.zeros(SURROGATES)
        if k > 1:
            # Noise has no partition to converge to; qualities hardly change after a few iterations.
            fitted = [best_of(cloud, part_weight, k, [], 1, rng, iterations=12) for cloud in clouds]
            cuts = np.stack([cut.labels(cloud) for cut, cloud in zip(fitted, clouds)])
            null = partition_quality(surrogates, _one_hot(cuts, k), graph, quality).numpy()
        mass = np.bincount(labels, weights=weight, minlength=k)
        rows.append(
            Evidence(
                num_communities=k,
                modularity=float(modularity(nodes, assign, graph)),
                normalised_modularity=float(normalised_modularity(nodes, assign, graph)),
                quality=value,
                null_mean=float(null.mean()),
                null_spread=float(null.std(ddof=1)),
                excess=value - float(null.mean()),
                sizes=tuple((np.sort(mass)[::-1] / mass.sum()).tolist()),
                mean_conductance=float(conductance.nanmean()),
                split_score=split,
                joint_score=joint,
                threshold=threshold,
            )
        )
    return tuple(rows)


def evidence_of(
    nodes: NodeSet,
    most: int,
    graph: Graph,
    scores: list[tuple[float, float, float]],
    seed: int,
    quality: Quality = Modularity(),
) -> tuple[Evidence, ...]:
    """Evidence for 1 to ``most`` communities of one recording, from a counter that makes no partitions itself.

    Args:
        nodes: node set of the recording.
        most: the largest count.
        graph, scores, seed, quality: as for `measure`.
    """
    z, weight, _ = drawn(nodes, 0, seed)
    rng = np.random.default_rng(seed)
    fits = [whole(z, weight)]
    fits += [best_of(z, weight, k, [], _RESTARTS, rng, _ITERATIONS) for k in range(2, most + 1)]
    return measure(z, weight, graph, fits, scores, seed, quality)


def one_speaker_clouds(z: np.ndarray, weight: np.ndarray, count: int, seed: int) -> np.ndarray:
    """``(count, nodes, dim)``: the nodes about their common centre, with random bearings."""
    centre = robust_centre(z, weight)
    cosine = np.clip(z @ centre, -1, 1)[:, None]
    drawn = np.random.default_rng([seed, 1]).standard_normal((count, *z.shape))
    bearing = unit(drawn - (drawn @ centre)[..., None] * centre)
    return cosine * centre + np.sqrt(1 - cosine**2) * bearing


def _node_set(z: np.ndarray, weight: np.ndarray) -> NodeSet:
    some = torch.from_numpy(np.ascontiguousarray(z)).float()
    return NodeSet.from_embeddings(some, weight=torch.from_numpy(weight).float().expand(some.shape[:2]))


def _one_hot(labels: np.ndarray, k: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.from_numpy(labels), k).float()
