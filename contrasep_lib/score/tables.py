"""Per-utterance tables of scores.

``scores.tsv`` has one line per utterance under a line of column names, and is read by these names: a table of another
version, with columns more or fewer, stays valid. Ratios are in dB with four decimals, a field is empty where nothing
applies, lists are joined by commas. The permutation gives, for each source in order, the number of its output counted
from 1, ``-`` where it has none. Oracles (SI-SNRi) stand in columns ``oracle_<name>``; every column that is none of
`COLUMNS` and no oracle's belongs to a metric.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import atomic_open
from contrasep_lib.score.utterance import UtteranceScore

DECIMALS = 4
ORACLE_PREFIX = "oracle_"
# a metric's columns that hold a number of each source
SOURCE_PREFIX = "source_"
# columns of oracles in tables of earlier versions
OLD_ORACLES = {"frame_binary": "frame", "ibm": "ibm", "irm": "irm", "psm": "psm"}


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What stage 5 noted about one utterance.

    Attributes:
        num_spk_given: whether the separator was given the number of speakers.
        num_spk_est: the number it estimated; None where it estimated none.
        modularity, normalised_modularity, conductance: of the clustering; None where there was none.
        fallback: what partitioned in place of a solver that found too few communities; None where nothing did.
        probabilities: of 1, 2, .. speakers by the counter; empty where it knows none.
        words: why this count, and which failure signatures were raised; may be empty.
    """

    num_spk_given: bool
    num_spk_est: int | None = None
    modularity: float | None = None
    conductance: float | None = None
    normalised_modularity: float | None = None
    fallback: str | None = None
    probabilities: tuple[float, ...] = ()
    words: str = ""


@dataclasses.dataclass(frozen=True)
class Row(UtteranceScore):
    """One line of ``scores.tsv``: an utterance's scores, its oracles (name -> SI-SNRi, dB), its evidence."""

    utt: str
    speakers: tuple[str, ...]
    oracles: Mapping[str, float | None]
    num_spk_est: int | None
    modularity: float | None
    conductance: float | None
    normalised_modularity: float | None = None
    fallback: str | None = None


def make_row(
    utt: str,
    speakers: Sequence[str],
    score: UtteranceScore,
    oracles: Mapping[str, Any],
    evidence: Evidence,
) -> Row:
    """Put together a line.

    Args:
        utt: utterance id.
        speakers: of its sources, in order.
        score: from `score_utterance`.
        oracles: from `oracle_improvements`: name -> dB, or None.
        evidence: from `read_evidence`.
    """
    return Row(
        utt=utt,
        speakers=tuple(speakers),
        **vars(score),
        oracles=oracles,
        num_spk_est=evidence.num_spk_est,
        modularity=evidence.modularity,
        conductance=evidence.conductance,
        normalised_modularity=evidence.normalised_modularity,
        fallback=evidence.fallback,
    )


def _number(value: float) -> str:
    # adding zero turns -0.0, whose sign hangs on the last bit of a sum, into 0.0
    return f"{round(value, DECIMALS) + 0.0:.{DECIMALS}f}"


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got '{text}'")
    return value


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"expected 0 or 1, got '{text}'")
    return text == "1"


