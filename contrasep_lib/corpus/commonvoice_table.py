"""The tables of Common Voice (``LANG/validated.tsv``): reading, and ids that name nobody.

Columns are found by the header, because releases differ in them. Fields are separated by tabs and
hold no tab or newline; a quoted sentence has its quotes doubled.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import unicodedata
from pathlib import Path

from contrasep_lib.errors import ContrasepError

TABLE, CLIPS = "validated.tsv", "clips"
SPEAKER_DIGITS = 16
GENDERS = {"male": "m", "female": "f", "male_masculine": "m", "female_feminine": "f"}


@dataclasses.dataclass(frozen=True)
class Clip:
    """One line of a table.

    Attributes:
        utt_id: unique, begins with the speaker.
        speaker: ``cv`` and 16 hex digits, see `speaker_id`.
        language: folder of the table.
        path: audio file, in the language's ``clips/``; not looked for.
        text: the sentence in upper case, letters, digits and apostrophes; None if nothing is left.
        gender: ``m``, ``f`` or None.
    """

    utt_id: str
    speaker: str
    language: str
    path: Path
    text: str | None
    gender: str | None


def speaker_hash(client_id: str) -> str:
    """First 16 hex digits of the SHA-256 of a ``client_id``, which split files and tables hold."""
    return hashlib.sha256(client_id.encode()).hexdigest()[:SPEAKER_DIGITS]


def speaker_id(client_id: str) -> str:
    """Speaker in tables of data directories."""
    return f"cv{speaker_hash(client_id)}"


def list_languages(corpus: str | os.PathLike) -> list[str]:
    """Languages of a corpus: folders with a table, sorted.

    Raises:
        ContrasepError: there is none.
    """
    corpus = Path(corpus)
    found = sorted(path.parent.name for path in corpus.glob(f"*/{TABLE}"))
    if found:
        return found
    nested = sorted({path.parent.parent for path in corpus.glob(f"*/*/{TABLE}")})
    fix = f"give {nested[0]}" if nested else "give the folder that holds the languages' folders"
    raise ContrasepError(f"{corpus}: no LANG/{TABLE} in it; {fix}")


def read_clips(folder: str | os.PathLike) -> list[Clip]:
    """All lines of a language's table, in order.

    Args:
        folder: ``LANG``, with the table in it.

    Raises:
        ContrasepError: table missing, not UTF-8, or a malformed line (the first is named): another
            number of fields than the header's, no ``client_id``, a path that is not a plain file
            name, a clip twice.
    """
    folder = Path(folder)
    table = folder / TABLE
    try:
        # only newlines end a line: a sentence may hold any other separator of Unicode
        with open(table, encoding="utf-8-sig", newline="\n") as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        raise ContrasepError(f"{table}: no such table; give a language of the corpus") from None
    except UnicodeDecodeError as error:
        raise ContrasepError(f"{table}: not UTF-8 text ({error.reason} at byte {error.start}); copy it again") from None
    header = lines[0].rstrip("\r").split("\t")
    for column in ("client_id", "path"):
        if column not in header:
            raise ContrasepError(f"{table}:1: no column '{column}'; expected Common Voice's header")
    clips: list[Clip] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines[1:], 2):
        line = line.rstrip("\r")
        if not line and number == len(lines):
            continue
        fields = line.split("\t")
        if len(fields) != len(header):
            raise ContrasepError(f"{table}:{number}: expected {len(header)} fields between tabs, got {len(fields)}")
        clip = _clip(folder, dict(zip(header, fields)), f"{table}:{number}")
        for name in (clip.path.name, clip.utt_id):
            if name in seen:
                raise ContrasepError(f"{table}:{number}: clip '{clip.path.name}' stands in line {seen[name]} too")
        seen[clip.path.name] = seen[clip.utt_id] = number
        clips.append(clip)
    return clips


def _clip(folder: Path, row: dict[str, str], where: str) -> Clip:
    client, name = row["client_id"], row["path"]
    if not client.strip():
        raise ContrasepError(f"{where}: no client_id")
    if not name or name in (".", "..") or re.search(r"[/\\\x00-\x1f]", name):
        raise ContrasepError(f"{where}: path {name!r} is not the name of a file in {CLIPS}/")
    speaker = speaker_id(client)
    utt_id = f"{speaker}-{clip_number(name, folder.name)}"
    text = words(unquote(row.get("sentence", ""))) or None
    return Clip(utt_id, speaker, folder.name, folder / CLIPS / name, text, GENDERS.get(row.get("gender", "")))


def clip_number(name: str, language: str) -> str:
    """What tells a clip's utterance id from the speaker's others: the number in its name, else a hash.

    Short, because five ids and gains name the file of a mixture.
    """
    number = Path(name).stem.removeprefix(f"common_voice_{language}_")
    return (
        number
        if re.fullmatch(r"[0-9]{1,12}", number)
        else hashlib.sha256(f"{language}/{name}".encode()).hexdigest()[:12]
    )


def unquote(field: str) -> str:
    """A field without the quotes that CSV writers put around one that holds quotes."""
    if len(field) > 1 and field[0] == field[-1] == '"':
        return field[1:-1].replace('""', '"')
    return field


def words(sentence: str) -> str:
    """Upper case; letters and digits of any script and apostrophes, separated by one space."""
    kept = (c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in sentence.replace("’", "'").upper())
    return " ".join("".join(kept).split())
