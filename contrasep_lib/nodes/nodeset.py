"""The node set: all that the modularity engine sees of an utterance."""

from __future__ import annotations

import dataclasses
import math

import torch

UNIT_NORM_TOLERANCE = 1e-2


@dataclasses.dataclass(frozen=True)
class NodeSet:
    """Embedded nodes of a batch of utterances.

    A node is a frame (``shape == (frames,)``) or a time-frequency unit
    (``shape == (frames, freq)``, frames slowest). Utterances of different length are
    padded; ``valid`` says which nodes are padding or silence.

    Args:
        z: embeddings, ``(batch, nodes, dim)``, floating point; rows of valid nodes have
            unit norm. Rows of other nodes may hold anything, NaN included.
        weight: non-negative node weights, ``(batch, nodes)``; ``A_ij <- w_i w_j A_ij``.
        valid: ``(batch, nodes)`` bool; False for padding and for silent nodes, which take
            no part in the graph.
        shape: how the nodes lie in the utterance; its product is ``nodes``.

    Raises:
        ValueError: a shape, dtype or value is not as above; the message names the argument.
    """

    z: torch.Tensor
    weight: torch.Tensor
    valid: torch.Tensor
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.z.dim() != 3 or not self.z.is_floating_point():
            raise ValueError(
                f"z: expected floating point (batch, nodes, dim), got {self.z.dtype} {tuple(self.z.shape)}"
            )
        for name in ("weight", "valid"):
            got = tuple(getattr(self, name).shape)
            if got != tuple(self.z.shape[:2]):
                raise ValueError(f"{name}: expected shape {tuple(self.z.shape[:2])}, as z has, got {got}")
        if self.valid.dtype != torch.bool:
            raise ValueError(f"valid: expected bool, got {self.valid.dtype}")
        if len(self.shape) not in (1, 2) or math.prod(self.shape) != self.z.shape[1]:
            raise ValueError(
                f"shape: expected (frames,) or (frames, freq) with product {self.z.shape[1]}, got {self.shape}"
            )
        if not (torch.isfinite(self.z.detach()).all(-1) | ~self.valid).all():
            raise ValueError("z: NaN or infinite values in valid nodes; all must be finite")
        weight = self.weight.detach()
        if not ((torch.isfinite(weight) & (weight >= 0)) | ~self.valid).all():
            raise ValueError("weight: expected finite values of at least 0 in valid nodes")

    @classmethod
    def from_embeddings(
        cls,
        z: torch.Tensor,
        weight: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> NodeSet:
        """Fill in unit weights, all-valid nodes and ``shape = (nodes,)`` where not given."""
        if z.dim() != 3:
            raise ValueError(f"z: expected floating point (batch, nodes, dim), got {z.dtype} {tuple(z.shape)}")
        lead = z.shape[:2]
        return cls(
            z=z,
            weight=z.new_ones(lead) if weight is None else weight,
            valid=torch.ones(lead, dtype=torch.bool, device=z.device) if valid is None else valid,
            shape=(z.shape[1],) if shape is None else shape,
        )

    def require_unit_norm(self) -> None:
        """Raise ValueError unless every valid embedding has norm 1 within 1e-2."""
        accurate = torch.promote_types(self.z.dtype, torch.float32)
        norm = torch.linalg.vector_norm(self.z.detach(), dim=-1, dtype=accurate)
        error = torch.where(self.valid, (norm - 1).abs(), 0.0)
        if error.numel() and error.max() > UNIT_NORM_TOLERANCE:
            worst = norm.flatten()[error.argmax()].item()
            raise ValueError(
                f"z: expected unit-norm embeddings (within {UNIT_NORM_TOLERANCE}), got a norm of {worst:.4g}"
            )
