"""Reading what stage 2 dumped and what stage 5 separated."""

from __future__ import annotations

import functools
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.ark import load_entry, parse_entry
from contrasep_lib.io.audio import INT16_SCALE, LEAST_RATE, MOST_RATE, to_int16
from contrasep_lib.io.ids import RULE, is_id, require_ids, shown
from contrasep_lib.io.kaldi import RefusedError
from contrasep_lib.io.scp import read_table

UTT2SPKS = "utt2spks"
UTT2NUM_SAMPLES = "utt2num_samples"
UTT2CHECKSUM = "utt2checksum"
# of what is in the mixtures beside the talkers: a source, but no talker
NOISE = "noise.scp"


def checksum(pcm: np.ndarray) -> str:
    """CRC-32 of samples, ``(samples,)`` int16, as eight hexadecimal digits."""
    return f"{zlib.crc32(pcm.astype('<i2', copy=False).tobytes()):08x}"


def speaker_tables(folder: str | os.PathLike) -> list[Path]:
    """``spk1.scp``, ``spk2.scp``, ... of a folder, in order, up to the first that is absent."""
    tables: list[Path] = []
    while (path := Path(folder) / f"spk{len(tables) + 1}.scp").is_file():
        tables.append(path)
    return tables


def source_tables(folder: str | os.PathLike) -> list[Path]:
    """`speaker_tables` and, last, ``noise.scp`` where it is there: what adds up to the mixtures."""
    noise = Path(folder) / NOISE
    return [*speaker_tables(folder), *([noise] if noise.is_file() else [])]


def located(table: str | os.PathLike, entry: str) -> str:
    """An scp entry whose file is found from anywhere.

    Tables of a recipe name files relative to its folder, which lies above the table; another recipe
    may have files of the same names, so where one works comes last.

    Raises:
        RefusedError: see `contrasep_lib.io.ark.parse_entry`.
    """
    path, offset = parse_entry(entry)
    if os.path.isabs(path):
        return entry
    try:
        return f"{_above(os.path.abspath(table), path)}{'' if offset is None else f':{offset}'}"
    except FileNotFoundError:
        return entry


@functools.lru_cache(maxsize=4096)
def _above(table: str, path: str) -> Path:
    """The file of this relative path in the nearest folder above a table; thousands of entries share an ark.

    Raises:
        FileNotFoundError: there is none (which is not remembered).
    """
    for folder in Path(table).resolve().parents:
        if (folder / path).is_file():
            return folder / path
    raise FileNotFoundError(path)


