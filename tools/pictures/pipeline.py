#!/usr/bin/env python3
"""Draw docs/img/pipeline.png: the pipeline on one real mixture, from samples to separated speech.

    tools/pictures/pipeline.py --corpus ../shared/corpora/LibriSpeech --out docs/img/pipeline.png

Two test speakers of Mini LibriSpeech, whom the model has never heard, are mixed at equal level and separated by a
model of the package; the number of speakers is estimated. Everything in the picture is computed from this mixture.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Annotated

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from contrasep_lib.bin.common import Parser, within
from contrasep_lib.config.bounds import Range, Seconds

RATE = 8000
HUES = ("#1f6fb4", "#d9641e", "#2e8b57", "#8a4fb0", "#7a6a4f")
INK = "#333333"


def sources_of(corpus: Path, utterances: list[str], start: float, seconds: float) -> np.ndarray:
    """Pieces of utterances ``SPEAKER-CHAPTER-NUMBER`` at equal power, ``(speakers, samples)``."""
    from contrasep_lib.io.audio import read_audio

    first, count = int(start * RATE), int(seconds * RATE)
    pieces = []
    for utterance in utterances:
        speaker, chapter, _ = utterance.split("-")
        path = corpus / "train-clean-5" / speaker / chapter / f"{utterance}.flac"
        samples = read_audio(path, RATE, resample=True)[0][first : first + count]
        pieces.append(samples / np.sqrt(np.mean(samples**2)))
    return 0.05 * np.stack(pieces).astype(np.float32)


def magnitude(samples: np.ndarray) -> np.ndarray:
    """Spectrogram ``(.., freq, frames)`` of ``(.., samples)``."""
    from scipy.signal import stft

    return np.abs(stft(samples, RATE, nperseg=256, noverlap=192)[2])


def decibels(samples: np.ndarray) -> np.ndarray:
    """The same, dB."""
    return 20 * np.log10(magnitude(samples) + 1e-7)


def principal_axes(z: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and the two axes of largest variance of ``z (nodes, dim)``."""
    mean = weight @ z / weight.sum()
    centred = (z - mean) * np.sqrt(weight)[:, None]
    return mean, np.linalg.svd(centred, full_matrices=False)[2][:2].T


def analysed(corpus: Path, utterances: list[str], start: float, seconds: float, model: str) -> dict:
    """All that is drawn, from one mixture."""
    import torch

    from contrasep_lib.score.utterance import score_utterance
    from contrasep_lib.separate.shipped import load_separator

    sources = sources_of(corpus, utterances, start, seconds)
    mixture = sources.sum(0)
    separator = load_separator(model).separator
    done = separator.separate("picture", mixture, None)
    with torch.no_grad():
        nodes = separator.model.analyse(torch.from_numpy(mixture)[None])[0]
    heard = nodes.valid[0].numpy()
    score = score_utterance(done.outputs, sources, mixture, count_given=False)
    return {
        "mixture": mixture, "outputs": done.outputs, "z": nodes.z[0].numpy()[heard],
        "weight": nodes.weight[0].numpy()[heard], "labels": done.assignment[heard].argmax(1),
        "masks": np.clip(magnitude(done.outputs) / (magnitude(mixture) + 1e-7), 0, 1), "centroids": done.centroids,
        "probabilities": done.probabilities, "si_snri": score["si_snri_count_estimated"],
    }


def spectrogram(axes, samples: np.ndarray, top: float) -> None:
    """A spectrogram of 60 dB below ``top``."""
    axes.imshow(decibels(samples), origin="lower", aspect="auto", cmap="magma", vmin=top - 60, vmax=top,
                interpolation="bilinear")


def embeddings(axes, seen: dict, rng: np.random.Generator) -> None:
    """Units on the two principal axes, coloured by cluster, with the centroids."""
    mean, plane = principal_axes(seen["z"], seen["weight"])
    drawn = rng.choice(len(seen["z"]), 1800, replace=False, p=seen["weight"] / seen["weight"].sum())
    points = (seen["z"][drawn] - mean) @ plane
    hues = np.array(HUES)[seen["labels"][drawn]]
    axes.scatter(*points.T, c=hues, s=4, alpha=0.45, linewidths=0, rasterized=True)
    for hue, centroid in zip(HUES, (seen["centroids"] - mean) @ plane):
        axes.scatter(*centroid, c=hue, s=170, marker="*", edgecolors="white", linewidths=1.1, zorder=3)


