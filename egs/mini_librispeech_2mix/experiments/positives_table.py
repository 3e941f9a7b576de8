#!/usr/bin/env python3
"""Adds the rows of a sweep of positives.sh to its table: positives_table.py SWEEP SETTING SEED TABLE.

A row has setting, seed, steps, solver, SI-SNRi in dB with its interval of 95 % over speakers, and mixtures. Rows of the
same setting, seed, steps and solver are replaced; the table is sorted.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text

COLUMNS = ("setting", "seed", "steps", "solver", "si_snri", "low", "high", "bound", "mixtures")
KEYS = COLUMNS[:4]


def rows_of(sweep: Path, setting: str, seed: str) -> list[dict[str, str]]:
    """The rows of a sweep that has ended."""
    found = []
    for run in json.loads((sweep / "results.json").read_text(encoding="utf-8"))["runs"]:
        if run["error"] is not None:
            raise ContrasepError(f"{sweep}: {run['error']}")
        results = json.loads((sweep.parent / run["tag"] / "results.json").read_text(encoding="utf-8"))
        train = results["options"]["finetune"]
        for means in run["sets"].values():
            low, high = means["si_snri_ci95"] or ("", "")
            found.append(dict(zip(COLUMNS, map(str, (
                setting, seed, train["epochs"] * train["batches_per_epoch"], run["values"]["modularity.solver"],
                means["si_snri"], low, high, means["bound"], means["n"],
            )))))
    return found


def main() -> None:
    """Read, replace, write."""
    sweep, setting, seed, table = sys.argv[1:]
    path, kept = Path(table), {}
    if path.is_file():
        with open(path, encoding="utf-8", newline="") as file:
            kept = {tuple(row[key] for key in KEYS): row for row in csv.DictReader(file, delimiter="\t")}
    kept |= {tuple(row[key] for key in KEYS): row for row in rows_of(Path(sweep), setting, seed)}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept[key] for key in sorted(kept))
    write_text(path, text.getvalue())


if __name__ == "__main__":
    try:
        main()
    except (ContrasepError, OSError) as error:
        sys.exit(f"positives_table.py: {error}")
