"""Ids of utterances and speakers and names of sets: they become names of files, so their signs are limited."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Annotated

from contrasep_lib.config.bounds import Text
from contrasep_lib.errors import ContrasepError

# bytes; file systems take 255, and a file's name is an id with a suffix
LONGEST = 240
# bytes of the speaker of a mixture, before the rest of its id
LONGEST_SPEAKER = 120
RULE = f"letters, digits and ._=+- with no '.' in front, at most {LONGEST} bytes"
_ID = re.compile(r"[\w=+-][\w.=+-]*")
_DIGITS = 16


def is_id(text: object) -> bool:
    """Whether a text is an id: letters and digits of any script and ``._=+-``, no ``.`` in front, 240 bytes at most.

    No such text leads out of a folder (``..``, ``/``), hides a file, holds white space or is too long to name a file.
    """
    if not isinstance(text, str) or len(text) > LONGEST:
        return False
    if not _ID.fullmatch(text):
        # vowel signs and accents of many scripts belong to a letter and are none themselves
        letters = "".join(sign for sign in text if unicodedata.category(sign) not in ("Mn", "Mc"))
        if text[:1] != letters[:1] or not _ID.fullmatch(letters):
            return False
    return text.isascii() or len(text.encode()) <= LONGEST


Id = Annotated[str, Text(f"a name of {RULE}", is_id)]


def require_ids(path: str | os.PathLike, names: Iterable[str]) -> None:
    """Raise ContrasepError, naming the file and the first of ``names`` that is no id."""
    for name in names:
        if not is_id(name):
            raise ContrasepError(f"{path}: expected an id of {RULE}, got '{shown(name)}'")


def shown(text: object, most: int = 120) -> str:
    """A text from a file as a message shows it: the beginning of a long one."""
    text = str(text)
    return text if len(text) <= most else f"{text[:most]}.. ({len(text)} characters)"


def shortened(name: str, longest: int = LONGEST) -> str:
    """A name, or of one that is too long its beginning and 16 hexadecimal digits of its SHA-256.

    Example:
        >>> shortened("01t_02a", 40)
        '01t_02a'
        >>> shortened("a" * 50, 40)
        'aaaaaaaaaaaaaaaaaaaaaaa-160b4e433e384e05'
    """
    coded = name.encode()
    if len(coded) <= longest:
        return name
    # a sign that the cut falls into is left out
    head = coded[: longest - _DIGITS - 1].decode(errors="ignore")
    return f"{head}-{hashlib.sha256(coded).hexdigest()[:_DIGITS]}"


def mixture_speaker(speakers: Sequence[str]) -> str:
    """The speaker of a mixture in ``utt2spk``: those of its sources joined by ``_``, shortened where there are many."""
    return shortened("_".join(speakers), LONGEST_SPEAKER)


def mixture_id(speakers: Sequence[str], name: str) -> str:
    """The utterance id of a mixture: its speaker, ``_`` and its name, shortened where that is too long."""
    return shortened(f"{mixture_speaker(speakers)}_{name}")
