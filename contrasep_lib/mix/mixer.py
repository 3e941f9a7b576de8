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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import read_audio, resample_audio, to_int16, write_wav
from contrasep_lib.mix.level import active_level, rms_level
from contrasep_lib.mix.lists import Mixture
from contrasep_lib.mix.noise.render import noise_gain, render_noise
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.mix.rooms import responses, reverberate, split_response

PEAK = 0.9
LEVEL_RATE = 8000
# held in memory; a minute of speech takes 4 MB at 8 kHz
CACHED_SOURCES = 256


@dataclasses.dataclass(frozen=True)
class Mixed:
    """A finished mixture: ``mixture`` (samples,) and ``sources`` (num_spk, samples), int16.

    ``noise`` (samples,) int16 is what the mixture has beside its sources; None where that is nothing.
    """

    mixture: np.ndarray
    sources: np.ndarray
    noise: np.ndarray | None = None


def mix_signals(
    signals: Sequence[np.ndarray], gains_db: Sequence[float], mode: str,
    rests: Sequence[np.ndarray] | None = None, make_noise: Callable[[int], np.ndarray] | None = None,
) -> Mixed:
    """Mix level-normalised signals.

    Args:
        signals: ``num_spk`` arrays ``(samples,)``, each of active level 1.
        gains_db: one gain per signal, dB.
        mode: ``min`` cuts to the shortest, ``max`` pads to the longest; after scaling.
        rests: what the mixture has of each signal that its source has not, of the same length: late reverberation.
        make_noise: gives the noise of a number of samples, to be added as it is.

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
    noise = None if rests is None and make_noise is None else np.zeros(samples)
    if noise is not None:
        for rest, gain in zip(() if rests is None else rests, gains_db):
            held = min(samples, len(rest))
            noise[:held] += rest[:held] * 10 ** (gain / 20)
        if make_noise is not None:
            noise += make_noise(samples)
    mixture = sources.sum(axis=0) if noise is None else sources.sum(axis=0) + noise
    tracks = [mixture, sources] if noise is None else [mixture, sources, noise]
    common = PEAK / max(max(track.max(), -track.min()) for track in tracks)
    for track in tracks:
        track *= common
    return Mixed(to_int16(mixture), to_int16(sources), None if noise is None else to_int16(noise))


class Mixer:
    """Mixes lines of a list, decoding and resampling each source once.

    Args:
        wav: utterance id -> audio file.
        options: section ``mix``.
        levels: utterance id -> mean square of its active speech, with ``active_level: published``.
        cache: folder that keeps sources, resampled and of active level 1, for this and all other
            jobs; whoever needs one first puts it there. Without it each job keeps some in memory.
        pipes: run entries ``cmd |`` of the table; for tables of one's own.
    """

    def __init__(
        self,
        wav: Mapping[str, str],
        options: MixOptions,
        levels: Mapping[str, float] | None = None,
        cache: str | os.PathLike | None = None,
        pipes: bool = False,
    ) -> None:
        self.wav, self.options, self.levels, self.pipes = wav, options, levels or {}, pipes
        self.cache = None if cache is None else Path(cache)
        self._normalised = functools.lru_cache(maxsize=CACHED_SOURCES)(self._load)
        # mixtures whose noise was shorter
        self.looped = 0

    def _load(self, utterance: str) -> np.ndarray:
        if self.cache is None:
            return self._normalise(utterance)
        kept = self.cache / f"{utterance}.npy"
        try:
            # a damaged one is made again
            return np.load(kept, allow_pickle=False)
        except (FileNotFoundError, ValueError, EOFError):
            samples = self._normalise(utterance)
        _keep(kept, samples)
        return samples

    def _normalise(self, utterance: str) -> np.ndarray:
        """A source at the rate of the mixture, ``(samples,)`` float64 of active level 1."""
        path = self.wav[utterance]
        original, own_rate = read_audio(path, pipes=self.pipes)
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
        gains = [float(gain) for gain in mixture.gains]
        rests = None
        def make_noise(samples: int) -> np.ndarray:
            assert mixture.noise is not None
            noise, looped = render_noise(
                mixture.noise, samples, self.options.rate, self.options.noise.folder, signals, self._normalised_known
            )
            self.looped += looped
            return noise * noise_gain(gains, float(mixture.noise.snr))

        try:
            if mixture.room is not None:
                signals, rests = self._in_room(mixture, signals)
            return mix_signals(signals, gains, self.options.mode, rests, make_noise if mixture.noise else None)
        except ValueError as error:
            raise ContrasepError(f"{mixture.name}: {error}; leave this line out of the list") from None


    def _normalised_known(self, utterance: str) -> np.ndarray:
        if utterance not in self.wav:
            raise ContrasepError(f"noise: '{utterance}' of a babble is not in the corpus's wav.scp")
        return self._normalised(utterance)

    def _in_room(self, mixture: Mixture, signals: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """References of active level 1 in the room of a mixture, and what the room adds to each."""
        assert mixture.room is not None
        references, rests = [], []
        for signal, response in zip(signals, responses(mixture.room, self.options.rate)):
            kept = split_response(response, self.options.rate, self.options.room.reference)
            reference = reverberate(signal, kept)
            rest = reverberate(signal, response - kept)
            level = np.sqrt(self._own_level(reference))
            references.append(reference / level)
            rests.append(rest / level)
        return references, rests

    def _own_level(self, samples: np.ndarray) -> float:
        measure = rms_level if self.options.active_level == "rms" else active_level
        rate = min(self.options.rate, LEVEL_RATE)
        return measure(resample_audio(samples, self.options.rate, rate), rate, self.options.level_filter)[0]


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
    """Files of a mixture: ``mix/NAME.wav``, ``s1/NAME.wav``, .. and with noise or a room ``noise/NAME.wav``."""
    tracks = ["mix", *(f"s{number}" for number in range(1, len(mixture.sources) + 1))]
    if mixture.noise is not None or mixture.room is not None:
        tracks.append("noise")
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
    noise = [] if mixed.noise is None else [mixed.noise]
    for path, track in zip([*sources, mix], [*mixed.sources, *noise, mixed.mixture]):
        write_wav(path, track, mixer.options.rate)
    return True
