"""Cosines of pairs of nodes, estimated from a sample of pairs."""

from __future__ import annotations

import torch

PAIRS = 1 << 15
"""Pairs that are drawn; a quantile of their cosines lies within 0.6 percentage points of its place in 95 % of cases."""


def quantile_of_cosines(z: torch.Tensor, quantile: float, pairs: int = PAIRS) -> float:
    """A quantile of the cosines between different nodes of a recording; 0 without a pair.

    It lies halfway between two neighbouring ones of the cosines, so that rounding does not decide about an edge.
    Up to ``pairs`` pairs are all taken, of more so many are drawn, always the same for a number of nodes. Time and
    memory are ``O(pairs * dim)``.

    Args:
        z: ``(nodes, dim)`` of unit norm; no gradient is taken.
        quantile: in [0, 1].
        pairs: to draw.
    """
    nodes = len(z)
    if nodes < 2:
        return 0.0
    if nodes * (nodes - 1) // 2 <= pairs:
        one, other = torch.triu_indices(nodes, nodes, 1)
    else:
        generator = torch.Generator().manual_seed(0)
        one = torch.randint(nodes, (pairs,), generator=generator)
        other = (one + 1 + torch.randint(nodes - 1, (pairs,), generator=generator)) % nodes
    cosine = (z.detach()[one.to(z.device)] * z.detach()[other.to(z.device)]).sum(-1)
    cosine = cosine.sort().values
    below = int(quantile * (len(cosine) - 1))
    return float(cosine[below : below + 2].mean())
