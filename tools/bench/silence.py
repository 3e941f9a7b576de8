#!/usr/bin/env python3
"""Whether silence around a mixture changes how many speakers are counted and how well they are separated.

    tools/bench/silence.py --data DIR --counted 40 --separated 4 --json silence.json

DIR/dump holds development sets CORPUS/dev_Kmix, as `tools/long_training.py` makes them. The first mixtures of each set
are counted as they are and with silence around them, and the first of these are separated with the number given. The
SI-SNR improvement is measured over the samples of the mixture, without the silence.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from contrasep_lib.bin.common import Parser, positive, within  # noqa: E402
from contrasep_lib.config.bounds import Steps  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402

RATE = 8000
# of noise in the silence, under the power of the mixture
NOISE_DB = 60.0

Places = list[tuple[int, int]]


def around(mixture: np.ndarray, before: float, behind: float, middle: float = 0, noise: bool = False) -> tuple[np.ndarray, Places]:
    """A mixture with seconds of silence, and where its parts lie then: first sample and the one behind the last."""
    half = len(mixture) // 2 if middle else len(mixture)
    quiet = [round(seconds * RATE) for seconds in (before, middle, behind)]
    rng = np.random.default_rng(0)
    level = np.sqrt(np.mean(mixture**2)) * 10 ** (-NOISE_DB / 20) if noise else 0.0
    silent = [(level * rng.standard_normal(count)).astype(np.float32) for count in quiet]
    signal = np.concatenate([silent[0], mixture[:half], silent[1], mixture[half:], silent[2]])
    second = quiet[0] + half + quiet[1]
    return signal, [(quiet[0], quiet[0] + half), (second, second + len(mixture) - half)]


COUNTED: dict[str, Callable[[np.ndarray], tuple[np.ndarray, Places]]] = {
    "none": lambda mixture: around(mixture, 0, 0),
    "10 s of zeros before": lambda mixture: around(mixture, 10, 0),
}
SEPARATED: dict[str, Callable[[np.ndarray], tuple[np.ndarray, Places]]] = {
    "none": lambda mixture: around(mixture, 0, 0),
    "60 s of zeros before": lambda mixture: around(mixture, 60, 0),
    "60 s of zeros behind": lambda mixture: around(mixture, 0, 60),
    "60 s of zeros before and behind": lambda mixture: around(mixture, 60, 60),
    "60.0051 s of zeros before": lambda mixture: around(mixture, 60.0051, 0),
    "10 s of noise before and behind": lambda mixture: around(mixture, 10, 10, noise=True),
    "2 s of zeros in the middle": lambda mixture: around(mixture, 0, 0, 2),
    "60 s of zeros in the middle": lambda mixture: around(mixture, 0, 0, 60),
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="holds dump/CORPUS/dev_Kmix")
    parser.add_argument("--model", default="best", metavar="NAME|DIR", help="as for contrasep separate (best)")
    parser.add_argument("--counted", type=positive, default=40, metavar="N", help="mixtures of each set (40)")
    parser.add_argument("--separated", type=within(Steps), default=4, metavar="N", help="of these, of each set (4)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the rows are written")
    return parser.parse_args(arguments)


def measure(separator: Any, mixture: np.ndarray, sources: np.ndarray, separated: bool) -> dict[str, tuple[bool, int, float]]:
    """Of each silence: whether the count is right, the count, and the SI-SNR improvement in dB (NaN: not measured)."""
    import torch

    from contrasep_lib.score.ratios import improvements
    from contrasep_lib.separate.excerpt import Excerpt

    found = {}
    for name, made in {**COUNTED, **(SEPARATED if separated else {})}.items():
        signal, places = made(mixture)
        excerpt = Excerpt.of(signal, separator.model.granularity)
        with torch.inference_mode():
            nodes, seen = separator.model.analyse(torch.from_numpy(excerpt.signal)[None])
            count = separator.clustering.counter.count(nodes, seen, separator.modularity.k_max, 0).number
        gain = float("nan")
        if separated and len(sources) > 1 and name in SEPARATED:
            outputs = separator.separate("mixture", signal, len(sources)).outputs
            heard = np.concatenate([outputs[:, first:last] for first, last in places], axis=1)
            gain = float(np.mean(improvements(heard.astype(np.float64), mixture, sources)))
        found[name] = (count == len(sources), count, gain)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    args = parse(arguments)
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.separate.shipped import load_separator

    separator = load_separator(args.model).separator
    folders = sorted((args.data / "dump").glob("*/dev_[1-9]mix"))
    if not folders:
        raise ContrasepError(f"{args.data}/dump: expected development sets CORPUS/dev_Kmix, got none")
    rows: list[dict[str, Any]] = []
    for folder in folders:
        dump, all_found = DumpSet(folder), collections.defaultdict(list)
        for number, key in enumerate(dump.keys[: args.counted]):
            measured = measure(separator, dump.mixture(key), dump.sources(key), number < args.separated)
            for name, values in measured.items():
                all_found[name].append((*values, values[1] == measured["none"][1], values[2] - measured["none"][2]))
        for name, values in all_found.items():
            right, _, gain, same, change = np.array(values, float).T
            row = {
                "set": f"{folder.parent.name}/{folder.name}", "silence": name, "mixtures": len(values),
                "count_accuracy": round(float(right.mean()), 4), "same_count": round(float(same.mean()), 4),
            }
            if np.isfinite(gain).any():
                row["si_snri"] = round(float(np.nanmean(gain)), 3)
                row["largest_change"] = round(float(np.nanmax(np.abs(change))), 4)
            rows.append(row)
            print(json.dumps(row), flush=True)
    if args.json:
        args.json.write_text(json.dumps({"model": args.model, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
