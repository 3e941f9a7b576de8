"""Parts of recordings; silence, pauses, low noise and codecs in mixtures drawn on the fly (options: `AugmentOptions`).

Everything is drawn from the generator of the item, so items do not depend on the processes that
prepare them; with a probability of 0 nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contrasep_lib.io.codec import CODECS, through_codec
from contrasep_lib.mix.noise.coloured import tilted_noise
from contrasep_lib.train.options import AugmentOptions

# of an item, what silence before and after the mixture may take, and what stays of each talker
SILENCE, KEPT = 1 / 2, 1 / 3
PAUSE_SECONDS = (0.3, 1.5)
FADE_SECONDS = 0.01
TRIES = 10
# a part is silent when its power lies this far under that of the whole utterance (20 dB)
SILENT = 0.01


def _happens(probability: float, rng: np.random.Generator) -> bool:
    return probability > 0 and rng.random() < probability


def pick_start(signals: np.ndarray, length: int, rng: np.random.Generator) -> int:
    """Start of a random part in which no signal is silent, if a few draws find one.

    Args:
        signals: ``(num_spk, samples)``, none all zero.
        length: samples of the part.

    Returns:
        the first start drawn whose part is not silent in any signal; else the one of the loudest
        single sample, so that the part of a single signal is never all zero. 0 where ``length``
        covers the signals.
    """
    last = signals.shape[1] - length
    if last <= 0:
        return 0
    power = np.pad(np.cumsum(np.square(signals, dtype=np.float64), axis=1), ((0, 0), (1, 0)))
    least = SILENT * power[:, -1] * length / signals.shape[1]
    for start in rng.integers(last + 1, size=TRIES):
        if np.all(power[:, start + length] - power[:, start] >= least):
            return int(start)
    loudest = int(np.abs(signals.sum(axis=0)).argmax())
    return min(max(0, loudest - length // 2), last)


def draw_length(samples: Sequence[int], options: AugmentOptions, rng: np.random.Generator) -> int:
    """Samples of an item of parts of so many samples: those of its longest part, or of its shortest."""
    return min(samples) if _happens(options.shortest, rng) else max(samples)


def draw_window(samples: int, options: AugmentOptions, rng: np.random.Generator) -> tuple[int, int]:
    """First sample of the mixture within an item of ``samples`` samples, and the one behind its last.

    Outside is silence: in front, behind, or both, up to half of the item.
    """
    if not _happens(options.silence, rng):
        return 0, samples
    silent = int(samples * SILENCE * rng.random())
    # a quarter of the draws each lies all in front or all behind
    front = int(silent * np.clip(rng.uniform(-0.5, 1.5), 0, 1))
    return front, samples - silent + front


def gate(samples: int, silent: tuple[int, int], rate: int) -> np.ndarray:
    """Factors ``(samples,)``: 0 from ``silent[0]`` to before ``silent[1]``, 1 elsewhere, with linear fades outside."""
    time, (first, last) = np.arange(samples), silent
    outside = np.maximum(first - time, time - last + 1)
    return np.clip(outside / max(1, round(FADE_SECONDS * rate)), 0, 1)


def fade_ends(part: np.ndarray, rate: int) -> np.ndarray:
    """A part ``(samples,)`` that was cut out of speech, faded in and out."""
    return part * gate(len(part), (-1, 0), rate) * gate(len(part), (len(part), len(part) + 1), rate)


def add_pauses(
    part: np.ndarray, least: int, options: AugmentOptions, rate: int, rng: np.random.Generator
) -> np.ndarray:
    """A talker's part ``(samples,)`` who begins late, ends early, or falls silent within.

    Args:
        part: not all zero.
        least: samples that are left as they are or faded; a part of fewer stays as it is.

    Returns:
        ``(samples,)``, with a third of the energy at least; the part itself where a few draws find no such silence.
    """
    edge, pause = _happens(options.edge, rng), _happens(options.pause, rng)
    room = len(part) - least
    if room <= 0 or not (edge or pause):
        return part
    energy = np.square(part).sum()
    for _ in range(TRIES):
        left, thinned = room, part
        if edge:
            cut = int(rng.integers(1, left + 1))
            left -= cut
            thinned = thinned * gate(len(part), (0, cut) if rng.random() < 0.5 else (len(part) - cut, len(part)), rate)
        shortest, longest = (round(seconds * rate) for seconds in PAUSE_SECONDS)
        if pause and left >= shortest:
            cut = int(rng.integers(shortest, min(left, longest) + 1))
            start = int(rng.integers(len(part) - cut + 1))
            thinned = thinned * gate(len(part), (start, start + cut), rate)
        if np.square(thinned).sum() >= KEPT * energy:
            return thinned
    return part


def add_noise(mixture: np.ndarray, options: AugmentOptions, rate: int, rng: np.random.Generator) -> np.ndarray:
    """A mixture ``(samples,)`` float32 over noise of a drawn colour and level, in its silences too."""
    if not _happens(options.noise, rng):
        return mixture
    level = np.square(mixture, dtype=np.float64).mean() * 10 ** (-rng.uniform(*options.noise_db) / 10)
    noise = tilted_noise(len(mixture), rng.uniform(0, 2), rate, rng)
    return mixture + (np.sqrt(level) * noise).astype(np.float32)


def encode(mixture: np.ndarray, options: AugmentOptions, rate: int, rng: np.random.Generator) -> np.ndarray:
    """A mixture ``(samples,)`` float32 after a drawn codec and bit rate, in time with its sources.

    Raises:
        ContrasepError: see `contrasep_lib.io.codec.through_codec`.
    """
    if not _happens(options.codec, rng):
        return mixture
    name = options.codecs[int(rng.integers(len(options.codecs)))]
    kbits = CODECS[name].kbits
    return through_codec(mixture, rate, name, kbits[int(rng.integers(len(kbits)))] if kbits else None)
