#!/usr/bin/env python3
"""Counts of speakers on mixtures of known counts: counters, and statistics of the communities, side by side.

    tools/bench/community_counts.py --data build/long/data/dump --cache build/community_counts

The data are dumped sets DATA/CORPUS/{tr_single,dev_1mix,dev_2mix,..}, as `tools/long_training.py` makes them.
effective_number and the statistics see single-speaker pieces of all corpora together (tr_single), and of them only that
they have one speaker; recursive_split and classifier are as the model's folder has them, fitted on mixtures of known
counts. There is one threshold for all counts and corpora. Each recording is embedded once; --cache keeps the embeddings.

Statistics, each with the bar that `--level` of the single-speaker pieces exceed, on 1,024 nodes:

    eigenvalues      how many eigenvalues of the normalised kernel graph exceed the bar of the second
    eigengap         the largest gap between them; one speaker below the bar of the first gap
    qn_excess        K of the largest Qn over its null (rotated surrogates); one speaker below the bar
    closest_pair     the largest K whose two closest communities have a Qn of their own over the bar of K = 2
    mean_square      one over the mean squared cosine, with the rule of effective_number
"""

from __future__ import annotations

import argparse
import json
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from contrasep_lib.bin.common import Parser, positive, within  # noqa: E402
from contrasep_lib.config.bounds import Part  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402
from contrasep_lib.io.atomic import write_text  # noqa: E402

if typing.TYPE_CHECKING:
    from contrasep_lib.nodes.nodeset import NodeSet

COUNTERS = ("effective_number", "recursive_split", "classifier", "largest_modularity")
STATISTICS = ("eigenvalues", "eigengap", "qn_excess", "closest_pair", "mean_square")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="dumped sets by corpus")
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR", help="keeps embeddings")
    parser.add_argument("--model", default="best", help="name or folder (best)")
    parser.add_argument("--corpora", nargs="+", default=["librispeech", "commonvoice"], metavar="NAME")
    parser.add_argument("--mixtures", type=positive, default=100, metavar="N", help="of each count and corpus (100)")
    parser.add_argument("--singles", type=positive, default=100, metavar="N", help="pieces of each corpus (100)")
    parser.add_argument("--counts", type=positive, nargs="+", default=[1, 2, 3, 4, 5], metavar="K")
    parser.add_argument("--level", type=within(Part), default=0.05, help="share of single speakers over the bar (0.05)")
    parser.add_argument(
        "--counters", nargs="+", choices=COUNTERS + STATISTICS, default=COUNTERS, metavar="NAME",
        help=f"counters and statistics ({', '.join(COUNTERS)}; {', '.join(STATISTICS)})",
    )
    parser.add_argument("--save-state", type=Path, metavar="DIR", help="write what effective_number learned there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all confusion matrices there")
    return parser.parse_args(arguments)


