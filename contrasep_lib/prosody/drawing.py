"""The picture of a study."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from contrasep_lib.report.plots import TALKER_COLOURS, new_figure, save_figure

MARKERS = ("o", "s", "^", "D", "v")
_LEVELS = (("frame", "frames"), ("utterance", "means of utterances"))


def draw_study(path: str | os.PathLike, found: dict[str, Any]) -> None:
    """Draw probes over lags, correlations of pairs, the speaker's share of the variance, and divergences or R^2.

    Args:
        path: png file.
        found: of `contrasep_lib.prosody.report.study`.
    """
    figure = new_figure(11.0, 7.5)
    (lags, pairs), (shares, last) = figure.subplots(2, 2)
    _lags(lags, found["lags"])
    features = found["features"]
    kinds = next(iter(features.values()))["correlation"]
    _bars(pairs, features, [(name.replace("_", " "), "correlation", name) for name in kinds])
    pairs.set_ylabel("correlation of two frames")
    _bars(shares, features, [(f"of {level}", name, "icc1") for name, level in _LEVELS])
    shares.set_ylabel("ICC(1), the speaker's share of the variance")
    if "probes" in found:
        kept = {name: {"r2": {"embedding": tree}} for name, tree in found["probes"]["r2"].items()}
        _bars(last, kept, [("linear probe, speakers held out", "r2", "embedding")])
        last.set_ylabel("R^2 of the embedding")
    else:
        _bars(last, features, [(f"{pair} speakers", "kl_nats", pair) for pair in ("within", "between")])
        last.set_ylabel("divergence of normal distributions, nats")
        last.set_yscale("symlog", linthresh=0.1)
    hours = f"{found['hours']:.1f} hours, {found['speakers']} speakers"
    figure.suptitle(f"{found['data']}: {hours}; 95 % intervals over speakers", fontsize=10)
    save_figure(figure, path)


def _lags(axis: Any, rows: list[dict[str, Any]]) -> None:
    known = [row["seconds"] for row in rows if row["seconds"] is not None]
    # across utterances there is no lag: a place of its own behind the longest
    beyond = 4 * max(known, default=1.0)
    places = [beyond if row["seconds"] is None else row["seconds"] for row in rows]
    for index, name in enumerate(rows[0]["auc"] if rows else ()):
        cells = np.array([finite(row["auc"][name]) for row in rows])
        axis.errorbar(
            places, cells[:, 0], yerr=cells[:, 1:].T, color=TALKER_COLOURS[index], marker=MARKERS[index], markersize=4,
            capsize=2, linewidth=1.2, label=name,
        )
    axis.axhline(0.5, color="black", linestyle="--", linewidth=1, label="chance")
    axis.set_xscale("log")
    if known:
        ticks = [place for place in (0.01, 0.1, 1.0, 10.0, 100.0) if place <= max(known)]
        axis.set_xticks([*ticks, beyond], [*(f"{tick:g} s" for tick in ticks), "other\nutterance"])
        axis.minorticks_off()
    axis.set_xlabel("time between the two frames")
    axis.set_ylabel("same or other speaker, area under the curve")
    axis.legend(fontsize=8)


def _bars(axis: Any, features: dict[str, Any], kinds: list[tuple[str, str, str]]) -> None:
    width = 0.8 / len(kinds)
    for index, (label, section, key) in enumerate(kinds):
        cells = np.array([finite(feature.get(section, {}).get(key, {"value": None})) for feature in features.values()])
        places = np.arange(len(features)) + (index - (len(kinds) - 1) / 2) * width
        axis.bar(
            places, cells[:, 0], width, yerr=cells[:, 1:].T, color=TALKER_COLOURS[index], capsize=3, label=label,
            hatch=("", "//", "..")[index], edgecolor="white",
        )
    axis.axhline(0.0, color="black", linewidth=0.8)
    axis.set_xticks(range(len(features)), list(features))
    axis.legend(fontsize=8)


def finite(tree: dict[str, Any]) -> tuple[float, float, float]:
    """Value and reaches of its interval, for error bars; NaN and 0 where there are none."""
    if tree["value"] is None:
        return math.nan, 0.0, 0.0
    low, high = tree["interval"] or (tree["value"], tree["value"])
    return tree["value"], max(0.0, tree["value"] - low), max(0.0, high - tree["value"])
