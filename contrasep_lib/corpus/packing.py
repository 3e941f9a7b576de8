"""Single-speaker speech in a file of a given size, for training where the corpus cannot go.

Speech is brought to 8 kHz and coded by Opus at about 16 kbit/s, some 7 MB an hour. A pack is one zip
file: ``index.json`` and a coded file for each utterance. Unpacked, it is dumped sets as stage 2 leaves
them, which ``contrasep train`` reads. The coding is lossy: models may be trained on it, scores
always come from the original audio.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.corpus.single import Utterance, write_single_set
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import atomic_path, write_text
from contrasep_lib.io.audio import resample_audio, write_wav
from contrasep_lib.io.dumpset import read_entry, require_same_keys
from contrasep_lib.io.ids import require_ids
from contrasep_lib.io.scp import read_table

RATE = 8000
INDEX, FORMAT, VERSION = "index.json", "contrasep pack", 1
NOTE = "packed.json"
# what zip keeps of an utterance beside its name (twice) and its bytes
_ENTRY = 30 + 46
# libsndfile's measure of Opus: 6 kbit/s at 1, 256 at 0
_LEAST, _MOST = 6.0, 256.0
# no times in the file: they would say nothing of the speech
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclasses.dataclass(frozen=True)
class Spoken:
    """An utterance that may be packed.

    Attributes:
        set: name of its set, e.g. ``tr``.
        utt_id, speaker: of its tables.
        gender: ``m`` or ``f``; None if unknown.
        table, entry: where its audio is, as `contrasep_lib.io.dumpset.read_entry` takes it.
        seconds: by ``utt2dur``.
    """

    set: str
    utt_id: str
    speaker: str
    gender: str | None
    table: str
    entry: str
    seconds: float


def size_of(text: str) -> int:
    """Bytes of a size as people write it: ``40M``, ``1.5G``, ``800K`` (powers of 1024), or a plain number.

    Raises:
        ContrasepError: anything else, or less than one byte.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * 1024 ** " KMG".index(match[2].upper() or " ")) if match else 0
    if size < 1:
        raise ContrasepError(f"--size {text}: expected a size like 40M")
    return size


def read_spoken(folder: str | os.PathLike, name: str) -> list[Spoken]:
    """The utterances of a single-speaker set: a data directory, or its dump.

    Raises:
        ContrasepError: a table is missing or has other keys; a set of mixtures.
    """
    folder = Path(folder)
    if (folder / "spk1.scp").exists():
        raise ContrasepError(f"{folder}: a set of mixtures; name one of single speakers, e.g. dump/tr_single")
    wav = read_table(folder / "wav.scp")
    tables = {}
    for table in ("utt2spk", "utt2dur"):
        tables[table] = read_table(folder / table)
        require_same_keys(wav, tables[table], folder / table)
    genders = read_table(folder / "spk2gender") if (folder / "spk2gender").is_file() else {}
    try:
        seconds = {utt: float(value) for utt, value in tables["utt2dur"].items()}
    except ValueError:
        raise ContrasepError(f"{folder / 'utt2dur'}: a duration that is no number; make the table again") from None
    return [
        Spoken(name, utt, speaker, genders.get(speaker), str(folder / "wav.scp"), wav[utt], seconds[utt])
        for utt, speaker in tables["utt2spk"].items()
    ]


def even_order(utterances: Iterable[Spoken], seed: int) -> list[Spoken]:
    """Utterances such that any first part of the order has its speech spread evenly over speakers.

    The next utterance is always one of a speaker who has had least speech so far; the seed draws the
    order of the speakers, and of the utterances of each.
    """
    waiting: dict[str, list[Spoken]] = {}
    for utterance in sorted(utterances, key=lambda u: u.utt_id):
        waiting.setdefault(utterance.speaker, []).append(utterance)
    rng = np.random.default_rng(seed)
    names = sorted(waiting)
    turn = {names[i]: number for number, i in enumerate(rng.permutation(len(names)))}
    queues = {name: [waiting[name][i] for i in rng.permutation(len(waiting[name]))] for name in names}
    heard = dict.fromkeys(names, 0.0)
    order = []
    while queues:
        speaker = min(queues, key=lambda name: (heard[name], turn[name]))
        utterance = queues[speaker].pop(0)
        heard[speaker] += utterance.seconds
        order.append(utterance)
        if not queues[speaker]:
            del queues[speaker]
    return order


def encode(samples: np.ndarray, kbits: float = 16.0) -> bytes:
    """Speech at 8 kHz, ``(samples,)`` in [-1, 1), as Ogg Opus of about ``kbits`` kbit/s."""
    import soundfile

    level = (_MOST - kbits) / (_MOST - _LEAST)
    with io.BytesIO() as file:
        soundfile.write(file, samples, RATE, format="OGG", subtype="OPUS", compression_level=level)
        return file.getvalue()


def decode(coded: bytes, where: str) -> np.ndarray:
    """Speech ``(samples,)`` float64 of `encode`'s bytes.

    Raises:
        ContrasepError: damaged; names ``where``.
    """
    import soundfile

    try:
        samples, rate = soundfile.read(io.BytesIO(coded))
    except (soundfile.LibsndfileError, RuntimeError):
        rate, samples = 0, np.zeros(0)
    if rate != RATE or samples.ndim != 1:
        raise ContrasepError(f"{where}: damaged; pack it again")
    return samples


