"""Plots of stage 6: spectrograms with the assignment, and the spread of a score.

Drawn without a display. Colours are distinct for the colour-blind: a sequential map that grows
evenly in lightness for levels, the palette of Okabe and Ito for speakers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import atomic_path
from contrasep_lib.io.dumpset import DumpSet, SeparatedSet
from contrasep_lib.io.scp import read_table
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.oracles.base import oracle_title
from contrasep_lib.score.tables import Row

TALKER_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
SILENT_COLOUR = "#DDDDDD"
RANGE_DB = 60.0
# score -> label, in the order of preference
HISTOGRAMS = {
    "si_snri": "SI-SNR improvement",
    "si_snri_count_estimated": "SI-SNR improvement, count estimated",
    "si_snr": "SI-SNR of the output",
}


def new_figure(width: float, height: float) -> Any:
    """A figure on the Agg canvas, made without pyplot's global state."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # names stand as they are: a $ in one begins no formula
    matplotlib.rcParams["text.parse_math"] = False
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: str | os.PathLike) -> None:
    """Write a figure as png, atomically; the same plot gives the same bytes."""
    with atomic_path(path) as temporary:
        # the version of matplotlib would stand in it
        figure.savefig(temporary, dpi=110, metadata={"Software": None})


def level_db(signal: np.ndarray, features: FeatureOptions) -> np.ndarray:
    """Power spectrum of ``(samples,)`` in dB re full scale, ``(frames, win / 2 + 1)``."""
    import torch

    from contrasep_lib.nodes.stft import stft

    power = stft(torch.from_numpy(np.ascontiguousarray(signal, np.float64)), features).abs().square().numpy()
    return 10.0 * np.log10(np.maximum(power / (features.win / 4.0) ** 2, 1e-12))


def read_assignment(folder: str | os.PathLike, key: str) -> np.ndarray | None:
    """Which output each node of an utterance went to, as stage 5 kept it.

    Returns:
        ``(frames, freq)`` int, ``freq = 1`` where nodes are frames: the number of the output from
        1, 0 for silent nodes. None where stage 5 kept nothing.

    Raises:
        ContrasepError: a damaged ark, a command in its place, or no matrix of outputs.
    """
    from contrasep_lib.io.ark import load_entry

    table = Path(folder) / "assign.scp"
    if not table.is_file():
        return None
    entry = read_table(table).get(key)
    if entry is None:
        return None
    try:
        labels = load_entry(entry)
    except (ValueError, OSError) as error:
        raise ContrasepError(f"{table}: '{key}' cannot be read ({error}); run stage 5 again") from None
    # the number of an output is a byte
    if isinstance(labels, tuple) or labels.ndim != 2 or not ((labels >= 0) & (labels <= 255)).all():
        raise ContrasepError(f"{table}: '{key}' is no matrix (frames, freq) of outputs; run stage 5 again")
    return labels.round().astype(int)


def assigned_source(labels: np.ndarray, permutation: Sequence[int | None]) -> np.ndarray:
    """Which source each node went to.

    Args:
        labels: any shape; number of the output from 1, 0 for silent nodes.
        permutation: for each source the index of its output.

    Returns:
        index of the source that the output was matched with; outputs without a source follow
        after the sources, in order; -1 for silent nodes.
    """
    matched = {output: source for source, output in enumerate(permutation) if output is not None}
    spare = [output for output in range(labels.max(initial=0)) if output not in matched]
    matched |= {output: len(permutation) + index for index, output in enumerate(spare)}
    source = np.array([-1] + [matched[output] for output in sorted(matched)])
    return source[labels]


