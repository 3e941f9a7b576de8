#!/usr/bin/env python3
"""Counting over durations, silence and noise: the classifier, the effective number of communities, and both combined.

    tools/bench/count_study.py measure --data build/long/data/dump --tsv counts.tsv [--model best] [--trials 20]
    tools/bench/count_study.py show counts.tsv [--plot counts.png]

`measure` lets 1 to 5 development speakers of one corpus talk at once, over each of the durations; the utterances of a speaker follow one
another, from the first again where they are too few. At 8 s there are further conditions: a quarter of silence around, and pink noise.
A line has what each counter says: the classifier's scores, and the effective number of communities.

`show` compares count accuracies, paired by recording: the classifier as it is; the effective number by its own calibration; and a
logistic regression on both. Everything that is fitted (the regression, and the temperature of the classifier's probabilities) is fitted on one
corpus and judged on the other. Intervals are of 95 % over speakers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import numpy as np  # noqa: E402

from contrasep_lib.bin.common import Parser, positive  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402

CORPORA, COUNTS, DURATIONS = ("librispeech", "commonvoice"), (1, 2, 3, 4, 5), (2, 4, 8, 15, 30)
# at 8 s: what is around the speech
CONDITIONS = {"silence": {"silence": 0.25}, "noise, 20 dB": {"snr": 20.0}, "noise, 10 dB": {"snr": 10.0}}
USUAL, LARGEST_GAIN = 8, 2.5
SCORES = tuple(f"score{count}" for count in COUNTS)
COLUMNS = ("corpus", "condition", "seconds", "trial", "speakers", "num_spk", *SCORES, "effective", "by_effective")
BINS = 10


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True, parser_class=Parser)
    measure = parts.add_parser("measure", help="write a line for each recording")
    measure.add_argument("--data", type=Path, required=True, metavar="DIR", help="dumped sets CORPUS/dev_1mix")
    measure.add_argument("--model", default="best", metavar="NAME|DIR", help="as for contrasep separate (best)")
    measure.add_argument("--weights", type=Path, metavar="DIR", help="finetune folder of a training that goes on, in place of the model's weights")
    measure.add_argument("--trials", type=positive, default=20, metavar="N", help="of each corpus, count and condition (20)")
    measure.add_argument("--tsv", type=Path, required=True, metavar="FILE", help="where the lines go; those there are kept")
    show = parts.add_parser("show", help="tables and picture")
    show.add_argument("tsv", type=Path, metavar="FILE")
    show.add_argument("--plot", type=Path, metavar="FILE", help="reliability, and accuracy over durations")
    return parser.parse_args(arguments)


# ------------------------------------------------------------------ recordings


class Talk:
    """Mixtures of development speakers of one corpus, of any duration.

    Args:
        dump: `contrasep_lib.io.dumpset.DumpSet` of single speakers.
        seed: of all draws.
    """

    def __init__(self, dump: Any, seed: int = 0) -> None:
        self.dump, self.seed = dump, seed
        self.utterances: dict[str, list[str]] = {}
        for key in dump.keys:
            self.utterances.setdefault(dump.speakers[key][0], []).append(key)
        self.names = sorted(self.utterances)

    def mixture(self, count: int, seconds: float, trial: int, silence: float = 0.0, snr: float | None = None) -> tuple[np.ndarray, list[str]]:
        """Samples ``(samples,)`` float32 and the speakers of a trial; the speech of a trial is that of all its conditions.

        Args:
            silence: share of the recording before and after the speech, together.
            snr: of pink noise, dB; None for none.
        """
        from contrasep_lib.mix.noise.coloured import tilted_noise

        rng = np.random.default_rng([self.seed, count, round(10 * seconds), trial])
        names = [self.names[place] for place in rng.choice(len(self.names), count, replace=False)]
        samples = round(seconds * self.dump.rate)
        spoken = samples - round(silence * samples)
        speech = sum(self._speech(name, spoken, rng) for name in names)
        start = int(rng.integers(samples - spoken + 1))
        mixed = np.zeros(samples)
        mixed[start : start + spoken] = speech
        if snr is not None:
            level = np.sqrt(np.square(speech).mean() * 10 ** (-snr / 10))
            mixed += level * tilted_noise(samples, 1.0, self.dump.rate, rng)
        return (0.3 * mixed / max(np.abs(mixed).max(), 1e-9)).astype(np.float32), names

    def _speech(self, name: str, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Utterances of a speaker one after another, at a drawn place and level."""
        keys = list(rng.permutation(self.utterances[name]))
        parts = [self.dump.mixture(key) for key in keys]
        whole = np.concatenate(parts * (1 + 2 * samples // max(1, sum(map(len, parts))))).astype(np.float64)
        start = int(rng.integers(max(1, len(whole) - samples)))
        part = whole[start : start + samples]
        return part / max(np.sqrt(np.square(part).mean()), 1e-6) * 10 ** (rng.uniform(-LARGEST_GAIN, LARGEST_GAIN) / 20)


def conditions() -> Iterator[tuple[str, float, dict[str, Any]]]:
    """Name, seconds and arguments of `Talk.mixture` of every condition."""
    for seconds in DURATIONS:
        yield "speech", seconds, {}
    for name, arguments in CONDITIONS.items():
        yield name, USUAL, arguments


def measure(args: argparse.Namespace) -> None:
    """Write the lines."""
    import torch
    from experimentkit.judging import as_text, hidden
    from tqdm import tqdm

    from contrasep_lib.io.atomic import write_text
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.separate.shipped import load_separator

    torch.set_num_threads(1)
    loaded = load_separator(args.model)
    model, counter = loaded.separator.model, _effective(args.model)
    if args.weights:
        from training_tools import model_of, states_of

        model = model_of(states_of(args.weights))
    if model.counter is None:
        raise ContrasepError(f"--model {args.model}: has no classifier of the number of speakers")
    lines = read(args.tsv) if args.tsv.is_file() else []
    done = {tuple(line[name] for name in (*COLUMNS[:4], "num_spk")) for line in lines}
    for corpus in CORPORA:
        talk = Talk(DumpSet(args.data / corpus / "dev_1mix"))
        for name, seconds, arguments in conditions():
            for count in tqdm(COUNTS, f"{corpus}, {name}, {seconds} s", disable=None):
                for trial in range(args.trials):
                    if (corpus, name, str(seconds), str(trial), str(count)) in done:
                        continue
                    samples, speakers = talk.mixture(count, seconds, trial, **arguments)
                    with torch.inference_mode():
                        nodes, seen = model.analyse(torch.from_numpy(samples)[None])
                        scores = model.count(nodes, seen)[0].log_softmax(-1).numpy()
                    number = counter.number(nodes, 0)
                    lines.append({
                        "corpus": corpus, "condition": name, "seconds": seconds, "trial": trial, "num_spk": count,
                        "speakers": ",".join(map(hidden, speakers)), "effective": f"{number:.4f}",
                        "by_effective": min(counter.single.count(number), max(COUNTS)),
                        **{key: f"{value:.4f}" for key, value in zip(SCORES, scores)},
                    })  # fmt: skip
            write_text(args.tsv, as_text(lines, COLUMNS))


def _effective(name: str) -> Any:
    """The counter ``effective_number`` of a model, as it was calibrated."""
    from contrasep_lib.config import load_config
    from contrasep_lib.separate.clustering_state import ClusteringState
    from contrasep_lib.separate.shipped import folder_of

    folder = folder_of(name)
    options = load_config(folder / "config.yaml", ["modularity.counting=effective_number", "modularity.solver=kmeans"])["modularity"]
    return ClusteringState.load(folder / "modularity", options).counter


# ------------------------------------------------------------------ what they say


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a table.

    Raises:
        ContrasepError: not there, or other columns.
    """
    from experimentkit.judging import read_rows

    return list(read_rows(path, COLUMNS, "count_study.py measure"))


def temperature(scores: np.ndarray, truth: np.ndarray) -> float:
    """By which logarithms of probabilities ``(n, counts)`` are divided for the largest likelihood (Guo et al., ICML 2017)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(log: float) -> float:
        return -float(log_softmax(scores / np.exp(log), axis=1)[np.arange(len(truth)), truth - 1].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x))


def calibration_error(chance: np.ndarray, truth: np.ndarray, bins: int = BINS) -> float:
    """Mean distance of confidence and accuracy, over bins of confidence weighted by their sizes (ECE, Naeini et al., AAAI 2015)."""
    return float(sum(share * abs(sure - right) for share, sure, right in reliability(chance, truth, bins)))


def reliability(chance: np.ndarray, truth: np.ndarray, bins: int = BINS) -> list[tuple[float, float, float]]:
    """Share of the recordings, mean confidence and accuracy, of bins of confidence that hold any."""
    sure, right = chance.max(1), chance.argmax(1) + 1 == truth
    place = np.minimum((sure * bins).astype(int), bins - 1)
    return [
        (float((place == number).mean()), float(sure[place == number].mean()), float(right[place == number].mean()))
        for number in range(bins) if (place == number).any()
    ]


def features(scores: np.ndarray, effective: np.ndarray) -> np.ndarray:
    """What the regression sees: the classifier's log-probabilities, and the effective number and its logarithm."""
    number = np.maximum(effective, 0.5)
    return np.column_stack([np.maximum(scores, -12), number, np.log(number)])


class Lines:
    """The table as arrays.

    Args:
        rows: of `read`.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.corpus, self.condition = (np.array([row[name] for row in rows]) for name in ("corpus", "condition"))
        self.seconds = np.array([float(row["seconds"]) for row in rows])
        self.truth = np.array([int(row["num_spk"]) for row in rows])
        self.speakers = [tuple(row["speakers"].split(",")) for row in rows]
        self.scores = np.array([[float(row[name]) for name in SCORES] for row in rows])
        self.effective = np.array([float(row["effective"]) for row in rows])
        self.by_effective = np.array([int(row["by_effective"]) for row in rows])
        self.calibrated, self.combined = np.zeros_like(self.scores), np.zeros_like(self.scores)
        self.temperature: dict[str, float] = {}
        for corpus in dict.fromkeys(self.corpus):
            self._judge_on(corpus)

    def _judge_on(self, corpus: str) -> None:
        """Fit on all other corpora, predict this one."""
        from scipy.special import softmax
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        here = self.corpus == corpus
        if here.all():
            raise ContrasepError(f"expected recordings of two corpora, got '{corpus}' alone")
        self.temperature[corpus] = temperature(self.scores[~here], self.truth[~here])
        self.calibrated[here] = softmax(self.scores[here] / self.temperature[corpus], axis=1)
        seen = features(self.scores, self.effective)
        fitted = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000)).fit(seen[~here], self.truth[~here])
        known = fitted.predict_proba(seen[here])
        for column, count in enumerate(fitted.classes_):
            self.combined[here, int(count) - 1] = known[:, column]

    def right(self) -> dict[str, np.ndarray]:
        """Whether each counter is right, ``(recordings,)`` each."""
        return {
            "classifier": self.scores.argmax(1) + 1 == self.truth,
            "effective number": self.by_effective == self.truth,
            "both": self.combined.argmax(1) + 1 == self.truth,
        }


def tables(lines: Lines) -> Iterator[str]:
    """Markdown: accuracies by corpus, condition and count; differences; calibration."""
    from scipy.special import softmax

    from contrasep_lib.report.markdown import markdown_table
    from contrasep_lib.score.intervals import speaker_interval

    right = lines.right()
    rows = []
    for corpus in dict.fromkeys(lines.corpus):
        for condition, seconds, _ in conditions():
            some = (lines.corpus == corpus) & (lines.condition == condition) & (lines.seconds == seconds)
            for name, values in right.items():
                by_count = [values[some & (lines.truth == count)] for count in COUNTS]
                if all(map(len, by_count)):
                    means = [100 * float(part.mean()) for part in by_count]
                    rows.append([corpus, condition, f"{seconds:g}", name, *(f"{mean:.0f}" for mean in means), f"{np.mean(means):.1f}"])
    yield from markdown_table(["corpus", "condition", "seconds", "counter", *map(str, COUNTS), "mean, %"], rows)
    yield ""
    rows = []
    for corpus in dict.fromkeys(lines.corpus):
        some = np.flatnonzero(lines.corpus == corpus)
        who = [lines.speakers[place] for place in some]
        for name in ("effective number", "both"):
            change = 100.0 * (right[name][some].astype(float) - right["classifier"][some])
            low, high = speaker_interval(change, who)[0] or (np.nan, np.nan)
            rows.append([corpus, name, f"{change.mean():+.1f} [{low:+.1f}, {high:+.1f}]"])
    yield from markdown_table(["corpus", "counter", "count accuracy over the classifier's, points"], rows)
    yield ""
    rows = []
    for corpus in dict.fromkeys(lines.corpus):
        some = lines.corpus == corpus
        for name, chance in (
            ("classifier", softmax(lines.scores, axis=1)), (f"classifier, temperature {lines.temperature[corpus]:.2f}", lines.calibrated),
            ("both", lines.combined),
        ):
            likely = -np.log(np.maximum(chance[some, lines.truth[some] - 1], 1e-9)).mean()
            rows.append([corpus, name, f"{100 * calibration_error(chance[some], lines.truth[some]):.1f}", f"{likely:.3f}"])
    yield from markdown_table(["corpus", "probabilities", "calibration error, %", "negative log-likelihood"], rows)


def show(args: argparse.Namespace) -> None:
    """Print the tables, draw the picture."""
    lines = Lines(read(args.tsv))
    print("\n".join(tables(lines)))
    if args.plot:
        draw(lines, args.plot)


def draw(lines: Lines, path: Path) -> None:
    """Reliability of the classifier's probabilities, and accuracy over durations."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from scipy.special import softmax

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, over = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for corpus, marker in zip(dict.fromkeys(lines.corpus), "os"):
        some = lines.corpus == corpus
        for name, chance, style in (("as it is", softmax(lines.scores, axis=1), "--"), ("with temperature", lines.calibrated, "-")):
            points = reliability(chance[some], lines.truth[some])
            left.plot([sure for _, sure, _ in points], [right for *_, right in points], style, marker=marker, label=f"{corpus}, {name}")
        plain = some & (lines.condition == "speech")
        for name, right in lines.right().items():
            means = [100 * right[plain & (lines.seconds == seconds)].mean() for seconds in DURATIONS]
            over.plot(DURATIONS, means, marker=marker, label=f"{corpus}, {name}")
    left.set(xlabel="confidence", ylabel="count accuracy", xlim=(0, 1), ylim=(0, 1))
    over.set(xlabel="duration, s", ylabel="count accuracy, %, mean of 1 to 5", xscale="log", ylim=(0, 100))
    over.minorticks_off()
    over.set_xticks(DURATIONS, [f"{seconds:g}" for seconds in DURATIONS])
    for axis in (left, over):
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Errors of the user in one line."""
    args = parse()
    try:
        {"measure": measure, "show": show}[args.part](args)
    except ContrasepError as error:
        sys.exit(f"count_study.py: {error}")


if __name__ == "__main__":
    main()
