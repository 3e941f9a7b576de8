"""Stationary noise: white, pink, brown, or of a given spectrum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TILTS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
# no colour rises any more below this frequency, Hz
FLAT_BELOW = 20.0
SEGMENT = 512


def tilted_noise(samples: int, tilt: float, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Noise ``(samples,)`` of mean square 1 whose power falls with frequency as ``f^-tilt``.

    A tilt of 0 is white, of 1 pink (-3 dB an octave), of 2 brown (-6 dB an octave).
    """
    frequencies = np.maximum(np.fft.rfftfreq(samples, 1 / rate), FLAT_BELOW)
    return _shaped(samples, frequencies ** (-tilt / 2), rng)


def speech_noise(samples: int, speech: Sequence[np.ndarray], rate: int, rng: np.random.Generator) -> np.ndarray:
    """Noise ``(samples,)`` of mean square 1 with the long-term spectrum of speech.

    Args:
        speech: signals ``(own samples,)`` whose spectra (Welch's method, segments of 512 samples) are averaged.
    """
    from scipy.signal import welch

    spectra = []
    for signal in speech:
        frequencies, power = welch(np.pad(signal, (0, max(0, SEGMENT - len(signal)))), rate, nperseg=SEGMENT)
        spectra.append(power)
    amplitude = np.sqrt(np.interp(np.fft.rfftfreq(samples, 1 / rate), frequencies, np.mean(spectra, axis=0)))
    return _shaped(samples, amplitude, rng)


def _shaped(samples: int, amplitude: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * amplitude, samples)
    return noise / np.sqrt(np.square(noise).mean())