class Recordings:
    """Embedded recordings, from the cache where they are there.

    Args:
        args: the command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        from contrasep_lib.separate.shipped import load_separator

        self.args = args
        self.loaded = load_separator(args.model)
        self.separator = self.loaded.separator

    def mixtures(self, corpus: str, count: int) -> Iterator[dict[str, np.ndarray]]:
        """Development mixtures of so many speakers, drawn by number."""
        from contrasep_lib.io.dumpset import DumpSet

        dump = DumpSet(self.args.data / corpus / f"dev_{count}mix")
        for number in np.random.default_rng(0).permutation(len(dump.keys))[: self.args.mixtures]:
            key = dump.keys[int(number)]
            yield self._embedded(corpus, f"dev_{count}mix", f"{number:04d}", lambda key=key: dump.mixture(key))

    def singles(self, corpus: str) -> Iterator[dict[str, np.ndarray]]:
        """Pieces of single speakers of the training set, of 6 s at most."""
        from contrasep_lib.io.dumpset import DumpSet
        from contrasep_lib.mix.options import MixOptions
        from contrasep_lib.train.data import DynamicMixtures
        from contrasep_lib.train.options import TrainOptions

        drawn = TrainOptions(num_spk=(1,), segment_seconds=6.0, seed=0)
        dump = DumpSet(self.args.data / corpus / "tr_single")
        dataset = DynamicMixtures([dump], drawn, MixOptions(rate=self.loaded.rate))
        for number, key in enumerate(dataset.keys(1, self.args.singles)):
            name = f"{number:04d}_of_{self.args.singles}"
            yield self._embedded(corpus, "tr_single", name, lambda key=key: dataset[key]["mixture"])

    def _embedded(self, corpus: str, part: str, name: str, samples: Callable[[], np.ndarray]) -> dict[str, np.ndarray]:
        import torch

        path = self.args.cache / self.loaded.name / corpus / part / f"{name}.npz"
        if not path.is_file():
            model = self.separator.model
            with torch.inference_mode():
                nodes, seen = model.analyse(torch.from_numpy(np.ascontiguousarray(samples(), np.float32))[None])
                scores = model.count(nodes, seen)[0].numpy() if model.counter is not None else np.zeros(0)
            there = nodes.valid[0] & (nodes.weight[0] > 0)
            path.parent.mkdir(parents=True, exist_ok=True)
            part_of_it = path.with_suffix(".part.npz")
            np.savez(part_of_it, z=nodes.z[0][there], weight=nodes.weight[0][there], scores=scores, name=name)
            part_of_it.rename(path)
        with np.load(path) as stored:
            return {key: stored[key] for key in ("z", "weight", "scores", "name")}


def counts(args: argparse.Namespace, recordings: Recordings) -> dict[str, dict[tuple[str, int], list[int]]]:
    """Counts of each method, by corpus and true count."""
    from tqdm import tqdm

    single = [item for corpus in args.corpora for item in recordings.singles(corpus)]
    counters = chosen_counters(args, recordings, single)
    statistics = Statistics(single, args) if set(args.counters) & set(STATISTICS) else None
    most, found = recordings.separator.modularity.k_max, {}
    for corpus in args.corpora:
        for count in args.counts:
            for item in tqdm(recordings.mixtures(corpus, count), f"{corpus} {count}", args.mixtures, disable=None):
                nodes = node_set(item)
                got = {name: counter.count(nodes, None, most, 0).number for name, counter in counters.items()}
                if len(item["scores"]):
                    got["classifier"] = int(item["scores"][:most].argmax()) + 1
                if statistics is not None:
                    got |= {name: min(number, most) for name, number in statistics.counts(item).items()}
                for name in args.counters:
                    if name in got:
                        found.setdefault(name, {}).setdefault((corpus, count), []).append(got[name])
    return found


def node_set(item: dict[str, np.ndarray]) -> NodeSet:
    """Nodes of an embedded recording."""
    import torch

    from contrasep_lib.nodes.nodeset import NodeSet

    return NodeSet.from_embeddings(torch.from_numpy(item["z"])[None], torch.from_numpy(item["weight"])[None])


def chosen_counters(
    args: argparse.Namespace, recordings: Recordings, single: list[dict[str, np.ndarray]]
) -> dict[str, Any]:
    """Counters by name, fitted; the classifier's scores come with the embeddings."""
    from contrasep_lib.config import build, load_config
    from contrasep_lib.modularity.options import ModularityOptions
    from contrasep_lib.separate.clustering_state import ClusteringState
    from contrasep_lib.separate.shipped import folder_of

    def made(name: str, **options: Any) -> Any:
        section = build(ModularityOptions, {"counting": {"name": name, **options}, "solver": "kmeans"}, "modularity")
        return ClusteringState.from_options(section).counter

    counters = {}
    if "effective_number" in args.counters:
        counter = made("effective_number", level=args.level)
        counter = counters["effective_number"] = counter.calibrated([counter.number(node_set(item), 0) for item in single])
        print(f"effective_number: {counter.single}", flush=True)
        if args.save_state:
            args.save_state.mkdir(parents=True, exist_ok=True)
            state = json.dumps(counter.state(), indent=2, sort_keys=True) + "\n"
            write_text(args.save_state / counter.state_file, state)
    if "largest_modularity" in args.counters:
        counters["largest_modularity"] = made("largest_modularity")
    if "recursive_split" not in args.counters:
        return counters
    folder = folder_of(args.model)
    options = load_config(folder / "config.yaml", ["modularity.counting=recursive_split"])["modularity"]
    counters["recursive_split"] = ClusteringState.load(folder / "modularity", options).counter
    return counters


