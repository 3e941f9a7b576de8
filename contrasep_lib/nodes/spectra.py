"""Log-magnitude spectra and their statistics for the dump (numpy: data stages do without torch)."""

from __future__ import annotations

import numpy as np

from contrasep_lib.nodes.options import FeatureOptions

# -120 dB of a full-scale sine: below the rounding of PCM16, so silence is finite and harmless
FLOOR = 1e-6


def log_spectrum(signal: np.ndarray, features: FeatureOptions) -> np.ndarray:
    """Natural logarithm of the magnitudes of `contrasep_lib.nodes.stft.stft`.

    Args:
        signal: ``(samples,)``.

    Returns:
        ``(frames, win / 2 + 1)`` float32, floored at the logarithm of 1e-6.
    """
    front = features.win - features.hop
    padded = np.pad(np.asarray(signal, np.float64), (front, front + (-len(signal)) % features.hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, features.win)[:: features.hop]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(features.win) / features.win)
    return np.log(np.maximum(np.abs(np.fft.rfft(frames * hann)), FLOOR)).astype(np.float32)


def statistics(spectrum: np.ndarray) -> np.ndarray:
    """Sums over frames in the layout of Kaldi's CMVN statistics.

    Args:
        spectrum: ``(frames, freq)``.

    Returns:
        ``(2, freq + 1)`` float64: sums and the number of frames; sums of squares and a zero.
    """
    wide = spectrum.astype(np.float64)
    sums = np.append(wide.sum(axis=0), len(wide))
    return np.stack([sums, np.append(np.square(wide).sum(axis=0), 0.0)])


def mean_and_std(stats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per frequency, each ``(freq,)``, of Kaldi CMVN statistics.

    Raises:
        ValueError: statistics over no frame.
    """
    count = stats[0, -1]
    if count <= 0:
        raise ValueError("statistics over no frame")
    mean = stats[0, :-1] / count
    return mean, np.sqrt(np.maximum(stats[1, :-1] / count - mean**2, 0.0))
