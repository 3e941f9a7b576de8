#!/usr/bin/env python3
"""What a decoder loses by partitions that are found: SI-SNRi under centroids of the truth, and of communities.

    cd egs/mini_librispeech_mixed          # entries of dumped sets are relative to the recipe
    ../../tools/bench/partitions.py --model ../../contrasep_lib/pretrained/best/finetune/model.pth --counts 2 3 4 5

Mixtures are drawn on the fly from a dumped set of single speakers, the same for every model. Their number of talkers
is given; where the model has a counter, the table says its accuracy.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from contrasep_lib.bin.common import Parser, positive, within  # noqa: E402
from contrasep_lib.config.bounds import Seconds, Seed  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402

TRUTH, FOUND, AGAIN, BEGUN = (
    "the true dominance",
    "k-means",
    "the outputs of the row above, decoded again",
    "k-means begun at the true dominance",
)
COUNTED = "count accuracy, %"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, nargs="+", metavar="FILE", help="model.pth with a decoder")
    parser.add_argument(
        "--singles", type=Path, default=Path("dump/cv_single"), metavar="DIR", help="speech (dump/cv_single)"
    )
    parser.add_argument("--counts", type=positive, nargs="+", default=[2, 3], metavar="K", help="talkers (2 3)")
    parser.add_argument("--mixtures", type=positive, default=24, metavar="N", help="of each count (24)")
    parser.add_argument("--seconds", type=within(Seconds), default=6.0, metavar="S", help="length of the mixtures (6)")
    parser.add_argument("--seed", type=within(Seed), default=0, metavar="N", help="draws the mixtures (0)")
    return parser.parse_args(arguments)


def mixtures(args: argparse.Namespace, num_spk: int) -> Iterator[dict[str, Any]]:
    """Mixtures of so many talkers."""
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.mix.options import MixOptions
    from contrasep_lib.train.data import DynamicMixtures
    from contrasep_lib.train.options import TrainOptions

    drawn = TrainOptions(num_spk=(num_spk,), segment_seconds=args.seconds, seed=args.seed)
    dataset = DynamicMixtures([DumpSet(args.singles)], drawn, MixOptions(rate=8000))
    for key in dataset.keys(num_spk, args.mixtures):
        yield dataset[key]


def measures(model: Any, item: dict[str, Any]) -> dict[str, float]:
    """SI-SNRi in dB of a mixture under each partition, and whether its count is correct, 100 or 0."""
    import torch

    from contrasep_lib.decode.attractor import centroids_of
    from contrasep_lib.modularity.graphs import KernelGraph
    from contrasep_lib.modularity.solvers.kmeans import KMeansSolver, lloyd
    from contrasep_lib.score.ratios import improvements

    sources, mixture = item["sources"], item["mixture"]
    count = len(sources)
    nodes, seen = model.analyse(torch.from_numpy(mixture)[None])
    weight = nodes.weight * nodes.valid

    def decoded(assign: torch.Tensor) -> torch.Tensor:
        return model.decode(seen, centroids_of(nodes.z, assign, weight), len(mixture))

    def improvement(outputs: torch.Tensor) -> float:
        return float(improvements(outputs[0].double().numpy(), mixture, sources).mean())

    def dominance(signals: torch.Tensor) -> torch.Tensor:
        talkers = model.granularity.targets(signals)
        return torch.nn.functional.one_hot(talkers, count).float() * nodes.valid.unsqueeze(-1)

    truth = dominance(torch.from_numpy(sources)[None])
    found = decoded(KMeansSolver().solve(nodes, count, KernelGraph()).assign)
    begun = lloyd(nodes.z[0][nodes.valid[0]], weight[0][nodes.valid[0]], centroids_of(nodes.z, truth, weight)[0])
    assign = torch.zeros_like(truth)
    assign[0, nodes.valid[0]] = torch.nn.functional.one_hot(begun, count).float()
    values = {
        TRUTH: improvement(decoded(truth)), FOUND: improvement(found), AGAIN: improvement(decoded(dominance(found))),
        BEGUN: improvement(decoded(assign)),
    }
    if model.counter is not None:
        values[COUNTED] = 100.0 * float(int(model.count(nodes, seen).argmax()) + 1 == count)
    return values


def run(args: argparse.Namespace) -> None:
    """Entry point."""
    import numpy as np
    import torch
    from tqdm import tqdm

    from contrasep_lib.models.checkpoint import load_model

    models = {str(path): load_model(path) for path in args.model}
    for path, model in models.items():
        if model.decoder is None:
            raise ContrasepError(f"{path}: expected a model with a decoder (model.decoder: attractor), got one without")
    table: dict[tuple[str, str], list[float]] = {}
    for num_spk in args.counts:
        gathered: dict[tuple[str, str], list[float]] = {}
        for item in tqdm(mixtures(args, num_spk), total=args.mixtures, desc=f"{num_spk} talkers", disable=None):
            for path, model in models.items():
                with torch.inference_mode():
                    for name, value in measures(model, item).items():
                        gathered.setdefault((path, name), []).append(value)
        for row, values in gathered.items():
            table.setdefault(row, []).append(float(np.mean(values)))
    print(f"| model | centroids of | {' | '.join(f'{count} talkers' for count in args.counts)} |")
    print(f"| --- | --- |{' ---: |' * len(args.counts)}")
    for (path, name), means in table.items():
        digits = 0 if name == COUNTED else 2
        print(f"| {path} | {name} | {' | '.join(f'{value:.{digits}f}' for value in means)} |")


def main() -> None:
    """Print the table; errors of the user in one line."""
    try:
        run(parse())
    except ContrasepError as error:
        sys.exit(f"partitions.py: {error}")


if __name__ == "__main__":
    main()
