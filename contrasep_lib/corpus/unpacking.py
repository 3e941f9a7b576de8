"""Packs of `contrasep_lib.corpus.packing`, read as files from anyone.

All that an index says is checked before anything is written, and no more is decoded of an utterance than the index
says. Entries are stored as they are, so none is larger than the pack; Opus of silence expands, so what a pack may
announce is bounded by its size.
"""

from __future__ import annotations

import errno
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.corpus.packing import FORMAT, INDEX, LEAST, MOST, NOTE, RATE, VERSION
from contrasep_lib.corpus.single import Utterance, write_single_set
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.audio import write_wav
from contrasep_lib.io.ids import require_ids, shown
from contrasep_lib.io.zips import DAMAGES

KEYS = ("set", "utt", "speaker", "gender", "samples")
# bytes of PCM16 for each byte of a pack: speech at 6 kbit/s takes 22
MOST_EXPANSION = 100
BLOCK = 1 << 16


def decode(coded: bytes, where: str, samples: int) -> np.ndarray:
    """Speech ``(samples,)`` float64 of the bytes of `contrasep_lib.corpus.packing.encode`.

    Args:
        coded: a whole file.
        where: for the messages.
        samples: that it should have; no more are decoded.

    Raises:
        ContrasepError: damaged, or of another length or rate.
    """
    import soundfile

    parts: list[np.ndarray] = []
    held = 0
    try:
        with soundfile.SoundFile(io.BytesIO(coded)) as file:
            if file.samplerate != RATE or file.channels != 1:
                raise ContrasepError(f"{where}: expected mono at {RATE} Hz, got {file.channels} x {file.samplerate} Hz")
            while held <= samples and len(part := file.read(min(BLOCK, samples + 1 - held))):
                parts.append(part)
                held += len(part)
    except (soundfile.LibsndfileError, RuntimeError):
        raise ContrasepError(f"{where}: damaged; pack it again") from None
    if held != samples:
        got = f"more than {samples}" if held > samples else held
        raise ContrasepError(f"{where}: expected {samples} samples by the index, got {got}; pack it again")
    return np.concatenate(parts)


def read_index(path: str | os.PathLike) -> dict[str, Any]:
    """Index of a pack, all of it checked.

    Returns:
        ``rate`` (Hz), ``kbits`` and ``utterances``, each with ``set``, ``utt``, ``speaker`` (ids), ``gender`` (``m``,
        ``f`` or None) and ``samples``.

    Raises:
        ContrasepError: no pack, a damaged one, one of another version, or an index that says what no pack has.
    """
    try:
        with zipfile.ZipFile(path) as file:
            compressed = next((entry.filename for entry in file.infolist() if entry.compress_type), None)
            if compressed is not None:
                raise ContrasepError(
                    f"{path}: expected stored entries, got '{shown(compressed)}' compressed; pack it again"
                )
            index = json.loads(file.read(INDEX))
    except FileNotFoundError:
        raise ContrasepError(f"{path}: no such file") from None
    except (*DAMAGES, OSError, KeyError, RecursionError) as error:
        _raise_other(error)
        raise ContrasepError(f"{path}: no pack, or a damaged one; pack it again") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT or index.get("version") != VERSION:
        raise ContrasepError(f"{path}: not a pack of version {VERSION}; pack it again")
    _require(path, "rate", RATE, index.get("rate"), index.get("rate") == RATE)
    kbits = index.get("kbits")
    _require(path, "kbits", f"from {LEAST:g} to {MOST:g}", kbits, _is_number(kbits) and LEAST <= kbits <= MOST)
    rows = index.get("utterances")
    _require(path, "utterances", "a list with entries", rows, isinstance(rows, list) and bool(rows))
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(rows, 1):
        _require_row(path, number, row)
        if (name := (row["set"], row["utt"])) in seen:
            raise ContrasepError(f"{path}: index: '{row['utt']}' of '{row['set']}' stands twice; pack it again")
        seen.add(name)
    total, size = sum(row["samples"] for row in rows), os.path.getsize(path)
    if 2 * total > MOST_EXPANSION * size:
        raise ContrasepError(
            f"{path}: index: {total / RATE:.0f} s of audio in {size} bytes, more than {MOST_EXPANSION} bytes for each; "
            "no pack of speech"
        )
    return index


