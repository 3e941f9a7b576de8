"""Dilated convolutions over time and frequency."""

from __future__ import annotations

import torch

from contrasep_lib.embedding.backbones.base import PLACE_STD, SpectralBackbone
from contrasep_lib.embedding.inputs import frame_mask


class _ConvBlock(torch.nn.Module):
    """Residual dilated 3 x 3 convolution, normalised over the channels of each unit."""

    def __init__(self, width: int, dilation: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.conv = torch.nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq, width)``, channels last; ``inside (batch, frames, 1, 1)`` bool."""
        seen = torch.nn.functional.gelu(self.norm(x)) * inside
        return x + self.dropout(self.conv(seen.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class Conv(SpectralBackbone):
    """Dilated convolutions over time and frequency, without stride.

    Block i is dilated by ``2^(i mod 7)`` frames and ``2^(i mod 5)`` frequencies. Convolutions do
    not know where they are, so a learned vector per frequency is added at the start.

    Args:
        freq: frequencies.
        dim: dimension of the embeddings.
        layers: blocks.
        width: channels.
        dropout: within blocks.
    """

    def __init__(self, freq: int, dim: int, layers: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(1, width, 5, padding=2)
        self.place = torch.nn.Parameter(PLACE_STD * torch.randn(freq, width))
        self.blocks = torch.nn.ModuleList(
            [_ConvBlock(width, (2 ** (index % 7), 2 ** (index % 5)), dropout) for index in range(layers)]
        )
        self.norm = torch.nn.LayerNorm(width)
        self.output = torch.nn.Linear(width, dim)
        self.places, self.channels = freq, width

    def hidden(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq)`` to ``(batch, frames, freq, width)``."""
        inside = frame_mask(frames, x.shape[1])[:, :, None, None]
        x = self.stem(x.unsqueeze(1)).permute(0, 2, 3, 1).contiguous() + self.place
        for block in self.blocks:
            x = block(x, inside)
        return torch.nn.functional.gelu(self.norm(x))

    def units(self, hidden: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq, dim)`` of `hidden`."""
        return self.output(hidden)
