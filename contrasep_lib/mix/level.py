"""Active speech level by ITU-T P.56 (12/2011), method B, without a loop over samples.

The recommendation's speech voltmeter walks through the samples with a counter per threshold.
Here its two exponential averages are recursive filters; "at or above the threshold, or within
the hangover after it" is a running maximum of the envelope over the hangover; and all activity
counts come from one sorted search.

Differences from the reference program of ITU-T G.191 (``sv-p56.c``), on purpose:

- the ladder of thresholds (powers of two, as there) reaches as far down and up as the signal
  needs instead of having 15 rungs, so that quiet signals have a level too;
- the point where level and threshold are the margin apart is solved on the same line between
  two rungs, where the reference bisects until it is within 0.5 dB.

As in the recommendation no mean is removed: an offset counts as power. The filter ``band``
removes it.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

TIME_CONSTANT = 0.03
HANGOVER = 0.2
MARGIN_DB = 15.9
BAND = (200.0, 5500.0)
BAND_ORDER = 4


def active_level(
    x: np.ndarray, rate: int, level_filter: Literal["none", "band"] = "none"
) -> tuple[float, float]:
    """Active speech level of a signal (ITU-T P.56, method B).

    Args:
        x: ``(samples,)`` mono signal, any scale; computed in float64.
        rate: Hz.
        level_filter: see `band_filter`; ``none`` measures the signal as it is.

    Returns:
        mean square power of the active speech (of the filtered signal, in squared units of
        ``x``; ten times its decimal logarithm is the active level in dB), and the activity
        factor in (0, 1], the long-term power over the active power.
        Of a click, whose envelope never comes within the margin of its level, the power over
        the time at the highest threshold that the envelope reaches.

    Raises:
        ValueError: all-zero signal, no samples, more than one channel, NaN or infinite samples.
    """
    x = _measured(x, rate, level_filter)
    energy = float(np.dot(x, x))
    power = energy / len(x)
    envelope = _held_envelope(x, rate)
    # the lowest rung lies more than the margin under the long-term level, hence under any active level
    top = math.floor(math.log2(envelope[-1]))
    bottom = min(top, math.floor(math.log2(math.sqrt(power)) - MARGIN_DB / 20 * math.log2(10)) - 1)
    thresholds = 2.0 ** np.arange(bottom, top + 1)
    active = len(x) - np.searchsorted(envelope, thresholds, side="left")
    level_db = 10 * np.log10(energy / active)
    excess = level_db - 20 * np.log10(thresholds) - MARGIN_DB
    crossed = np.flatnonzero(excess <= 0)
    if crossed.size == 0:
        speech_db = level_db[-1]
    else:
        above = max(int(crossed[0]), 1)
        part = excess[above - 1] / (excess[above - 1] - excess[above])
        speech_db = level_db[above - 1] + part * (level_db[above] - level_db[above - 1])
    speech = float(10 ** (speech_db / 10))
    return speech, min(1.0, power / speech)


def rms_level(
    x: np.ndarray, rate: int, level_filter: Literal["none", "band"] = "none"
) -> tuple[float, float]:
    """Mean square power over the whole signal; arguments and result as of `active_level`.

    Returns:
        mean square power (its root is the root mean square) and an activity factor of 1.

    Raises:
        ValueError: as `active_level`.
    """
    x = _measured(x, rate, level_filter)
    return float(np.dot(x, x)) / len(x), 1.0


def band_filter(x: np.ndarray, rate: int) -> np.ndarray:
    """The band of 200 to 5500 Hz that P.56 names, by Butterworth filters of order 4.

    The low-pass is left out where the rate leaves no room for it (5500 Hz within 10 % of half
    the rate, or above it), as at 8 kHz. P.56 gives a tolerance mask, not a filter, and levels
    of male and female talkers shift against each other with the choice: hence named here.

    Args:
        x: ``(samples,)``.
        rate: Hz.

    Returns:
        ``(samples,)`` float64.
    """
    from scipy.signal import butter, sosfilt

    low, high = BAND
    x = sosfilt(butter(BAND_ORDER, low, "highpass", fs=rate, output="sos"), np.asarray(x, np.float64))
    if high < 0.9 * rate / 2:
        x = sosfilt(butter(BAND_ORDER, high, "lowpass", fs=rate, output="sos"), x)
    return x


def _measured(x: np.ndarray, rate: int, level_filter: str) -> np.ndarray:
    """Check a signal and filter it, ``(samples,)`` float64."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"expected a mono signal, got the shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("a signal with NaN or infinite samples has no level")
    if level_filter == "band":
        x = band_filter(x, rate)
    elif level_filter != "none":
        raise ValueError(f"level_filter: expected none or band, got {level_filter!r}")
    # squares of denormal numbers vanish too, so the energy is asked rather than the samples
    if float(np.dot(x, x)) == 0.0:
        raise ValueError("an all-zero signal has no active speech level")
    return x


def _held_envelope(x: np.ndarray, rate: int) -> np.ndarray:
    """Envelope of P.56, held over the hangover and sorted, ``(samples,)``.

    A sample counts as active at a threshold when the envelope reached it there or up to
    ``HANGOVER`` seconds before; that is when the running maximum over the hangover reaches it.
    Before the first crossing nothing counts (the reference starts with spent hangovers).
    """
    from scipy.ndimage import maximum_filter1d
    from scipy.signal import lfilter

    decay = math.exp(-1 / (rate * TIME_CONSTANT))
    envelope = np.abs(x)
    for _ in range(2):
        envelope = lfilter([1 - decay], [1, -decay], envelope)
    hold = math.floor(rate * HANGOVER + 0.5)
    padded = np.concatenate([np.zeros(hold), envelope])
    # the window is centred, so its maximum at i + hold // 2 covers i .. i + hold
    held = maximum_filter1d(padded, size=hold + 1, origin=-((hold + 1) // 2), mode="constant")[: len(x)]
    held.sort()
    return held
