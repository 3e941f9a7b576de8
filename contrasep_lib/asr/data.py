"""Dumped single-speaker sets with transcripts, in batches of about the same length."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from contrasep_lib.corpus.single import normalise_text, refuse_wordless
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import resample_audio
from contrasep_lib.io.dumpset import UTT2NUM_SAMPLES, DumpSet, require_same_keys
from contrasep_lib.io.scp import read_table


@dataclasses.dataclass(frozen=True)
class Spoken:
    """A recording with its transcript.

    Attributes:
        dump: the set.
        key: utterance id.
        text: normalised transcript.
        seconds: length.
    """

    dump: DumpSet
    key: str
    text: str
    seconds: float

    def audio(self, rate: int) -> np.ndarray:
        """Its samples at ``rate`` Hz, ``(samples,)``."""
        samples, own = self.dump.mixture_and_rate(self.key)
        return resample_audio(samples, own, rate)


def read_spoken(folders: Sequence[str | os.PathLike]) -> list[Spoken]:
    """The recordings of dumped single-speaker sets, in order.

    Raises:
        ContrasepError: a set of mixtures, one without transcripts or words, or tables that do not agree.
    """
    made = []
    for folder in folders:
        dump = DumpSet(folder)
        path = Path(folder) / "text"
        if dump.num_spk > 1 or not path.is_file():
            what = "mixtures" if dump.num_spk > 1 else "no file 'text' in it"
            raise ContrasepError(f"{folder}: {what}; name dumped single-speaker sets with transcripts, e.g. tr_single")
        texts, lengths = read_table(path), read_table(Path(folder) / UTT2NUM_SAMPLES)
        require_same_keys(dump.wav, texts, path)
        require_same_keys(dump.wav, lengths, Path(folder) / UTT2NUM_SAMPLES)
        rate = dump.rate
        spoken = [Spoken(dump, key, normalise_text(texts[key]), int(lengths[key]) / rate) for key in dump.keys]
        refuse_wordless(path, (one.text for one in spoken))
        made += spoken
    return made


def batches(
    recordings: Sequence[Spoken], seconds: float, rng: np.random.Generator | None = None
) -> Iterator[list[int]]:
    """Indices of recordings, batch by batch; every recording is in one of them.

    Args:
        recordings: of any length.
        seconds: audio of a batch, padding included; a longer recording is a batch of its own.
        rng: draws the order of batches, and which recordings of about the same length stand together; None goes from
            short to long.
    """
    lengths = np.array([one.seconds for one in recordings])
    keys = lengths if rng is None else lengths * np.exp(rng.uniform(-0.1, 0.1, len(lengths)))
    made: list[list[int]] = []
    longest = 0.0
    for index in np.argsort(keys, kind="stable").tolist():
        longest = max(longest, lengths[index]) if made else lengths[index]
        if not made or longest * (len(made[-1]) + 1) > seconds:
            made.append([])
            longest = lengths[index]
        made[-1].append(index)
    if rng is not None:
        made = [made[index] for index in rng.permutation(len(made))]
    return iter(made)
