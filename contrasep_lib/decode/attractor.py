"""Centroids of communities, and how nodes divide between them."""

from __future__ import annotations

import torch


def shares_of(
    z: torch.Tensor, centroids: torch.Tensor, present: torch.Tensor, trace: float | torch.Tensor = 1e-4
) -> tuple[torch.Tensor, torch.Tensor]:
    """How nodes divide between centroids: squared cosines, those below zero none, brought to a sum of 1.

    Args:
        z: ``(batch, nodes, dim)`` of unit norm.
        centroids: ``(batch, K, dim)`` of unit norm.
        present: ``(batch, K)`` bool, at least one of each row; the others get nothing.
        trace: added to the squared cosines, a number or ``(batch, K, nodes)``: how a node divides that turns away
            from all centroids. It gives the quotient a gradient wherever a node points.

    Returns:
        Shares and cosines, both ``(batch, K, nodes)``.
    """
    with torch.autocast(z.device.type, enabled=False):
        cosine = centroids.float() @ z.float().transpose(1, 2)
    along = (cosine.clamp_min(0).square() + trace) * present.unsqueeze(-1)
    total = along.sum(1, keepdim=True)
    return along / torch.where(total > 0, total, 1.0), cosine


def centroids_of(z: torch.Tensor, assign: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted means of nodes, scaled to unit norm.

    Args:
        z: ``(batch, nodes, dim)`` of unit norm.
        assign: ``(batch, nodes, K)`` shares.
        weight: ``(batch, nodes)``, 0 for nodes that take no part.

    Returns:
        ``(batch, K, dim)``; the zero vector for a community without weight.
    """
    with torch.autocast(z.device.type, enabled=False):
        sums = (assign * weight.unsqueeze(-1)).transpose(1, 2).to(z.dtype) @ z
    norm = torch.linalg.vector_norm(sums, dim=-1, keepdim=True)
    return sums / torch.where(norm > 1e-6, norm, 1.0)
