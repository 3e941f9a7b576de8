"""What stage 5 writes: one wav per output, its scp files, assignments and evidence."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.ark import save_ark
from contrasep_lib.io.atomic import atomic_open, write_text
from contrasep_lib.io.audio import write_wav
from contrasep_lib.io.scp import read_table, write_table
from contrasep_lib.io.speed import SPEED, total_speed
from contrasep_lib.separate.separation import Separation

EVIDENCE = (
    "utt", "num_spk_given", "num_spk_est", "modularity", "normalised_modularity", "conductance", "sizes", "solver",
    "fallback", "probabilities", "words",
)
# Kaldi's kOneByteUnsignedInteger: whole numbers from 0 to 255, exactly
KALDI_UNSIGNED_BYTE = 5
# of the utterances that are whole, until all parts are joined
RECORDS = "records"


def labels_of(separation: Separation) -> np.ndarray:
    """Assignment as whole numbers.

    Returns:
        ``(frames, freq)``, with ``freq = 1`` where nodes are frames: 0 for silent nodes, else the
        number of the output, from 1, that has the largest share (ties to the lower).
    """
    share = separation.assignment
    labels = np.where(share.any(axis=1), share.argmax(axis=1) + 1, 0)
    return labels.reshape(separation.shape if len(separation.shape) == 2 else (-1, 1))


class Writer:
    """Writes the separations of one share of a set.

    An utterance leaves a record as the last of its files, so that a run after a kill goes on with
    the first utterance that has none. Audio and tables of an earlier run with other outputs do not stay.

    Args:
        folder: ``exp/<tag>/separate_<set>``.
        part: number of the share.
        rate: Hz.
        identity: what the separations depend on; records of anything else are passed over.
        device: what separates, in words.

    Use as a context manager; tables and assignments appear when it is left without an exception.
    """

    def __init__(self, folder: str | os.PathLike, part: int, rate: int, identity: str = "", device: str = "") -> None:
        self.folder, self.part, self.rate, self.identity, self.device = Path(folder), part, rate, identity, device
        self.rows: dict[str, list[str]] = {}
        self.outputs: dict[str, int] = {}
        self.noises: set[str] = set()
        self.labels: dict[str, np.ndarray] = {}
        self.seconds = self.audio_seconds = 0.0

    def __enter__(self) -> Writer:
        return self

    def has(self, key: str) -> bool:
        """Whether an earlier run left this utterance whole; it then counts as written."""
        try:
            with np.load(self._record(key), allow_pickle=False) as record:
                said, labels = json.loads(str(record["said"])), record["labels"]
            whole = all(path.is_file() for path in self._wavs(key, said["outputs"], said["noise"]))
            same = said["identity"] == self.identity and len(said["row"]) == len(EVIDENCE)
        except (FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return False
        if whole and same:
            self._add(key, said, labels)
        return whole and same

    def write(self, key: str, separation: Separation, seconds: float) -> None:
        """Write the outputs of one utterance.

        Args:
            separation: of the utterance ``key``.
            seconds: that it took.

        Raises:
            ContrasepError: an output is not finite.
        """
        if not np.isfinite(separation.outputs).all():
            raise ContrasepError(f"{self.folder}: an output of '{key}' has NaN or infinite samples")
        # what an earlier run says of this utterance holds no longer
        self._record(key).unlink(missing_ok=True)
        heard = [*separation.outputs] + ([] if separation.noise is None else [separation.noise])
        paths = self._wavs(key, len(separation.outputs), separation.noise is not None)
        for path, samples in zip(paths, heard):
            write_wav(path, samples, self.rate)
        for path in (self.folder / "wavs").glob("*"):
            if path / f"{key}.wav" not in paths:
                (path / f"{key}.wav").unlink(missing_ok=True)
        outputs, labels = len(separation.outputs), labels_of(separation).astype(np.uint8)
        measured = (separation.modularity, separation.normalised_modularity, separation.conductance)
        row = [
            key,
            str(int(separation.num_spk_given)),
            "" if separation.num_spk_given else str(outputs),
            *("" if value is None else f"{value:.6f}" for value in measured),
            ",".join(f"{size:.3f}" for size in separation.sizes),
            separation.solver or "",
            separation.fallback or "",
            ",".join(f"{chance:.4f}" for chance in separation.probabilities),
            " ".join(separation.words.split()),
        ]
        times = [seconds, separation.outputs.shape[1] / self.rate]
        said = {
            "identity": self.identity, "outputs": outputs, "noise": separation.noise is not None, "row": row,
            "times": times,
        }
        with atomic_open(self._record(key), "wb") as file:
            np.savez_compressed(file, said=np.array(json.dumps(said)), labels=labels)
        self._add(key, said, labels)

    def __exit__(self, kind: type | None, value: object, traceback: object) -> None:
        if kind is not None:
            return
        parts = self.folder / "parts"
        # evidence too, without which a part is missing: a kill leaves no mixture of two runs
        for stale in parts.glob(f"*.{self.part}.*"):
            stale.unlink()
        for number in range(1, max(self.outputs.values(), default=0) + 1):
            paths = {key: str(self._wav(key, number)) for key, count in self.outputs.items() if number <= count}
            write_table(parts / f"spk{number}.{self.part}.scp", paths)
        if self.noises:
            noises = {key: str(self._noise(key)) for key in self.noises}
            write_table(parts / f"noise.{self.part}.scp", noises)
        matrices = {key: labels.astype(np.float32) for key, labels in self.labels.items()}
        save_ark(
            self.folder / f"assign.{self.part}.ark", parts / f"assign.{self.part}.scp", matrices,
            compression_method=KALDI_UNSIGNED_BYTE,
        )
        with atomic_open(parts / f"evidence.{self.part}.tsv") as file:
            file.writelines("\t".join(row) + "\n" for row in self.rows.values())
        speed = {"seconds": self.seconds, "audio_seconds": self.audio_seconds, "device": self.device}
        write_text(_speed_of(self.folder, self.part), json.dumps(speed) + "\n")

    def _add(self, key: str, said: dict[str, Any], labels: np.ndarray) -> None:
        self.outputs[key], self.rows[key], self.labels[key] = said["outputs"], said["row"], labels
        self.noises |= {key} if said["noise"] else set()
        self.seconds += said["times"][0]
        self.audio_seconds += said["times"][1]

    def _wavs(self, key: str, outputs: int, noise: bool) -> list[Path]:
        wavs = [self._wav(key, number) for number in range(1, outputs + 1)]
        return [*wavs, self._noise(key)] if noise else wavs

    def _wav(self, key: str, number: int) -> Path:
        return self.folder / "wavs" / f"spk{number}" / f"{key}.wav"

    def _noise(self, key: str) -> Path:
        return self.folder / "wavs" / "noise" / f"{key}.wav"

    def _record(self, key: str) -> Path:
        return self.folder / RECORDS / f"{key}.npz"


def _speed_of(folder: Path, part: int) -> Path:
    return folder / "parts" / f"speed.{part}.json"


def merge_parts(folder: str | os.PathLike, parts: int) -> int:
    """Join what ``parts`` writers wrote; returns the number of utterances. Tables of an earlier run do not stay.

    Raises:
        ContrasepError: a part is missing.
    """
    folder = Path(folder)
    lines: list[str] = []
    tables: dict[str, dict[str, str]] = {}
    speeds = []
    for part in range(1, parts + 1):
        evidence = folder / "parts" / f"evidence.{part}.tsv"
        if not evidence.is_file():
            raise ContrasepError(f"{evidence}: part {part} of {parts} is missing; run stage 5 again")
        lines += evidence.read_text(encoding="utf-8").splitlines()
        speeds.append(json.loads(_speed_of(folder, part).read_text(encoding="utf-8")))
        for path in (folder / "parts").glob(f"*.{part}.scp"):
            name = path.name.replace(f".{part}.scp", ".scp")
            tables.setdefault(name, {}).update(read_table(path))
    arks = {f"assign.{part}.ark" for part in range(1, parts + 1)}
    for pattern in ("spk[0-9]*.scp", "noise.scp", "assign.*.ark"):
        for stale in folder.glob(pattern):
            if stale.name not in tables and stale.name not in arks:
                stale.unlink()
    for name, table in tables.items():
        write_table(folder / name, table)
    with atomic_open(folder / "evidence.tsv") as file:
        file.write("\t".join(EVIDENCE) + "\n")
        file.writelines(line + "\n" for line in sorted(lines))
    write_text(folder / SPEED, json.dumps(total_speed(speeds)) + "\n")
    shutil.rmtree(folder / RECORDS, ignore_errors=True)
    return len(lines)
