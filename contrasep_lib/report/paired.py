"""Two experiments compared mixture by mixture: reading them, the table, JSON."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.errors import ContrasepError
from contrasep_lib.score.intervals import METHOD
from contrasep_lib.score.means import rounded
from contrasep_lib.score.paired import (
    COUNT_ACCURACY,
    Difference,
    Pairs,
    Scores,
    choose_metric,
    pair_scores,
    paired_differences,
)
from contrasep_lib.score.tables import Row, read_rows

HEADER = ("speakers", "mixtures", "A", "B", "B - A", "95 % interval", "B better", "A better", "equal")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        names: of the experiments, as they were given.
        metric: column of the tables, or ``count_accuracy``.
        sets: test sets that were compared.
        left_out: test sets that only one experiment has.
        pairs: the values.
        rows: the differences by number of speakers, the joint one last.
    """

    names: tuple[str, str]
    metric: str
    sets: list[str]
    left_out: list[str]
    pairs: Pairs
    rows: list[Difference]


def read_scores(folder: str | os.PathLike) -> dict[str, list[Row]]:
    """The score tables of an experiment.

    Args:
        folder: ``exp/<tag>``, or one of its folders ``score_<set>``.

    Returns:
        test set -> rows, sorted by name.

    Raises:
        ContrasepError: there are none, or one cannot be read.
    """
    folder = Path(folder)
    if (folder / "scores.tsv").is_file():
        tables = [folder / "scores.tsv"]
    else:
        tables = sorted(folder.glob("score_*/scores.tsv"))
    if not tables:
        raise ContrasepError(f"{folder}: expected exp/TAG with score_SET/scores.tsv, or score_SET; run stage 6 first")
    return {table.resolve().parent.name.removeprefix("score_"): read_rows(table) for table in tables}


def compare(
    a: str | os.PathLike, b: str | os.PathLike, sets: Sequence[str] | None = None, metric: str | None = None
) -> Comparison:
    """Compare two experiments over the mixtures of the test sets that both scored.

    Args:
        a, b: see `read_scores`; differences are b minus a.
        sets: names of test sets; None for all that both have.
        metric: column of ``scores.tsv``, or ``count_accuracy``; None for SI-SNRi, with the count given or estimated.

    Raises:
        ContrasepError: a set or metric that one of them lacks, or other mixtures.
    """
    names = (str(a), str(b))
    tables = [read_scores(folder) for folder in names]
    common = [name for name in tables[0] if name in tables[1]]
    for name, table in zip(names, tables):
        for wanted in sets or ():
            if wanted not in table:
                raise ContrasepError(f"{name}: no scores of '{wanted}'; it has {', '.join(table)}")
    chosen = list(dict.fromkeys(sets)) if sets else common
    if not chosen:
        have = [f"{name} has {', '.join(table)}" for name, table in zip(names, tables)]
        raise ContrasepError(f"expected a test set that both have: {'; '.join(have)}")
    scores: list[Scores] = [{(name, row.utt): row for name in chosen for row in table[name]} for table in tables]
    metric = metric or choose_metric(*scores)
    pairs = pair_scores(scores[0], scores[1], metric, names)
    bounds = (-1.0, 1.0) if metric == COUNT_ACCURACY else (-math.inf, math.inf)
    left_out = [] if sets else [name for table in tables for name in table if name not in common]
    return Comparison(names, metric, chosen, left_out, pairs, paired_differences(pairs, bounds))


def unit_of(metric: str) -> tuple[str, float]:
    """Unit of a score and the factor to it; no unit for scores that are not known here."""
    if metric == COUNT_ACCURACY:
        return "%", 100.0
    return ("dB" if "snr" in metric or "sdr" in metric else ""), 1.0


def row_title(row: Difference) -> str:
    """The number of speakers, or ``joint``."""
    return "joint" if len(row.num_spk) > 1 else str(row.num_spk[0])


def comparison_cells(comparison: Comparison) -> list[list[str]]:
    """The rows of the comparison as people read them, a cell for each column of `HEADER`."""
    _, factor = unit_of(comparison.metric)
    cells = []
    for row in comparison.rows:
        interval = "-"
        if row.interval is not None:
            interval = f"[{factor * row.interval[0]:+.2f}, {factor * row.interval[1]:+.2f}]"
        cells.append([
            row_title(row), str(row.n), f"{factor * row.a:.2f}", f"{factor * row.b:.2f}",
            f"{factor * row.difference:+.2f}", interval, str(row.wins), str(row.losses), str(row.ties),
        ])
    return cells


def comparison_text(comparison: Comparison) -> str:
    """The comparison as a table for people."""
    unit, _ = unit_of(comparison.metric)
    cells = [HEADER, *comparison_cells(comparison)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = [
        f"{comparison.metric}{f' ({unit})' if unit else ''}, paired over {', '.join(comparison.sets)}",
        f"A: {comparison.names[0]}",
        f"B: {comparison.names[1]}",
        "",
        *("  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in cells),
        "",
        f"Interval: {METHOD} ({comparison.rows[-1].speakers}), Student's t.",
    ]
    if len(comparison.rows) > 1:
        lines.append("joint: each number of speakers weighs the same.")
    if comparison.left_out:
        lines.append(f"Not compared, in one experiment only: {', '.join(comparison.left_out)}.")
    return "\n".join(lines)


def comparison_tree(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain values; differences are b minus a, in the score's own unit."""
    rows = [
        {
            "num_spk": row.num_spk[0] if len(row.num_spk) == 1 else list(row.num_spk),
            "n": row.n, "speakers": row.speakers, "a": rounded(row.a), "b": rounded(row.b),
            "difference": rounded(row.difference),
            "ci95": row.interval and [rounded(limit) for limit in row.interval],
            "wins": row.wins, "losses": row.losses, "ties": row.ties,
        }
        for row in comparison.rows
    ]
    a, b = comparison.names
    return {"a": a, "b": b, "metric": comparison.metric, "sets": comparison.sets, "interval": METHOD, "rows": rows}
