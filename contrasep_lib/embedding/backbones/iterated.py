"""Paths over frequency and time whose weights are shared by several passes."""

from __future__ import annotations

from typing import Any

import torch

from contrasep_lib.embedding.backbones.base import shorter
from contrasep_lib.embedding.backbones.dual_path import DualPath


class Iterated(DualPath):
    """`DualPath` in several passes through the same blocks.

    Each pass begins with the input and, normalised, what the pass before found: ``x_n = blocks(x_0 + norm(x_(n-1)))``,
    ``x_1 = blocks(x_0)``. The norm keeps the sum in range for any number of passes. Blocks that are shared by
    passes, with a loss after each, so that their number may be chosen afterwards, are those of TISDiSS (Feng et al.,
    2025); SepReformer (Shin et al., NeurIPS 2024) and TIGER (Xu et al., ICLR 2025) refine in passes likewise.

    Args:
        freq, dim, layers, width, dropout, path, heads, band: see `DualPath`.
        passes: through all blocks.
        supervision: see `contrasep_lib.embedding.backbones.options.IteratedOptions`.
    """

    def __init__(self, freq: int, dim: int, *, passes: int = 4, supervision: float = 0.5, **options: Any) -> None:
        super().__init__(freq, dim, **options)
        self.number, self.supervision = passes, supervision
        self.again = torch.nn.LayerNorm(self.channels)

    def passes(self, x: torch.Tensor, frames: torch.Tensor) -> list[torch.Tensor]:
        """See `SpectralBackbone.passes`."""
        first, lengths = self.begin(x), shorter(frames, x.shape[1])
        found = [self.blocks(first, lengths)]
        for _ in range(self.number - 1):
            found.append(self.blocks(first + self.again(found[-1]), lengths))
        return found if self.training and self.supervision else found[-1:]

    def hidden(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq)`` to ``(batch, frames, bands, width)``, after the last pass."""
        return self.passes(x, frames)[-1]
