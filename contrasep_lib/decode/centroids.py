"""Centroids for training a decoder: of the truth, and of what clustering makes of it.

A deep attractor network that has only seen centroids of the true dominance meets others at test
time (Chen et al., ICASSP 2017, section 3.3). So of each mixture of a batch one kind is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from scipy.optimize import linear_sum_assignment

from contrasep_lib.decode.attractor import centroids_of
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.modularity.operator import GraphOperator, one_hot
from contrasep_lib.modularity.solvers.kmeans import spherical_kmeans
from contrasep_lib.modularity.solvers.refine import sweep
from contrasep_lib.nodes.draws import Draws

# at most this share of the nodes is wrong with `label_noise`
_ASTRAY = 0.3
# nodes over which `refined_oracle` raises modularity and `kmeans` clusters, and how long
_NODES, _SWEEPS, _RESTARTS, _ITERATIONS = 1024, 5, 4, 30


@torch.no_grad()
def training_assignments(
    z: torch.Tensor,
    dominant: torch.Tensor,
    power: torch.Tensor,
    weight: torch.Tensor,
    kinds: Mapping[str, float],
    draws: Draws,
) -> torch.Tensor:
    """Shares of nodes whose means are the centroids of a training step.

    - ``dominance``: a node belongs to the source that dominates it;
    - ``label_noise``: as before, but a random share of the nodes, up to 0.3, belongs to a random speaker;
    - ``soft``: a node divides between sources by their magnitudes;
    - ``refined_oracle``: modularity is raised from the true dominance on, by moves of nodes, over 1,024 nodes
      drawn by weight; all nodes then go to the nearest community. Begun at the truth, communities
      keep their speakers;
    - ``kmeans``: k-means from random initialisation over nodes drawn in the same way, as at test time. Communities go
      to the speakers with whom they share most weight, each to one; a wrong partition gives wrong centroids.

    Args:
        z: ``(batch, nodes, dim)`` of unit norm.
        dominant: ``(batch, nodes)`` int64 in ``0 .. K - 1``.
        power: ``(batch, K, nodes)`` of the sources, 0 for absent ones.
        weight: ``(batch, nodes)``, 0 for nodes that take no part.
        kinds: relative frequency of each kind.
        draws: of each mixture.

    Returns:
        ``(batch, nodes, K)``.
    """
    number = power.shape[1]
    names = sorted(kinds)
    chance = torch.tensor([kinds[name] for name in names])
    assign = one_hot(dominant, number, z.dtype)
    # no communities of rounded similarities, whatever precision the network has
    with torch.autocast(z.device.type, enabled=False):
        for row, generator in enumerate(draws.each):
            kind = names[int(torch.multinomial(chance, 1, generator=generator))]
            if kind == "label_noise":
                assign[row] = _with_noise(assign[row], power[row].sum(1) > 0, generator)
            elif kind == "soft":
                magnitude = power[row].sqrt().T
                total = magnitude.sum(1, keepdim=True)
                assign[row] = torch.where(total > 0, magnitude / torch.where(total > 0, total, 1.0), assign[row])
            elif kind == "refined_oracle" and bool((weight[row] > 0).any()):
                assign[row] = _refined(z[row], dominant[row], weight[row], number, generator)
            elif kind == "kmeans" and bool((weight[row] > 0).any()):
                assign[row] = _kmeans(z[row], dominant[row], power[row], weight[row], generator)
    return assign


def training_centroids(
    z: torch.Tensor, weight: torch.Tensor, assign: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Centroids ``(batch, K, dim)`` with their gradient, and which of them have any nodes, ``(batch, K)`` bool."""
    found = (assign * weight.unsqueeze(-1)).sum(1) > 0
    return centroids_of(z, assign, weight), found


def _with_noise(assign: torch.Tensor, present: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    speakers = present.nonzero().squeeze(1)
    rate = _ASTRAY * torch.rand((), generator=generator)
    moved = torch.rand(len(assign), generator=generator) < rate
    to = torch.randint(max(len(speakers), 1), (len(assign),), generator=generator).to(assign.device)
    anyone = one_hot(speakers[to] if len(speakers) else to, assign.shape[1], assign.dtype)
    return torch.where(moved.to(assign.device).unsqueeze(1), anyone, assign)


def _drawn(weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Indices of nodes, drawn by weight."""
    count = min(_NODES, int((weight > 0).sum()))
    return torch.multinomial(weight.cpu(), count, generator=generator).to(weight.device)


def _nearest(z: torch.Tensor, some: torch.Tensor, labels: torch.Tensor, number: int) -> torch.Tensor:
    """All nodes, ``(nodes, number)``, to the nearest of the communities that ``labels`` makes of ``some``."""
    ones = torch.ones_like(some[:, 0])
    centroids = centroids_of(some[None], one_hot(labels, number, some.dtype)[None], ones[None])[0]
    cosine = z.float() @ centroids.T
    # a community without nodes has no centroid
    empty = torch.bincount(labels, minlength=number) == 0
    return one_hot(cosine.masked_fill(empty, -2.0).argmax(1), number, z.dtype)


def _kmeans(
    z: torch.Tensor, dominant: torch.Tensor, power: torch.Tensor, weight: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    speakers = (power.sum(1) > 0).nonzero().squeeze(1)
    some = z[_drawn(weight, generator)].float()
    labels = spherical_kmeans(some, torch.ones_like(some[:, 0]), len(speakers), generator, _RESTARTS, _ITERATIONS)
    communities = _nearest(z, some, labels, len(speakers))
    truth = one_hot(dominant, len(power), z.dtype)[:, speakers] * weight.unsqueeze(1)
    mine, theirs = linear_sum_assignment((communities.T @ truth).cpu().numpy(), maximize=True)
    assign = torch.zeros(len(z), len(power), dtype=z.dtype, device=z.device)
    assign[:, speakers[torch.from_numpy(theirs).to(z.device)]] = communities[:, torch.from_numpy(mine).to(z.device)]
    return assign


def _refined(
    z: torch.Tensor, dominant: torch.Tensor, weight: torch.Tensor, number: int, generator: torch.Generator
) -> torch.Tensor:
    index = _drawn(weight, generator)
    some, labels = z[index].float(), dominant[index]
    operator = GraphOperator(some, torch.ones_like(some[:, 0]), KernelGraph())
    if operator.two_m > 0:
        labels, _ = sweep(operator, labels, number, _SWEEPS)
    return _nearest(z, some, labels, number)
