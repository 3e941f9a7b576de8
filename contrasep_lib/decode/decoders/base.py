"""What all decoders share."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import torch


class Decoder(torch.nn.Module, abc.ABC):
    """Maps centroids of communities and features of a mixture to one mask for each community."""

    @property
    def has_noise(self) -> bool:
        """Whether masks leave a part of the mixture to an output of its own, what is no talker."""
        return False

    @classmethod
    def from_options(cls, options: Any, freq: int, dim: int, places: int, channels: int) -> Decoder:
        """Build a decoder: ``cls(freq, dim, places, channels, **options)``.

        Args:
            options: of the decoder's own dataclass, filled in by its method ``beside``.
            freq: frequencies.
            dim: dimension of the embeddings.
            places, channels: of the backbone's features.
        """
        return cls(freq, dim, places, channels, **dataclasses.asdict(options))

    @abc.abstractmethod
    def forward(
        self,
        hidden: torch.Tensor,
        spectrum: torch.Tensor,
        level: torch.Tensor,
        frames: torch.Tensor,
        z: torch.Tensor,
        centroids: torch.Tensor,
        present: torch.Tensor,
    ) -> torch.Tensor:
        """Masks.

        Args:
            hidden: ``(batch, frames, places, channels)``, the backbone's features.
            spectrum: ``(batch, frames, freq)`` complex, of the mixture.
            level: ``(batch, frames, freq)``, what the backbone saw.
            frames: ``(batch,)`` frames of each mixture.
            z: ``(batch, nodes, dim)`` of unit norm, a node for each unit.
            centroids: ``(batch, K, dim)`` of unit norm.
            present: ``(batch, K)`` bool; at least one centroid of each mixture.

        Returns:
            ``(batch, K, frames, freq)`` complex64, those of absent centroids are 0. They add up to one; of a decoder
            that `has_noise`, to one minus the mask of the noise.
        """
