"""One picture of each table of settings: means with intervals, and each seed."""

from __future__ import annotations

from pathlib import Path

from contrasep_lib.report.plots import TALKER_COLOURS, new_figure, save_figure
from experimentkit.entries import Settings
from experimentkit.tables import HEADS, TRUTH, Judged, interval, ordered


def draw_settings(judged: dict[tuple[str, str], Judged], table: Settings, path: Path) -> None:
    """Draw the measure that settings are compared by; lines are 95 % intervals over speakers, dots are seeds."""
    names = ordered(judged, table)
    alone = len(names) == 1
    figure = new_figure(7.0, 1.2 + 0.32 * len(names) * len(table.partitions))
    axes = figure.add_subplot()
    for place, way in enumerate(table.partitions):
        colour = TALKER_COLOURS[0 if alone else place % len(TALKER_COLOURS)]
        shift = place if alone else (place - (len(table.partitions) - 1) / 2) * 0.8 / max(len(table.partitions), 1)
        # partitions of a single setting have a row, and a name beside it, each
        label = "_nolegend_" if alone else way
        for row, name in enumerate(names):
            found = judged.get((name, way))
            if found is None:
                continue
            values, height = found.values[table.by], row + shift
            limits = interval(values, found.speakers)
            if limits is not None:
                axes.plot(limits, [height, height], color=colour, linewidth=1.5)
            axes.plot([values.mean()], [height], "o", color=colour, markersize=7, label=label)
            axes.plot(values.mean(axis=1), [height] * len(values), "|", color="black", markersize=8)
            label = "_nolegend_"
    bounds = [found.values["si_snri"].mean() for (name, way), found in judged.items() if way == TRUTH and name == table.first]
    if bounds and table.by == "si_snri":
        axes.axvline(bounds[0], color="#888888", linestyle=":", label=f"true dominance ({table.first})")
    rows = list(table.partitions) if alone else names
    axes.set_yticks(range(len(rows)), rows)
    axes.invert_yaxis()
    axes.set_xlabel(HEADS[table.by] + "; line: 95 % over speakers, bar: a seed")
    axes.set_ylabel(table.axis)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=8, loc="best")
    save_figure(figure, path)
