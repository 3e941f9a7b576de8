"""Pitch of frames, by Praat (extra ``prosody``)."""

from __future__ import annotations

import numpy as np

from contrasep_lib.prosody.frames import HOP, RATE, count_frames

# Hz; the range of adult voices in speech
LOWEST, HIGHEST = 60.0, 400.0
# periods of the lowest pitch that Praat's window holds
_PERIODS = 3


def pitch(samples: np.ndarray) -> np.ndarray:
    """Fundamental frequency of each frame, by autocorrelation.

    Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled
    sound", IFA Proceedings 17, 1993, in Praat, by parselmouth, with Praat's own costs. WORLD's DIO took mains hum for a
    voice in a recording of LibriSpeech, and its Harvest takes 60 times as long.

    Args:
        samples: ``(samples,)`` at `RATE` Hz.

    Returns:
        ``(frames,)`` float64, Hz; 0 in frames without voice, and in signals shorter than 50 ms.

    Raises:
        ImportError: parselmouth is not installed.
    """
    import parselmouth

    frames = count_frames(len(samples))
    if len(samples) <= _PERIODS * RATE / LOWEST + HOP:
        return np.zeros(frames)
    sound = parselmouth.Sound(np.asarray(samples, dtype=np.float64), RATE)
    track = sound.to_pitch_ac(time_step=HOP / RATE, pitch_floor=LOWEST, pitch_ceiling=HIGHEST)
    # Praat's frames lie evenly about the middle of the sound
    place = np.rint((np.arange(frames) * HOP / RATE - track.x1) / track.dx).astype(int)
    inside = (place >= 0) & (place < track.n_frames)
    found = track.selected_array["frequency"][np.clip(place, 0, track.n_frames - 1)]
    return np.where(inside, found, 0.0)
