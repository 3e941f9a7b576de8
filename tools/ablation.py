#!/usr/bin/env python3
"""Whether an embedding learns from the partition: trainings with and without slots and gap, several seeds, compared.

    tools/ablation.py FOLDER [--minutes 45] [--core 0] [--seeds 0 1 2] [--only NAME ..] [--init-param FILE]
    tools/ablation.py FOLDER --judge [--limit 20] [--scores docs/experiments/ablation]
    tools/ablation.py --compare [--scores docs/experiments/ablation]

FOLDER holds `data/dump` as for tools/long_training.py. It receives `ablation/code`, a frozen copy of the toolkit as
committed, and a training for each of conf/ablation/*.yaml and each seed, `ablation/NAME.SEED`. All have the same CPU time
and begin with the same weights. The same command goes on after an interruption. `--judge` partitions development
mixtures of 2 to 5 speakers, their number given, by k-means, by the modularity network on Qn and by the slots that were
trained with the embedding, and writes a table of each training, NAME.SEED.tsv, where there is none. `--compare` prints
the differences to k-means of the training without slots, over all tables.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from training_tools import (  # beside this file
    ROOT,
    ContrasepError,
    freeze,
    hours_heard,
    model_of,
    names_in,
    states_of,
    train_in_turn,
)

sys.path.insert(0, str(ROOT / "tools/bench"))
from experimentkit.judging import hidden  # noqa: E402
from slots import KMEANS, TRUTH, measures  # noqa: E402

from contrasep_lib.bin.common import Parser, positive, within  # noqa: E402
from contrasep_lib.config.bounds import Minutes, Processes, Seed  # noqa: E402

FIRST = "mlp"
NETWORK, SLOTS, REFINED = "network, Qn", "slots", "slots, refined on Qn"
REFINE_STEPS = 10
COLUMNS = ("set", "utterance", "speakers", "partition", "share", "si_snri", "qn")
# the first seconds of a mixture, as tools/bench/slots.py has them
SECONDS = 4.0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="holds data/dump; receives ablation")
    parser.add_argument("--minutes", type=within(Minutes), default=45.0, metavar="N", help="CPU time of each training (default 45)")
    parser.add_argument("--core", type=within(Processes), default=0, metavar="N", help="number of the core (default 0)")
    parser.add_argument("--seeds", type=within(Seed), nargs="+", default=[0, 1, 2], metavar="N", help="(default 0 1 2)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"variants (default: all; {FIRST} first)")
    parser.add_argument(
        "--init-param", type=Path, default=ROOT / "contrasep_lib/pretrained/next/model.pth", metavar="FILE",
        help="model.pth that all begin with (default: the long training's state)",
    )
    parser.add_argument("--configs", type=Path, default=Path("conf/ablation"), metavar="DIR", help="in the toolkit (default %(default)s)")
    parser.add_argument("--judge", action="store_true", help="partition and score what has been trained")
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="--judge: mixtures of each set (default 20)")
    parser.add_argument("--compare", action="store_true", help="print the comparison of all tables")
    parser.add_argument(
        "--scores", type=Path, default=ROOT / "docs/experiments/ablation", metavar="DIR", help="tables (default: docs/experiments/ablation)"
    )
    args = parser.parse_args(arguments)
    if args.folder is None and not args.compare:
        parser.error("FOLDER: expected one, as for tools/long_training.py")
    return args


# ------------------------------------------------------------------ training


def train(args: argparse.Namespace) -> None:
    """Train each variant with each seed until its time is up, all variants of a seed before the next."""
    folder = args.folder / "ablation"
    code = freeze(folder)
    begin = () if args.init_param is None else ("--init-param", str(args.init_param.resolve()))
    runs = {
        f"{name}.{seed}": (code / args.configs / f"{name}.yaml", ("--set", f"finetune.seed={seed}", *begin))
        for seed in args.seeds for name in names_in(code / args.configs, args.only, FIRST)
    }
    train_in_turn(folder, args.folder / "data", runs, args.minutes, args.core)


# ------------------------------------------------------------------ scores


def judge(args: argparse.Namespace) -> None:
    """Write the table of each training that has none."""
    from contrasep_lib.io.atomic import write_text

    folder = args.folder / "ablation"
    args.scores.mkdir(parents=True, exist_ok=True)
    for name in sorted(path.parent.name for path in folder.glob("*/model.pth")):
        path = args.scores / f"{name}.tsv"
        if path.is_file():
            continue
        states = states_of(folder / name)
        print(f"{name}: {states['seconds'] / 60:.1f} minutes, {hours_heard(states):.1f} hours heard", flush=True)
        text = io.StringIO()
        table = csv.writer(text, delimiter="\t", lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(_rows(states, args.folder / "data", args.limit))
        write_text(path, text.getvalue())


def _rows(states: Mapping[str, Any], data: Path, limit: int) -> Iterator[tuple[str, ...]]:
    """Lines of a table: each mixture under each partition."""
    import torch
    from tqdm import tqdm

    from contrasep_lib.io.dumpset import DumpSet

    torch.set_num_threads(1)
    model, solvers = model_of(states), solvers_of(states)
    for folder in sorted((data / "dump").glob("*/dev_[2-5]mix")):
        dump = DumpSet(folder)
        most = round(SECONDS * dump.rate)
        for key in tqdm(dump.keys[:limit], desc=f"{folder.parent.name}/{folder.name}", disable=None):
            with torch.no_grad():
                found = measures(model, solvers, dump.mixture(key)[:most], dump.sources(key)[:, :most])
            for name in (TRUTH, *solvers):
                values = (found["share"][name], found["si_snri"][name], found["qn"].get(name))
                yield (
                    f"{folder.parent.name}_{folder.name.partition('_')[2]}", hidden(key, 12),
                    ",".join(hidden(name, 12) for name in dump.speakers[key]), name,
                    *("" if value is None else f"{value:.4f}" for value in values),
                )


def solvers_of(states: Mapping[str, Any]) -> dict[str, Any]:
    """Ways to partition the embeddings of a training, by the names of their rows."""
    from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
    from contrasep_lib.modularity.solvers.network import NetworkSolver

    found: dict[str, Any] = {KMEANS: KMeansSolver(), NETWORK: NetworkSolver(collapse_weight=0.0)}
    if slots := slots_of(states):
        found |= {SLOTS: slots, REFINED: dataclasses.replace(slots, refine_steps=REFINE_STEPS)}
    return found


def slots_of(states: Mapping[str, Any]) -> Any:
    """The solver whose slots were trained with the embedding, without refinement; None where there are none."""
    from contrasep_lib.modularity.solvers.slots import SlotsSolver

    objectives = states["identity"]["model"]["objectives"]
    if "slots" not in objectives:
        return None
    prefix = "objectives.slots.network."
    weights = {name.removeprefix(prefix): value for name, value in states["model"].items() if name.startswith(prefix)}
    average = (states["average"] or {}).get("average", {})
    weights |= {name.removeprefix(prefix): value for name, value in average.items() if name.startswith(prefix)}
    model, options = states["identity"]["model"], objectives["slots"]
    solver = SlotsSolver(num_communities=options["slots"] - 1, width=options["width"], layers=options["layers"], refine_steps=0)
    # of the embedding's dimension: the slots of these trainings read no projection
    return solver.with_state({
        "dim": model["embedding_dim"], "slots": options["slots"], "width": options["width"], "layers": options["layers"],
        "state": weights,
    })


# ------------------------------------------------------------------ comparison


def compare(args: argparse.Namespace) -> None:
    """Print the table of all trainings: means over seeds, paired differences to k-means without slots."""
    tables = read_tables(args.scores)
    variants = sorted({name for name, _ in tables}, key=lambda name: (name != FIRST, name))
    if FIRST not in variants:
        raise ContrasepError(f"{args.scores}: expected tables {FIRST}.SEED.tsv, got none; run --judge first")
    counts = sorted({key[2] for table in tables.values() for key, _ in table})
    heads = " | ".join(f"{count} speakers" for count in counts)
    print(f"| objectives | partition | {heads} | difference, dB | of each seed | right share, points | seeds |")
    print(f"| --- | --- | {' ---: |' * len(counts)} ---: | ---: | ---: | ---: |")
    for variant in variants:
        seeds = sorted(seed for name, seed in tables if name == variant and (FIRST, seed) in tables)
        partitions = dict.fromkeys(row for seed in seeds for _, row in tables[variant, seed])
        for row in partitions:
            print(_line(variant, row, seeds, tables, counts))


def _line(variant: str, row: str, seeds: Sequence[str], tables: Mapping[Any, Any], counts: Sequence[int]) -> str:
    import numpy as np

    from contrasep_lib.score.intervals import mean_over_counts, speaker_interval

    keys = sorted(
        set.intersection(*({key for key, name in tables[variant, seed] if name == row} for seed in seeds))
        & set.intersection(*({key for key, _ in tables[FIRST, seed]} for seed in seeds))
    )
    # (seeds, mixtures, share and SI-SNRi)
    mine = np.array([[tables[variant, seed][key, row] for key in keys] for seed in seeds])
    base = np.array([[tables[FIRST, seed][key, KMEANS] for key in keys] for seed in seeds])
    spoken = [key[2] for key in keys]
    means = [mine[:, np.array(spoken) == count, 1].mean() for count in counts]
    change = (mine - base).mean(axis=0)
    share, gain = mean_over_counts(change, spoken)
    limits = speaker_interval(change, [key[3] for key in keys], spoken)
    of_seeds = [f"{mean_over_counts(part[:, 1:], spoken)[0]:+.2f}" for part in mine - base]
    words = ["" if limit is None else f" [{scale * limit[0]:+.{digits}f}, {scale * limit[1]:+.{digits}f}]"
             for limit, scale, digits in zip(limits, (100, 1), (1, 2))]
    cells = [variant, row, *(f"{mean:.2f}" for mean in means)]
    if (variant, row) == (FIRST, KMEANS):
        return "| " + " | ".join([*cells, "", "", "", str(len(seeds))]) + " |"
    return "| " + " | ".join(
        [*cells, f"{gain:+.2f}{words[1]}", ", ".join(of_seeds), f"{100 * share:+.1f}{words[0]}", str(len(seeds))]
    ) + " |"


def read_tables(folder: Path) -> dict[tuple[str, str], dict[Any, tuple[float, float]]]:
    """(variant, seed) -> (mixture, partition) -> share and SI-SNRi; a mixture is set, utterance, count and speakers."""
    found = {}
    for path in sorted(folder.glob("*.tsv")):
        variant, _, seed = path.stem.rpartition(".")
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        speakers = {id(row): tuple(row["speakers"].split(",")) for row in rows}
        found[variant, seed] = {
            ((row["set"], row["utterance"], len(speakers[id(row)]), speakers[id(row)]), row["partition"]):
            (float(row["share"]), float(row["si_snri"])) for row in rows
        }
    return found


def main() -> None:
    """Train, judge or compare; errors of the user in one line."""
    args = parse()
    if args.folder is not None:
        args.folder = args.folder.resolve()
    try:
        (compare if args.compare else judge if args.judge else train)(args)
    except ContrasepError as error:
        sys.exit(f"ablation.py: {error}")


if __name__ == "__main__":
    main()
