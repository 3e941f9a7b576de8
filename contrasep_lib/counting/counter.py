"""The network of the classifier: the number of speakers from all embeddings of a mixture at once.

Recursive splitting asks of one community after the other whether it holds two speakers, which embeddings of
poorly separated mixtures answer late. The second moment of all embeddings (the spectrum of the graph is a
part of it) and the features of the backbone say more, to a network that is trained beside the objectives of
the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from contrasep_lib.embedding.inputs import frame_mask


class Counter(torch.nn.Module):
    """Moments of embeddings and pooled features to scores of 1, 2, .. speakers.

    All inputs are means over the frames of a recording that the backbone sees, long silences left out
    (`contrasep_lib.nodes.silence`), so its length does not matter, nor what it is padded with.

    Args:
        dim: of the embeddings.
        channels: of the backbone's features; 0 without any.
        most: the largest count.
        width: of the hidden layers.
    """

    def __init__(self, dim: int, channels: int, most: int, width: int = 64) -> None:
        super().__init__()
        self.register_buffer("upper", torch.triu_indices(dim, dim), persistent=False)
        self.register_buffer("prior", torch.zeros(most), persistent=False)
        self.heard: torch.nn.Module | None = None
        if channels:
            self.heard = torch.nn.Sequential(
                torch.nn.LayerNorm(channels), torch.nn.Linear(channels, width), torch.nn.GELU()
            )
        inputs = self.upper.shape[1] + dim + (2 * width if channels else 0)
        self.layers = torch.nn.Sequential(
            torch.nn.LayerNorm(inputs), torch.nn.Linear(inputs, width), torch.nn.GELU(), torch.nn.Linear(width, most)
        )

    @classmethod
    def from_options(cls, options: Any, dim: int, channels: int) -> Counter:
        """Build it.

        Args:
            options: `contrasep_lib.counting.networks.options.CountNetworkOptions`.
            dim, channels: as for the constructor.
        """
        return cls(dim, channels, options.count_max, options.width)

    def expect(self, counts: Sequence[int]) -> None:
        """Set the shares of each number of speakers in training, so that scores are logit-adjusted.

        The loss adds logarithms of the shares (`prior`) to the scores, which are then those of equal shares (Menon
        et al., "Long-tail learning via logit adjustment", ICLR 2021, equation 10).

        Args:
            counts: numbers of speakers, each as often as it is drawn. One that is not among them gets the largest
                share: its score would otherwise be free to grow.
        """
        shares = torch.bincount(torch.tensor(counts) - 1, minlength=len(self.prior)).float() / len(counts)
        self.prior.copy_(torch.where(shares > 0, shares, shares.max()).log()[: len(self.prior)])

    def forward(
        self, z: torch.Tensor, weight: torch.Tensor, hidden: torch.Tensor | None, frames: torch.Tensor
    ) -> torch.Tensor:
        """Scores.

        Args:
            z: ``(batch, nodes, dim)`` of unit norm.
            weight: ``(batch, nodes)``, 0 for nodes that take no part.
            hidden: ``(batch, frames, places, channels)``, the backbone's features; None without any.
            frames: ``(batch,)`` of them that each recording has.

        Returns:
            ``(batch, most)`` float32, logarithms of probabilities up to a constant.
        """
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            share = weight.float() / weight.sum(1, keepdim=True).clamp_min(1e-8)
            weighted = z * share.unsqueeze(-1)
            moment = z.shape[2] * (weighted.transpose(1, 2) @ z)
            parts = [moment[:, self.upper[0], self.upper[1]], z.shape[2] ** 0.5 * weighted.sum(1)]
        if self.heard is not None:
            parts += _pooled(self.heard(hidden).mean(2), frames)
        return self.layers(torch.cat([part.float() for part in parts], dim=1)).float()


def _pooled(x: torch.Tensor, frames: torch.Tensor) -> list[torch.Tensor]:
    """Mean and standard deviation over the frames of ``(batch, frames, channels)``."""
    inside = frame_mask(frames, x.shape[1]).unsqueeze(-1)
    count = frames.clamp_min(1).unsqueeze(1)
    x = torch.where(inside, x.float(), 0.0)
    mean = x.sum(1) / count
    spread = torch.where(inside, x - mean.unsqueeze(1), 0.0).square().sum(1) / count
    return [mean, (spread + 1e-6).sqrt()]
