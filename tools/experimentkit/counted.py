"""Tables and the picture of counts of speakers, from the rows of `experimentkit.counting`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.report.plots import TALKER_COLOURS, new_figure, save_figure
from contrasep_lib.score.intervals import speaker_interval
from experimentkit.counting import LABELLED, METHODS, MOST

Rows = Sequence[dict[str, str]]


def require_one_setting(rows: Rows) -> None:
    """Raise ContrasepError if trainings of several settings are there, whose means would say nothing of any."""
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    if len(settings) > 1:
        words = ", ".join(f"'{name}'" for name in settings)
        raise ContrasepError(f"counted.tsv: expected trainings of one setting, got {words}; count a sweep of each")


def by_numbers(rows: Rows) -> list[dict[str, Any]]:
    """A line for each method: accuracy by true number of speakers in %, mean over seeds, and the confusion of all seeds.

    Raises:
        ContrasepError: see `require_one_setting`; so do the functions below.
    """
    require_one_setting(rows)
    mixtures = [row for row in rows if row["set"] != "twins"]
    lines = []
    for method in _there(rows):
        line: dict[str, Any] = {"method": method, "labels": "counts" if method in LABELLED else "-", "seeds": _seeds(rows)}
        accuracies, confusion = [], []
        for number in _numbers(mixtures):
            part = [row for row in mixtures if row["speakers"] == str(number)]
            line[f"of_{number}"] = _cell(part, method, number)
            line[f"mixtures_{number}"] = len(_named(part))
            accuracies.append(np.mean([row[method] == str(number) for row in part]))
            confusion.append(" ".join(str(each) for each in confusion_of(part, method)))
        line["mean"] = f"{100 * np.mean(accuracies):.1f}" if accuracies else ""
        line["confusion"] = "; ".join(confusion)
        lines.append(line)
    return lines


def by_conditions(rows: Rows) -> list[dict[str, Any]]:
    """A line for each condition of two talkers: the share counted as two by each method in %, and the separation in dB."""
    require_one_setting(rows)
    lines = []
    for condition in dict.fromkeys(row["condition"] for row in rows if row["condition"]):
        part = [row for row in rows if row["condition"] == condition]
        gains = _by_mixture(part, lambda row: float(row["si_snri"]))
        lines.append({
            "set": part[0]["set"], "condition": _words(condition), "mixtures": len(_named(part)), "seeds": _seeds(rows),
            "si_snri": _with_interval(gains, _voices(part), 2), **{method: _cell(part, method, 2) for method in _there(rows)},
        })
    return lines


def number_columns(rows: Rows) -> list[str]:
    """Columns of `by_numbers`, which may have no line."""
    mixtures = [row for row in rows if row["set"] != "twins"]
    each = [name for number in _numbers(mixtures) for name in (f"of_{number}", f"mixtures_{number}")]
    return ["method", "labels", "seeds", *each, "mean", "confusion"]


def condition_columns(rows: Rows) -> list[str]:
    """Columns of `by_conditions`, which may have no line."""
    return ["set", "condition", "mixtures", "seeds", "si_snri", *_there(rows)]


def confusion_of(rows: Rows, method: str) -> list[int]:
    """How many were counted as 1, 2, .., and as so many and more."""
    found = np.minimum([int(row[method]) for row in rows], MOST)
    return np.bincount(found, minlength=MOST + 1)[1:].tolist()


def draw_counted(rows: Rows, path: Path) -> None:
    """Draw accuracies by the true number, and the share counted as two by condition."""
    require_one_setting(rows)
    figure = new_figure(10.0, 4.6)
    left, right = figure.subplots(1, 2)
    mixtures = [row for row in rows if row["set"] != "twins"]
    numbers = _numbers(mixtures)
    conditions = list(dict.fromkeys(row["condition"] for row in rows if row["condition"]))
    for place, method in enumerate(_there(rows)):
        style = {"color": TALKER_COLOURS[place % len(TALKER_COLOURS)], "marker": "o", "linestyle": "--" if method in LABELLED else "-"}
        right_ones = [
            100 * np.mean([row[method] == row["speakers"] for row in mixtures if row["speakers"] == str(number)]) for number in numbers
        ]
        left.plot(numbers, right_ones, label=f"{method}{', with labels of counts' if method in LABELLED else ''}", **style)
        twos = [100 * np.mean([row[method] == "2" for row in rows if row["condition"] == condition]) for condition in conditions]
        right.plot(range(len(conditions)), twos, **style)
    left.set_xticks(numbers)
    left.set_xlabel("speakers")
    left.set_ylabel("count accuracy, %")
    if _there(rows):
        figure.legend(fontsize=8, loc="outside lower center", ncols=3)
    right.set_xticks(range(len(conditions)), [_words(text).replace(", ", ",\n").replace("different ", "different\n") for text in conditions], fontsize=7)
    right.set_ylabel("counted as two, %")
    for axes in (left, right):
        axes.set_ylim(-3, 103)
        axes.grid(alpha=0.3)
    save_figure(figure, path)


def _words(condition: str) -> str:
    return condition.replace("speed", "one voice, speed")


def _there(rows: Rows) -> list[str]:
    return [method for method in METHODS if all(row[method] for row in rows)]


def _numbers(rows: Rows) -> list[int]:
    return sorted({int(row["speakers"]) for row in rows})


def _seeds(rows: Rows) -> int:
    return len({row["seed"] for row in rows})


def _named(rows: Rows) -> list[tuple[str, ...]]:
    """Mixtures, in order, each once."""
    return list(dict.fromkeys((row["set"], row["condition"], row["utterance"]) for row in rows))


def _voices(rows: Rows) -> list[tuple[str, ...]]:
    known = {(row["set"], row["condition"], row["utterance"]): tuple(row["voices"].split(",")) for row in rows}
    return [known[name] for name in _named(rows)]


def _by_mixture(rows: Rows, value: Any) -> np.ndarray:
    """Means over the seeds, by mixture."""
    values: dict[tuple[str, ...], list[float]] = {name: [] for name in _named(rows)}
    for row in rows:
        values[row["set"], row["condition"], row["utterance"]].append(value(row))
    return np.array([np.mean(each) for each in values.values()])


def _cell(rows: Rows, method: str, number: int) -> str:
    right = _by_mixture(rows, lambda row: 100.0 * (row[method] == str(number)))
    return _with_interval(right, _voices(rows), 1, (0.0, 100.0))


def _with_interval(
    values: np.ndarray, voices: Sequence[Sequence[str]], digits: int, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> str:
    limits = speaker_interval(values, voices, bounds=bounds)[0]
    mean = f"{values.mean():.{digits}f}"
    return mean if limits is None else f"{mean} [{limits[0]:.{digits}f}, {limits[1]:.{digits}f}]"