class Statistics:
    """Statistics of the communities, each with a bar from single-speaker pieces.

    Args:
        single: embedded pieces.
        args: the command line.
    """

    MOST = 7

    def __init__(self, single: list[dict[str, np.ndarray]], args: argparse.Namespace) -> None:
        from contrasep_lib.counting.counters.effective_number import SingleSpeakers

        self.cuts = bool({"qn_excess", "closest_pair"} & set(args.counters))
        measured = [self._measure(item) for item in single]

        def bar(values: list[float]) -> float:
            return float(np.quantile(values, 1 - args.level))

        self.second = bar([each["spectrum"][0] for each in measured])
        self.gap = bar([each["spectrum"][0] - each["spectrum"][1] for each in measured])
        if self.cuts:
            self.excess = bar([max(each["excess"]) for each in measured])
            self.pair = bar([each["pair"][0] for each in measured])
        squares = [each["square"] for each in measured]
        mean = float(np.mean(squares))
        self.square = SingleSpeakers(mean, bar(squares) - mean, len(squares))

    def counts(self, item: dict[str, np.ndarray]) -> dict[str, int]:
        """The count by each statistic."""
        each = self._measure(item)
        gaps = -np.diff(each["spectrum"])
        found = {
            "eigenvalues": 1 + int((each["spectrum"] > self.second).sum()),
            "eigengap": 2 + int(gaps.argmax()) if gaps.max() > self.gap else 1,
            "mean_square": self.square.count(each["square"]),
        }
        if not self.cuts:
            return found
        over = [place for place, value in enumerate(each["pair"], 2) if value > self.pair]
        return found | {
            "qn_excess": 2 + int(np.argmax(each["excess"])) if max(each["excess"]) > self.excess else 1,
            "closest_pair": max(over, default=1),
        }

    def _measure(self, item: dict[str, np.ndarray]) -> dict[str, Any]:
        import torch

        from contrasep_lib.counting.drawing import drawn
        from contrasep_lib.modularity.graphs import KernelGraph

        z, weight, _ = drawn(node_set(item), 0, 0, 1024)
        share = weight / weight.sum()
        features = KernelGraph().features(torch.from_numpy(z)).numpy()
        measured = {
            "spectrum": _spectrum(features, share, self.MOST),
            "square": 1 / float(np.square((z * share[:, None]).T @ z).sum()),
        }
        return measured | (self._cuts(z, weight, features) if self.cuts else {})

    def _cuts(self, z: np.ndarray, weight: np.ndarray, features: np.ndarray) -> dict[str, list[float]]:
        """Excess of Qn, and Qn of the two closest communities, for 2, 3, .. communities."""
        import torch

        from contrasep_lib.counting.evidence import one_speaker_clouds
        from contrasep_lib.modularity.graphs import KernelGraph
        from contrasep_lib.modularity.soft import best_of

        share, rng = weight / weight.sum(), np.random.default_rng(0)
        [cloud] = one_speaker_clouds(z, weight, 1, 0)
        null = KernelGraph().features(torch.from_numpy(cloud)).numpy()
        excess, pair = [], []
        for count in range(2, self.MOST + 1):
            labels = best_of(z, weight, count, [], 2, rng, 12).labels(z)
            turned = best_of(cloud, weight, count, [], 1, rng, 12).labels(cloud)
            gram = _gram(features, share, labels, count)
            excess.append(_normalised(gram) - _normalised(_gram(null, share, turned, count)))
            pairs = [(a, b) for a in range(count) for b in range(a)]
            pair.append(min(_normalised(gram[np.ix_(each, each)]) for each in pairs))
        return {"excess": excess, "pair": pair}


def _gram(features: np.ndarray, weight: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """``C'AC`` of the kernel graph, with the edge of a node to itself."""
    sums = (np.eye(count)[labels] * weight[:, None]).T @ features
    return sums @ sums.T


def _normalised(gram: np.ndarray) -> float:
    """Qn of the communities among themselves."""
    volume = gram.sum(1)
    return float((gram.diagonal()[volume > 0] / volume[volume > 0]).sum() - 1)


def _spectrum(features: np.ndarray, weight: np.ndarray, count: int) -> np.ndarray:
    """Eigenvalues 2 to ``count + 1`` of the normalised kernel graph, through its features."""
    degree = features @ (features.T @ weight)
    moment = (features * (weight / degree)[:, None]).T @ features
    return np.linalg.eigvalsh(moment)[::-1][1 : count + 1]


def table(found: dict[tuple[str, int], list[int]], counts: list[int], corpora: list[str]) -> Iterator[str]:
    """Accuracies over all corpora and in each, and the confusion matrix of each, as Markdown."""
    for group in ([corpora] if len(corpora) > 1 else []) + [[corpus] for corpus in corpora]:
        cells = []
        for count in counts:
            numbers = [number for corpus in group for number in found[corpus, count]]
            cells.append(f"{100 * np.mean(np.array(numbers) == count):.1f}")
        confusion = "; ".join(
            " ".join(str(sum(found[corpus, count].count(number) for corpus in group)) for number in range(1, 6))
            for count in counts
        )
        yield f"{' + '.join(group)} | {' | '.join(cells)} | {confusion} |"


def run(args: argparse.Namespace) -> None:
    """Entry point."""
    recordings = Recordings(args)
    found = counts(args, recordings)
    print(f"| counter | corpora | {' | '.join(map(str, args.counts))} | counted 1 2 3 4 5, by true count |")
    print(f"| --- | --- |{' ---: |' * len(args.counts)} --- |")
    for name, numbers in found.items():
        for line in table(numbers, args.counts, args.corpora):
            print(f"| {name} | {line}")
    if args.json:
        rows = {
            name: {f"{corpus} {count}": numbers for (corpus, count), numbers in by_set.items()}
            for name, by_set in found.items()
        }
        write_text(args.json, json.dumps(rows) + "\n")


def main() -> None:
    """Print the table; errors of the user in one line."""
    try:
        run(parse())
    except ContrasepError as error:
        sys.exit(f"community_counts.py: {error}")


if __name__ == "__main__":
    main()