def similarities(axes, seen: dict, rng: np.random.Generator) -> None:
    """Cosines of units, sorted by cluster."""
    drawn = rng.choice(len(seen["z"]), 320, replace=False, p=seen["weight"] / seen["weight"].sum())
    order = drawn[np.argsort(seen["labels"][drawn], kind="stable")]
    axes.imshow(seen["z"][order] @ seen["z"][order].T, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    borders = np.concatenate([[0], np.bincount(seen["labels"][order]).cumsum()])
    for hue, low, high in zip(HUES, borders[:-1], borders[1:]):
        axes.add_patch(_box(low, high, hue))


def _box(low: int, high: int, hue: str):
    from matplotlib.patches import Rectangle

    return Rectangle((low, low), high - low - 1, high - low - 1, fill=False, edgecolor=hue, linewidth=2)


def mask(axes, shares: np.ndarray, hue: str) -> None:
    """The share of each unit that goes to one speaker, ``(freq, frames)``."""
    from matplotlib.colors import LinearSegmentedColormap

    axes.imshow(shares, origin="lower", aspect="auto", cmap=LinearSegmentedColormap.from_list("", ["white", hue]),
                vmin=0, vmax=1, interpolation="nearest")


def draw(seen: dict, path: Path) -> None:
    """The picture: one row of steps, left to right."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    rng = np.random.default_rng(0)
    count = len(seen["outputs"])
    figure = plt.figure(figsize=(15, 2.95), dpi=105)
    grid = figure.add_gridspec(count, 6, left=0.012, right=0.988, top=0.8, bottom=0.13, wspace=0.19, hspace=0.12)
    wave, mixed, cloud, graph = (figure.add_subplot(grid[:, column]) for column in range(4))
    time = np.arange(len(seen["mixture"])) / RATE
    wave.plot(time, seen["mixture"], color=INK, linewidth=0.35)
    wave.set_xlim(0, time[-1])
    top = decibels(seen["mixture"]).max()
    spectrogram(mixed, seen["mixture"], top)
    embeddings(cloud, seen, rng)
    similarities(graph, seen, rng)
    for number, (output, shares) in enumerate(zip(seen["outputs"], seen["masks"])):
        mask(figure.add_subplot(grid[number, 4]), shares, HUES[number])
        axes = figure.add_subplot(grid[number, 5])
        spectrogram(axes, output, top)
        axes.text(0.02, 0.9, f"speaker {number + 1}", transform=axes.transAxes, color="white", fontsize=9, va="top",
                  bbox={"facecolor": HUES[number], "edgecolor": "none", "pad": 2})
    for axes in figure.axes:
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color("#bbbbbb")
    likely = max(seen["probabilities"], default=0)
    captions = (
        ("recording", f"{time[-1]:.1f} s, one microphone"), ("spectrogram", "0 to 4 kHz"),
        ("embeddings", "time-frequency units, two axes"), ("graph", "cosines, sorted by cluster"),
        ("masks", f"{count} speakers estimated ({likely:.0%})"), ("separated", f"SI-SNRi {seen['si_snri']:.1f} dB"),
    )
    columns = [wave, mixed, cloud, graph, *figure.axes[4:6]]
    for number, (axes, (title, note)) in enumerate(zip(columns, captions)):
        box = axes.get_position()
        middle = (box.x0 + box.x1) / 2
        figure.text(middle, 0.9, title, ha="center", fontsize=13, color=INK, weight="bold")
        figure.text(middle, 0.035, note, ha="center", fontsize=9.5, color="#555555")
        if number:
            figure.text(box.x0 - 0.0105, 0.465, "➜", ha="center", va="center", fontsize=15, color="#888888")
    figure.canvas.draw()
    path.parent.mkdir(parents=True, exist_ok=True)
    # a palette halves the file
    Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3]).quantize(160).save(path, optimize=True)


def main() -> None:
    """Entry point."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="LibriSpeech, with train-clean-5")
    parser.add_argument("--utterances", nargs="+", default=["1970-28415-0000", "3664-178355-0000"], metavar="ID")
    parser.add_argument("--start", type=within(Annotated[float, Range(0, 86400)]), default=6.0, help="where the pieces begin, seconds")
    parser.add_argument("--seconds", type=within(Seconds), default=3.0, help="their length")
    parser.add_argument("--model", default="best", help="of the package, or a folder")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/img/pipeline.png", metavar="FILE")
    args = parser.parse_args()
    draw(analysed(args.corpus, args.utterances, args.start, args.seconds, args.model), args.out)


if __name__ == "__main__":
    main()
