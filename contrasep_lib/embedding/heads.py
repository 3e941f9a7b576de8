"""Unit-norm embeddings and the projection head."""

from __future__ import annotations

import torch


def unit_norm(z: torch.Tensor) -> torch.Tensor:
    """Embeddings ``(..., dim)`` scaled to unit norm, in float32 or better.

    A row too short to have a direction becomes the first axis, so that every row has norm 1.
    """
    z = z.to(torch.promote_types(z.dtype, torch.float32))
    norm = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
    short = norm < 1e-12
    first = torch.where(short, 1.0, z[..., :1])
    return torch.cat([first, z[..., 1:]], dim=-1) / torch.where(short, 1.0, norm)


class Projection(torch.nn.Module):
    """Projection head: an MLP between embeddings and loss (Chen et al., ICML 2020, section 2.1).

    It takes unit-norm embeddings, for their direction is all that the graph sees.

    Args:
        dim: of the embeddings.
        outputs: dimension in which the loss compares.
    """

    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(dim, dim), torch.nn.ReLU(), torch.nn.Linear(dim, outputs)
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """``(..., dim)`` to ``(..., outputs)`` of unit norm."""
        return unit_norm(self.layers(z))
