"""What all speaker encoders share: windows of speech, their levels, and the mean of those that are heard."""

from __future__ import annotations

import abc
import dataclasses
import inspect
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from contrasep_lib.io.audio import resample_audio

SILENCE_DB = 30.0
"""Windows of this level under the loudest are not heard, dB."""


@dataclasses.dataclass(frozen=True)
class Utterances:
    """What an encoder says of the windows of a signal.

    Attributes:
        vectors: of unit norm, ``(windows, dim)`` float32; zeros for silence.
        power: mean power of each window, ``(windows,)``.
    """

    vectors: np.ndarray
    power: np.ndarray

    def mean(self) -> np.ndarray:
        """Mean of the windows that are heard, of unit norm, ``(dim,)``; zeros for silence."""
        heard = self.power > self.power.max(initial=0.0) * 10 ** (-SILENCE_DB / 10)
        total = self.vectors[heard].astype(np.float64).sum(axis=0)
        return total / max(float(np.linalg.norm(total)), 1e-12)


class SpeakerEncoder(abc.ABC):
    """Maps windows of speech to vectors; those of one voice have a larger cosine than those of two.

    An implementation writes `_encode` and `weights`. Long recordings need its voice space beside its file,
    ``NAME.json``, which ``tools/fit_voices.py`` fits.

    Attributes:
        name: as configurations have it.
        rate: that it works at, Hz. What comes at a lower rate is resampled, and its upper bands are empty.
        seconds: of a window, as in training.
        dim: of vectors.
    """

    name: ClassVar[str]
    rate: ClassVar[int]
    seconds: ClassVar[float]
    dim: ClassVar[int]

    @classmethod
    def from_options(cls, options: Any) -> SpeakerEncoder:
        """The encoder of a configuration.

        Args:
            options: declared for it in the family ``speaker_encoder``; their fields are its arguments.

        Raises:
            ContrasepError: its extra is not installed, or its weights are damaged.
        """
        return cls(**vars(options))

    def utterances(self, samples: np.ndarray, rate: int, centres: np.ndarray) -> Utterances:
        """Encode windows of a signal; of a shorter one than a window, all of it.

        Args:
            samples: ``(samples,)``, of any level.
            rate: of the samples, Hz.
            centres: of the windows, seconds, ``(windows,)``; windows that would leave the signal are moved inside.
        """
        signal = resample_audio(np.asarray(samples, np.float64), rate, self.rate)
        size = min(round(self.seconds * self.rate), len(signal))
        starts = np.clip(np.round(centres * self.rate).astype(np.int64) - size // 2, 0, len(signal) - size)
        energy = np.concatenate([[0.0], np.cumsum(np.square(signal))])
        power = np.maximum(energy[starts + size] - energy[starts], 0.0) / max(size, 1)
        vectors = np.zeros((len(starts), self.dim), np.float32)
        heard = np.flatnonzero(power > power.max(initial=0.0) * 1e-12)
        if len(heard):
            vectors[heard] = self._encode(signal, starts[heard], size, power[heard])
        return Utterances(vectors, power)

    def voice(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """The voice of one speaker, ``(dim,)`` of unit norm: mean over windows that overlap by half; zeros for silence.

        Args:
            samples: ``(samples,)``, of any level.
            rate: Hz.
        """
        length = len(samples) / rate
        if not length or not np.any(samples):
            return np.zeros(self.dim)
        number = max(1 + int(np.ceil((length - self.seconds) / (self.seconds / 2))), 1)
        half = min(self.seconds, length) / 2
        return self.utterances(samples, rate, np.linspace(half, length - half, number)).mean()

    @classmethod
    def space_file(cls) -> Path:
        """Where its voice space is."""
        return Path(inspect.getfile(cls)).with_name(f"{cls.name}.json")

    @abc.abstractmethod
    def weights(self) -> str:
        """Checksum of its weights."""

    @abc.abstractmethod
    def _encode(self, signal: np.ndarray, starts: np.ndarray, size: int, power: np.ndarray) -> np.ndarray:
        """Encode windows, none of them silent.

        Args:
            signal: ``(samples,)`` float64 at the encoder's rate.
            starts: first samples of the windows, ``(windows,)``.
            size: samples of each.
            power: mean power of each, positive.

        Returns:
            ``(windows, dim)`` float32 of unit norm.
        """
