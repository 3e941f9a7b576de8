"""Recordings to transcribe, in batches."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Batch:
    """Some recordings, read when they are wanted.

    Attributes:
        keys: their ids.
        read: id -> samples, ``(samples,)``, at the rate that the recogniser hears.
    """

    keys: tuple[str, ...]
    read: Callable[[str], np.ndarray]

    def audio(self) -> list[np.ndarray]:
        """Samples of each."""
        return [self.read(key) for key in self.keys]


def in_batches(keys: Sequence[str], read: Callable[[str], np.ndarray], size: int) -> list[Batch]:
    """Recordings in batches of ``size`` at most, in order."""
    return [Batch(tuple(keys[start : start + size]), read) for start in range(0, len(keys), size)]


def recordings_of(scp: str | os.PathLike | None, dump: str | os.PathLike | None, rate: int, size: int) -> list[Batch]:
    """The recordings of a table of files or of a dumped single-speaker set.

    Args:
        scp: table KEY FILE; or
        dump: ``dump/SET``.
        rate: to which they are resampled, Hz.
        size: of a batch.

    Raises:
        ContrasepError: a table that is missing or malformed, or has commands in it; a set of mixtures.
    """
    from contrasep_lib.errors import ContrasepError
    from contrasep_lib.io.audio import read_audio, resample_audio
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.io.pipes import require_no_commands
    from contrasep_lib.io.scp import read_table

    if dump is not None:
        dumped = DumpSet(dump)
        if dumped.num_spk > 1:
            raise ContrasepError(f"{dump}: mixtures; transcribe single-speaker sets, or take contrasep score --wer")

        def read_dumped(key: str) -> np.ndarray:
            samples, own = dumped.mixture_and_rate(key)
            return resample_audio(samples, own, rate)

        return in_batches(dumped.keys, read_dumped, size)
    assert scp is not None
    table = read_table(scp)
    require_no_commands(scp, table)
    return in_batches(list(table), lambda key: read_audio(table[key], rate, resample=True)[0], size)
