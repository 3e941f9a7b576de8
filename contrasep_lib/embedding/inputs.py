"""What the networks see: spectra and waveforms, whatever the gain of the recording."""

from __future__ import annotations

import numpy as np
import torch

from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.spectra import FLOOR, mean_and_std

# of the natural logarithm of speech magnitudes, pauses included; stands in without statistics
_TYPICAL_STD = 2.5
# units this far under the loudest are background, which must not move the level, dB
_LOUD_DB = 40.0
# about 70 dB under the mean: digital silence is no deeper than quiet noise
_LOWEST = -3.5


def frame_mask(frames: torch.Tensor, count: int) -> torch.Tensor:
    """Which of ``count`` frames lie inside utterances of ``frames (batch,)``: ``(batch, count)`` bool."""
    return torch.arange(count, device=frames.device) < frames.unsqueeze(1)


class SpectrumInput(torch.nn.Module):
    """Log-magnitude spectra, normalised per frequency by the training set's mean and deviation.

    A recording's own level, the mean over its units within 40 dB of its loudest, is taken off
    first: what a network sees does not depend on the gain. Mean and deviation are buffers, so
    a checkpoint holds them.

    Args:
        features: framing.
        stats: Kaldi CMVN statistics ``(2, freq + 1)``, or None.

    Raises:
        ValueError: statistics of another number of frequencies, or over no frame.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, features: FeatureOptions, stats: np.ndarray | None) -> None:
        super().__init__()
        freq = features.win // 2 + 1
        mean, std = np.zeros(freq), np.full(freq, _TYPICAL_STD)
        if stats is not None:
            if np.shape(stats) != (2, freq + 1):
                raise ValueError(
                    f"stats: expected shape (2, {freq + 1}) for frames of {features.win} samples, "
                    f"got {np.shape(stats)}; dump the data again with these features"
                )
            mean, std = mean_and_std(np.asarray(stats))
            # a frequency that never changes (cut off by a codec) must not be blown up
            std = np.maximum(std, 0.1)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))

    def forward(self, spectrum: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Normalised log-magnitudes.

        Args:
            spectrum: ``(batch, frames, freq)`` complex.
            frames: ``(batch,)`` frames of each utterance.

        Returns:
            ``(batch, frames, freq)`` float32, 0 in the padding.
        """
        magnitude = spectrum.abs().float()
        inside = frame_mask(frames, spectrum.shape[1]).unsqueeze(-1)
        magnitude = torch.where(inside, magnitude, 0.0)
        loudest = magnitude.amax((1, 2), keepdim=True)
        loud = (magnitude > loudest * 10 ** (-_LOUD_DB / 20)) & (loudest > 0)
        values = magnitude.clamp_min(FLOOR).log() - self.mean
        level = (values * loud).sum((1, 2), keepdim=True) / loud.sum((1, 2), keepdim=True).clamp_min(1)
        return torch.where(inside, ((values - level) / self.std).clamp_min(_LOWEST), 0.0)


def unit_level(signal: torch.Tensor, lengths: torch.Tensor, shown: torch.Tensor | None = None) -> torch.Tensor:
    """Waveforms ``(batch, samples)`` scaled to a mean square of 1 over ``lengths (batch,)`` samples.

    Args:
        signal, lengths: the waveforms.
        shown: ``(batch, samples)`` bool, samples outside do not count; None for all.
    """
    heard = torch.arange(signal.shape[1], device=signal.device) < lengths.unsqueeze(1)
    if shown is not None:
        heard &= shown
    power = torch.where(heard, signal, 0.0).square().sum(1) / heard.sum(1).clamp_min(1)
    return signal / torch.where(power > 0, power.sqrt(), 1.0).unsqueeze(1)
