"""The plot of estimated against true numbers of speakers."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from contrasep_lib.report.plots import new_figure, save_figure


def draw_confusion(path: str | os.PathLike, confusion: Mapping[int, Mapping[int, int]], title: str) -> None:
    """Draw a confusion matrix: the number of mixtures in each field, coloured by its share of the row.

    Args:
        path: png file.
        confusion: from `contrasep_lib.report.counts.confusion_of`, not empty.
        title: stands above.
    """
    true, estimated = list(confusion), list(next(iter(confusion.values())))
    mixtures = np.array([list(row.values()) for row in confusion.values()])
    shares = mixtures / mixtures.sum(axis=1, keepdims=True)
    figure = new_figure(2.2 + 0.9 * len(estimated), 1.6 + 0.7 * len(true))
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="cividis", vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), number in np.ndenumerate(mixtures):
        colour = "black" if shares[row, column] > 0.5 else "white"
        axis.text(column, row, str(number), ha="center", va="center", color=colour)
    axis.set_xticks(range(len(estimated)), [str(number) for number in estimated])
    axis.set_yticks(range(len(true)), [str(number) for number in true])
    axis.set_xlabel("estimated number of speakers")
    axis.set_ylabel("true number of speakers")
    axis.set_title(title, fontsize=10)
    figure.colorbar(image, ax=axis, label="share of the mixtures")
    save_figure(figure, path)
