"""The plot of a sweep: lines over a numeric key, bars otherwise, one panel per test set."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.report.plots import HISTOGRAMS, TALKER_COLOURS, new_figure, save_figure

# values that span more than this are drawn over a logarithmic axis
LOG_SPAN = 30.0
MARKERS = "osD^vPX*<>"
MIXED_LABEL = "SI-SNR improvement, count given or estimated"
BOUND_STYLE = {"color": "black", "linestyle": "--", "linewidth": 1.2}


def is_number(value: Any) -> bool:
    """Whether a swept value has a place on an axis."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def axis_key(swept: Mapping[str, Sequence[Any]]) -> str:
    """The key that the x axis shows: the first numeric one of several values, else the first of several."""
    several = [key for key, values in swept.items() if len(values) > 1] or list(swept)
    numeric = [key for key in several if all(map(is_number, swept[key]))]
    return (numeric or several)[0]


def wants_log(values: Sequence[float]) -> bool:
    """Whether an axis of these values is logarithmic."""
    return min(values) > 0 and max(values) > LOG_SPAN * min(values)


def main_score(means: Mapping[str, Any]) -> str | None:
    """The score of a set that is drawn: the improvement, or for one talker the output's SI-SNR."""
    return next((name for name in HISTOGRAMS if means.get(name) is not None), None)


def error_lengths(means: Mapping[str, Any], name: str) -> tuple[float, float]:
    """How far the 95 % interval reaches below and above the mean, dB; zeros where there is none."""
    interval = means.get(f"{name}_ci95")
    if not interval:
        return 0.0, 0.0
    # the mean of few speakers may lie outside of their resampled means
    return max(0.0, means[name] - interval[0]), max(0.0, interval[1] - means[name])


def draw_sweep(path: str | os.PathLike, runs: Sequence[Mapping[str, Any]], title: str) -> None:
    """Draw the scores of a sweep with their 95 % intervals and, dashed, the bound.

    Args:
        path: png file.
        runs: as in a sweep's results.json; those without results leave a gap. At least one has some.
        title: stands above.
    """
    names = sorted({name for run in runs for name in run["sets"] or {}})
    swept: dict[str, list[Any]] = {}
    for run in runs:
        for key, value in run["values"].items():
            if value not in swept.setdefault(key, []):
                swept[key].append(value)
    key = axis_key(swept)
    figure = new_figure(8.0, 0.8 + 4.0 * len(names))
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(len(names), 1, squeeze=False)[:, 0]
    legend: dict[str, Any] = {}
    for axis, name in zip(axes, names):
        _draw_set(axis, name, runs, key, swept[key])
        for handle, label in zip(*axis.get_legend_handles_labels()):
            legend.setdefault(label, handle)
    if legend:
        # about 100 letters of this size fit side by side
        columns = min(3, len(legend), max(1, 100 // (max(map(len, legend)) + 6)))
        figure.legend(legend.values(), legend, fontsize=8, loc="outside lower center", ncols=columns)
    save_figure(figure, path)


def _draw_set(axis: Any, name: str, runs: Sequence[Mapping[str, Any]], key: str, values: Sequence[Any]) -> None:
    series: dict[str, list[tuple[Any, Mapping[str, Any]]]] = {}
    for run in runs:
        others = ", ".join(f"{other}={_short(value)}" for other, value in run["values"].items() if other != key)
        points = series.setdefault(others, [])
        means = (run["sets"] or {}).get(name)
        if means is not None and main_score(means) is not None:
            points.append((run["values"][key], means))
    numeric = len(values) > 1 and all(map(is_number, values))
    (_draw_lines if numeric else _draw_bars)(axis, series, values)
    drawn = {main_score(means) for points in series.values() for _, means in points}
    axis.set_ylabel((HISTOGRAMS[drawn.pop()] if len(drawn) == 1 else MIXED_LABEL) + " (dB)", fontsize=9)
    axis.set_xlabel(key)
    axis.set_title(name, fontsize=9)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    # a configuration goes by its name, as in tags
    return Path(text).stem if text.endswith((".yaml", ".yml")) else text


def _label(others: str, bound: bool) -> str | None:
    """Legend of a series, None for nothing."""
    if bound:
        return f"bound, {others}" if others else "bound: binary mask over the same nodes"
    return others or None


def _draw_lines(axis: Any, series: Mapping[str, Sequence[tuple[Any, Any]]], values: Sequence[float]) -> None:
    from matplotlib.ticker import NullLocator

    bounds = {others: [means["bound"] for _, means in points] for others, points in series.items()}
    common = len({value for found in bounds.values() for value in found}) == 1
    for index, (others, points) in enumerate(series.items()):
        points = sorted(points, key=lambda point: point[0])
        if not points:
            continue
        colour = TALKER_COLOURS[index % len(TALKER_COLOURS)]
        scores = [(means, main_score(means)) for _, means in points]
        errors = list(zip(*(error_lengths(means, name) for means, name in scores)))
        places = [value for value, _ in points]
        axis.errorbar(
            places, [means[name] for means, name in scores], yerr=errors, color=colour, capsize=3,
            marker=MARKERS[index % len(MARKERS)], label=_label(others, bound=False),
        )
        if not common and all(means["bound"] is not None for _, means in points):
            style = {**BOUND_STYLE, "color": colour}
            axis.plot(places, [means["bound"] for _, means in points], label=_label(others, bound=True), **style)
    _draw_common_bound(axis, bounds if common else {})
    if wants_log(values):
        axis.set_xscale("log")
        axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks(values, [f"{value:g}" for value in values])


def _draw_common_bound(axis: Any, bounds: Mapping[str, Sequence[float | None]]) -> None:
    found = {value for values in bounds.values() for value in values} - {None}
    for value in found:
        axis.axhline(value, label=_label("", bound=True), **BOUND_STYLE)


def _draw_bars(axis: Any, series: Mapping[str, Sequence[tuple[Any, Any]]], values: Sequence[Any]) -> None:
    width = 0.8 / len(series)
    bounds = {others: [means["bound"] for _, means in points] for others, points in series.items()}
    common = len({value for found in bounds.values() for value in found}) == 1
    for index, (others, points) in enumerate(series.items()):
        offset = (index - (len(series) - 1) / 2) * width
        for value, means in points:
            name = main_score(means)
            place = values.index(value) + offset
            axis.bar(
                place, means[name], width * 0.9, yerr=[[length] for length in error_lengths(means, name)], capsize=3,
                color=TALKER_COLOURS[index % len(TALKER_COLOURS)], label=_label(others, bound=False),
            )
            if not common and means["bound"] is not None:
                reach = (place - width / 2, place + width / 2)
                axis.plot(reach, [means["bound"]] * 2, label=_label("", bound=True), **BOUND_STYLE)
    _draw_common_bound(axis, bounds if common else {})
    names = [_short(value) for value in values]
    axis.set_xticks(range(len(names)), names)
    if sum(map(len, names)) > 60:
        # side by side they would run into each other
        axis.tick_params(axis="x", labelrotation=15, labelsize=7)
