"""Communities from the leading eigenvectors of the modularity matrix, then refined by moves."""

from __future__ import annotations

import torch

from contrasep_lib.modularity.operator import GraphOperator, one_hot
from contrasep_lib.modularity.solvers.base import Solver, random_sample
from contrasep_lib.modularity.solvers.lanczos import leading_eigenvectors
from contrasep_lib.modularity.solvers.options import SpectralOptions
from contrasep_lib.modularity.solvers.refine import merge, sweep


class SpectralSolver(SpectralOptions, Solver):
    """Spectral modularity maximisation (Newman 2006) with Kernighan-Lin style refinement.

    With the positive eigenpairs of B, ``x_i = sqrt(lambda) u_i`` gives
    ``2m Q = sum_k |sum_{i in k} x_i|^2`` up to the eigenvalues left out. Several starts
    are improved in these few coordinates, the best are refined on the exact Q. For normalised modularity the
    eigenvectors are those of the normalised cut and the starts weighted k-means on their points, to which the
    trace is equal (Dhillon, Guan and Kulis 2004). Its arguments
    are those of :class:`~contrasep_lib.modularity.solvers.options.SpectralOptions`.
    """

    def _assign(
        self, operator: GraphOperator, num_communities: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, float]:
        small = operator
        if operator.nodes > self.sample:
            small = operator.restrict(
                random_sample(operator.nodes, self.sample, generator, operator.z.device)
            )
        if small.two_m <= 0:
            labels = torch.zeros(small.nodes, dtype=torch.int64, device=small.z.device)
            quality = 0.0
        else:
            labels, quality = self._search(small, num_communities, generator)
        if small is not operator:
            hard = one_hot(labels, num_communities, operator.z.dtype)
            labels = operator.attraction(small, hard).argmax(1)
            labels, quality = sweep(operator, labels, num_communities, self.max_sweeps, min_gain=1e-5)
        return one_hot(labels, num_communities, operator.z.dtype), quality

    def _search(
        self, operator: GraphOperator, num_communities: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, float]:
        values, vectors = leading_eigenvectors(operator, num_communities, generator)
        positive = values > 1e-6 * values.abs().max()
        points = vectors[:, positive] * values[positive].sqrt()
        scale, _, mass = operator.quality.spread(operator.degrees, operator.two_m)
        points = points * scale.unsqueeze(1)
        starts = vector_partitions(points, num_communities, self.restarts, generator, mass)
        best_labels = torch.zeros(operator.nodes, dtype=torch.int64, device=operator.z.device)
        whole = torch.tensor([operator.two_m], dtype=torch.float64)
        best_quality = operator.value(whole, whole)
        for labels in starts[: self.refined]:
            labels, quality = sweep(operator, labels, num_communities)
            merged, changed = merge(operator, labels, num_communities)
            if changed:
                labels, quality = sweep(operator, merged, num_communities)
            if quality > best_quality:
                best_labels, best_quality = labels, quality
        return best_labels, best_quality


def vector_partitions(
    points: torch.Tensor,
    num_communities: int,
    restarts: int,
    generator: torch.Generator,
    mass: torch.Tensor | None = None,
) -> list[torch.Tensor]:
    """Partitions that make ``sum_k |sum_{i in k} x_i|^2`` large, best first, without repeats.

    With masses, those that make ``sum_k |sum_{i in k} d_i x_i|^2 / sum_{i in k} d_i`` large: weighted k-means.

    Args:
        points: ``(nodes, dims)``; dims may be 0.
        num_communities: K.
        restarts: random starts, all run at once.
        generator: of the starting directions.
        mass: ``(nodes,)``, at least 0, or None.

    Returns:
        Label vectors ``(nodes,)``, at most ``restarts`` of them.
    """
    nodes, dims = points.shape
    if dims == 0 or num_communities == 1:
        return [torch.zeros(nodes, dtype=torch.int64, device=points.device)]
    anchors = torch.stack([_spread(points, num_communities, generator, mass) for _ in range(restarts)])
    labels = torch.full((restarts, nodes), -1, device=points.device)
    for _ in range(50):
        pull = anchors @ points.T
        if mass is not None:
            pull -= anchors.square().sum(-1, keepdim=True) / 2
        new = pull.argmax(1)
        if torch.equal(new, labels):
            break
        labels = new
        members = one_hot(labels, num_communities, points.dtype)
        length = torch.ones_like(members[:, :1])
        if mass is not None:
            members = members * mass.unsqueeze(-1)
            length = members.sum(1, keepdim=True).sqrt().clamp(min=torch.finfo(points.dtype).tiny)
        sums = (members / length).transpose(1, 2) @ points
        anchors = sums / length.transpose(1, 2)
    score = sums.double().square().sum((1, 2))
    out: list[torch.Tensor] = []
    last = torch.inf
    for row in score.argsort(descending=True, stable=True).tolist():
        # Starts that reached the same score found the same partition.
        if float(score[row]) < last * (1 - 1e-6):
            out.append(labels[row])
            last = float(score[row])
    return out


def _spread(
    points: torch.Tensor, count: int, generator: torch.Generator, mass: torch.Tensor | None
) -> torch.Tensor:
    """Starting anchors ``(count, dims)``: points drawn by norm and mass, away from those drawn before."""
    norm = torch.linalg.vector_norm(points, dim=1)
    chance = norm.square() if mass is None else norm.square() * mass
    unit = points / norm.clamp(min=torch.finfo(points.dtype).tiny).unsqueeze(1)
    gap = torch.full_like(norm, 2.0)
    chosen = []
    for _ in range(count):
        heap = (chance * gap).double().cumsum(0)
        draw = torch.rand((), generator=generator, dtype=torch.float64).to(points.device) * heap[-1]
        pick = torch.searchsorted(heap, draw, right=True).clamp(max=len(points) - 1)
        chosen.append(points[pick])
        gap = torch.minimum(gap, (1 - unit @ unit[pick]).clamp(min=0))
    return torch.stack(chosen)
