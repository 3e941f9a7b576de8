"""What one pass of a backbone leaves for the steps after it."""

from __future__ import annotations

import dataclasses

import torch


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What one pass of the backbone found in a batch of mixtures; a decoder goes on from it.

    Attributes:
        spectrum: ``(batch, frames, freq)`` complex.
        frames: ``(batch,)`` frames of each mixture.
        z: ``(batch, nodes, dim)`` of unit norm.
        level: ``(batch, frames, freq)``, the backbone's input; None for the encoder, which reads samples.
        hidden: ``(batch, frames, places, channels)``, its features; None for the encoder.
    """

    spectrum: torch.Tensor
    frames: torch.Tensor
    z: torch.Tensor
    level: torch.Tensor | None = None
    hidden: torch.Tensor | None = None
