"""Mixing by the rule of WSJ0-mix (Hershey et al., ICASSP 2016).

Each source is resampled, divided by the square root of its active level, and multiplied by
``10^(gain / 20)``; the sources are cut to the shortest (or padded to the longest) and added; one
common gain brings the largest magnitude of mixture and sources to 0.9; PCM16 is ``round(2^15 x)``.
The level is that of the source at 8 kHz (at the rate of the mixture, where that is lower), also
for mixtures of a higher rate, so that the same list makes the same mixture at both.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import read_audio, resample_audio, to_int16, write_wav
from contrasep_lib.mix.level import active_level, rms_level
from contrasep_lib.mix.lists import Mixture
from contrasep_lib.mix.options import MixOptions

PEAK = 0.9
LEVEL_RATE = 8000
# held in memory; a minute of speech takes 4 MB at 8 kHz
CACHED_SOURCES = 256


@dataclasses.dataclass(frozen=True)
class Mixed:
    """A finished mixture: ``mixture`` (samples,) and ``sources`` (num_spk, samples), int16."""

    mixture: np.ndarray
    sources: np.ndarray


def mix_signals(signals: Sequence[np.ndarray], gains_db: Sequence[float], mode: str) -> Mixed:
    """Mix level-normalised signals.

    Args:
        signals: ``num_spk`` arrays ``(samples,)``, each of active level 1.
        gains_db: one gain per signal, dB.
        mode: ``min`` cuts to the shortest, ``max`` pads to the longest; after scaling.

    Raises:
        ValueError: a source has only zeros where the others overlap it.
    """
    lengths = [len(signal) for signal in signals]
    samples = min(lengths) if mode == "min" else max(lengths)
    sources = np.zeros((len(signals), samples))
    for row, signal, gain in zip(sources, signals, gains_db):
        held = min(samples, len(signal))
        np.multiply(signal[:held], 10 ** (gain / 20), out=row[:held])
    silent = np.flatnonzero(~sources.any(axis=1))
    if len(silent):
        raise ValueError(f"source {silent[0] + 1} is all zero within the {samples} samples of the mixture")
    mixture = sources.sum(axis=0)
    common = PEAK / max(mixture.max(), -mixture.min(), sources.max(), -sources.min())
    mixture *= common
    sources *= common
    return Mixed(to_int16(mixture), to_int16(sources))


class Mixer:
    """Mixes lines of a list, decoding and resampling each source once.

    Args:
        wav: utterance id -> audio file.
        options: section ``mix``.
        levels: utterance id -> mean square of its active speech, with ``active_level: published``.
        cache: folder that keeps sources, resampled and of active level 1, for this and all other
            jobs; whoever needs one first puts it there. Without it each job keeps some in memory.
    """

    def __init__(
        self,
        wav: Mapping[str, str],
        options: MixOptions,
        levels: Mapping[str, float] | None = None,
        cache: str | os.PathLike | None = None,
    ) -> None:
        self.wav, self.options, self.levels = wav, options, levels or {}
        self.cache = None if cache is None else Path(cache)
        self._normalised = functools.lru_cache(maxsize=CACHED_SOURCES)(self._load)

    def _load(self, utterance: str) -> np.ndarray:
        if self.cache is None:
            return self._normalise(utterance)
        kept = self.cache / f"{utterance}.npy"
        try:
            return np.load(kept)
        except FileNotFoundError:
            samples = self._normalise(utterance)
        _keep(kept, samples)
        return samples

    def _normalise(self, utterance: str) -> np.ndarray:
        """A source at the rate of the mixture, ``(samples,)`` float64 of active level 1."""
        path = self.wav[utterance]
        original, own_rate = read_audio(path)
        if not original.any():
            raise ContrasepError(f"{path}: all-zero source; leave '{utterance}' out of the corpus")
        samples = resample_audio(original, own_rate, self.options.rate)
        return samples / np.sqrt(self._level(utterance, original, own_rate, samples))

    def _level(self, utterance: str, original: np.ndarray, own_rate: int, samples: np.ndarray) -> float:
        if self.options.active_level == "published":
            if utterance not in self.levels:
                raise ContrasepError(f"'{utterance}': no published level in utt2level; use mix.active_level: p56")
            return self.levels[utterance]
        measure = active_level if self.options.active_level == "p56" else rms_level
        if self.options.rate > LEVEL_RATE:
            samples = resample_audio(original, own_rate, LEVEL_RATE)
        return measure(samples, min(self.options.rate, LEVEL_RATE), self.options.level_filter)[0]

    def mix(self, mixture: Mixture) -> Mixed:
        """Mix one line.

        Raises:
            ContrasepError: a source is unknown or faulty.
        """
        signals = []
        for utterance in mixture.utterances:
            if utterance not in self.wav:
                raise ContrasepError(f"{mixture.name}: source '{utterance}' is not in the corpus's wav.scp")
            signals.append(self._normalised(utterance))
        try:
            return mix_signals(signals, [float(gain) for gain in mixture.gains], self.options.mode)
        except ValueError as error:
            raise ContrasepError(f"{mixture.name}: {error}; leave this line out of the list") from None


def _keep(path: Path, samples: np.ndarray) -> None:
    """Save an array so that it appears whole, whoever else saves the same at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with open(handle, "wb") as file:
            np.save(file, samples)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def mixture_files(folder: str | os.PathLike, mixture: Mixture) -> list[Path]:
    """Files of a mixture: ``mix/NAME.wav``, ``s1/NAME.wav``, ... in a set's folder."""
    tracks = ["mix", *(f"s{number}" for number in range(1, len(mixture.sources) + 1))]
    return [Path(folder) / track / f"{mixture.name}.wav" for track in tracks]


def write_mixture(folder: str | os.PathLike, mixture: Mixture, mixer: Mixer) -> bool:
    """Mix and write one line unless all its files are there already.

    Files appear under their names only when whole, and the mixture's own comes last, so a run
    that was killed goes on where it stopped.

    Returns:
        whether anything was written.
    """
    mix, *sources = files = mixture_files(folder, mixture)
    if all(path.is_file() for path in files):
        return False
    mixed = mixer.mix(mixture)
    for path, track in zip([*sources, mix], [*mixed.sources, mixed.mixture]):
        write_wav(path, track, mixer.options.rate)
    return True