def output_titles(permutation: Sequence[int | None], outputs: int) -> dict[int, str]:
    """What each number of `assigned_source` stands for.

    Args:
        permutation: for each source the index of its output.
        outputs: how many there are.

    Example:
        >>> output_titles((1, None), 2)
        {0: 'output 2 for source 1', 2: 'output 1, one too many'}
    """
    titles = {
        source: f"output {output + 1} for source {source + 1}"
        for source, output in enumerate(permutation) if output is not None
    }
    spare = (output for output in range(outputs) if output not in permutation)
    return titles | {
        place: f"output {output + 1}, one too many" for place, output in enumerate(spare, len(permutation))
    }


def draw_utterance(
    path: str | os.PathLike,
    row: Row,
    mixture: np.ndarray,
    sources: np.ndarray,
    outputs: np.ndarray,
    labels: np.ndarray | None,
    rate: int,
    features: FeatureOptions,
) -> None:
    """Draw mixture and assignment, and below them each source beside its output.

    Args:
        path: png file.
        row: the utterance's scores.
        mixture: ``(samples,)``.
        sources: ``(K, samples)``.
        outputs: ``(M, samples)``.
        labels: as `read_assignment` returns them, or None.
        rate: Hz.
        features: framing of the assignment and of the spectrograms.
    """
    spare = [output for output in range(len(outputs)) if output not in row.permutation]
    lines = 1 + len(sources) + len(spare)
    figure = new_figure(11.0, 1.2 + 2.1 * lines)
    figure.suptitle(row.utt, fontsize=9)
    axes = figure.subplots(lines, 2, sharex=True, squeeze=False)
    mixture_db = level_db(mixture, features)
    extent, top = _extent(len(mixture_db), rate, features), mixture_db.max()

    def spectrogram(axis: Any, signal: np.ndarray, title: str) -> Any:
        axis.set_title(title, fontsize=9)
        axis.set_ylabel("frequency (kHz)")
        return axis.imshow(
            level_db(signal, features).T, origin="lower", aspect="auto", extent=extent, cmap="cividis",
            vmin=top - RANGE_DB, vmax=top, interpolation="nearest",
        )

    image = spectrogram(axes[0, 0], mixture, "mixture")
    _draw_assignment(axes[0, 1], labels, row.permutation, len(outputs), extent)
    gains: Any = row["source_si_snri"]
    for index, (source, output) in enumerate(zip(sources, row.permutation)):
        spectrogram(axes[1 + index, 0], source, f"source {index + 1}")
        if output is None:
            _blank(axes[1 + index, 1], f"no output for source {index + 1}")
            continue
        gain = "" if gains is None else f": SI-SNRi {gains[index]:.1f} dB"
        spectrogram(axes[1 + index, 1], outputs[output], f"output {output + 1} for source {index + 1}{gain}")
    for index, output in enumerate(spare, 1 + len(sources)):
        _blank(axes[index, 0], "no source")
        spectrogram(axes[index, 1], outputs[output], f"output {output + 1}, one too many")
    for axis in axes[-1]:
        axis.set_xlabel("time (s)")
        axis.set_xlim(0.0, len(mixture) / rate)
    figure.colorbar(image, ax=axes, label="level (dB re full scale)", shrink=0.8, pad=0.01)
    save_figure(figure, path)


def _extent(frames: int, rate: int, features: FeatureOptions) -> tuple[float, float, float, float]:
    """Where a spectrogram lies: begin and end in seconds, lowest and highest frequency in kHz."""
    # the middle of frame i lies (i * hop - front + win / 2) samples into the signal
    front = features.win - features.hop
    start = (-front + features.win / 2 - features.hop / 2) / rate
    return start, start + frames * features.hop / rate, 0.0, rate / 2000.0


def _blank(axis: Any, title: str) -> None:
    axis.set_title(title, fontsize=9)
    axis.set_yticks([])
    axis.set_facecolor("white")


