"""Features of all utterances of a data directory, kept in shards that an interrupted run goes on with."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import atomic_path
from contrasep_lib.io.parallel import in_processes
from contrasep_lib.io.scp import read_table
from contrasep_lib.prosody.frames import RATE, active_frames, framed_power

# counts the meanings that shards have had
FORMAT = 1
SHARD = 32
PITCH, RATE_COLUMN = "log2_f0", "rate"
COLUMNS = (PITCH, *(f"mfcc{number}" for number in range(1, 13)), RATE_COLUMN)
# feature -> its columns
GROUPS = {"pitch": slice(0, 1), "timbre": slice(1, 13), "rate": slice(13, 14)}
_ARRAYS = {"values": 2, "active": 1, "frames": 1, "nuclei": 1, "samples": 1}


@dataclasses.dataclass(frozen=True)
class Frames:
    """Frames of all utterances, one utterance after another.

    Attributes:
        values: ``(frames, 14)`` float32, `COLUMNS`; NaN for the pitch of frames without voice.
        active: ``(frames,)`` bool, not silent.
        utterance: ``(frames,)`` int64, number of each frame's utterance.
        speaker: ``(utterances,)`` int64, number of its speaker.
        nuclei: ``(utterances,)`` int64, syllable nuclei.
        seconds: ``(utterances,)`` float64.
        utterances, speakers: their names.
    """

    values: np.ndarray
    active: np.ndarray
    utterance: np.ndarray
    speaker: np.ndarray
    nuclei: np.ndarray
    seconds: np.ndarray
    utterances: tuple[str, ...]
    speakers: tuple[str, ...]

    def of(self, feature: str) -> tuple[np.ndarray, np.ndarray]:
        """Values of a feature where it exists, ``(n, columns)`` float64, and the utterances of these frames, ``(n,)``.

        Pitch exists in voiced frames, the others in frames that are not silent.
        """
        chosen = self.values[:, GROUPS[feature]]
        kept = self.active & np.isfinite(chosen).all(1)
        return chosen[kept].astype(np.float64), self.utterance[kept]


def read_speakers(folder: str | os.PathLike) -> tuple[dict[str, str], dict[str, str]]:
    """Entries of ``wav.scp`` and the speakers of a data directory, or of a dump of it, of single speakers.

    Raises:
        ContrasepError: a set of mixtures, a table that is missing, an utterance without a speaker.
    """
    folder = Path(folder)
    if (folder / "spk1.scp").is_file():
        raise ContrasepError(f"{folder}: expected a data directory of single speakers, got one of mixtures")
    wav, speakers = read_table(folder / "wav.scp"), read_table(folder / "utt2spk")
    for utterance in wav:
        if utterance not in speakers:
            raise ContrasepError(
                f"{folder}/utt2spk: expected the speaker of '{utterance}', got none; validate-data lists all"
            )
    return wav, speakers


def read_samples(table: str | os.PathLike, key: str, entry: str) -> np.ndarray:
    """Audio of an entry at `RATE` Hz, ``(samples,)`` float64, whatever its own rate."""
    from contrasep_lib.io.ark import parse_entry
    from contrasep_lib.io.audio import read_audio, resample_audio
    from contrasep_lib.io.dumpset import located, read_entry
    from contrasep_lib.io.kaldi import RefusedError

    try:
        path, offset = parse_entry(located(table, entry))
    except RefusedError as error:
        raise ContrasepError(f"{table}: refused at the entry of '{key}' ({error})") from None
    if offset is None:
        return read_audio(path, RATE, resample=True)[0]
    samples, rate = read_entry(table, key, entry)
    return resample_audio(samples.astype(np.float64), rate, RATE)


def measure(samples: np.ndarray) -> dict[str, np.ndarray]:
    """Features of one utterance, ``(samples,)`` at `RATE` Hz: what a shard holds of it."""
    from contrasep_lib.prosody.pitch import pitch
    from contrasep_lib.prosody.rate import count_nuclei, rate
    from contrasep_lib.prosody.timbre import timbre

    f0 = pitch(samples)
    voiced = f0 > 0
    log_f0 = np.log2(f0, where=voiced, out=np.full(len(f0), np.nan))
    values = np.concatenate([log_f0[:, None], timbre(samples), rate(samples)[:, None]], axis=1)
    return {
        "values": values.astype(np.float32), "active": active_frames(framed_power(samples)),
        "frames": np.array([len(values)]), "nuclei": np.array([count_nuclei(samples, voiced)]),
        "samples": np.array([len(samples)]),
    }


def measure_all(folder: str | os.PathLike, cache: str | os.PathLike, nj: int = 1) -> Frames:
    """Features of all utterances of a data directory.

    Args:
        folder: data directory, or dump, of single speakers.
        cache: folder of the shards; those of the same utterances, entries and audio are read, not made again. Audio is
            known by ``utt2checksum``, or by ``utt2num_samples`` and the size and time of its file.
        nj: processes.

    Raises:
        ContrasepError: see `read_speakers`; audio that cannot be read; fewer than 4 speakers.
    """
    wav, spoken = read_speakers(folder)
    names = list(wav)
    speakers = sorted({spoken[name] for name in names})
    if len(speakers) < 4:
        raise ContrasepError(f"{folder}/utt2spk: expected at least 4 speakers, got {len(speakers)}")
    table = Path(folder) / "wav.scp"
    parts = [names[start : start + SHARD] for start in range(0, len(names), SHARD)]
    signs = _signs(table, wav)
    paths = [Path(cache) / f"{_digest(part, wav, signs)}.npz" for part in parts]
    due = [(path, table, part, [wav[name] for name in part]) for path, part in zip(paths, parts) if _read(path) is None]
    in_processes(_write, due, nj, "measuring shards")
    found = [_require(path) for path in paths]
    joined = {name: np.concatenate([shard[name] for shard in found]) for name in _ARRAYS}
    number = {name: index for index, name in enumerate(speakers)}
    return Frames(
        joined["values"], joined["active"], np.repeat(np.arange(len(names)), joined["frames"]),
        np.array([number[spoken[name]] for name in names]), joined["nuclei"], joined["samples"] / RATE,
        tuple(names), tuple(speakers),
    )


def _signs(table: Path, wav: dict[str, str]) -> dict[str, Any]:
    """Utterance -> what tells its audio from other audio of the same name and entry."""
    from contrasep_lib.io.dumpset import UTT2CHECKSUM, UTT2NUM_SAMPLES

    paths = [table.with_name(name) for name in (UTT2CHECKSUM, UTT2NUM_SAMPLES)]
    sums, lengths = (read_table(path) if path.is_file() else {} for path in paths)
    return {
        name: [sums[name]] if name in sums else [lengths.get(name), *_stamp(table, entry)]
        for name, entry in wav.items()
    }


def _stamp(table: Path, entry: str) -> tuple[int, ...]:
    """Size in bytes and time of change in ns of an entry's file; nothing where reading it will say what is wrong."""
    from contrasep_lib.io.ark import parse_entry
    from contrasep_lib.io.dumpset import located
    from contrasep_lib.io.kaldi import RefusedError

    try:
        found = os.stat(parse_entry(located(table, entry))[0])
    except (RefusedError, OSError):
        return ()
    return found.st_size, found.st_mtime_ns


def _digest(part: Sequence[str], wav: dict[str, str], signs: dict[str, Any]) -> str:
    document = json.dumps([FORMAT, [(name, wav[name], signs[name]) for name in part]])
    return hashlib.sha256(document.encode()).hexdigest()[:32]


def _write(path: Path, table: Path, names: Sequence[str], entries: Sequence[str]) -> None:
    import torch

    # shards run side by side
    torch.set_num_threads(1)
    measured = [measure(read_samples(table, name, entry)) for name, entry in zip(names, entries)]
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{name: np.concatenate([one[name] for one in measured]) for name in _ARRAYS})


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """A shard; None where there is none, or no whole one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in _ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if any(found[name].ndim != dims for name, dims in _ARRAYS.items()) or found["values"].shape[1] != len(COLUMNS):
        return None
    whole = len(found["values"]) == len(found["active"]) == found["frames"].sum()
    return found if whole else None


def _require(path: Path) -> dict[str, np.ndarray]:
    found = _read(path)
    if found is None:
        raise ContrasepError(f"{path}: damaged; remove it and run the same command again")
    return found
