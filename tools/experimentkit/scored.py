"""Scores of trained systems as rows that the page's tables read: one partition for each number of talkers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.report.cost import read_cost
from contrasep_lib.score.tables import read_rows
from experimentkit.judging import as_text, hidden, refuse_twice
from experimentkit.tables import OF_ROW


def run_of(word: str) -> tuple[str, str, str, Path]:
    """Setting, seed, talkers and table of ``SETTING,SEED,TALKERS=exp/TAG/score_SET/scores.tsv``.

    Raises:
        ContrasepError: of another form.
    """
    names, equals, path = word.partition("=")
    parts = names.split(",")
    if not equals or not path or len(parts) != 3 or not all(parts):
        raise ContrasepError(f"--runs: expected SETTING,SEED,TALKERS=FILE, got '{word}'")
    return parts[0], parts[1], parts[2], Path(path)


def rows_of(setting: str, seed: str, talkers: str, path: Path) -> list[dict[str, Any]]:
    """The rows of one training: SI-SNRi of each mixture, the number of talkers given.

    Raises:
        ContrasepError: no such table, or a mixture without a score.
    """
    # exp/TAG/score_SET lies around it, also where the word on the command line does not say so
    path = Path(os.path.abspath(path))
    cost = read_cost(path.parents[1]) or {"parameters": "", "training": []}
    spent = [part["minutes"] for part in cost["training"]]
    minutes = f"{sum(spent):.1f}" if spent and None not in spent else ""
    found = []
    for row in read_rows(path):
        if row["si_snri"] is None:
            raise ContrasepError(f"{path}: {row.utt}: no SI-SNRi; separate it with the number of talkers given")
        found.append({
            "setting": setting, "seed": seed, "partition": f"{talkers} talkers", "set": path.parent.name.removeprefix("score_"),
            "utterance": hidden(row.utt), "speakers": ",".join(map(hidden, row.speakers)), "si_snri": float(row["si_snri"]),
            "minutes": minutes, "parameters": cost["parameters"],
        })  # fmt: skip
    return found


def score(sweep: Path, runs: Sequence[str]) -> Path:
    """Write ``judged.tsv`` of scored systems.

    Args:
        sweep: ``exp/sweep_NAME``; made where it is not there.
        runs: see `run_of`.

    Raises:
        ContrasepError: see `run_of` and `rows_of`; two runs of one setting, seed, number of talkers and set.
    """
    path = sweep / "judged.tsv"
    rows = [row for word in runs for row in rows_of(*run_of(word))]
    refuse_twice(path, rows, OF_ROW)
    sweep.mkdir(parents=True, exist_ok=True)
    # of a table that was judged
    path.with_suffix(".json").unlink(missing_ok=True)
    write_text(path, as_text(rows))
    return path
