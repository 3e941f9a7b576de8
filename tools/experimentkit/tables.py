"""Tables of results: means over seeds and mixtures, paired differences, lines of other tables."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.report.markdown import markdown_table
from contrasep_lib.score.intervals import speaker_interval
from experimentkit.entries import Lines, Settings
from experimentkit.judging import TRUTH, UNTRAINED, read_rows, refuse_twice

HEADS = {
    "accuracy": "accuracy, %", "si_snri": "SI-SNRi, dB", "purity": "purity, %", "density": "pairs with an edge, %",
    "seconds": "seconds", "nearest": "nearest neighbour, %", "probe": "linear probe, %",
}  # fmt: skip
# what a row is of
OF_ROW = ("setting", "partition", "seed", "set", "utterance")
# of the embedding, whatever the partition
OF_EMBEDDING = ("nearest", "probe")


@dataclasses.dataclass(frozen=True)
class Judged:
    """The trainings of one setting under one partition.

    Attributes:
        seeds: of the trainings, in order.
        mixtures: (set, utterance) of each mixture; ``speakers`` are its speakers.
        values: measure -> ``(seeds, mixtures)``.
        minutes: mean of the trainings, None where it is not known.
    """

    seeds: tuple[str, ...]
    mixtures: tuple[tuple[str, str], ...]
    speakers: tuple[tuple[str, ...], ...]
    values: dict[str, np.ndarray]
    minutes: float | None


def read_judged(path: Path) -> dict[tuple[str, str], Judged]:
    """(setting, partition) -> results, in the order of the file.

    Raises:
        ContrasepError: see `experimentkit.judging.read_rows`; trainings of a setting with other mixtures; two rows
            of one training, partition and mixture.
    """
    groups: dict[tuple[str, str], dict[str, dict[tuple[str, str], dict[str, str]]]] = {}
    rows = read_rows(path)
    refuse_twice(path, rows, OF_ROW)
    for row in rows:
        of_seed = groups.setdefault((row["setting"], row["partition"]), {}).setdefault(row["seed"], {})
        of_seed[row["set"], row["utterance"]] = row
    return {key: _judged(path, key[0], seeds) for key, seeds in groups.items()}


def _judged(path: Path, setting: str, seeds: dict[str, dict[tuple[str, str], dict[str, str]]]) -> Judged:
    names = sorted(seeds)
    mixtures = tuple(sorted(seeds[names[0]]))
    rows = [[seeds[name].get(mixture) for mixture in mixtures] for name in names]
    if any(row is None for line in rows for row in line) or any(len(seeds[name]) != len(mixtures) for name in names):
        raise ContrasepError(f"{path}: '{setting}': expected the same mixtures for each seed; judge all of them again")
    known: Any = rows
    values = {
        name: np.array([[float(row[name]) for row in line] for line in known])
        for name in HEADS if all(row[name] for line in known for row in line)
    }
    minutes = [line[0]["minutes"] for line in known]
    return Judged(
        tuple(names), mixtures, tuple(tuple(row["speakers"].split(",")) for row in known[0]), values,
        float(np.mean([float(value) for value in minutes])) if all(minutes) else None,
    )


def cell(values: np.ndarray, speakers: Sequence[Sequence[str]], measure: str, sign: str = "") -> str:
    """Mean of ``(seeds, mixtures)``, with its 95 % interval over speakers where there is one."""
    digits = {"si_snri": 2, "seconds": 2}.get(measure, 1)
    limits = interval(values, speakers)
    mean = f"{values.mean():{sign}.{digits}f}"
    return mean if limits is None else f"{mean} [{limits[0]:{sign}.{digits}f}, {limits[1]:{sign}.{digits}f}]"


def interval(values: np.ndarray, speakers: Sequence[Sequence[str]]) -> tuple[float, float] | None:
    """95 % interval over speakers of the mean of ``(seeds, mixtures)``; None where the speakers give none."""
    return speaker_interval(values.mean(axis=0), speakers)[0] if np.isfinite(values).all() else None


def ordered(judged: dict[tuple[str, str], Judged], table: Settings) -> list[str]:
    """Settings in the order of the table: the first, those it names, the others."""
    there = list(dict.fromkeys(setting for setting, _ in judged))
    if table.first not in there:
        raise ContrasepError(f"{table.file}: expected the setting '{table.first}', got {', '.join(there)}")
    return list(dict.fromkeys(name for name in (table.first, *table.rows, *there) if name in there))


def difference(mine: Judged, base: Judged, measure: str) -> np.ndarray | None:
    """``(seeds, mixtures)`` of the seeds of both, or of the base's where mine has none; None where they share none."""
    if mine.mixtures != base.mixtures:
        return None
    if mine.seeds == (UNTRAINED,):
        return mine.values[measure] - base.values[measure]
    seeds = [name for name in mine.seeds if name in base.seeds]
    if not seeds:
        return None
    take = [[judged.seeds.index(name) for name in seeds] for judged in (mine, base)]
    return mine.values[measure][take[0]] - base.values[measure][take[1]]


