"""Mel bands on Slaney's scale (Auditory Toolbox, Interval Research 1998-010): linear up to 1 kHz, logarithmic above."""

from __future__ import annotations

import functools

import numpy as np

# Hz of a mel below the break, the break, and the logarithmic step above it
_LINEAR, _BREAK, _STEP = 200 / 3, 1000.0, np.log(6.4) / 27


def to_hz(mels: np.ndarray) -> np.ndarray:
    """Frequencies of places on the scale."""
    at_break = _BREAK / _LINEAR
    return np.where(mels < at_break, _LINEAR * mels, _BREAK * np.exp(_STEP * (np.maximum(mels, at_break) - at_break)))


def to_mel(hz: float) -> float:
    """Place of a frequency on the scale."""
    return hz / _LINEAR if hz < _BREAK else _BREAK / _LINEAR + float(np.log(hz / _BREAK)) / _STEP


@functools.lru_cache(maxsize=4)
def mel_bands(rate: int, size: int, bands: int) -> np.ndarray:
    """Triangular bands of area one from 0 Hz to half the rate.

    Args:
        rate: Hz.
        size: of the Fourier transform.
        bands: how many.

    Returns:
        ``(bands, size // 2 + 1)``.
    """
    edges = to_hz(np.linspace(0, to_mel(rate / 2), bands + 2))
    bins = np.fft.rfftfreq(size, 1 / rate)
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]
