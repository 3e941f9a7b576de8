"""The frames that all features share: one every 10 ms, at the sampling rate of the toolkit's models."""

from __future__ import annotations

import numpy as np

# Hz, and samples between frames and in one: 10 and 32 ms
RATE, HOP, WIN = 8000, 80, 256
FRAME_RATE = RATE / HOP
# frames so far under the loudest of their utterance hold no speech, as nodes of models (contrasep_lib.nodes.silence)
SILENT_DB = 40.0


def count_frames(samples: int) -> int:
    """Frames of a signal: their centres are the samples 0, HOP, 2 HOP, .. up to its end."""
    return samples // HOP + 1


def framed_power(samples: np.ndarray) -> np.ndarray:
    """Mean square of each frame under a Hann window, ``(frames,)`` float64, of ``(samples,)``."""
    from scipy.signal import fftconvolve

    window = np.hanning(WIN + 1)[:-1]
    padded = np.pad(np.square(samples, dtype=np.float64), (WIN // 2, WIN // 2))
    power = fftconvolve(padded, window / window.sum(), mode="valid")[::HOP][: count_frames(len(samples))]
    # products of the transform round below zero
    return np.maximum(power, 0.0)


def active_frames(power: np.ndarray) -> np.ndarray:
    """Which frames are less than `SILENT_DB` under the loudest, ``(frames,)`` bool; none of a silent signal."""
    return (power > power.max(initial=0.0) * 10 ** (-SILENT_DB / 10)) & (power > 0)
