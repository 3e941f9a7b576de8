#!/usr/bin/env python3
"""What an output for noise costs: parameters of a decoder, and time of the processor, with it and without.

    tools/bench/noise_output.py --config conf/noisy.yaml

Both models separate the same noise; times are medians of runs that take turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from contrasep_lib.bin.common import Parser, positive  # noqa: E402
from contrasep_lib.config import load_config  # noqa: E402
from contrasep_lib.models.separation import SeparationModel  # noqa: E402


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="conf/noisy.yaml", metavar="FILE", help="of a model with a decoder (conf/noisy.yaml)")
    parser.add_argument("--num-spk", type=positive, default=2, metavar="K", help="talkers (2)")
    parser.add_argument("--seconds", type=positive, default=4, metavar="S", help="of the mixture (4)")
    parser.add_argument("--runs", type=positive, default=15, metavar="N", help="of each (15)")
    return parser.parse_args(arguments)


@torch.no_grad()
def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    args = parse(arguments)
    torch.set_num_threads(1)
    config = load_config(args.config)
    signal = torch.randn(1, args.seconds * config["mix"].rate)
    decoders = []
    for noise in (False, True):
        decoder = dataclasses.replace(config["model"].decoder, noise=noise)
        model = SeparationModel(dataclasses.replace(config["model"], decoder=decoder), config["features"]).eval()
        seen = model.analyse(signal)[1]
        centroids = torch.nn.functional.normalize(torch.randn(1, args.num_spk, seen.z.shape[-1]), dim=-1)
        decoders.append((model, seen, centroids))
    took: list[list[float]] = [[], []]
    for _ in range(args.runs + 1):
        for (model, seen, centroids), times in zip(decoders, took):
            begun = time.process_time()
            model.decode(seen, centroids, signal.shape[1])
            times.append(time.process_time() - begun)
    # the first of each also reserves memory
    seconds = [statistics.median(times[1:]) for times in took]
    sizes = [sum(part.numel() for part in model.decoder.parameters()) for model, *_ in decoders]
    print(f"parameters of the decoder: {sizes[0]:,} without, {sizes[1]:,} with ({sizes[1] / sizes[0] - 1:+.1%})")
    print(f"seconds of the decoder: {seconds[0]:.3f} without, {seconds[1]:.3f} with ({seconds[1] / seconds[0] - 1:+.1%})")


if __name__ == "__main__":
    main()
