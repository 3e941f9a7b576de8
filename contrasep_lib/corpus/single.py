"""Kaldi data directories of single-speaker speech, as every corpus reader writes them."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import remove_tree, write_text
from contrasep_lib.io.scp import invert_utt2spk, write_table

# typographic apostrophe, and the letter that looks like it
_APOSTROPHES = {0x2019: "'", 0x02BC: "'"}
# first letters of Unicode's categories: letters, marks, numbers
_KEPT = "LMN"


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One recording of one speaker.

    Attributes:
        utt_id: unique, beginning with the speaker id (Kaldi sorts both files the same way then).
        speaker: speaker id.
        path: audio file.
        text: transcript, upper case without punctuation (apostrophes stay); None if there is none.
        gender: ``m`` or ``f`` as in Kaldi's ``spk2gender``; None if unknown.
        num_samples: length, samples at ``rate``.
        rate: sampling rate of the file, Hz.
        language: code of the language; None if unknown.
    """

    utt_id: str
    speaker: str
    path: str
    text: str | None
    gender: str | None
    num_samples: int
    rate: int
    language: str | None = None


def normalise_text(sentence: str) -> str:
    """A transcript of a sentence: upper case, words separated by one space.

    Letters, marks and digits of any script stay, in Unicode's composed form (NFC), and apostrophes, the typographic
    ones as ``'``.

    Example:
        >>> normalise_text("Don\u2019t - in 1998!")
        "DON'T IN 1998"
    """
    text = unicodedata.normalize("NFC", sentence.translate(_APOSTROPHES).upper())
    return " ".join("".join(c if c == "'" or unicodedata.category(c)[0] in _KEPT else " " for c in text).split())


def refuse_wordless(path: str | os.PathLike, texts: Iterable[str]) -> None:
    """Raise ContrasepError, naming the table, if none of its normalised transcripts has a word."""
    if not any(texts):
        raise ContrasepError(f"{path}: expected transcripts, got no word in any line; name a set that has them")


def write_single_set(folder: str | os.PathLike, utterances: Iterable[Utterance]) -> None:
    """Write ``wav.scp utt2spk spk2utt utt2dur`` and, where known of all, ``text``, ``spk2gender``, ``utt2lang``.

    Kaldi wants the same keys in all files, so one transcript (gender, language) that is not known
    leaves the whole file out. The folder is written under another name and then put in place of
    an earlier one, so it never mixes two versions. ``utt2dur`` is in seconds.

    Args:
        folder: the data directory.
        utterances: in any order.

    Raises:
        ContrasepError: no utterance, an id that stands twice or is none (`contrasep_lib.io.ids`).
        ValueError: an utterance id that does not begin with its speaker's.
    """
    folder = Path(folder)
    utterances = list(utterances)
    if not utterances:
        raise ContrasepError(f"{folder}: no utterance for this set; check the corpus and the split options")
    for utterance in utterances:
        if not utterance.utt_id.startswith(utterance.speaker):
            raise ValueError(f"utterance '{utterance.utt_id}' does not begin with '{utterance.speaker}'")
    temporary, old = folder.with_name(f".{folder.name}.tmp"), folder.with_name(f".{folder.name}.old")
    for leftover in (temporary, old):
        remove_tree(leftover)
    temporary.mkdir(parents=True)
    write_table(temporary / "wav.scp", [(u.utt_id, u.path) for u in utterances])
    utt2spk = {u.utt_id: u.speaker for u in utterances}
    write_table(temporary / "utt2spk", utt2spk)
    write_table(temporary / "spk2utt", invert_utt2spk(utt2spk))
    write_table(temporary / "utt2dur", [(u.utt_id, f"{u.num_samples / u.rate:.6f}") for u in utterances])
    if all(u.text for u in utterances):
        write_table(temporary / "text", {u.utt_id: u.text or "" for u in utterances})
    if all(u.gender for u in utterances):
        write_table(temporary / "spk2gender", {u.speaker: u.gender or "" for u in utterances})
    if all(u.language for u in utterances):
        write_table(temporary / "utt2lang", {u.utt_id: u.language or "" for u in utterances})
    if folder.exists():
        os.replace(folder, old)
    os.replace(temporary, folder)
    shutil.rmtree(old, ignore_errors=True)


def claim_folder(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``folder/corpus.json``, or make sure that the folder holds just this corpus.

    For corpora whose audio is made: what a killed run left is of the same corpus then.

    Args:
        folder: sources folder, with the audio in ``wav/``.
        record: all that the audio depends on, as plain values.

    Raises:
        ContrasepError: the folder holds another corpus.
    """
    path = folder / "corpus.json"
    content = json.dumps(record, indent=1, sort_keys=True) + "\n"
    if path.exists():
        if path.read_text(encoding="utf-8") != content:
            raise ContrasepError(
                f"{folder}: holds a corpus of other options; remove the folder or choose another"
            )
    elif (folder / "wav").exists():
        raise ContrasepError(
            f"{folder}: holds wav files but no corpus.json; remove the folder or choose another"
        )
    else:
        write_text(path, content)
