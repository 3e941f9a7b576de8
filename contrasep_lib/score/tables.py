"""Per-utterance tables of scores, and the means of a set.

``scores.tsv`` has one line per utterance under a line of column names. Ratios are in dB with
four decimals, a field is empty where nothing applies, lists are joined by commas. The
permutation gives, for each source in order, the number of its output counted from 1, ``-``
where it has none.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import atomic_open
from contrasep_lib.score.metrics import UtteranceScore
from contrasep_lib.score.options import ScoreOptions
from contrasep_lib.score.oracles import ORACLES

DECIMALS = 4


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What stage 5 noted about one utterance.

    Attributes:
        num_spk_given: whether the separator was told the number of talkers.
        num_spk_est: the number it estimated; None where it estimated none.
        modularity, conductance: of the clustering; None where there was none.
    """

    num_spk_given: bool
    num_spk_est: int | None = None
    modularity: float | None = None
    conductance: float | None = None


@dataclasses.dataclass(frozen=True)
class Row(UtteranceScore):
    """One line of ``scores.tsv``: an utterance's scores, its oracles (SI-SNRi, dB), its evidence."""

    utt: str
    speakers: tuple[str, ...]
    frame_binary: float | None
    ibm: float | None
    irm: float | None
    psm: float | None
    num_spk_est: int | None
    modularity: float | None
    conductance: float | None


def make_row(
    utt: str,
    speaker: str,
    score: UtteranceScore,
    oracles: Mapping[str, Any],
    evidence: Evidence,
) -> Row:
    """Put together a line.

    Args:
        utt: utterance id.
        speaker: its ``utt2spk`` entry, the mixture's speakers joined by ``_``.
        score: from `score_utterance`.
        oracles: from `oracle_improvements`: name -> dB, or None.
        evidence: from `read_evidence`.
    """
    return Row(
        utt=utt,
        speakers=tuple(speaker.split("_")),
        **vars(score),
        **oracles,
        num_spk_est=evidence.num_spk_est,
        modularity=evidence.modularity,
        conductance=evidence.conductance,
    )


def _number(value: float) -> str:
    # adding zero turns -0.0, whose sign hangs on the last bit of a sum, into 0.0
    return f"{round(value, DECIMALS) + 0.0:.{DECIMALS}f}"


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"'{text}' is no finite number")
    return value


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"0 or 1 wanted, got '{text}'")
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

# column -> (how it is written, how it is read, whether it may be empty)
COLUMNS: dict[str, tuple[Callable[[Any], str], Callable[[str], Any], bool]] = {
    "utt": (*_TEXT, False),
    "speakers": (*_NAMES, False),
    "num_spk": (*_COUNT, False),
    "outputs": (*_COUNT, False),
    "count_given": (*_FLAG, False),
    "permutation": (*_MATCHING, False),
    "si_snr_mix": (*_DB, True),
    "si_snr": (*_DB, False),
    "si_snri": (*_DB, True),
    "sdr_mix": (*_DB, True),
    "sdr": (*_DB, False),
    "sdri": (*_DB, True),
    "si_snri_count_estimated": (*_DB, True),
    "si_snri_penalised": (*_DB, True),
    "source_si_snri": (*_NUMBERS, True),
    "source_sdri": (*_NUMBERS, True),
    "frame_binary": (*_DB, True),
    "ibm": (*_DB, True),
    "irm": (*_DB, True),
    "psm": (*_DB, True),
    "num_spk_est": (*_COUNT, True),
    "modularity": (*_DB, True),
    "conductance": (*_DB, True),
}


def write_rows(path: str | os.PathLike, rows: Iterable[Row]) -> None:
    """Write a table atomically, sorted by utterance."""
    with atomic_open(path) as file:
        file.write("\t".join(COLUMNS) + "\n")
        for row in sorted(rows, key=lambda row: row.utt):
            values = {name: getattr(row, name) for name in COLUMNS}
            fields = ["" if value is None else COLUMNS[name][0](value) for name, value in values.items()]
            file.write("\t".join(fields) + "\n")


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
                f"{path}:{number}: {len(fields)} fields, {len(names)} wanted; run {made_by} again"
            )
        body.append((number, fields))
    return names, body


def read_rows(path: str | os.PathLike) -> list[Row]:
    """Read what `write_rows` wrote.

    Raises:
        ContrasepError: missing, truncated, other columns, a field that cannot be read, an
            utterance that stands twice.
    """
    names, body = _read_tsv(path, "stage 6")
    if names != list(COLUMNS):
        raise ContrasepError(f"{path}: other columns than this version writes; run stage 6 again")
    rows: dict[str, Row] = {}
    for number, fields in body:
        values = {}
        for name, text in zip(names, fields):
            _, decode, may_be_empty = COLUMNS[name]
            try:
                values[name] = _optional(decode)(text) if may_be_empty else decode(text)
            except ValueError as error:
                raise ContrasepError(f"{path}:{number}: {name}: {error}; run stage 6 again") from None
        if values["utt"] in rows:
            raise ContrasepError(f"{path}:{number}: '{values['utt']}' stands twice; run stage 6 again")
        rows[values["utt"]] = Row(**values)
    return list(rows.values())


