"""Spectra as they are, without anything that learns: what an embedding has to be better than."""

from __future__ import annotations

from typing import Any

import torch

from contrasep_lib.embedding.backbones.base import SpectralBackbone
from contrasep_lib.embedding.inputs import frame_mask
from contrasep_lib.nodes.options import FeatureOptions

# a frequency that never changes must not be blown up
_LEAST_DEVIATION = 1e-3


def normalised(x: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Features of mean 0 and deviation 1 over the frames of each recording.

    Args:
        x: ``(batch, frames, channels)``.
        inside: ``(batch, frames)`` bool, the frames that count; others become 0.
    """
    weight = inside.unsqueeze(-1).to(x.dtype)
    count = weight.sum(1, keepdim=True).clamp_min(1)
    away = (x - (x * weight).sum(1, keepdim=True) / count) * weight
    deviation = (away.square().sum(1, keepdim=True) / count).sqrt()
    return away / deviation.clamp_min(_LEAST_DEVIATION)


class Spectrum(SpectralBackbone):
    """Log-magnitude spectra of frames, of mean 0 and deviation 1 over the recording; without weights.

    Args:
        freq: frequencies.
        dim: dimension of the embeddings; as many.

    Raises:
        ValueError: another dimension than there are frequencies.
    """

    def __init__(self, freq: int, dim: int) -> None:
        super().__init__()
        if dim != freq:
            raise ValueError(f"embedding_dim: expected {freq} with backbone 'spectrum', its frequencies, got {dim}")
        self.places, self.channels = 1, freq

    @classmethod
    def from_options(cls, options: Any, features: FeatureOptions, dim: int) -> Spectrum:
        """See `contrasep_lib.embedding.backbones.base.Backbone`."""
        return cls(features.win // 2 + 1, dim)

    def hidden(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq)`` to ``(batch, frames, 1, freq)``."""
        return normalised(x, frame_mask(frames, x.shape[1])).unsqueeze(2)

    def units(self, hidden: torch.Tensor) -> torch.Tensor:
        """`hidden` itself."""
        return hidden