def _require_row(path: str | os.PathLike, number: int, row: Any) -> None:
    where = f"utterance {number}"
    _require(path, where, f"the keys {', '.join(KEYS)}", row, isinstance(row, dict) and set(KEYS) <= row.keys())
    # names become paths
    require_ids(path, (row["set"], row["utt"], row["speaker"]))
    _require(path, f"{where}: gender", "m, f or null", row["gender"], row["gender"] in ("m", "f", None))
    samples = row["samples"]
    _require(path, f"{where}: samples", "a positive whole number", samples, type(samples) is int and samples > 0)


def _raise_other(error: BaseException) -> None:
    """Raise an error of the place: of a damaged file, an offset before its beginning is an invalid argument."""
    if isinstance(error, OSError) and error.errno != errno.EINVAL:
        raise error


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _require(path: str | os.PathLike, where: str, expected: object, got: object, right: bool) -> None:
    if not right:
        words = shown(json.dumps(got), 80)
        raise ContrasepError(f"{path}: index: {where}: expected {expected}, got {words}; pack it again")


def unpack(
    path: str | os.PathLike, out: str | os.PathLike, advance: Callable[[float], object] = lambda seconds: None
) -> list[Path]:
    """Make dumped sets of a pack: ``OUT/<set>_single`` for each of its sets.

    Args:
        path: of `contrasep_lib.corpus.packing.pack`.
        out: folder of dumps; a set that is there is refused.
        advance: takes seconds of speech as they are decoded.

    Returns:
        the sets' folders.

    Raises:
        ContrasepError: see `read_index`; a damaged entry, or a set that is there already.
    """
    from contrasep_lib.io.dump import Dumper
    from contrasep_lib.io.options import DumpOptions

    index, out = read_index(path), Path(out)
    by_set: dict[str, list[dict[str, Any]]] = {}
    for row in index["utterances"]:
        by_set.setdefault(row["set"], []).append(row)
    folders = {name: out / f"{name}_single" for name in by_set}
    for folder in folders.values():
        if folder.exists():
            raise ContrasepError(f"{folder}: already there; remove it, or unpack into another folder")
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path) as file, tempfile.TemporaryDirectory(prefix=".unpack.", dir=out) as work:
        for name, rows in by_set.items():
            data = Path(work) / name
            write_single_set(data, [_unpack_one(path, file, row, Path(work) / "wav", advance) for row in rows])
            # under its own name from the start: the tables of a dump name its arks
            dumper = Dumper(data, folders[name], DumpOptions(), RATE)
            tables = dumper.tables()
            for shard, keys in dumper.shards():
                dumper.write_shard(shard, keys, tables)
            note = {
                "from": Path(path).name,
                "kbits": index["kbits"],
                "lossy": True,
                "scores": "come from the original audio",
            }
            write_text(folders[name] / NOTE, json.dumps(note, indent=1) + "\n")
            # wav.scp comes last, and makes the folder a set
            dumper.merge()
    return list(folders.values())


def _unpack_one(
    path: str | os.PathLike, file: zipfile.ZipFile, row: dict[str, Any], wavs: Path, advance: Callable[[float], object]
) -> Utterance:
    """Decode one utterance of a pack into a file of its own."""
    where = f"{path}: '{row['utt']}'"
    try:
        coded = file.read(f"{row['set']}/{row['utt']}.ogg")
    except KeyError:
        raise ContrasepError(f"{where}: in the index and not in the pack; pack it again") from None
    except (*DAMAGES, OSError) as error:
        _raise_other(error)
        raise ContrasepError(f"{where}: damaged; pack it again") from None
    samples = decode(coded, where, row["samples"])
    wav = wavs / f"{row['utt']}.wav"
    write_wav(wav, samples, RATE)
    advance(len(samples) / RATE)
    return Utterance(row["utt"], row["speaker"], str(wav), None, row["gender"], len(samples), RATE)
