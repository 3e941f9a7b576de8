"""Who speaks when, as NIST's RTTM has it and as frames."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Iterable, Sequence

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text

FRAME = 0.01
"""Seconds of a frame of activity."""


@dataclasses.dataclass(frozen=True)
class Turn:
    """A stretch of time in which somebody speaks.

    Attributes:
        start, stop: seconds.
        speaker: name, without white space.
    """

    start: float
    stop: float
    speaker: str


def runs(active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First frames, and those after the last, of runs of True in ``(frames,)`` bool."""
    edges = np.diff(active.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)


def turns_of(active: np.ndarray, speakers: Sequence[str]) -> list[Turn]:
    """Turns, in order of time.

    Args:
        active: ``(speakers, frames)`` bool.
        speakers: names.
    """
    turns = [
        Turn(start * FRAME, stop * FRAME, name)
        for row, name in zip(active, speakers)
        for start, stop in zip(*(edge.tolist() for edge in runs(row)))
    ]
    return sorted(turns, key=lambda turn: (turn.start, turn.speaker))


def frames_of(turns: Iterable[Turn], speakers: Sequence[str], frames: int) -> np.ndarray:
    """Activity of turns, ``(speakers, frames)`` bool; the inverse of `turns_of`."""
    edges = np.zeros((len(speakers), frames + 1), np.int32)
    row = {name: number for number, name in enumerate(speakers)}
    for turn in turns:
        edges[row[turn.speaker], min(round(turn.start / FRAME), frames)] += 1
        edges[row[turn.speaker], min(round(turn.stop / FRAME), frames)] -= 1
    return edges.cumsum(axis=1)[:, :-1] > 0


def write_rttm(path: str | os.PathLike, recording: str, turns: Iterable[Turn]) -> None:
    """Write turns as NIST's RTTM, atomically.

    Args:
        path: the file.
        recording: its name; white space, which separates fields, becomes ``_``.
        turns: in order of time.
    """
    name = re.sub(r"\s", "_", recording)
    lines = [
        f"SPEAKER {name} 1 {turn.start:.2f} {turn.stop - turn.start:.2f} <NA> <NA> {turn.speaker} <NA> <NA>\n"
        for turn in turns
    ]
    write_text(path, "".join(lines))


def read_rttm(path: str | os.PathLike) -> list[Turn]:
    """Turns of the ``SPEAKER`` lines of an RTTM file.

    Raises:
        ContrasepError: missing file, or a faulty line (the first is named).
    """
    turns = []
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ContrasepError(f"{path}: cannot be read as RTTM ({error})") from None
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        try:
            start, length = float(fields[3]), float(fields[4])
            if not (math.isfinite(start + length) and start >= 0 and length >= 0):
                raise ValueError
            turns.append(Turn(start, start + length, fields[7]))
        except (IndexError, ValueError):
            raise ContrasepError(
                f"{path}:{number}: expected 'SPEAKER NAME CHANNEL START SECONDS <NA> <NA> SPEAKER ..', got '{line}'"
            ) from None
    return turns
