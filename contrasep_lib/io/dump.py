"""Stage 2: from a data directory to ark, in shards of a fixed number of utterances.

Shards make the bytes independent of the number of jobs, and a killed run goes on with the first
shard that is not whole. Audio is PCM16 wav in ark, ``wav.K.ark``, ``spk1.K.ark``, ..., which
Kaldi reads by ``wav.scp`` as it is, or flac in ark (kaldiio's ``AUDIO`` entries); spectra are
Kaldi matrices, ``feats.K.ark``; noise, which is no talker, ``noise.K.ark``. ``global_cmvn.ark`` holds
Kaldi CMVN statistics under the key ``global``.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.ark import load_first, save_ark
from contrasep_lib.io.atomic import atomic_path
from contrasep_lib.io.audio import INT16_SCALE, read_audio, to_int16
from contrasep_lib.io.datadir import COPIED
from contrasep_lib.io.dumpset import NOISE, UTT2CHECKSUM, UTT2NUM_SAMPLES, checksum, require_same_keys, source_tables
from contrasep_lib.io.options import DumpOptions
from contrasep_lib.io.pipes import require_no_commands
from contrasep_lib.io.scp import read_table, write_table
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.spectra import log_spectrum, statistics

# Kaldi's kSpeechFeature: 8 bits per value with per-column percentiles
KALDI_SPEECH_FEATURE = 2


@dataclasses.dataclass(frozen=True)
class Dumper:
    """Writes one set.

    Args:
        data: data directory (validated).
        folder: dump directory of the set.
        options: section ``dump``.
        rate: Hz; audio of another rate is resampled.
        pipes: run entries ``cmd |`` of the data directory; for tables of one's own.
    """

    data: Path
    folder: Path
    options: DumpOptions
    rate: int
    pipes: bool = False

    @property
    def features(self) -> FeatureOptions:
        """Framing of spectra and statistics."""
        return FeatureOptions(self.options.win, self.options.hop)

    def tables(self) -> dict[str, dict[str, str]]:
        """``wav``, ``spk1 .. spkN`` and ``noise`` -> table, all with the same keys."""
        wav = read_table(self.data / "wav.scp")
        tables = {"wav": wav}
        for path in source_tables(self.data):
            tables[path.stem] = read_table(path)
            require_same_keys(wav, tables[path.stem], path)
        if not self.pipes:
            for name, table in tables.items():
                require_no_commands(self.data / f"{name}.scp", table)
        return tables

    def shards(self) -> list[tuple[int, list[str]]]:
        """Number of each shard, from 1, and its utterance ids."""
        keys = list(read_table(self.data / "wav.scp"))
        size = self.options.shard
        return [(start // size + 1, keys[start : start + size]) for start in range(0, len(keys), size)]

    def is_whole(self, shard: int, tracks: Iterable[str]) -> bool:
        """Whether all files of a shard are there, with the audio of ``tracks``; each appears only when whole."""
        names = [f"stats.{shard}.ark", *(f"{name}.{shard}" for name in self._checks())]
        names += [f"{name}.{shard}.{suffix}" for name in self._matrices(tracks) for suffix in ("ark", "scp")]
        return all((self.folder / name).is_file() for name in names)

    def _checks(self) -> list[str]:
        """Names of the tables that a reader compares audio with."""
        return [UTT2NUM_SAMPLES, *([UTT2CHECKSUM] if self.options.checksum != "none" else [])]

    def _matrices(self, tracks: Iterable[str]) -> list[str]:
        """Names of a shard's arks with an scp: audio and, where the options ask for them, spectra."""
        return [*tracks, *(["feats"] if self.options.spectra != "none" else [])]

    def write_shard(self, shard: int, keys: list[str], tables: Mapping[str, Mapping[str, str]]) -> None:
        """Read, check and write the utterances of one shard.

        Raises:
            ContrasepError: faulty audio, or sources of another length than their mixture.
        """
        lengths: dict[str, int] = {}
        sums: dict[str, list[str]] = {key: [] for key in keys}
        stats = np.zeros((2, self.features.win // 2 + 2))
        spectra: dict[str, np.ndarray] = {}
        for track, table in tables.items():
            audio: dict[str, tuple[int, np.ndarray]] = {}
            for key in keys:
                samples, _ = read_audio(table[key], self.rate, resample=True, full_scale=True, pipes=self.pipes)
                pcm = to_int16(samples)
                # a mixture may hold nothing but its talkers
                if not pcm.any() and track != Path(NOISE).stem:
                    raise ContrasepError(f"{table[key]}: all zero; leave '{key}' out of {self.data}")
                if lengths.setdefault(key, len(pcm)) != len(pcm):
                    raise ContrasepError(
                        f"{table[key]}: {len(pcm)} samples, the mixture '{key}' has {lengths[key]}; mix it again"
                    )
                audio[key] = (self.rate, pcm)
                sums[key].append(checksum(pcm))
                if track == "wav":
                    spectrum = log_spectrum(pcm / INT16_SCALE, self.features)
                    stats += statistics(spectrum)
                    if self.options.spectra != "none":
                        spectra[key] = spectrum
            self._save(track, shard, audio, **self._audio_format())
        if spectra:
            method = KALDI_SPEECH_FEATURE if self.options.spectra == "compressed" else None
            self._save("feats", shard, spectra, compression_method=method)
        checks = {UTT2NUM_SAMPLES: {key: str(length) for key, length in lengths.items()},
                  UTT2CHECKSUM: {key: " ".join(values) for key, values in sums.items()}}
        for name in self._checks():
            write_table(self.folder / f"{name}.{shard}", checks[name])
        self._save_stats(f"stats.{shard}.ark", stats)

    def _audio_format(self) -> dict[str, Any]:
        if self.options.audio == "flac":
            return {"write_function": "soundfile", "write_kwargs": {"format": "flac", "subtype": "PCM_16"}}
        return {}

    def _save(self, track: str, shard: int, entries: Mapping[str, Any], **how: Any) -> None:
        """Write ``TRACK.SHARD.ark`` and ``TRACK.SHARD.scp``."""
        stem = self.folder / f"{track}.{shard}"
        save_ark(f"{stem}.ark", f"{stem}.scp", entries, **how)

    def _save_stats(self, name: str, stats: np.ndarray) -> None:
        import kaldiio

        with atomic_path(self.folder / name) as temporary:
            kaldiio.save_ark(str(temporary), {"global": stats})

    def _stats(self, shard: int) -> np.ndarray:
        """Statistics that `write_shard` saved, ``(2, columns)`` float64."""
        path = self.folder / f"stats.{shard}.ark"
        try:
            _, stats = load_first(path)
        except (ValueError, OSError) as error:
            raise ContrasepError(f"{path}: cannot be read ({error}); remove it and run stage 2 again") from None
        expected = (2, self.features.win // 2 + 2)
        if isinstance(stats, tuple) or stats.shape != expected or not np.isfinite(stats).all():
            raise ContrasepError(f"{path}: expected finite statistics {expected}; remove it and run stage 2 again")
        return stats

    def merge(self) -> int:
        """Join the shards' tables; returns the number of utterances.

        Raises:
            ContrasepError: a shard is not there, or its statistics are damaged.
        """
        shards, tracks = [shard for shard, _ in self.shards()], self.tables()
        for shard in shards:
            if not self.is_whole(shard, tracks):
                raise ContrasepError(f"{self.folder}: shard {shard} of {len(shards)} is missing; run stage 2 again")
        names = {f"{name}.scp": f"{name}.{{}}.scp" for name in self._matrices(tracks)}
        names |= {name: f"{name}.{{}}" for name in self._checks()}
        joined: dict[str, str] = {}
        for name, pattern in names.items():
            joined = {}
            for shard in shards:
                joined.update(read_table(self.folder / pattern.format(shard)))
            write_table(self.folder / name, joined)
        self._save_stats("global_cmvn.ark", np.sum([self._stats(shard) for shard in shards], axis=0))
        for name in (*COPIED[1:], *(path.name for path in self.data.glob("text_spk*"))):
            if (self.data / name).is_file():
                with atomic_path(self.folder / name) as temporary:
                    shutil.copyfile(self.data / name, temporary)
        return len(joined)
