"""Long silence: which frames the networks see.

Silence before, behind or between speech says nothing about the speakers, yet recurrences run through it and means over
frames are diluted by it. So frames of a long silence are left out of the sequence that backbone, decoder and counter
see. Short pauses stay as they are: they belong to speech, and models have learned with them.
"""

from __future__ import annotations

import torch

from contrasep_lib.nodes.options import FeatureOptions

LONGEST_PAUSE = 16
"""A silence that lasts longer is not shown, windows: 0.5 s where a window has 32 ms, above most pauses in speech."""

LONGEST_GAP = 6
"""As `LONGEST_PAUSE`, for silence without background: 0.2 s, for a room is hardly ever that quiet."""

EMPTY_DB = 40.0
"""Silence this far under the bar of silent nodes has no background, dB: zeros and their rounding.

It is left out first, so that zeros before a recording do not take its own quiet beginning with them.
"""


def _longer(length: torch.Tensor, windows: int, features: FeatureOptions) -> torch.Tensor:
    """Which lengths in frames exceed so many windows."""
    return length * features.hop > windows * features.win


def silent_frames(loudest: torch.Tensor, features: FeatureOptions, further_db: float = 0.0) -> torch.Tensor:
    """Frames without a valid node.

    Args:
        loudest: ``(batch, frames)``, power of the loudest node of each frame; 0 behind the end of a recording.
        features: how far under the loudest node of all a silent one lies.
        further_db: this much further, dB.

    Returns:
        ``(batch, frames)`` bool; none of a recording of zeros.
    """
    whole = loudest.amax(1, keepdim=True)
    return (loudest <= whole * 10 ** (-(features.silence_db + further_db) / 10)) & (whole > 0)


def shown_frames(loudest: torch.Tensor, frames: torch.Tensor, features: FeatureOptions) -> torch.Tensor | None:
    """Frames that networks see: all but those of silences longer than `LONGEST_PAUSE`, or `LONGEST_GAP`.

    Args:
        loudest, features: as for `silent_frames`.
        frames: ``(batch,)`` frames of each recording.

    Returns:
        ``(batch, frames)`` bool, False behind the end of a recording; None where no silence is that long.
    """
    inside = torch.arange(loudest.shape[1], device=loudest.device) < frames.unsqueeze(1)
    loudest = torch.where(inside, loudest, 0.0)
    empty = silent_frames(loudest, features, EMPTY_DB) & inside
    silent = silent_frames(loudest, features) & inside
    left_out = empty & _longer(_run_length(empty, empty), LONGEST_GAP, features)
    # what is left of a silence may be a short pause
    left_out |= silent & _longer(_run_length(silent, silent & ~left_out), LONGEST_PAUSE, features)
    return inside & ~left_out if bool(left_out.any()) else None


def shown_samples(shown: torch.Tensor, samples: int, features: FeatureOptions) -> torch.Tensor:
    """Samples whose first and whose last frame are shown, ``(batch, samples)`` bool.

    Of a recording without such samples (a click) those whose first or last frame is.

    Args:
        shown: see `shown_frames`.
        samples: length of the signals.
        features: framing.
    """
    around = features.win // features.hop - 1
    first, last = shown[:, : shown.shape[1] - around], shown[:, around:]
    both = first & last
    hops = torch.where(both.any(1, keepdim=True), both, first | last)
    return hops.repeat_interleave(features.hop, dim=1)[:, :samples]


def _run_length(silent: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """How many frames of the run of ``silent`` around each frame are ``counted``, ``(batch, frames)`` int64."""
    before = counted.cumsum(1)
    first = torch.where(silent, 0, before).cummax(1).values
    last = torch.where(silent, before[:, -1:], before).flip(1).cummin(1).values.flip(1)
    return last - first


def gather_frames(whole: torch.Tensor, shown: torch.Tensor | None) -> torch.Tensor:
    """The shown frames of ``whole (batch, frames, ..)`` in order, as many as the most of any row has.

    Args:
        whole: anything by frames.
        shown: ``(batch, frames)`` bool; None for all.

    Returns:
        ``(batch, most, ..)``; behind the shown frames of a row lie others of it.
    """
    if shown is None:
        return whole
    most = max(int(shown.sum(1).max()), 1)
    order = (~shown).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
    return whole[torch.arange(len(whole), device=whole.device).unsqueeze(1), order]


def spread_frames(part: torch.Tensor, shown: torch.Tensor | None, fill: torch.Tensor | float = 0.0) -> torch.Tensor:
    """Frames of `gather_frames` at their places.

    Args:
        part: ``(batch, most, ..)``.
        shown: ``(batch, frames)`` bool; None for all.
        fill: what frames that are not shown get; broadcastable to ``(batch, frames, ..)``.

    Returns:
        ``(batch, frames, ..)``.
    """
    if shown is None:
        return part
    filled = torch.as_tensor(fill, dtype=part.dtype, device=part.device).expand(*shown.shape, *part.shape[2:]).clone()
    known = torch.arange(part.shape[1], device=part.device) < shown.sum(1, keepdim=True)
    return filled.index_put((shown,), part[known])