def _optional(decode: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: decode(text) if text else None


_TEXT = (str, str)
_COUNT = (str, int)
_FLAG = (lambda value: str(int(value)), _flag)
_DB = (_number, _finite)
_NAMES = (",".join, lambda text: tuple(text.split(",")))
_NUMBERS = (
    lambda values: ",".join(map(_number, values)),
    lambda text: tuple(map(_finite, text.split(","))),
)
_MATCHING = (
    lambda matching: ",".join("-" if output is None else str(output + 1) for output in matching),
    lambda text: tuple(None if entry == "-" else int(entry) - 1 for entry in text.split(",")),
)

# column -> (how it is written, how it is read, whether it may be empty or absent)
COLUMNS: dict[str, tuple[Callable[[Any], str], Callable[[str], Any], bool]] = {
    "utt": (*_TEXT, False),
    "speakers": (*_NAMES, False),
    "num_spk": (*_COUNT, False),
    "outputs": (*_COUNT, False),
    "count_given": (*_FLAG, False),
    "permutation": (*_MATCHING, False),
    "num_spk_est": (*_COUNT, True),
    "modularity": (*_DB, True),
    "normalised_modularity": (*_DB, True),
    "conductance": (*_DB, True),
    "fallback": (*_TEXT, True),
}


def _codec(column: str) -> tuple[Callable[[Any], str], Callable[[str], Any], bool]:
    return COLUMNS.get(column) or ((*_NUMBERS, True) if column.startswith(SOURCE_PREFIX) else (*_DB, True))


def _fields(row: Row) -> dict[str, Any]:
    """Column -> value of a row."""
    oracles = {ORACLE_PREFIX + name: value for name, value in row.oracles.items()}
    return {**{name: getattr(row, name) for name in COLUMNS}, **row.scores, **oracles}


def _row(fields: Mapping[str, Any]) -> Row:
    """The row of the columns that a table has."""
    own: dict[str, Any] = {name: fields.get(name) for name in COLUMNS}
    oracles = {
        OLD_ORACLES.get(name) or name.removeprefix(ORACLE_PREFIX): value
        for name, value in fields.items() if name in OLD_ORACLES or name.startswith(ORACLE_PREFIX)
    }
    scores = {
        name: value for name, value in fields.items()
        if name not in COLUMNS and name not in OLD_ORACLES and not name.startswith(ORACLE_PREFIX)
    }
    return Row(**own, scores=scores, oracles=oracles)


def write_rows(path: str | os.PathLike, rows: Iterable[Row]) -> None:
    """Write a table atomically, sorted by utterance; a field is empty where a row lacks the column of another."""
    tables = [_fields(row) for row in sorted(rows, key=lambda row: row.utt)]
    columns = list(dict.fromkeys([*COLUMNS, *(name for fields in tables for name in fields)]))
    with atomic_open(path) as file:
        file.write("\t".join(columns) + "\n")
        for fields in tables:
            values = ((name, fields.get(name)) for name in columns)
            file.write("\t".join("" if value is None else _codec(name)[0](value) for name, value in values) + "\n")


def _read_tsv(path: str | os.PathLike, made_by: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Column names, and the fields of each line with its number in the file."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise ContrasepError(f"{path}: not there; run {made_by} first") from None
    except (UnicodeDecodeError, OSError) as error:
        raise ContrasepError(f"{path}: cannot be read ({error}); run {made_by} again") from None
    if lines.pop() != "":
        raise ContrasepError(f"{path}: truncated, the last line has no newline; run {made_by} again")
    if not lines:
        raise ContrasepError(f"{path}: empty; run {made_by} again")
    names = lines[0].split("\t")
    body = []
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if len(fields) != len(names):
            raise ContrasepError(
                f"{path}:{number}: expected {len(names)} fields, got {len(fields)}; run {made_by} again"
            )
        body.append((number, fields))
    return names, body


def read_rows(path: str | os.PathLike) -> list[Row]:
    """Read a table that `write_rows` wrote, of this or another version.

    Raises:
        ContrasepError: missing, truncated, a column of every version missing, a field that cannot be read, an
            utterance that stands twice.
    """
    names, body = _read_tsv(path, "stage 6")
    for name in (name for name, (*_, optional) in COLUMNS.items() if not optional):
        if name not in names:
            raise ContrasepError(f"{path}: column '{name}' missing; run stage 6 again")
    rows: dict[str, Row] = {}
    for number, texts in body:
        fields = {}
        for name, text in zip(names, texts):
            _, decode, may_be_empty = _codec(name)
            try:
                fields[name] = _optional(decode)(text) if may_be_empty else decode(text)
            except ValueError as error:
                raise ContrasepError(f"{path}:{number}: {name}: {error}; run stage 6 again") from None
        if fields["utt"] in rows:
            raise ContrasepError(f"{path}:{number}: '{fields['utt']}' stands twice; run stage 6 again")
        rows[fields["utt"]] = _row(fields)
    return list(rows.values())


def read_evidence(path: str | os.PathLike) -> dict[str, Evidence]:
    """Read ``separate_<set>/evidence.tsv``; columns beyond those of `Evidence` are passed over.

    Returns:
        utterance id -> evidence.

    Raises:
        ContrasepError: missing file, column or value, or a value of a wrong kind.
    """
    names, body = _read_tsv(path, "stage 5")
    needed = ("utt", "num_spk_given", "num_spk_est", "modularity", "conductance")
    for name in needed:
        if name not in names:
            raise ContrasepError(f"{path}: column '{name}' missing; run stage 5 again")
    made = {}
    for number, texts in body:
        fields = dict(zip(names, texts))
        try:
            made[fields["utt"]] = Evidence(
                _flag(fields["num_spk_given"]),
                _optional(int)(fields["num_spk_est"]),
                _optional(_finite)(fields["modularity"]),
                _optional(_finite)(fields["conductance"]),
                # evidence of earlier versions has none of these
                _optional(_finite)(fields.get("normalised_modularity", "")),
                fields.get("fallback") or None,
                _optional(_NUMBERS[1])(fields.get("probabilities", "")) or (),
                fields.get("words", ""),
            )
        except ValueError as error:
            raise ContrasepError(f"{path}:{number}: '{fields['utt']}': {error}; run stage 5 again") from None
    return made


def merge_parts(
    parts: Iterable[str | os.PathLike], utts: Iterable[str], path: str | os.PathLike
) -> list[Row]:
    """Join the tables of all jobs into one.

    Args:
        parts: tables of the jobs.
        utts: every utterance of the set.
        path: the joint table, written atomically.

    Returns:
        its rows.

    Raises:
        ContrasepError: a part is missing or damaged, or together they do not hold each utterance
            exactly once.
    """
    parts = list(parts)
    rows = [row for part in parts for row in read_rows(part)]
    folder = Path(parts[0]).parent
    found = [row.utt for row in rows]
    expected = set(utts)
    if len(set(found)) != len(found) or not expected.issuperset(found):
        raise ContrasepError(f"{folder}: parts of different runs; remove the folder and run stage 6 again")
    if missing := sorted(expected.difference(found)):
        raise ContrasepError(
            f"{folder}: no scores of '{missing[0]}' ({len(missing)} in all); run stage 6 again"
        )
    write_rows(path, rows)
    return sorted(rows, key=lambda row: row.utt)
