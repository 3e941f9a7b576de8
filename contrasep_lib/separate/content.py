"""Whether a recording holds speech at all: a test of its spectrum, or silero-vad where it is installed (extra ``vad``).

Speech changes: its bands rise and fall within a tenth of a second, and its partials glide. Noise keeps its bands, notes
keep their partials. Thresholds are measured on development speech, `tools/bench/recording_warnings.py`.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from typing import Any, Literal

import numpy as np

Content = Literal["speech", "noise", "tones", "other"]

# seconds of a frame, from one to the next, and between the two that are compared
_FRAME, _HOP, _LAG = 0.064, 0.016, 0.096
# judged one by one, seconds: one with speech is enough
_SEGMENT = 10.0
_BANDS = 16
# frames over which the power of a band is smoothed, and bins that are taken for the envelope of a spectrum
_SMOOTH, _ENVELOPE = 3, 17
# below the loudest twentieth of the frames: not judged for changes, for partials; below the maximum: no deeper, dB
_QUIET_DB, _FAINT_DB, _FLOOR_DB = 30.0, 20.0, 40.0
# a segment this far under the loudest is not judged, dB
_SILENT_DB = 30.0
# less change of its bands (dB in a tenth of a second) than any speech has, more likeness of its partials
LEAST_CHANGE, MOST_LIKENESS = 2.6, 0.55
# of the time, that silero-vad hears speech
LEAST_SPEECH = 0.1
_VAD_RATE, _VAD_SECONDS = 8000, 2


@dataclasses.dataclass(frozen=True)
class Measures:
    """What a stretch of sound is judged by.

    Attributes:
        change: mean change of the level of its bands in a tenth of a second, dB.
        likeness: mean correlation of the partials of spectra a tenth of a second apart.
    """

    change: float
    likeness: float

    @property
    def content(self) -> Content:
        """What it is."""
        if self.likeness > MOST_LIKENESS:
            return "tones"
        return "noise" if self.change < LEAST_CHANGE else "speech"


def measures_of(samples: np.ndarray, rate: int) -> Measures | None:
    """Measures of ``(samples,)``; None for what is shorter than a fifth of a second, or silent."""
    frame, hop = round(_FRAME * rate), round(_HOP * rate)
    lag = round(_LAG / _HOP)
    if len(samples) < frame + 2 * (lag + _SMOOTH) * hop or not np.ptp(samples):
        return None
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(samples, np.float64), frame)[::hop]
    power = np.square(np.abs(np.fft.rfft((frames - samples.mean()) * np.hanning(frame))))
    return Measures(_change(power, lag), _likeness(power, lag))


def _change(power: np.ndarray, lag: int) -> float:
    """Mean change of bands, dB; ``power (frames, freq)``."""
    edges = np.unique(np.round(np.geomspace(min(6, power.shape[1] / 4), power.shape[1], _BANDS + 1)).astype(int))
    bands = np.add.reduceat(power, edges[:-1], axis=1) / np.diff(edges)
    smooth = np.lib.stride_tricks.sliding_window_view(bands, _SMOOTH, axis=0).mean(-1)
    loud = _at_least(smooth.sum(1), _QUIET_DB)
    level = 10 * np.log10(np.maximum(smooth, smooth.max(0) * 10 ** (-_FLOOR_DB / 10)) + 1e-300)
    return float(np.abs(level[lag:] - level[:-lag])[loud[lag:] | loud[:-lag]].mean())


def _likeness(power: np.ndarray, lag: int) -> float:
    """Mean correlation of the fine structure of spectra; ``power (frames, freq)``."""
    loud = _at_least(power.sum(1), _FAINT_DB)
    pairs = loud[lag:] & loud[:-lag]
    if not pairs.any():
        return 0.0
    least = power.max(1, keepdims=True) * 10 ** (-_FLOOR_DB / 10)
    level = 10 * np.log10(np.maximum(power, least) + 1e-300)[:, 2:]
    padded = np.pad(level, ((0, 0), (_ENVELOPE // 2, _ENVELOPE // 2)), mode="edge")
    fine = level - np.lib.stride_tricks.sliding_window_view(padded, _ENVELOPE, axis=1).mean(-1)
    fine /= np.maximum(np.linalg.norm(fine, axis=1, keepdims=True), 1e-9)
    return float((fine[lag:] * fine[:-lag]).sum(1)[pairs].mean())


def _at_least(power: np.ndarray, under: float) -> np.ndarray:
    """Frames that are not more than so many dB under the loudest twentieth."""
    return power >= np.quantile(power, 0.95) * 10 ** (-under / 10)


def content_of(samples: np.ndarray, rate: int) -> Content:
    """What a recording holds; speech where any of its parts may be speech, or where it is too short to say.

    ``other`` is what only silero-vad takes for no speech.

    Args:
        samples: ``(samples,)``.
        rate: Hz.
    """
    length = round(_SEGMENT * rate)
    # the last part is not shorter than half of one
    starts = range(0, max(len(samples) - length // 2, 1), length)
    parts = [samples[start : None if start == starts[-1] else start + length] for start in starts]
    powers = [float(np.square(part - part.mean(), dtype=np.float64).mean()) for part in parts]
    found: list[Content] = []
    for part, power in zip(parts, powers):
        measures = measures_of(part, rate) if power >= max(powers) * 10 ** (-_SILENT_DB / 10) else None
        if measures is None:
            continue
        if measures.content != "speech":
            found.append(measures.content)
            continue
        share = speech_share(part, rate)
        if share is None or share >= LEAST_SPEECH:
            return "speech"
        found.append("other")
    return max(sorted(set(found)), key=found.count) if found else "speech"


def speech_share(samples: np.ndarray, rate: int) -> float | None:
    """Share of the time in which silero-vad hears speech; None where it is not installed, or of less than 2 s."""
    from contrasep_lib.io.audio import resample_audio

    model = _vad()
    if model is None or len(samples) < _VAD_SECONDS * rate:
        return None
    import torch

    signal = resample_audio(np.asarray(samples, np.float64) - np.mean(samples), rate, _VAD_RATE)
    signal = signal / max(float(np.abs(signal).max()), 1e-30)
    with torch.no_grad():
        found = model.audio_forward(torch.from_numpy(signal.astype(np.float32))[None], _VAD_RATE)
    return float((found > 0.5).float().mean())


@functools.lru_cache(maxsize=1)
def _vad() -> Any:
    """silero-vad, whose weights are in its wheel; None where it is not installed."""
    import torch

    threads = torch.get_num_threads()
    try:
        import silero_vad
    except ImportError:
        return None
    finally:
        # its import sets them
        torch.set_num_threads(threads)
    with warnings.catch_warnings():
        # it reads its weights by ways that Python and torch are to leave
        warnings.simplefilter("ignore", DeprecationWarning)
        return silero_vad.load_silero_vad()