def read_entry(table: str | os.PathLike, key: str, entry: str) -> tuple[np.ndarray, int]:
    """Load the audio behind one scp entry (``file`` or ``file.ark:offset``).

    Returns:
        samples in [-1, 1), ``(samples,)`` float32, and the rate in Hz.

    Raises:
        ContrasepError: the ark or file is missing, corrupt or holds no mono audio, or the entry is of a kind that is
            not read, such as a command; names the table, the key and the ark.
    """
    ark: str | os.PathLike = table
    try:
        entry = located(table, entry)
        ark, _ = parse_entry(entry)
        loaded = load_entry(entry)
    except RefusedError as error:
        raise ContrasepError(f"{ark}: refused at the entry of '{key}' ({_one_line(error)})") from None
    except FileNotFoundError:
        raise ContrasepError(
            f"{table}: '{key}' points to {ark}, which is not there; run the stage that makes it again"
        ) from None
    except (ValueError, OSError) as error:
        raise ContrasepError(f"{ark}: corrupt at the entry of '{key}' ({_one_line(error)}); make it again") from None
    rate, samples = loaded if isinstance(loaded, tuple) else (0, loaded)
    if not rate or samples.ndim != 1:
        raise ContrasepError(f"{ark}: the entry of '{key}' is no mono audio; make it again")
    if len(samples) == 0:
        raise ContrasepError(f"{ark}: the entry of '{key}' is empty; make it again")
    if not LEAST_RATE <= rate <= MOST_RATE:
        expected = f"expected a rate from {LEAST_RATE} to {MOST_RATE} Hz"
        raise ContrasepError(f"{ark}: the entry of '{key}': {expected}, got {rate} Hz; make it again")
    if samples.dtype == np.int16:
        samples = samples.astype(np.float32) / np.float32(INT16_SCALE)
    elif samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif not np.isfinite(samples).all():
        raise ContrasepError(f"{ark}: the entry of '{key}' has NaN or infinite samples; make it again")
    return samples.astype(np.float32, copy=False), int(rate)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class DumpSet:
    """A dumped set of mixtures with their sources, or of single-speaker utterances.

    A set of mixtures has ``spk1.scp .. spkN.scp``; in a single-speaker set the source is the
    utterance itself and `num_spk` is 1. Noise (``noise.scp``) is no talker: it counts nowhere.

    Args:
        folder: ``dump/<set>``.

    Raises:
        ContrasepError: a table is missing, malformed, or has other keys than ``wav.scp``; the folder's name, which
            names those of its results, is no id.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self.name = os.path.basename(os.path.abspath(folder))
        if not is_id(self.name):
            raise ContrasepError(
                f"{folder}: expected a folder whose name is of {RULE}, got '{shown(self.name)}'; rename it"
            )
        # a dump has one rate: that of the entry that was read first, and its key
        self._first: tuple[int, str] | None = None
        if not (self.folder / "wav.scp").is_file():
            raise ContrasepError(f"{self.folder}/wav.scp: not there; run stage 2 for this set first")
        self.wav = read_table(self.folder / "wav.scp")
        self.spk = [read_table(path) for path in speaker_tables(self.folder)]
        for number, table in enumerate(self.spk, 1):
            require_same_keys(self.wav, table, self.folder / f"spk{number}.scp")
        self.noises = read_table(self.folder / NOISE) if (self.folder / NOISE).is_file() else None
        if self.noises is not None:
            require_same_keys(self.wav, self.noises, self.folder / NOISE)

    @property
    def keys(self) -> list[str]:
        """Utterance ids, sorted."""
        return list(self.wav)

    @property
    def num_spk(self) -> int:
        """Talkers in every mixture of the set."""
        return max(1, len(self.spk))

    @functools.cached_property
    def utt2spk(self) -> dict[str, str]:
        """Utterance id -> speaker (of a mixture: the speakers joined by ``_``)."""
        table = read_table(self.folder / "utt2spk")
        require_same_keys(self.wav, table, self.folder / "utt2spk")
        require_ids(self.folder / "utt2spk", set(table.values()))
        return table

    @functools.cached_property
    def speakers(self) -> dict[str, tuple[str, ...]]:
        """Utterance id -> speaker of each source, in order, by ``utt2spks``.

        Sets of earlier versions have no such table. There the speakers are the parts of ``utt2spk`` between ``_``,
        which are more than the sources where a speaker's id holds ``_`` itself.

        Raises:
            ContrasepError: a table that is missing or malformed, or another number of speakers than of sources.
        """
        path = self.folder / UTT2SPKS
        if not path.is_file():
            return {key: (name,) if self.num_spk == 1 else tuple(name.split("_")) for key, name in self.utt2spk.items()}
        table = read_table(path)
        require_same_keys(self.wav, table, path)
        speakers = {key: tuple(names.split()) for key, names in table.items()}
        require_ids(path, {name for names in speakers.values() for name in names})
        for key, names in speakers.items():
            if len(names) != self.num_spk:
                raise ContrasepError(f"{path}: '{key}': expected {self.num_spk} speakers, got {len(names)}")
        return speakers

    @functools.cached_property
    def rate(self) -> int:
        """Sampling rate of the set, Hz (that of its first utterance)."""
        return self.mixture_and_rate(self.keys[0])[1]

    def require_rate(self, rate: int) -> None:
        """Raise ContrasepError unless the set was dumped at ``rate`` Hz, which is ``mix.rate``."""
        if self.rate != rate:
            raise ContrasepError(f"{self.folder}: {self.rate} Hz, mix.rate is {rate} Hz; run stage 2 again")

    def mixture_and_rate(self, key: str) -> tuple[np.ndarray, int]:
        """The mixture, ``(samples,)`` float32, and its rate in Hz."""
        return self._read(0, key)

    def mixture(self, key: str) -> np.ndarray:
        """The mixture, ``(samples,)`` float32 in [-1, 1)."""
        return self.mixture_and_rate(key)[0]

    def sources(self, key: str) -> np.ndarray:
        """The sources, ``(num_spk, samples)`` float32 in [-1, 1).

        Raises:
            ContrasepError: sources of different length.
        """
        if not self.spk:
            return self.mixture(key)[None]
        tracks = [self._read(number, key)[0] for number in range(1, len(self.spk) + 1)]
        if len({len(track) for track in tracks}) > 1:
            lengths = ", ".join(str(len(track)) for track in tracks)
            raise ContrasepError(f"{self.folder}: sources of '{key}' differ in length ({lengths} samples)")
        return np.stack(tracks)

    def noise(self, key: str) -> np.ndarray | None:
        """What the mixture has beside its sources, ``(samples,)`` float32; None in a set without noise."""
        return None if self.noises is None else self._read(len(self.spk) + 1, key)[0]

    @functools.cached_property
    def _lengths(self) -> dict[str, str]:
        """Utterance id -> samples as stage 2 noted them; empty for a set without the table."""
        return self._noted(UTT2NUM_SAMPLES)

    @functools.cached_property
    def _sums(self) -> dict[str, str]:
        """Utterance id -> checksums of mixture, sources and noise; empty for a set without the table."""
        return self._noted(UTT2CHECKSUM)

    def _noted(self, name: str) -> dict[str, str]:
        path = self.folder / name
        if not path.is_file():
            return {}
        table = read_table(path)
        require_same_keys(self.wav, table, path)
        return table

    def _read(self, track: int, key: str) -> tuple[np.ndarray, int]:
        """Audio of the mixture, track 0, of a source, from 1, or of the noise, behind the last source."""
        names = ["wav.scp", *(f"spk{number}.scp" for number in range(1, len(self.spk) + 1)), NOISE]
        table, entry = names[track], [self.wav, *self.spk, self.noises or {}][track][key]
        samples, rate = read_entry(self.folder / table, key, entry)
        self._first = self._first or (rate, key)
        if rate != self._first[0]:
            expected, of = self._first
            raise ContrasepError(
                f"{self.folder / table}: '{key}': expected {expected} Hz, as '{of}' has it, got {rate} Hz; "
                "run stage 2 again"
            )
        if self._lengths and str(len(samples)) != self._lengths[key]:
            raise ContrasepError(
                f"{self.folder / table}: '{key}': expected {self._lengths[key]} samples by {UTT2NUM_SAMPLES}, "
                f"got {len(samples)}; run stage 2 again"
            )
        if self._sums:
            sums, found = self._sums[key].split(), checksum(to_int16(samples))
            if found != (sums[track] if track < len(sums) else ""):
                ark, _ = parse_entry(entry)
                raise ContrasepError(
                    f"{ark}: damaged at the entry of '{key}' (another checksum than in {UTT2CHECKSUM}); "
                    "delete it and run stage 2 again"
                )
        return samples, rate


class SeparatedSet:
    """What stage 5 wrote for one set: one scp per output, and ``evidence.tsv``.

    An utterance with fewer outputs than others is absent from the later tables.

    Args:
        folder: ``exp/<tag>/separate_<set>``.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        tables = speaker_tables(self.folder)
        if not tables:
            raise ContrasepError(f"{self.folder}/spk1.scp: not there; run stage 5 for this set first")
        self.spk = [read_table(path) for path in tables]

    @property
    def keys(self) -> list[str]:
        """Utterance ids, sorted."""
        return list(self.spk[0])

    def outputs(self, key: str, rate: int | None = None, samples: int | None = None) -> np.ndarray:
        """Separated signals, ``(outputs, samples)`` float32; the number varies by utterance.

        Args:
            key: utterance id.
            rate, samples: of the mixture, which every output has to have; None for any.

        Raises:
            ContrasepError: no output, or one of another rate or length.
            ValueError: outputs that differ in length, where any is allowed.
        """
        tracks = []
        for number, table in enumerate(self.spk, 1):
            if key not in table:
                continue
            path = self.folder / f"spk{number}.scp"
            track, own = read_entry(path, key, table[key])
            for expected, got, unit in ((rate, own, "Hz"), (samples, len(track), "samples")):
                if expected is not None and got != expected:
                    raise ContrasepError(
                        f"{path}: '{key}': expected {expected} {unit} as in the mixture, got {got}; run stage 5 again"
                    )
            tracks.append(track)
        if not tracks:
            raise ContrasepError(f"{self.folder}/spk1.scp: key '{key}' missing; run stage 5 again")
        return np.stack(tracks)


def require_same_keys(expected: Mapping[str, object], table: Mapping[str, object], path: str | os.PathLike) -> None:
    """Raise ContrasepError, naming the first key and how many, unless both have the same keys."""
    missing = [key for key in expected if key not in table]
    extra = [key for key in table if key not in expected]
    if missing:
        raise ContrasepError(f"{path}: key '{missing[0]}' missing ({len(missing)} in all); make the folder again")
    if extra:
        raise ContrasepError(f"{path}: key '{extra[0]}' is not in wav.scp ({len(extra)} in all)")
