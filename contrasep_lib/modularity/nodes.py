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
    padded; padding and silence are told by ``valid``.

    Args:
        z: embeddings, ``(batch, nodes, dim)``, floating point; rows of valid nodes have
            unit norm.
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
                f"z: floating point (batch, nodes, dim) wanted, got {self.z.dtype} {tuple(self.z.shape)}"
            )
        for name in ("weight", "valid"):
            got = tuple(getattr(self, name).shape)
            if got != tuple(self.z.shape[:2]):
                raise ValueError(f"{name}: shape {tuple(self.z.shape[:2])} wanted, as z has, got {got}")
        if self.valid.dtype != torch.bool:
            raise ValueError(f"valid: bool wanted, got {self.valid.dtype}")
        if len(self.shape) not in (1, 2) or math.prod(self.shape) != self.z.shape[1]:
            raise ValueError(
                f"shape: (frames,) or (frames, freq) with product {self.z.shape[1]} wanted, got {self.shape}"
            )
        if not torch.isfinite(self.z[self.valid]).all():
            raise ValueError("z: NaN or infinite values in valid nodes; all must be finite")
        valid_weight = self.weight[self.valid]
        if not torch.isfinite(valid_weight).all() or (valid_weight < 0).any():
            raise ValueError("weight: finite values of at least 0 wanted in valid nodes")

    @classmethod
    def from_embeddings(
        cls,
        z: torch.Tensor,
        weight: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> "NodeSet":
        """Fill in unit weights, all-valid nodes and ``shape = (nodes,)`` where not given."""
        lead = z.shape[:2]
        return cls(
            z=z,
            weight=z.new_ones(lead) if weight is None else weight,
            valid=torch.ones(lead, dtype=torch.bool, device=z.device) if valid is None else valid,
            shape=(z.shape[1],) if shape is None else shape,
        )

    def require_unit_norm(self) -> None:
        """Raise ValueError unless every valid embedding has norm 1 within 1e-2."""
        norm = self.z.detach()[self.valid].float().norm(dim=-1)
        if norm.numel() and (norm - 1).abs().max() > UNIT_NORM_TOLERANCE:
            worst = norm[(norm - 1).abs().argmax()].item()
            raise ValueError(f"z: unit-norm embeddings wanted, found a norm of {worst:.4g}")
