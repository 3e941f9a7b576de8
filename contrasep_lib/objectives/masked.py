"""Masked reconstruction of spectra (Mockingjay: Liu et al., ICASSP 2020; spans as in wav2vec 2.0, NeurIPS 2020)."""

from __future__ import annotations

import typing

import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.nodes.draws import Draws
from contrasep_lib.objectives.base import Losses, Objective, Step
from contrasep_lib.objectives.common import masked_mean
from contrasep_lib.objectives.options import MaskedOptions

if typing.TYPE_CHECKING:
    from contrasep_lib.models.separation import SeparationModel


def masked_frames(frames: torch.Tensor, count: int, share: float, span: int, draws: Draws) -> torch.Tensor:
    """Frames that are masked: spans that begin at random places and may overlap.

    A frame begins a span with the probability p for which ``1 - (1 - p)^span = share``; one span begins for certain.
    Spans are no longer than half of an utterance, so one of a single frame has none.

    Args:
        frames: ``(batch,)`` of each utterance.
        count: of the longest.
        share: of the frames that is masked, about.
        span: frames of a span.
        draws: of each utterance.

    Returns:
        ``(batch, count)`` bool.
    """
    place = torch.arange(count, device=frames.device)
    length = (frames // 2).clamp_max(span).unsqueeze(1)
    # the last place where a whole span fits
    fits = place <= frames.unsqueeze(1) - length
    keys = torch.where(fits, draws.uniform(count).to(frames.device), 2.0)
    begins = keys < 1 - (1 - share) ** (1 / length.clamp_min(1))
    begins |= (keys == keys.amin(1, keepdim=True)) & fits
    last = torch.where(begins, place, -count - span).cummax(1).values
    return (place - last < length) & (place < frames.unsqueeze(1))


def reconstruction_loss(found: torch.Tensor, level: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
    """Mean absolute error over the masked frames of each utterance, then over utterances (Liu et al. 2020).

    Args:
        found, level: ``(batch, frames, freq)``.
        masked: ``(batch, frames)`` bool.

    Returns:
        Scalar, 0 where nothing is masked.
    """
    return masked_mean((found - level).abs().mean(-1), masked.to(found.dtype))


class Masked(Objective):
    """Masked frames of the input are 0, its mean; a linear layer finds them again in the embeddings.

    ``x_tf = w_f . z_t + b_f`` for nodes that are frames, ``w_f . z_tf + b_f`` for time-frequency units. The embeddings
    are those of the masked input, so the backbone runs a second time. The linear layer is no part of the trained model.

    Args:
        options: of the objective.
        model: that it teaches.

    Raises:
        ContrasepError: a backbone over samples, which sees no frame beside a masked one.
    """

    def __init__(self, options: MaskedOptions, model: SeparationModel) -> None:
        super().__init__(options)
        if model.backbone.reads_samples:
            raise ContrasepError(
                f"model.objectives.masked: expected a backbone over spectra, got '{model.options.backbone.name}', "
                "which reads samples"
            )
        dim, freq = model.options.node_dim, model.features.win // 2 + 1
        self.weight = torch.nn.Parameter(torch.randn(freq, dim))
        self.bias = torch.nn.Parameter(torch.zeros(freq))

    @classmethod
    def from_options(cls, options: MaskedOptions, model: SeparationModel) -> Masked:
        """See `Objective.from_options`."""
        return cls(options, model)

    def forward(self, step: Step) -> Losses:
        """See `Objective.forward`; the statistic ``masked_share`` is the share of frames that is masked."""
        model, level, frames = step.model, step.analysis.level, step.analysis.frames
        masked = masked_frames(frames, level.shape[1], self.options.share, self.options.span, step.draws)
        z = model.units_of(model.backbone.hidden(level.masked_fill(masked.unsqueeze(-1), 0.0), frames))
        with torch.autocast(level.device.type, enabled=False):
            found = (z.float() * self.weight).sum(-1) if z.shape[2] > 1 else z.float().squeeze(2) @ self.weight.T
            loss = reconstruction_loss(found + self.bias, level, masked)
            counted = masked.any(1).sum()
            share = masked_mean(masked.to(loss.dtype), masked_inside(masked, frames))
        return loss, {"masked_share": share}, counted


def masked_inside(masked: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Frames of utterances of which any is masked, ``(batch, frames)`` float32."""
    inside = torch.arange(masked.shape[1], device=frames.device) < frames.unsqueeze(1)
    return (inside & masked.any(1, keepdim=True)).float()