def _draw_assignment(
    axis: Any,
    labels: np.ndarray | None,
    permutation: Sequence[int | None],
    outputs: int,
    extent: tuple[float, float, float, float],
) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    if labels is None:
        _blank(axis, "no assignment of nodes kept")
        return
    source = assigned_source(labels, permutation)
    count = max(len(permutation) + outputs, int(source.max()) + 1)
    colours = [TALKER_COLOURS[index % len(TALKER_COLOURS)] for index in range(count)]
    palette = np.array([to_rgb(colour) for colour in (*colours, SILENT_COLOUR)])
    # the last entry, index -1, is the silent colour
    axis.imshow(
        palette[source.T], origin="lower", aspect="auto", extent=extent, interpolation="nearest",
    )
    if source.shape[1] == 1:
        axis.set_yticks([])
        axis.set_ylabel("whole frames")
    else:
        axis.set_ylabel("frequency (kHz)")
    axis.set_title("assignment: output with the largest share", fontsize=9)
    named = output_titles(permutation, outputs)
    handles = [Patch(color=colours[number], label=name) for number, name in named.items()]
    handles.append(Patch(color=SILENT_COLOUR, label="silent in the mixture"))
    # as many in a row as the figure is wide enough for
    axis.figure.legend(handles=handles, fontsize=8, loc="outside lower right", ncols=min(len(handles), 4))


def draw_histogram(
    path: str | os.PathLike,
    values: Sequence[float],
    label: str,
    oracles: Mapping[str, float | None],
    title: str,
) -> None:
    """Draw how a score spreads over the utterances, with its mean and the oracles' means.

    Args:
        path: png file.
        values: one per utterance, dB.
        label: what they are.
        oracles: title -> mean of the same score, dB; None is left out.
        title: stands above.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7.5, 4.6)
    axis = figure.subplots()
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    bins = min(40, max(8, int(np.sqrt(len(values)) * 2)))
    axis.hist(values, bins=bins, color=TALKER_COLOURS[4], edgecolor="white", linewidth=0.5, label="this experiment")
    mean = float(np.mean(values))
    axis.axvline(mean, color="black", linewidth=2, label=f"mean {mean:.1f} dB (n = {len(values)})")
    styles = ("--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
    colours = (TALKER_COLOURS[5], TALKER_COLOURS[2], TALKER_COLOURS[3], TALKER_COLOURS[0])
    for index, (oracle, value) in enumerate(oracles.items()):
        style, colour = styles[index % len(styles)], colours[index % len(colours)]
        if value is not None:
            legend = f"{oracle} {value:.1f} dB"
            axis.axvline(value, color=colour, linestyle=style, linewidth=1.6, label=legend)
    axis.set_xlabel(f"{label} (dB)")
    axis.set_ylabel("utterances")
    axis.set_title(title, fontsize=10)
    figure.legend(fontsize=8, loc="outside lower center", ncols=2)
    save_figure(figure, path)


def draw_set(
    out: str | os.PathLike,
    rows: Sequence[Row],
    dump: DumpSet,
    separated: SeparatedSet,
    plots: int,
    features: FeatureOptions,
) -> None:
    """Draw ``OUT/histogram.png`` and ``OUT/plots/UTT.png`` for ``plots`` utterances spread over the set.

    Plots of an earlier run are removed.
    """
    out = Path(out)
    for stale in (out / "plots").glob("*.png"):
        stale.unlink()
    name = next((name for name in HISTOGRAMS if all(row[name] is not None for row in rows)), None)
    if name is not None:
        oracles = {} if name == "si_snr" else {
            oracle_title(oracle): float(np.mean([row.oracles[oracle] for row in rows])) for oracle in rows[0].oracles
        }
        draw_histogram(out / "histogram.png", [row[name] for row in rows], HISTOGRAMS[name], oracles, dump.name)
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(plots, len(rows))).round().astype(int))
    for row in (rows[index] for index in chosen):
        mixture, sources, outputs = dump.mixture(row.utt), dump.sources(row.utt), separated.outputs(row.utt)
        labels = read_assignment(separated.folder, row.utt)
        draw_utterance(
            out / "plots" / f"{row.utt}.png", row, mixture, sources, outputs, labels, dump.rate, features
        )
