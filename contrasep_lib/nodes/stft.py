"""Framing and the short-time Fourier transform that all granularities share.

Frames are ``win`` samples every ``hop`` samples. The signal is padded by ``win - hop`` zeros in
front and by as many and up to ``hop - 1`` more behind, so every sample lies in exactly
``win / hop`` frames and synthesis is exact to the edges; there are
``ceil(samples / hop) + win / hop - 1`` frames. The first frame that lies wholly inside the signal
is frame ``win / hop - 1``; an encoder without padding (receptive field ``win``, stride ``hop``)
run over the padded signal yields exactly these frames.
"""

from __future__ import annotations

import torch

from contrasep_lib.nodes.options import FeatureOptions


def num_frames(samples: int, features: FeatureOptions) -> int:
    """Frames of a signal of ``samples`` samples."""
    return -(-samples // features.hop) + features.win // features.hop - 1


def pad(signal: torch.Tensor, features: FeatureOptions) -> torch.Tensor:
    """Zero-pad ``(..., samples)`` so that frames cover every sample ``win / hop`` times."""
    front = features.win - features.hop
    behind = front + (-signal.shape[-1]) % features.hop
    return torch.nn.functional.pad(signal, (front, behind))


def frame(signal: torch.Tensor, features: FeatureOptions) -> torch.Tensor:
    """Frames of a signal, without window.

    Args:
        signal: ``(..., samples)``.

    Returns:
        ``(..., frames, win)``.

    Raises:
        ValueError: no samples.
    """
    if signal.shape[-1] == 0:
        raise ValueError("signal: expected at least one sample, got none")
    return pad(signal, features).unfold(-1, features.win, features.hop)


def overlap_add(frames: torch.Tensor, samples: int, features: FeatureOptions) -> torch.Tensor:
    """Add up overlapping frames and cut the padding off, without normalisation.

    Args:
        frames: ``(..., frames, win)``.
        samples: length of the signal.

    Returns:
        ``(..., samples)``.
    """
    lead, (count, win) = frames.shape[:-2], frames.shape[-2:]
    total = (count - 1) * features.hop + win
    flat = frames.reshape(-1, count, win).transpose(1, 2)
    signal = torch.nn.functional.fold(flat, (1, total), (1, win), stride=(1, features.hop))
    front = win - features.hop
    return signal[:, 0, 0, front : front + samples].reshape(*lead, samples)


def window(features: FeatureOptions, like: torch.Tensor) -> torch.Tensor:
    """Periodic Hann window, ``(win,)``, of the dtype and device of ``like``."""
    return torch.hann_window(features.win, periodic=True, dtype=like.dtype, device=like.device)


def stft(signal: torch.Tensor, features: FeatureOptions) -> torch.Tensor:
    """Short-time Fourier transform with a Hann window.

    Args:
        signal: ``(..., samples)`` real.

    Returns:
        ``(..., frames, win / 2 + 1)`` complex.
    """
    return torch.fft.rfft(frame(signal, features) * window(features, signal))


def istft(spectrum: torch.Tensor, samples: int, features: FeatureOptions) -> torch.Tensor:
    """Inverse of `stft` by weighted overlap-add (Griffin and Lim, 1984, eq. 6).

    Args:
        spectrum: ``(..., frames, win / 2 + 1)`` complex; need not be consistent.
        samples: length of the signal.

    Returns:
        ``(..., samples)``: the signal whose transform is nearest to ``spectrum``.
    """
    frames = torch.fft.irfft(spectrum, n=features.win)
    shape = window(features, frames)
    # every sample lies in win / hop frames, so the weight repeats with the hop
    weight = shape.square().reshape(-1, features.hop).sum(0)
    added = overlap_add(frames * shape, samples, features)
    return added / weight.repeat(-(-samples // features.hop))[:samples]
