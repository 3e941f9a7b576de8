"""Ids of utterances and speakers and names of sets: they become names of files, so their signs are limited."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable

from contrasep_lib.errors import ContrasepError

RULE = "letters, digits and ._=+- with no '.' in front"
_ID = re.compile(r"[\w=+-][\w.=+-]*")


def is_id(text: object) -> bool:
    """Whether a text is an id: letters and digits of any script and ``._=+-``, with no ``.`` in front.

    No such text leads out of a folder (``..``, ``/``), hides a file or holds white space.
    """
    if not isinstance(text, str):
        return False
    if _ID.fullmatch(text):
        return True
    # vowel signs and accents of many scripts belong to a letter and are none themselves
    letters = "".join(sign for sign in text if unicodedata.category(sign) not in ("Mn", "Mc"))
    return text[:1] == letters[:1] and bool(_ID.fullmatch(letters))


def require_ids(path: str | os.PathLike, names: Iterable[str]) -> None:
    """Raise ContrasepError, naming the file and the first of ``names`` that is no id."""
    for name in names:
        if not is_id(name):
            raise ContrasepError(f"{path}: expected an id of {RULE}, got '{name}'")
