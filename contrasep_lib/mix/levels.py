"""Published active levels: tables that came with lists, so that all make the same mixtures of them.

A line is ``utterance level``; the level is the mean square of the active speech of the utterance
at 8 kHz, full scale being 1.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.scp import read_table

UTT2LEVEL = "utt2level"


def parse_levels(path: str | os.PathLike) -> dict[str, float]:
    """Read a table of levels whose lines stand in any order.

    Raises:
        ContrasepError: missing file, or a line that is not ``utterance level`` with a positive level.
    """
    levels: dict[str, float] = {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.split() for line in file]
    except FileNotFoundError:
        raise ContrasepError(f"{path}: no such table of levels") from None
    except UnicodeDecodeError as error:
        raise ContrasepError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); no levels") from None
    for number, fields in enumerate(lines, 1):
        if len(fields) != 2 or not is_level(fields[1]):
            raise ContrasepError(
                f"{path}: line {number}: expected 'utterance level' with a positive level; fetch it again"
            )
        levels[fields[0]] = float(fields[1])
    return levels


def is_level(text: str) -> bool:
    """Whether a text is a positive, finite number."""
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def read_levels(path: str | os.PathLike, utterances: Iterable[str]) -> dict[str, float]:
    """Read ``utt2level`` of a single-speaker set.

    Raises:
        ContrasepError: no such file, an utterance without a level, a level that is no positive number.
    """
    if not os.path.isfile(path):
        raise ContrasepError(f"{path}: not there: this corpus has no published levels; use mix.active_level: p56")
    table = read_table(path)
    missing = sorted(set(utterances) - table.keys())
    if missing:
        raise ContrasepError(
            f"{path}: no level of {len(missing)} utterances, e.g. '{missing[0]}'; use mix.active_level: p56"
        )
    bad = next((utt for utt, text in table.items() if not is_level(text)), None)
    if bad is not None:
        raise ContrasepError(f"{path}: expected a positive level of '{bad}', got '{table[bad]}'")
    return {utt: float(text) for utt, text in table.items()}
