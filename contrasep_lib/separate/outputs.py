"""Audio files of a recording's outputs: formats, gains, and blocks in place of whole signals."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import wave
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from contrasep_lib.io.audio import to_int16

Format = Literal["wav", "flac", "float"]
FORMATS: tuple[str, ...] = get_args(Format)
SUFFIX_OF = {"wav": ".wav", "flac": ".flac", "float": ".wav"}
REST = "rest"
# peak of a normalised output, and of any that 16 bits would clip
_NORMALISED, _FULL = 0.9, 0.999
# below this peak 16 bits would be too coarse; it is doubled until it reaches a quarter
_QUIET, _ENOUGH = 1 / 64, 1 / 4


@dataclasses.dataclass(frozen=True)
class Levels:
    """Peak magnitude and energy of each output, the rest last.

    Attributes:
        peaks: ``(num_spk + 1,)``.
        energies: ``(num_spk + 1,)``.
    """

    peaks: np.ndarray
    energies: np.ndarray

    @classmethod
    def of(cls, blocks: Iterable[np.ndarray]) -> Levels:
        """Measure blocks ``(num_spk + 1, samples)``."""
        peaks, energies = np.zeros(1), np.zeros(1)
        for block in blocks:
            peaks = np.maximum(peaks, np.abs(block).max(axis=1, initial=0))
            energies = energies + np.square(block, dtype=np.float64).sum(axis=1)
        return cls(peaks, energies)

    @property
    def shares(self) -> list[float]:
        """Share of the energy of all outputs in each; zeros for silence."""
        energies = self.energies[:-1]
        return (energies / energies.sum() if energies.any() else energies).tolist()


def gains_of(levels: Levels, form: str, normalize: bool, rest: bool) -> np.ndarray:
    """Gain of each output, the rest last, ``(num_spk + 1,)``.

    Args:
        levels: of what is to be written.
        form: one of `FORMATS`.
        normalize: bring each output to a peak of 0.9, the rest with the common gain of the others.
        rest: whether the rest is written too.

    Returns:
        one gain for all without ``normalize``: 1 for floats; for 16 bits less where one would be clipped, a power of
        two where all are so quiet that rounding would be heard.
    """
    gains = np.ones(len(levels.peaks))
    peak = float(levels.peaks[: None if rest else -1].max(initial=0))
    if form != "float" and peak >= 1:
        gains[:] = _FULL / peak
    elif form != "float" and 0 < peak < _QUIET:
        gains[:] = 2.0 ** math.ceil(math.log2(_ENOUGH / peak))
    if normalize:
        heard = levels.peaks[:-1] > 0
        gains[:-1][heard] = _NORMALISED / levels.peaks[:-1][heard]
    return gains


def names_of(name: str, num_spk: int, form: str, rest: bool) -> list[str]:
    """Names of the files of a recording, in order: speakers from 1, then the rest where it is written."""
    ends = [f"spk{number}" for number in range(1, num_spk + 1)] + [REST] * rest
    return [f"{name}_{end}{SUFFIX_OF[form]}" for end in ends]


def write_blocks(
    paths: Sequence[Path], blocks: Iterable[np.ndarray], gains: np.ndarray, rate: int, form: str
) -> None:
    """Write outputs block by block, each ``(len(paths) or more, samples)``, with their gains."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(_opened(path, rate, form)) for path in paths]
        for block in blocks:
            for write, samples, gain in zip(files, block, gains):
                write(samples * np.float32(gain))


@contextlib.contextmanager
def _opened(path: Path, rate: int, form: str) -> Iterator[Callable[[np.ndarray], object]]:
    """What appends samples ``(samples,)`` float32 to a new file."""
    if form == "wav":
        with wave.open(str(path), "wb") as plain:
            plain.setnchannels(1)
            plain.setsampwidth(2)
            plain.setframerate(rate)
            yield lambda samples: plain.writeframes(to_int16(samples).astype("<i2", copy=False).tobytes())
        return
    import soundfile

    kind = {"flac": ("FLAC", "PCM_16"), "float": ("WAV", "FLOAT")}[form]
    with soundfile.SoundFile(path, "w", rate, 1, format=kind[0], subtype=kind[1]) as file:
        yield lambda samples: file.write(to_int16(samples) if form == "flac" else samples)