def read_evidence(path: str | os.PathLike) -> dict[str, Evidence]:
    """Read ``separate_<set>/evidence.tsv``; columns beyond those of `Evidence` are passed over.

    Returns:
        utterance id -> evidence.

    Raises:
        ContrasepError: missing file, column or value, or a value of a wrong kind.
    """
    names, body = _read_tsv(path, "stage 5")
    wanted = ("utt", "num_spk_given", "num_spk_est", "modularity", "conductance")
    for name in wanted:
        if name not in names:
            raise ContrasepError(f"{path}: column '{name}' missing; run stage 5 again")
    made = {}
    for number, fields in body:
        utt, given, estimated, modularity, conductance = (fields[names.index(name)] for name in wanted)
        try:
            made[utt] = Evidence(
                _flag(given),
                _optional(int)(estimated),
                _optional(_finite)(modularity),
                _optional(_finite)(conductance),
            )
        except ValueError as error:
            raise ContrasepError(f"{path}:{number}: '{utt}': {error}; run stage 5 again") from None
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
    wanted = set(utts)
    if len(set(found)) != len(found) or not wanted.issuperset(found):
        raise ContrasepError(f"{folder}: parts of different runs; remove the folder and run stage 6 again")
    if missing := sorted(wanted.difference(found)):
        raise ContrasepError(
            f"{folder}: no scores of '{missing[0]}' ({len(missing)} in all); run stage 6 again"
        )
    write_rows(path, rows)
    return sorted(rows, key=lambda row: row.utt)


def _mean(values: list[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return round(float(np.mean(present)), DECIMALS) + 0.0 if present else None


IMPROVEMENTS = ("si_snri", "sdri", "si_snri_count_estimated", "si_snri_penalised")
SCORES = ("si_snr", *IMPROVEMENTS)


def _scores(rows: Sequence[Row], names: Sequence[str], options: ScoreOptions) -> dict[str, Any]:
    """Means and intervals of scores, None for those that some of the rows lack."""
    from contrasep_lib.score.bootstrap import speaker_interval

    made: dict[str, Any] = {key: None for name in names for key in (name, f"{name}_ci95")}
    columns = [name for name in names if rows and all(getattr(row, name) is not None for row in rows)]
    if not columns:
        return made
    values = np.array([[getattr(row, name) for name in columns] for row in rows])
    intervals = speaker_interval(values, [row.speakers for row in rows], options.bootstrap, options.seed)
    for name, interval in zip(columns, intervals):
        made[name] = _mean([getattr(row, name) for row in rows])
        made[f"{name}_ci95"] = interval and [round(limit, DECIMALS) + 0.0 for limit in interval]
    return made


def aggregate(rows: list[Row], options: ScoreOptions) -> dict[str, Any]:
    """The means of a set, as they stand under ``sets.<set>`` of results.json.

    ``n`` counts mixtures, ``num_spk`` the talkers of each (a list where they differ), ``speakers``
    the different people. Every score comes as a mean and, under its name with ``_ci95``, as a
    95 % interval by bootstrap over speakers; None where it does not exist. ``count_accuracy`` is the share of
    utterances whose estimated count is right, among those that have an estimate. Means of
    modularity and conductance are over the utterances that have them. One talker has no improvement, so
    improvements of a set that also holds mixtures of more are means over those.

    Args:
        rows: the set's utterances.
        options: resamplings and seed.

    Raises:
        ContrasepError: no rows; or the count was given for some and estimated for others, which
            no mean can hold.
    """
    if not rows:
        raise ContrasepError("no utterance is scored; run stage 6 again")
    if len({row.count_given for row in rows}) > 1:
        raise ContrasepError("the count of talkers was given for some utterances only; run stage 5 again")
    talkers = sorted({row.num_spk for row in rows})
    made: dict[str, Any] = {
        "n": len(rows),
        "num_spk": talkers[0] if len(talkers) == 1 else talkers,
        "speakers": len({name for row in rows for name in row.speakers}),
    }
    made |= _scores(rows, ("si_snr",), options)
    made |= _scores([row for row in rows if row.num_spk > 1], IMPROVEMENTS, options)
    made["count_accuracy"] = _mean(
        [float(row.num_spk_est == row.num_spk) for row in rows if row.num_spk_est is not None]
    )
    made["mean_modularity"] = _mean([row.modularity for row in rows])
    made["mean_conductance"] = _mean([row.conductance for row in rows])
    made["oracle"] = {name: _mean([getattr(row, name) for row in rows]) for name in ORACLES}
    return made