def pack(
    sets: Mapping[str, Sequence[Spoken]], path: str | os.PathLike, size: int, kbits: float = 16.0, seed: int = 0,
    advance: Callable[[float], object] = lambda seconds: None,
) -> dict[str, Any]:
    """Write a pack of at most ``size`` bytes.

    Each set has the share of the size that it has of all seconds, and takes its utterances in
    `even_order` until the next one does not fit. Which are taken depends on nothing but the sets,
    the size, the rate of bits and the seed.

    Args:
        sets: name -> utterances, in the order of the pack.
        path: zip file.
        size: bytes.
        kbits: of the coding, kbit/s, 6 to 256.
        seed: of the order.
        advance: takes seconds of speech as they are coded.

    Returns:
        the index; its ``utterances`` are in the order of the file.

    Raises:
        ContrasepError: unreadable audio, a size in which no set has an utterance of its own, or a bad rate of bits.
    """
    if not _LEAST <= kbits <= _MOST:
        raise ContrasepError(f"--kbits {kbits:g}: expected between {_LEAST:g} and {_MOST:g}")
    total = sum(u.seconds for utterances in sets.values() for u in utterances)
    rows: list[dict[str, Any]] = []
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:
        for name, utterances in sets.items():
            room = int((size - 2048) * sum(u.seconds for u in utterances) / total)
            taken = 0
            for utterance in even_order(utterances, seed):
                samples, rate = read_entry(utterance.table, utterance.utt_id, utterance.entry)
                samples = resample_audio(samples.astype(np.float64), rate, RATE)
                coded = encode(samples, kbits)
                row = {
                    "set": name, "utt": utterance.utt_id, "speaker": utterance.speaker, "gender": utterance.gender,
                    "samples": len(samples),
                }
                entry = f"{name}/{utterance.utt_id}.ogg"
                # the index tells each utterance in a line
                cost = len(coded) + _ENTRY + 2 * len(entry.encode()) + len(_line(row)) + 2
                if cost > room:
                    break
                room, taken = room - cost, taken + 1
                file.writestr(zipfile.ZipInfo(entry, _DATE), coded)
                rows.append(row)
                advance(utterance.seconds)
            if not taken:
                raise ContrasepError(f"--size {size}: no utterance of '{name}' fits; ask for a larger size")
        index = {"format": FORMAT, "version": VERSION, "rate": RATE, "kbits": kbits, "utterances": rows}
        head = json.dumps({**index, "utterances": None})[: -len("null}")]
        file.writestr(zipfile.ZipInfo(INDEX, _DATE), head + "[\n" + ",\n".join(map(_line, rows)) + "\n]}\n")
    return index


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=True)


def read_index(path: str | os.PathLike) -> dict[str, Any]:
    """Index of a pack.

    Raises:
        ContrasepError: no pack, a damaged one, or one of another version.
    """
    try:
        with zipfile.ZipFile(path) as file:
            index = json.loads(file.read(INDEX))
    except FileNotFoundError:
        raise ContrasepError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise ContrasepError(f"{path}: no pack, or a damaged one; pack it again") from None
    if index.get("format") != FORMAT or index.get("version") != VERSION:
        raise ContrasepError(f"{path}: not a pack of version {VERSION}; pack it again")
    return index


def unpack(
    path: str | os.PathLike, out: str | os.PathLike, advance: Callable[[float], object] = lambda seconds: None
) -> list[Path]:
    """Make dumped sets of a pack: ``OUT/<set>_single`` for each of its sets.

    Args:
        path: of `pack`.
        out: folder of dumps; a set that is there is refused.
        advance: takes seconds of speech as they are decoded.

    Returns:
        the sets' folders.

    Raises:
        ContrasepError: no pack, a damaged one, or a set that is there already.
    """
    from contrasep_lib.io.dump import Dumper
    from contrasep_lib.io.options import DumpOptions

    index, out = read_index(path), Path(out)
    by_set: dict[str, list[dict[str, Any]]] = {}
    for row in index["utterances"]:
        # names become paths
        require_ids(path, (row["set"], row["utt"], row["speaker"]))
        by_set.setdefault(row["set"], []).append(row)
    folders = {name: out / f"{name}_single" for name in by_set}
    for folder in folders.values():
        if folder.exists():
            raise ContrasepError(f"{folder}: already there; remove it, or unpack into another folder")
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path) as file, tempfile.TemporaryDirectory(prefix=".unpack.", dir=out) as work:
        for name, rows in by_set.items():
            data = Path(work) / name
            utterances = []
            for row in rows:
                where = f"{path}: '{row['utt']}'"
                try:
                    coded = file.read(f"{name}/{row['utt']}.ogg")
                except (KeyError, zipfile.BadZipFile):
                    raise ContrasepError(f"{where}: damaged; pack it again") from None
                samples = decode(coded, where)
                if len(samples) != row["samples"]:
                    raise ContrasepError(
                        f"{where}: {len(samples)} samples, the index says {row['samples']}; pack it again"
                    )
                wav = Path(work) / "wav" / f"{row['utt']}.wav"
                write_wav(wav, samples, index["rate"])
                utterances.append(Utterance(
                    row["utt"], row["speaker"], str(wav), None, row["gender"], len(samples), index["rate"]
                ))
                advance(len(samples) / index["rate"])
            write_single_set(data, utterances)
            # under its own name from the start: the tables of a dump name its arks
            dumper = Dumper(data, folders[name], DumpOptions(), index["rate"])
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