def settings_table(judged: dict[tuple[str, str], Judged], table: Settings) -> list[str]:
    """Lines of the Markdown table of a table of settings."""
    unit = "dB" if table.by == "si_snri" else "points"
    head = [table.axis, "partition", "seeds", "minutes", *(HEADS[name] for name in table.measures)]
    rows = [
        _row(judged, table, setting, way)
        for setting in ordered(judged, table) for way in table.partitions if (setting, way) in judged
    ]
    bound = [judged[key].values["si_snri"] for key in judged if key[1] == TRUTH and key[0] == table.first]
    note = [f"The true dominance of `{table.first}` is worth {bound[0].mean():.2f} dB."] if bound else []
    return [*markdown_table([*head, f"difference, {unit}", "of each seed"], rows, 2), "", *note]


def _row(judged: dict[tuple[str, str], Judged], table: Settings, setting: str, way: str) -> list[str]:
    # partitions of a single setting are compared with the first of them
    against = table.partitions[0] if len(ordered(judged, table)) == 1 else way
    mine, base, whole = judged[setting, way], judged.get((table.first, against)), judged.get((setting, TRUTH))
    cells = [setting, way, "-" if mine.seeds == (UNTRAINED,) else str(len(mine.seeds)), "-" if mine.minutes is None else f"{mine.minutes:.1f}"]
    for name in table.measures:
        of = whole if name in OF_EMBEDDING else mine
        cells.append(cell(of.values[name], of.speakers, name) if of is not None and name in of.values else "-")
    change = None if base is None or base is mine else difference(mine, base, table.by)
    if change is None:
        return [*cells, "", ""]
    each = ", ".join(f"{value:+.{2 if table.by == 'si_snri' else 1}f}" for value in change.mean(axis=1))
    return [*cells, cell(change, mine.speakers, table.by, "+"), each]


def lines_table(path: Path, table: Lines) -> list[str]:
    """Lines of the Markdown table of lines of a results file.

    Raises:
        ContrasepError: no such file, column or line; a format that does not fit.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file, delimiter="\t") if _chosen(row, table)]
    except (OSError, KeyError) as error:
        raise ContrasepError(f"{path}: {getattr(error, 'strerror', None) or f'no column {error}'}") from None
    if not rows:
        raise ContrasepError(f"{path}: expected lines with {table.where}, got none")
    try:
        cells = [[_blank(str(form).format_map(_numbers(row))) for form in table.columns.values()] for row in rows]
    except (KeyError, ValueError) as error:
        raise ContrasepError(f"{path}: {error} does not fit its columns {', '.join(rows[0])}") from None
    return [*([table.title, ""] if table.title else []), *markdown_table(list(table.columns), cells)]


def _blank(text: str) -> str:
    return "-" if text == "nan" else text


def _chosen(row: dict[str, str], table: Lines) -> bool:
    return all(row[name] in [str(one) for one in (value if isinstance(value, (list, tuple)) else [value])]
               for name, value in table.where.items())


def _numbers(row: dict[str, str]) -> dict[str, Any]:
    """Values of a line; numbers as such."""
    made: dict[str, Any] = {}
    for name, value in row.items():
        try:
            made[name] = float(value)
        except ValueError:
            made[name] = value
    return made
