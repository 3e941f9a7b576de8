"""What one pass of a backbone leaves for the steps after it."""

from __future__ import annotations

import dataclasses

import torch

from contrasep_lib.nodes.options import FeatureOptions

# a source is silent in a part when its power lies this far under that of the whole (20 dB)
_SILENT = 0.01


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What one pass of the backbone found in a batch of mixtures; a decoder goes on from it.

    Attributes:
        spectrum: ``(batch, frames, freq)`` complex.
        frames: ``(batch,)`` frames of each mixture.
        z: ``(batch, nodes, dim)`` of unit norm.
        level: ``(batch, frames, freq)``, the backbone's input; None for the encoder, which reads samples.
        hidden: ``(batch, frames, places, channels)``, its features; None for the encoder.
        passes: in training, embeddings like ``z`` after the earlier passes of a backbone with several; rows and parts
            of an analysis have none.
    """

    spectrum: torch.Tensor
    frames: torch.Tensor
    z: torch.Tensor
    level: torch.Tensor | None = None
    hidden: torch.Tensor | None = None
    passes: tuple[torch.Tensor, ...] = ()

    def rows(self, index: torch.Tensor) -> Analysis:
        """Some mixtures of the batch."""
        parts = (self.spectrum, self.frames, self.z, self.level, self.hidden)
        return Analysis(*(None if part is None else part[index] for part in parts))

    def part(self, start: int, count: int) -> Analysis:
        """Frames ``start`` to ``start + count - 1`` of all mixtures; those that end before have no frames."""
        def cut(whole: torch.Tensor | None) -> torch.Tensor | None:
            return None if whole is None else whole[:, start : start + count]

        z = cut(self.z.unflatten(1, (self.spectrum.shape[1], -1))).flatten(1, 2)
        frames = (self.frames - start).clamp(0, count)
        return Analysis(cut(self.spectrum), frames, z, cut(self.level), cut(self.hidden))


def random_part(
    seen: Analysis,
    heard: torch.Tensor,
    lengths: torch.Tensor,
    share: float,
    features: FeatureOptions,
    generator: torch.Generator,
) -> tuple[Analysis, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A random part of the frames of mixtures, the same of all, and their sources there.

    Samples are those that lie in ``win / hop`` frames of the part. For these the synthesis of a source's frames is the
    source itself, so that outputs and sources agree at the edges.

    Args:
        seen: of the whole mixtures.
        heard: ``(batch, max_spk, samples)``, their sources.
        lengths: ``(batch,)`` samples of each.
        share: of the frames of the longest, in the part.
        generator: draws its start.

    Returns:
        Analysis, sources and lengths of the part, and which sources are not silent in it, ``(batch, max_spk)`` bool.
    """
    hop, around = features.hop, features.win // features.hop - 1
    total = seen.spectrum.shape[1]
    count = min(total, max(around + 1, round(share * total)))
    start = int(torch.randint(total - count + 1, (), generator=generator))
    first, samples = start * hop, (count - around) * hop
    mean = heard.square().sum(-1) / lengths.unsqueeze(1)
    heard = heard[..., first : first + samples]
    lengths = (lengths - first).clamp(0, heard.shape[-1])
    loud = heard.square().sum(-1) > _SILENT * mean * lengths.unsqueeze(1)
    return seen.part(start, count), heard, lengths, loud
