"""Estimated against true numbers of speakers, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# the mixtures of all test sets together, where the sets differ in the number of speakers
JOINT = "joint"


def confusion_of(results: Mapping[str, Any]) -> dict[int, dict[int, int]]:
    """The mixtures of all sets by their true and their estimated number of speakers.

    Args:
        results: of a tag, as `contrasep_lib.report.results.build_results` makes them; those of earlier versions hold
            no such numbers.

    Returns:
        true number -> estimated number -> mixtures, sorted; empty where no number was estimated. Each true number has
        the same estimated numbers: all that occur.
    """
    added: dict[int, dict[int, int]] = {}
    for name, means in results["sets"].items():
        if name == JOINT:
            continue
        for true, estimates in (means.get("confusion") or {}).items():
            row = added.setdefault(int(true), {})
            for estimated, mixtures in estimates.items():
                row[int(estimated)] = row.get(int(estimated), 0) + mixtures
    columns = sorted({estimated for row in added.values() for estimated in row})
    return {true: {estimated: added[true].get(estimated, 0) for estimated in columns} for true in sorted(added)}


def confusion_rows(named: Sequence[tuple[str, Mapping[int, Mapping[int, int]]]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table of several experiments' confusions.

    Args:
        named: name and confusion (`confusion_of`) of each.
    """
    columns = sorted({estimated for _, confusion in named for row in confusion.values() for estimated in row})
    header = ["tag", "speakers", *(f"{estimated} estimated" for estimated in columns), "correct"]
    rows = []
    for name, confusion in named:
        for true, row in confusion.items():
            share = 100 * row.get(true, 0) / sum(row.values())
            rows.append([name, str(true), *(str(row.get(estimated, 0)) for estimated in columns), f"{share:.1f} %"])
    return header, rows
