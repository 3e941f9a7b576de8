"""The study of a data directory: numbers, tables, words."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.parallel import progress
from contrasep_lib.prosody.extraction import COLUMNS, GROUPS, PITCH, RATE_COLUMN, Frames, measure_all
from contrasep_lib.prosody.frames import FRAME_RATE
from contrasep_lib.prosody.probes import LAGS, explained, over_lags
from contrasep_lib.prosody.statistics import Estimate, divergences, one_way, pair_correlations

ALL = "all"


def study(
    folder: str | os.PathLike, out: str | os.PathLike, nj: int = 1, model: str | None = None, seed: int = 0
) -> dict[str, Any]:
    """Measure a data directory of single speakers and write what was found.

    Args:
        folder: data directory, or dump.
        out: receives ``prosody.json``, ``utterances.tsv``, ``statistics.tsv``, ``lags.tsv``, ``probes.tsv`` (with a
            model), ``prosody.png`` and ``cache/``.
        nj: processes that measure features.
        model: ``model.pth`` whose embeddings are probed.
        seed: draws pairs, folds and speakers.

    Returns:
        The content of ``prosody.json``.

    Raises:
        ContrasepError: see `contrasep_lib.prosody.extraction.measure_all`.
    """
    from contrasep_lib.models.checkpoint import read_model
    from contrasep_lib.prosody.drawing import draw_study
    from contrasep_lib.report.results import to_json

    if model is not None:
        # a file that is none shall not be found out after an hour
        read_model(model)
    frames = measure_all(folder, Path(out) / "cache", nj)
    found: dict[str, Any] = {
        "data": os.path.basename(os.path.abspath(folder)), "seed": seed, "speakers": len(frames.speakers),
        "utterances": len(frames.utterances), "hours": round(float(frames.seconds.sum()) / 3600, 3),
        "frames": len(frames.values), "voiced_share": round(float(_usable(frames).mean()), 4),
        "features": {name: _statistics(frames, name, np.random.default_rng([seed, 1])) for name in GROUPS},
        "lags": _lags(frames, np.random.default_rng([seed, 2])),
    }
    if model is not None:
        found["probes"] = _probes(folder, model, frames, seed)
    out = Path(out)
    write_text(out / "utterances.tsv", table(_utterances(frames)))
    write_text(out / "statistics.tsv", table(_statistics_rows(found)))
    write_text(out / "lags.tsv", table(_lag_rows(found)))
    if model is not None:
        write_text(out / "probes.tsv", table(_probe_rows(found)))
    else:
        # of an earlier run: it would stand beside numbers of other data
        (out / "probes.tsv").unlink(missing_ok=True)
    draw_study(out / "prosody.png", found)
    write_text(out / "prosody.json", to_json(found))
    return found


def _usable(frames: Frames) -> np.ndarray:
    """Frames in which all features exist: voiced, not silent."""
    return frames.active & np.isfinite(frames.values).all(1)


def _statistics(frames: Frames, feature: str, rng: np.random.Generator) -> dict[str, Any]:
    values, utterance = frames.of(feature)
    present, unit = np.unique(utterance, return_inverse=True)
    held = np.bincount(unit)
    means = np.stack([np.bincount(unit, column) for column in values.T], axis=1) / held[:, None]
    levels: dict[str, Any] = {}
    for level, rows, speaker in (
        ("frame", values, frames.speaker[utterance]), ("utterance", means, frames.speaker[present])
    ):
        try:
            variance = one_way(rows, speaker)
        except ValueError:
            continue
        levels[level] = {
            "f_ratio": variance.f.tree(), "icc1": variance.icc.tree(), "speakers": variance.speakers,
            "units": variance.units,
        }
    return {
        **levels,
        "correlation": _trees(pair_correlations(values, utterance, frames.speaker)),
        "kl_nats": _trees(divergences(values, utterance, frames.speaker, rng)),
    }


def _trees(estimates: dict[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.tree() for name, estimate in estimates.items()}


def _lags(frames: Frames, rng: np.random.Generator) -> list[dict[str, Any]]:
    usable, values = _usable(frames), frames.values.astype(np.float64)
    features = {**{name: values[:, columns] for name, columns in GROUPS.items()}, ALL: values}

    def shown(lags: Sequence[Any]) -> Iterable[Any]:
        with progress(lags, "probing lags") as bar:
            yield from bar

    rows = over_lags(features, usable, frames.utterance, frames.speaker, rng, LAGS, shown)
    return [
        {"seconds": None if row["frames"] is None else row["frames"] / FRAME_RATE, "pairs": row["pairs"],
         "speakers": row["speakers"], "auc": _trees(row["auc"])}
        for row in rows
    ]


def _probes(folder: str | os.PathLike, model: str, frames: Frames, seed: int) -> dict[str, Any]:
    from contrasep_lib.prosody.embeddings import embed

    z, places = embed(folder, model, frames, np.random.default_rng([seed, 3]))
    values, speaker = frames.values[places].astype(np.float64), frames.speaker[frames.utterance[places]]
    kept = {}
    for name, columns in GROUPS.items():
        known = frames.active[places] & np.isfinite(values[:, columns]).all(1)
        rng = np.random.default_rng([seed, 4])
        share = explained(z[known], values[known][:, columns], speaker[known], rng)
        kept[name] = {**share.tree(), "frames": int(known.sum())}
    return {"speakers": len(np.unique(speaker)), "dim": z.shape[1], "r2": kept}


# ------------------------------------------------------------------ tables


def table(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as tab-separated text; nothing stands for a number that does not exist."""
    return "".join("\t".join("" if cell is None else str(cell) for cell in row) + "\n" for row in rows)


