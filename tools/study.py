#!/usr/bin/env python3
"""The study of architectures: variants of a training from random weights, for the same CPU time each, compared.

    tools/study.py FOLDER [--minutes 60] [--core 0] [--only NAME ..]    trains conf/study/*.yaml one after another
    tools/study.py FOLDER --compare [--limit 30] [--passes N ..]        scores them on development mixtures

FOLDER holds `data/dump` as for tools/long_training.py. It receives `study/code`, a frozen copy of the toolkit as
committed, and a training for each variant, `study/NAME`. Seeds and data are the same for all. The same command goes on
after an interruption: with what is done it does nothing, with more --minutes it goes on. The comparison is written to
`study/comparison.md`, the scores of each mixture to `study/NAME/development.tsv`, learning curves to
`study/curves.png`.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training_tools import (  # beside this file
    ContrasepError,
    Score,
    development,
    freeze,
    hours_heard,
    model_of,
    names_in,
    states_of,
    train_in_turn,
)

from contrasep_lib.bin.common import Parser, positive, within
from contrasep_lib.config.bounds import Layers, Minutes, Processes

BASELINE = "baseline"
HEADER = ("variant", "minutes", "hours heard", "SI-SNRi, dB", "difference, dB", "count accuracy, %", "real-time factor")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds data/dump; receives study")
    parser.add_argument("--minutes", type=within(Minutes), default=60.0, metavar="N", help="CPU time of each variant (default 60)")
    parser.add_argument("--core", type=within(Processes), default=0, metavar="N", help="number of the core (default 0)")
    parser.add_argument("--configs", type=Path, default=Path("conf/study"), metavar="DIR", help="in the toolkit (default %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="variants (default: all; baseline first)")
    parser.add_argument("--compare", action="store_true", help="score what has been trained")
    parser.add_argument("--limit", type=positive, default=30, metavar="N", help="--compare: mixtures of each set (default 30)")
    parser.add_argument(
        "--passes", type=within(Layers), nargs="+", default=[], metavar="N", help="--compare: further numbers of passes, of variants that have any"
    )
    return parser.parse_args(arguments)


# ------------------------------------------------------------------ training


def train(args: argparse.Namespace) -> None:
    """Train each variant until its time is up; what is done already is left alone."""
    study = args.folder / "study"
    code = freeze(study)
    runs = {name: (code / args.configs / f"{name}.yaml", ()) for name in names_in(code / args.configs, args.only, BASELINE)}
    train_in_turn(study, args.folder / "data", runs, args.minutes, args.core)


# ------------------------------------------------------------------ comparison


def compare(args: argparse.Namespace) -> None:
    """Score all variants that have a checkpoint, and write table and curves."""
    import torch

    torch.set_num_threads(1)
    study, trained, rows, baseline = args.folder / "study", {}, [], []
    for name in names_in(study / "code" / args.configs, args.only and [BASELINE, *args.only], BASELINE):
        try:
            states = trained[name] = states_of(study / name)
        except ContrasepError:
            if name == BASELINE:
                raise
            print(f"{name}: no checkpoint yet", file=sys.stderr)
            continue
        iterated = "passes" in states["identity"]["model"]["backbone"]
        for passes in (None, *(args.passes if iterated else ())):
            model = model_of(states, **({"passes": passes} if passes else {}))
            scores = list(development(model, args.folder / "data", args.limit))
            write_scores(study / name / f"development{f'_{passes}passes' if passes else ''}.tsv", scores)
            baseline = baseline or scores
            rows.append(row_of(f"{name}, {passes} passes" if passes else name, states, scores, baseline))
    lines = ["| " + " | ".join(row) + " |" for row in (HEADER, ["---"] * len(HEADER), *rows)]
    counted, separated = len(baseline), sum(score.si_snri is not None for score in baseline)
    lines += ["", (
        f"{separated} development mixtures of 2 speakers and more, the number given, and {counted} for the counter. Paired differences to the "
        "baseline with 95 % intervals by jackknife over speakers; each number of speakers weighs the same. Real-time factor: analysis, clustering "
        "and decoding, CPU time of one core."
    )]
    (study / "comparison.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw(study / "curves.png", trained)
    print(*lines, sep="\n")


def row_of(name: str, states: Mapping[str, Any], scores: Sequence[Score], baseline: Sequence[Score]) -> list[str]:
    """A row of the table; scores of both are of the same mixtures, in the same order."""
    import numpy as np

    from contrasep_lib.score.intervals import mean_over_counts, speaker_interval

    pairs = [(score, other) for score, other in zip(scores, baseline) if score.si_snri is not None]
    gains = np.array([score.si_snri for score, _ in pairs])
    differences = gains - [other.si_snri for _, other in pairs]
    counts = [len(score.speakers) for score, _ in pairs]
    gain, difference = mean_over_counts(np.stack([gains, differences], axis=1), counts)
    (interval,) = speaker_interval(differences, [score.speakers for score, _ in pairs], counts)
    limits = "" if interval is None else f" [{interval[0]:+.2f}, {interval[1]:+.2f}]"
    return [
        name, f"{states['seconds'] / 60:.1f}", f"{hours_heard(states):.1f}", f"{gain:.2f}",
        "" if name == BASELINE else f"{difference:+.2f}{limits}",
        f"{100 * np.mean([score.counted for score in scores]):.0f}",
        f"{sum(score.spent for score, _ in pairs) / sum(score.seconds for score, _ in pairs):.3f}",
    ]


def write_scores(path: Path, scores: Sequence[Score]) -> None:
    """One line for each mixture."""
    names = [field.name for field in dataclasses.fields(Score)]
    lines = ["\t".join(names)]
    for score in scores:
        values = {**vars(score), "speakers": ",".join(score.speakers)}
        lines.append("\t".join(f"{value:.4f}" if isinstance(value, float) else str(value) for value in values.values()))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw(path: Path, trained: Mapping[str, Mapping[str, Any]]) -> None:
    """Validation over minutes: improvement of SI-SNR of the probe's mixtures, and deep clustering."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, statistic in zip(figure.subplots(1, 2), ("si_snri", "deep_clustering")):
        for name, states in trained.items():
            epochs = [parts for _, parts in sorted(states["reporter"]["stats"].items())]
            # a batch takes the same CPU time throughout
            each = states["seconds"] / 60 / epochs[-1]["train"]["total_count"]
            points = [
                (each * parts["train"]["total_count"], float(parts["valid"][statistic]))
                for parts in epochs if statistic in parts["valid"]
            ]
            axes.plot(*zip(*points), marker=".", label=name)
        axes.set(xlabel="minutes of CPU time", title=statistic)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=90)


def main() -> None:
    """Train or compare; errors of the user in one line."""
    args = parse()
    args.folder = args.folder.resolve()
    try:
        (compare if args.compare else train)(args)
    except ContrasepError as error:
        sys.exit(f"study.py: {error}")


if __name__ == "__main__":
    main()
