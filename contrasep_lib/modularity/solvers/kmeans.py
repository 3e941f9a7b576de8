"""Spherical k-means on the embeddings: the baseline that knows nothing of modularity."""

from __future__ import annotations

import torch

from contrasep_lib.modularity.operator import GraphOperator, one_hot
from contrasep_lib.modularity.solvers.base import Solver, random_sample
from contrasep_lib.modularity.solvers.options import KMeansOptions


class KMeansSolver(KMeansOptions, Solver):
    """Weighted spherical k-means with k-means++ seeding (Arthur and Vassilvitskii 2007).

    Maximises ``sum_i w_i max_k z_i . c_k`` over unit centroids; the graph only serves to
    report Q of the result. Its arguments are those of
    :class:`~contrasep_lib.modularity.solvers.options.KMeansOptions`.
    """

    def _assign(
        self, operator: GraphOperator, num_communities: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, None]:
        z, weight = operator.z, operator.weight
        labels = spherical_kmeans(
            z, weight, num_communities, generator, self.restarts, self.iterations, self.sample
        )
        return one_hot(labels, num_communities, z.dtype), None


def spherical_kmeans(
    z: torch.Tensor,
    weight: torch.Tensor,
    num_clusters: int,
    generator: torch.Generator,
    restarts: int = 8,
    iterations: int = 100,
    sample: int = 16384,
) -> torch.Tensor:
    """Labels ``(nodes,)`` of unit-norm ``z (nodes, dim)`` with weights ``(nodes,)``."""
    some, some_weight = z, weight
    if len(z) > sample:
        index = random_sample(len(z), sample, generator, z.device)
        some, some_weight = z[index], weight[index]
    best_score, best = -torch.inf, some[:0]
    for _ in range(restarts):
        centroids = _seed(some, some_weight, num_clusters, generator)
        centroids, _, score = _iterate(some, some_weight, centroids, iterations)
        if score > best_score:
            best_score, best = score, centroids
    return _iterate(z, weight, best, iterations)[1]


def lloyd(z: torch.Tensor, weight: torch.Tensor, centroids: torch.Tensor, iterations: int = 100) -> torch.Tensor:
    """Labels ``(nodes,)`` of the weighted spherical k-means that begins at ``centroids (clusters, dim)``."""
    return _iterate(z, weight, centroids, iterations)[1]


def _seed(z: torch.Tensor, weight: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """k-means++: each next centroid is drawn with probability w_i (1 - max_k z_i . c_k)."""
    chance = weight.double()
    gap = torch.full_like(chance, 2.0)
    chosen = []
    for _ in range(count):
        mass = (chance * gap).cumsum(0)
        if mass[-1] <= 0:
            mass = torch.arange(1, len(z) + 1, device=z.device, dtype=torch.float64)
        draw = torch.rand((), generator=generator, dtype=torch.float64).to(z.device) * mass[-1]
        pick = torch.searchsorted(mass, draw, right=True).clamp(max=len(z) - 1)
        chosen.append(z[pick])
        gap = torch.minimum(gap, (1 - z @ z[pick]).clamp(min=0).double())
        # Rounding leaves copies of a centroid at tiny distances; they are not worth a seed.
        gap = torch.where(gap > 1e-6, gap, 0.0)
    return torch.stack(chosen)


def _iterate(
    z: torch.Tensor, weight: torch.Tensor, centroids: torch.Tensor, iterations: int
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Lloyd updates until labels stand still: centroids, labels and the score reached."""
    labels = torch.full((len(z),), -1, device=z.device)
    for _ in range(iterations):
        cosine, new = (z @ centroids.T).max(-1)
        if torch.equal(new, labels):
            break
        labels = new
        sums = (one_hot(labels, len(centroids), z.dtype) * weight.unsqueeze(-1)).T @ z
        norm = torch.linalg.vector_norm(sums, dim=-1, keepdim=True)
        # An empty cluster keeps its centroid, as does one whose members cancel out.
        centroids = torch.where(norm > 1e-6 * weight.mean(), sums / norm.clamp(min=1e-30), centroids)
    return centroids, labels, float((weight.double() * cosine.double()).sum())
