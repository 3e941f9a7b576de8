"""What one pass of a backbone leaves for the steps after it."""

from __future__ import annotations

import dataclasses

import torch

from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.silence import gather_frames, spread_frames

# a source is silent in a part when its power lies this far under that of the whole (20 dB)
_SILENT = 0.01


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What one pass of the backbone found in a batch of mixtures; a decoder goes on from it.

    Networks do not see long silences (`contrasep_lib.nodes.silence`), so there are fewer shown frames than frames where
    a mixture has any. Without, the two are the same.

    Attributes:
        spectrum: ``(batch, frames, freq)`` complex.
        frames: ``(batch,)`` shown frames of each mixture.
        z: ``(batch, nodes, dim)`` of unit norm; zeros in frames that are not shown.
        level: ``(batch, shown frames, freq)``, the backbone's input; None for the encoder, which reads samples.
        hidden: ``(batch, shown frames, places, channels)``, its features; None for the encoder.
        passes: in training, embeddings like ``z`` after the earlier passes of a backbone with several; rows and parts
            of an analysis have none.
        shown: ``(batch, frames)`` bool, which frames are shown; None for all.
    """

    spectrum: torch.Tensor
    frames: torch.Tensor
    z: torch.Tensor
    level: torch.Tensor | None = None
    hidden: torch.Tensor | None = None
    passes: tuple[torch.Tensor, ...] = ()
    shown: torch.Tensor | None = None

    def rows(self, index: torch.Tensor) -> Analysis:
        """Some mixtures of the batch."""
        parts = [None if whole is None else whole[index] for whole in (self.level, self.hidden)]
        shown = None if self.shown is None else self.shown[index]
        if shown is not None:
            # shown frames are as many as the most of these rows
            most = max(int(shown.sum(1).max()), 1)
            parts = [None if part is None else part[:, :most] for part in parts]
        return Analysis(self.spectrum[index], self.frames[index], self.z[index], *parts, shown=shown)

    def part(self, start: int, count: int) -> Analysis:
        """Frames ``start`` to ``start + count - 1`` of all mixtures; those that end before have no frames."""
        among = slice(start, start + count)
        z = self.z.unflatten(1, (self.spectrum.shape[1], -1))[:, among].flatten(1, 2)
        if self.shown is None:
            frames, shown = (self.frames - start).clamp(0, count), None
            level, hidden = (None if whole is None else whole[:, among] for whole in (self.level, self.hidden))
        else:
            inside = torch.zeros_like(self.shown)
            inside[:, among] = True
            # those of the shown frames that lie in the part
            kept = gather_frames(inside & self.shown, self.shown)
            frames, shown = kept.sum(1), self.shown[:, among]
            level, hidden = (
                None if whole is None else gather_frames(whole, kept) for whole in (self.level, self.hidden)
            )
        return Analysis(self.spectrum[:, among], frames, z, level, hidden, shown=shown)

    def shown_part(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Spectrum ``(batch, shown frames, freq)`` and embeddings ``(batch, nodes, dim)`` of the shown frames."""
        z = gather_frames(self.z.unflatten(1, (self.spectrum.shape[1], -1)), self.shown)
        return gather_frames(self.spectrum, self.shown), z.flatten(1, 2)

    def spread(self, values: torch.Tensor, fill: torch.Tensor | float = 0.0) -> torch.Tensor:
        """Values of the shown frames, ``(batch, shown frames, ..)``, at their places: ``(batch, frames, ..)``.

        Args:
            values: by shown frames.
            fill: what the other frames get.
        """
        return spread_frames(values, self.shown, fill)


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
