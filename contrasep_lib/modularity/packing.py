"""From node sets to the compact form on which the sums over pairs run.

Nodes that take no part (padding, silence) are moved out of the way, so a graph costs what
its valid nodes cost, and arithmetic is done in float32 or better.
"""

from __future__ import annotations

import dataclasses

import torch

from contrasep_lib.nodes.nodeset import NodeSet

SMALL_GRAPH = 2048
"""Up to this many nodes all is computed in float64: rounding shows most there and it costs little."""


@dataclasses.dataclass(frozen=True)
class Packed:
    """Valid nodes of a batch, first in each row, padded with zeros to the largest count.

    ``z (batch, packed, dim)`` and ``weight (batch, packed)`` (zero on padding) in the
    compute dtype; ``index (batch, packed)`` into the node set, or None when all its nodes
    are valid; ``real (batch, packed)`` bool; ``out_dtype``: float32, or float64 where an
    input is.
    """

    z: torch.Tensor
    weight: torch.Tensor
    real: torch.Tensor
    index: torch.Tensor | None
    out_dtype: torch.dtype

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        """Pack ``(batch, nodes, columns)``; zeros on padding; differentiable."""
        if self.index is not None:
            index = self.index.unsqueeze(-1).expand(-1, -1, values.shape[-1])
            values = values.gather(1, index).masked_fill(~self.real.unsqueeze(-1), 0)
        return values.to(self.z.dtype)

    def scatter(self, values: torch.Tensor, nodes: int, fill: float = 0) -> torch.Tensor:
        """Undo :meth:`gather`: ``(batch, nodes, columns)``, ``fill`` on nodes that took no part."""
        if self.index is None:
            return values
        # A column of its own takes what padding would write.
        out = values.new_full((values.shape[0], nodes + 1, values.shape[-1]), fill)
        index = torch.where(self.real, self.index, nodes)
        out = out.scatter(1, index.unsqueeze(-1).expand_as(values), values)
        out[:, nodes] = fill
        return out[:, :nodes]


def pack(nodes: NodeSet, assign: torch.Tensor | None = None) -> Packed:
    """Pack a node set; ``assign`` only takes part in the choice of dtypes.

    Raises:
        ValueError: an embedding of a valid node has no unit norm.
    """
    nodes.require_unit_norm()
    out_dtype = torch.promote_types(nodes.z.dtype, torch.float32)
    if assign is not None:
        out_dtype = torch.promote_types(out_dtype, assign.dtype)
    valid = nodes.valid
    counts = valid.sum(1)
    size = int(counts.max()) if counts.numel() else 0
    dtype = torch.float64 if size <= SMALL_GRAPH else out_dtype
    if bool(valid.all()):
        return Packed(nodes.z.to(dtype), nodes.weight.to(dtype), valid, None, out_dtype)
    index = torch.argsort((~valid).to(torch.uint8), dim=1, stable=True)[:, :size]
    real = valid.gather(1, index)
    z = nodes.z.gather(1, index.unsqueeze(-1).expand(-1, -1, nodes.z.shape[-1]))
    z = z.masked_fill(~real.unsqueeze(-1), 0).to(dtype)
    weight = nodes.weight.gather(1, index).masked_fill(~real, 0).to(dtype)
    return Packed(z, weight, real, index, out_dtype)
