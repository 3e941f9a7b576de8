"""Single-speaker speech in a file of a given size, for training where the corpus cannot go.

Speech is brought to 8 kHz and coded by Opus at about 16 kbit/s, some 7 MB an hour. A pack is one zip
file: ``index.json`` and a coded file for each utterance. Unpacked (`contrasep_lib.corpus.unpacking`), it is
dumped sets as stage 2 leaves them, which ``contrasep train`` reads. The coding is lossy: models may be trained on
it, scores always come from the original audio.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import atomic_path
from contrasep_lib.io.audio import resample_audio
from contrasep_lib.io.datadir import read_durations
from contrasep_lib.io.dumpset import read_entry, require_same_keys
from contrasep_lib.io.scp import read_table

RATE = 8000
INDEX, FORMAT, VERSION = "index.json", "contrasep pack", 1
NOTE = "packed.json"
# what zip keeps of an utterance beside its name (twice) and its bytes
_ENTRY = 30 + 46
# libsndfile's measure of Opus: 6 kbit/s at 1, 256 at 0
LEAST, MOST = 6.0, 256.0
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
    utt2spk, seconds = read_table(folder / "utt2spk"), read_durations(folder / "utt2dur")
    require_same_keys(wav, utt2spk, folder / "utt2spk")
    require_same_keys(wav, seconds, folder / "utt2dur")
    genders = read_table(folder / "spk2gender") if (folder / "spk2gender").is_file() else {}
    return [
        Spoken(name, utt, speaker, genders.get(speaker), str(folder / "wav.scp"), wav[utt], seconds[utt])
        for utt, speaker in utt2spk.items()
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

    level = (MOST - kbits) / (MOST - LEAST)
    with io.BytesIO() as file:
        soundfile.write(file, samples, RATE, format="OGG", subtype="OPUS", compression_level=level)
        return file.getvalue()


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
    if not LEAST <= kbits <= MOST:
        raise ContrasepError(f"--kbits {kbits:g}: expected between {LEAST:g} and {MOST:g}")
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