def _utterances(frames: Frames) -> Iterable[Sequence[Any]]:
    yield (
        "utterance", "speaker", "seconds", "voiced_seconds", "f0_hz", "f0_sd_semitones", "rate_hz", "nuclei_per_second",
        *COLUMNS[GROUPS["timbre"]],
    )
    bounds = np.searchsorted(frames.utterance, np.arange(len(frames.utterances) + 1))
    pitch, rate = COLUMNS.index(PITCH), COLUMNS.index(RATE_COLUMN)
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        values = frames.values[start:end][frames.active[start:end]].astype(np.float64)
        log_f0 = values[np.isfinite(values[:, pitch]), pitch]
        rates = values[np.isfinite(values[:, rate]), rate]
        seconds = float(frames.seconds[number])
        yield (
            frames.utterances[number], frames.speakers[frames.speaker[number]], f"{seconds:.3f}",
            f"{len(log_f0) / FRAME_RATE:.2f}", f"{2 ** np.median(log_f0):.1f}" if len(log_f0) else None,
            f"{12 * log_f0.std():.2f}" if len(log_f0) else None, f"{rates.mean():.3f}" if len(rates) else None,
            f"{frames.nuclei[number] / seconds:.3f}",
            *(f"{mean:.3f}" for mean in (values[:, GROUPS["timbre"]].mean(0) if len(values) else [])),
        )


def _row(tree: dict[str, Any]) -> list[Any]:
    return [tree["value"], *(tree["interval"] or (None, None))]


def _statistics_rows(found: dict[str, Any]) -> Iterable[Sequence[Any]]:
    yield "feature", "quantity", "of", "value", "low", "high"
    for name, feature in found["features"].items():
        for level in ("frame", "utterance"):
            for quantity in ("icc1", "f_ratio") if level in feature else ():
                yield name, quantity, level, *_row(feature[level][quantity])
        for quantity in ("correlation", "kl_nats"):
            for pair, tree in feature[quantity].items():
                yield name, quantity, pair, *_row(tree)


def _lag_rows(found: dict[str, Any]) -> Iterable[Sequence[Any]]:
    yield "lag_seconds", "feature", "pairs", "speakers", "auc", "low", "high"
    for row in found["lags"]:
        for name, tree in row["auc"].items():
            lag = "other" if row["seconds"] is None else row["seconds"]
            yield lag, name, row["pairs"], row["speakers"], *_row(tree)


def _probe_rows(found: dict[str, Any]) -> Iterable[Sequence[Any]]:
    yield "feature", "r2", "low", "high", "frames"
    for name, tree in found["probes"]["r2"].items():
        yield name, *_row(tree), tree["frames"]


# ------------------------------------------------------------------ words


def summary(found: dict[str, Any]) -> str:
    """The study in a few lines, for the terminal."""
    lines = [
        f"{found['data']}: {found['speakers']} speakers, {found['utterances']} utterances, {found['hours']:.2f} hours",
        f"{'':8}{'ICC(1) frame':>24}{'ICC(1) utterance':>24}{'corr. other utt.':>24}{'KL within / between':>22}",
    ]
    for name, feature in found["features"].items():
        cells = [words(feature.get(level, {}).get("icc1")) for level in ("frame", "utterance")]
        cells.append(words(feature["correlation"]["other_utterance"]))
        divergence = " / ".join(
            "-" if tree["value"] is None else f"{tree['value']:.2f}" for tree in feature["kl_nats"].values()
        )
        lines.append(f"{name:8}" + "".join(f"{cell:>24}" for cell in cells) + f"{divergence:>22}")
    lines.append("same or other speaker, area under the curve (0.5: chance)")
    names = list(found["lags"][0]["auc"]) if found["lags"] else []
    lines.append(f"{'lag':>8}" + "".join(f"{name:>22}" for name in names))
    for row in found["lags"]:
        lag = "other" if row["seconds"] is None else f"{row['seconds']:g} s"
        lines.append(f"{lag:>8}" + "".join(f"{words(row['auc'][name]):>22}" for name in names))
    lines += [f"{name}: {chance_words(found['lags'], name)}" for name in names]
    if "probes" in found:
        kept = ", ".join(f"{name} {words(tree)}" for name, tree in found["probes"]["r2"].items())
        lines.append(f"R^2 of the embedding on speakers held out: {kept}")
    return "\n".join(lines)


def words(tree: dict[str, Any] | None) -> str:
    """A number with its interval."""
    if tree is None or tree["value"] is None:
        return "-"
    limits = "" if tree["interval"] is None else f" [{tree['interval'][0]:.3f}, {tree['interval'][1]:.3f}]"
    return f"{tree['value']:.3f}{limits}"


def chance_words(lags: Sequence[dict[str, Any]], feature: str) -> str:
    """From what lag on a probe is no better than chance, by its interval."""
    told = [bool(tree["interval"]) and tree["interval"][0] > 0.5 for row in lags for tree in [row["auc"][feature]]]
    if all(told):
        return "distinguishable from another speaker at every distance"
    last = max((index for index, yes in enumerate(told) if yes), default=-1)
    if last < 0:
        return "at chance at every distance"
    seconds = lags[min(last + 1, len(told) - 1)]["seconds"]
    if last == len(told) - 1:
        where = "across utterances" if seconds is None else f"at {seconds:g} s"
        return f"at chance at some lags, distinguishable from another speaker {where}"
    return f"at chance from {'another utterance' if seconds is None else f'{seconds:g} s'} on"
