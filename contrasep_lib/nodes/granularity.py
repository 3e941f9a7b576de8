"""Granularities: what a node is, and how an assignment of nodes becomes a mask.

`Frame` has frames as nodes, `TimeFrequency` units of the short-time spectrum. Everything after the embedding
(modularity, oracles, masks, audio) is the same for both.
"""

from __future__ import annotations

import abc
import dataclasses

import torch

from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.stft import istft, stft


@dataclasses.dataclass(frozen=True)
class Nodes:
    """The nodes of a batch of mixtures before they are embedded.

    Attributes:
        spectrum: ``(batch, frames, freq)`` complex, what a mask multiplies.
        power: ``(batch, nodes)``, the energy of each node.
        valid: ``(batch, nodes)`` bool, False for silent nodes.
        shape: ``(frames,)`` or ``(frames, freq)``; nodes are its elements, frames slowest.
    """

    spectrum: torch.Tensor
    power: torch.Tensor
    valid: torch.Tensor
    shape: tuple[int, ...]


class Granularity(abc.ABC):
    """What a node is.

    Args:
        features: framing, and how far under the loudest node a silent one lies.
    """

    name: str

    def __init__(self, features: FeatureOptions) -> None:
        self.features = features

    @abc.abstractmethod
    def shape(self, frames: int) -> tuple[int, ...]:
        """Shape of the nodes of ``frames`` frames."""

    @abc.abstractmethod
    def pool(self, power: torch.Tensor) -> torch.Tensor:
        """Power of units ``(..., frames, freq)`` as power of nodes ``(..., nodes)``."""

    @abc.abstractmethod
    def spread(self, values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """Values of nodes ``(..., nodes)`` as values of units, ``(..., frames, freq)`` or broadcastable to it."""

    def nodes(self, mixture: torch.Tensor) -> Nodes:
        """The nodes of ``(batch, samples)`` mixtures; an all-zero mixture has no valid one."""
        return self.nodes_of(stft(mixture, self.features))

    def nodes_of(self, spectrum: torch.Tensor) -> Nodes:
        """`nodes` of mixtures whose spectra, ``(batch, frames, freq)``, are known."""
        power = self.pool(spectrum.abs().square())
        loudest = power.amax(dim=-1, keepdim=True)
        valid = (power > loudest * 10 ** (-self.features.silence_db / 10)) & (loudest > 0)
        return Nodes(spectrum, power, valid, self.shape(spectrum.shape[-2]))

    def targets(self, sources: torch.Tensor) -> torch.Tensor:
        """Ideal assignment: each node to its louder source, ties to the lower index.

        Args:
            sources: ``(batch, num_spk, samples)``.

        Returns:
            ``(batch, nodes)`` int64 in ``0 .. num_spk - 1``.
        """
        return self.targets_of(stft(sources, self.features))

    def targets_of(self, spectra: torch.Tensor) -> torch.Tensor:
        """`targets` of sources whose spectra, ``(batch, num_spk, frames, freq)``, are known."""
        return self.loudest(self.pool(spectra.abs().square()))

    @staticmethod
    def loudest(power: torch.Tensor) -> torch.Tensor:
        """`targets` of sources whose power in each node, ``(batch, num_spk, nodes)``, is known."""
        # of equals the first, as argmax, which takes many times as long on CPUs
        return power.max(dim=1).indices

    def mask(self, assignment: torch.Tensor, nodes: Nodes) -> torch.Tensor:
        """Masks of an assignment; silent nodes give each output an equal share.

        Args:
            assignment: ``(batch, nodes, K)``, rows that sum to 1 (hard or soft).
            nodes: of the mixtures.

        Returns:
            ``(batch, K, frames, freq)``, or with ``freq = 1`` where all units of a frame share
            their node. The K masks add up to one.
        """
        share = torch.full_like(assignment, 1.0 / assignment.shape[-1])
        filled = torch.where(nodes.valid.unsqueeze(-1), assignment, share)
        return self.spread(filled.transpose(1, 2), nodes.shape)


class Frame(Granularity):
    """A node is a frame (the paper); a cluster is a mask over frames."""

    name = "frame"

    def shape(self, frames: int) -> tuple[int, ...]:
        return (frames,)

    def pool(self, power: torch.Tensor) -> torch.Tensor:
        return power.sum(dim=-1)

    def spread(self, values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        return values.unsqueeze(-1)


class TimeFrequency(Granularity):
    """A node is a unit of the short-time spectrum."""

    name = "tf"

    def shape(self, frames: int) -> tuple[int, ...]:
        return (frames, self.features.win // 2 + 1)

    def pool(self, power: torch.Tensor) -> torch.Tensor:
        return power.flatten(-2)

    def spread(self, values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        return values.unflatten(-1, shape)


GRANULARITIES = {kind.name: kind for kind in (Frame, TimeFrequency)}


def apply_mask(mask: torch.Tensor, spectrum: torch.Tensor, samples: int, features: FeatureOptions) -> torch.Tensor:
    """Masked audio.

    Args:
        mask: ``(batch, K, frames, freq or 1)``.
        spectrum: of the mixture, ``(batch, frames, freq)`` complex.
        samples: length of the mixture.

    Returns:
        ``(batch, K, samples)``.
    """
    return istft(mask * spectrum.unsqueeze(1), samples, features)
