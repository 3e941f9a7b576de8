"""Learning curves as one page of small diagrams."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contrasep_lib.io.atomic import atomic_path

COLUMNS = 3


def draw_curves(path: Path, stats: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> None:
    """Draw each statistic of training and validation over epochs; times are left to TensorBoard.

    ESPnet's own drawing makes a file per statistic after every epoch, which takes longer than a
    short epoch.

    Args:
        path: image file.
        stats: epoch -> part (``train``, ``valid``) -> name -> value, as ESPnet's reporter keeps them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    parts = {part: None for epoch in stats.values() for part in epoch}
    names = sorted({
        name for epoch in stats.values() for values in epoch.values() for name in values
        if not name.endswith(("time", "total_count"))
    }, key=lambda name: (name != "loss", name))
    rows = math.ceil(len(names) / COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, 2.6 * rows))
    FigureCanvasAgg(figure)
    # margins in inches; a layout that measures every label takes as long as the drawing
    figure.subplots_adjust(
        left=0.9 / (4 * COLUMNS), right=1 - 0.2 / (4 * COLUMNS), bottom=0.4 / (2.6 * rows), top=1 - 0.4 / (2.6 * rows),
        wspace=0.3, hspace=0.35,
    )
    for index, name in enumerate(names, 1):
        axes = figure.add_subplot(rows, COLUMNS, index)
        for part in parts:
            values = {epoch: parts.get(part, {}).get(name) for epoch, parts in sorted(stats.items())}
            points = [(epoch, value) for epoch, value in values.items() if value is not None]
            if points:
                axes.plot(*zip(*points), marker=".", label=part)
        axes.set_title(name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90)
