"""Speaking rate: of frames by the spectrum of the envelope, of utterances also by syllable nuclei."""

from __future__ import annotations

import numpy as np

from contrasep_lib.prosody.frames import FRAME_RATE, framed_power

# Hz; slower changes are phrases, faster ones are within a phone
SLOWEST, FASTEST = 1.0, 16.0
# frames of the envelope under one window: 1.28 s
SPAN = 128
# dB: a nucleus is a peak so far above the dips beside it, and at most so far under the loudest
DIP_DB, RANGE_DB = 2.0, 25.0
# Hz; of the envelope in which peaks are counted
SMOOTH = 10.0
_CHUNK = 16384


def envelope(samples: np.ndarray) -> np.ndarray:
    """Root mean square of each frame, ``(frames,)`` float64, of ``(samples,)`` at 8 kHz."""
    return np.sqrt(framed_power(samples))


def rate(samples: np.ndarray) -> np.ndarray:
    """Speaking rate around each frame, Hz: the first moment of the envelope's spectrum from 1 to 16 Hz.

    ``sum_f f P(f) / sum_f P(f)`` of the power spectrum P of 1.28 s of the envelope without its mean, under a Hamming
    window: "enrate" of Morgan, Fosler and Mirghafori, "Speech recognition using on-line estimation of speaking rate",
    Eurospeech 1997. Rates of speech are a few Hz; that of noise is the middle of the range. Where the window reaches
    beyond an end, the signal is mirrored there.

    Args:
        samples: ``(samples,)`` at 8 kHz.

    Returns:
        ``(frames,)`` float64; NaN where the envelope does not change.
    """
    from numpy.lib.stride_tricks import sliding_window_view

    signal = envelope(samples)
    frames = len(signal)
    windows = sliding_window_view(np.pad(signal, SPAN // 2, mode="symmetric"), SPAN)[:frames]
    frequency = np.fft.rfftfreq(4 * SPAN, 1 / FRAME_RATE)
    among = (frequency >= SLOWEST) & (frequency <= FASTEST)
    taper, found = np.hamming(SPAN), np.full(frames, np.nan)
    # in parts, for recordings of hours
    for start in range(0, frames, _CHUNK):
        part = windows[start : start + _CHUNK]
        power = np.abs(np.fft.rfft((part - part.mean(1, keepdims=True)) * taper, 4 * SPAN)[:, among]) ** 2
        total = power.sum(1)
        some = total > 1e-12 * np.square(part).sum(1)
        found[start : start + _CHUNK][some] = power[some] @ frequency[among] / total[some]
    return found


def count_nuclei(samples: np.ndarray, voiced: np.ndarray) -> int:
    """Number of syllable nuclei, voiced peaks of intensity between dips (de Jong and Wempe 2009).

    A nucleus is a peak of the envelope in dB, smoothed to 10 Hz, that rises at least 2 dB over the dips beside it, lies
    at most 25 dB under the loudest, and is voiced ("Praat script to detect syllable nuclei and measure speech rate
    automatically", Behavior Research Methods 41).

    Args:
        samples: ``(samples,)`` at 8 kHz.
        voiced: ``(frames,)`` bool.
    """
    from scipy.signal import butter, find_peaks, sosfiltfilt

    power = framed_power(samples)
    if not power.any() or len(power) < SPAN // 4:
        return 0
    smooth = sosfiltfilt(butter(2, SMOOTH, fs=FRAME_RATE, output="sos"), power)
    level = 10 * np.log10(np.maximum(smooth, 1e-8 * power.max()))
    peaks, _ = find_peaks(level, prominence=DIP_DB, height=level.max() - RANGE_DB)
    return int(voiced[peaks].sum())
