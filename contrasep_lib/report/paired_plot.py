"""The plot of two experiments compared mixture by mixture."""

from __future__ import annotations

import os

import numpy as np

from contrasep_lib.report.paired import Comparison, row_title, unit_of
from contrasep_lib.report.plots import TALKER_COLOURS, new_figure, save_figure

# of numbers of speakers, beside their colours
MARKERS = ("o", "s", "^", "D", "v")


def draw_comparison(path: str | os.PathLike, comparison: Comparison) -> None:
    """Draw every mixture's pair of scores, and beside it the mean differences with their intervals.

    Args:
        path: png file.
        comparison: from `contrasep_lib.report.paired.compare`.
    """
    unit, factor = unit_of(comparison.metric)
    score = f"{comparison.metric}{f' ({unit})' if unit else ''}"
    pairs, rows = comparison.pairs, comparison.rows
    figure = new_figure(10.0, 4.8)
    scatter, means = figure.subplots(1, 2)
    for index, count in enumerate(np.unique(pairs.counts)):
        chosen = pairs.counts == count
        colour = TALKER_COLOURS[index % len(TALKER_COLOURS)]
        points = factor * pairs.a[chosen], factor * pairs.b[chosen]
        marker = MARKERS[index % len(MARKERS)]
        scatter.scatter(
            *points, s=14, alpha=0.6, color=colour, marker=marker, label=f"mixture of {count} speakers", linewidths=0
        )
    ends = [factor * min(pairs.a.min(), pairs.b.min()), factor * max(pairs.a.max(), pairs.b.max())]
    scatter.plot(ends, ends, color="black", linewidth=1, label="B as good as A")
    scatter.set_xlabel(f"A: {score}")
    scatter.set_ylabel(f"B: {score}")
    scatter.legend(fontsize=8)
    for place, row in enumerate(rows):
        reach = None
        if row.interval is not None:
            below, above = row.difference - row.interval[0], row.interval[1] - row.difference
            reach = [[factor * max(0.0, below)], [factor * max(0.0, above)]]
        # one entry in the key for all
        label = None if place else "mean of B - A, 95 % interval"
        means.errorbar(
            [factor * row.difference], [place], xerr=reach, color="black", marker="o", linestyle="", capsize=4,
            label=label,
        )
    means.axvline(0.0, color=TALKER_COLOURS[5], linestyle="--", linewidth=1.2, label="no difference")
    means.set_yticks(range(len(rows)), [row_title(row) for row in rows])
    means.set_ylim(len(rows) - 0.5, -0.5)
    means.set_ylabel("speakers")
    means.set_xlabel(f"B - A: {score}")
    means.legend(fontsize=8)
    figure.suptitle(f"A: {comparison.names[0]}    B: {comparison.names[1]}", fontsize=9)
    save_figure(figure, path)
