#!/usr/bin/env python3
"""The network of slots beside k-means and the other solvers, on embeddings of a trained model that stay as they are.

    DUMP=build/long/data/dump BEST=contrasep_lib/pretrained/best/finetune/model.pth
    tools/bench/slots.py pool --model $BEST --singles $DUMP/{commonvoice,librispeech}/tr_single --out pool.pth
    tools/bench/slots.py train --pool pool.pth --out slots
    tools/bench/slots.py judge --model $BEST --networks slots --sets $DUMP/*/dev_[2-5]mix --out judged.json
    tools/bench/slots.py table --json judged.json

`pool` embeds mixtures drawn on the fly, half of each set of single speakers, and keeps some nodes of each. `train` trains
slots on the dominance alone, on normalised modularity (Qn) alone and on both, and the MLP on Qn. `judge` partitions
mixtures of development, their number of speakers given. `table` prints the share of weight on the right speaker, SI-SNRi
of the model's decoder, and paired differences to k-means with 95 % bootstrap intervals over mixtures, drawn within each
set. `judge` may run in parts, by `--sets` and `--only`, as `table` takes several files.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from contrasep_lib.bin.common import Parser, positive, within  # noqa: E402
from contrasep_lib.config.bounds import LearningRate, Seconds, Seed  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402

COUNTS = (2, 3, 4, 5)
TRUTH, KMEANS, DIRECT, MLP = "the true dominance", "k-means", "direct on Qn", "MLP on Qn"
# weights of dominance and quality
VARIANTS = {"both": (1.0, 1.0), "dominance": (1.0, 0.0), "Qn": (0.0, 1.0)}
RESAMPLINGS = 2000


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    pool, train, judge, table = (commands.add_parser(name) for name in ("pool", "train", "judge", "table"))
    for command in (pool, judge):
        command.add_argument("--model", type=Path, required=True, metavar="FILE", help="model.pth with a decoder")
    pool.add_argument("--singles", type=Path, required=True, nargs="+", metavar="DIR", help="dumped single speakers")
    pool.add_argument("--mixtures", type=positive, default=1500, metavar="N", help="to embed (1500)")
    pool.add_argument("--seconds", type=within(Seconds), default=4.0, metavar="S", help="length of each (4)")
    pool.add_argument("--nodes", type=positive, default=4096, metavar="N", help="kept of each (4096)")
    train.add_argument("--pool", type=Path, required=True, metavar="FILE", help="of 'pool'")
    train.add_argument("--mixtures", type=positive, default=1400, metavar="N", help="of the pool to train on (1400)")
    train.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    train.add_argument("--steps", type=positive, default=1500, metavar="N", help="of training (1500)")
    train.add_argument("--step-nodes", type=positive, default=1024, metavar="N", help="of a mixture in a step (1024)")
    train.add_argument("--rate", type=within(LearningRate), default=2e-3, metavar="R", help="learning rate (0.002)")
    judge.add_argument("--networks", type=Path, required=True, metavar="DIR", help="of 'train'")
    judge.add_argument("--sets", type=Path, required=True, nargs="+", metavar="DIR", help="dumped mixtures")
    judge.add_argument("--mixtures", type=positive, default=20, metavar="N", help="of each set (20)")
    judge.add_argument("--seconds", type=within(Seconds), default=4.0, metavar="S", help="of each from its begin at most (4)")
    judge.add_argument("--refine", type=positive, default=10, metavar="N", help="steps on Qn after the slots (10)")
    judge.add_argument("--only", nargs="+", metavar="ROW", help="rows beside the truth (all)")
    table.add_argument("--json", type=Path, required=True, nargs="+", metavar="FILE", help="of 'judge'")
    for command in (pool, train, judge):
        command.add_argument("--out", type=Path, required=True, metavar="PATH")
        command.add_argument("--seed", type=within(Seed), default=0, metavar="N", help="of all draws (0)")
    return parser.parse_args(arguments)


def make_pool(args: argparse.Namespace) -> None:
    """Embed mixtures and write some nodes of each."""
    import numpy as np
    import torch

    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.mix.options import MixOptions
    from contrasep_lib.models.checkpoint import load_model, write_states
    from contrasep_lib.train.data import DynamicMixtures
    from contrasep_lib.train.options import TrainOptions

    names = [f"set{number}" for number in range(len(args.singles))]
    drawn = TrainOptions(
        num_spk=COUNTS, segment_seconds=args.seconds, seed=args.seed, balance=dict.fromkeys(names, 1.0)
    )
    dataset = DynamicMixtures([DumpSet(folder) for folder in args.singles], drawn, MixOptions(rate=8000), names)
    model, rng = load_model(args.model), np.random.default_rng(args.seed)
    parts: list[tuple[torch.Tensor, ...]] = []
    for key in dataset.keys(1, args.mixtures):
        item = dataset[key]
        with torch.inference_mode():
            nodes = model.embed(torch.from_numpy(item["mixture"])[None])
            dominant = model.granularity.targets(torch.from_numpy(item["sources"])[None])
        valid = nodes.valid[0].nonzero().squeeze(1).numpy()
        some = torch.from_numpy(np.sort(rng.choice(valid, args.nodes, replace=len(valid) < args.nodes)))
        parts.append((nodes.z[0, some].half(), nodes.weight[0, some].float(), dominant[0, some].to(torch.uint8)))
    write_states(args.out, {name: torch.stack(part) for name, part in zip(("z", "weight", "labels"), zip(*parts))})


def train(args: argparse.Namespace) -> None:
    """Train slots and the MLP on the same pool."""
    from contrasep_lib.models.checkpoint import read_states, write_states
    from contrasep_lib.modularity.graphs import KernelGraph
    from contrasep_lib.modularity.quality import NormalisedModularity
    from contrasep_lib.modularity.solvers.network import NetworkSolver, train_network
    from contrasep_lib.modularity.solvers.slots import DrawnMixture, SlotsSolver

    read = read_states(args.pool)
    columns = zip(*(read[name][: args.mixtures] for name in ("z", "weight", "labels")))
    pool = [DrawnMixture(*column) for column in columns]
    graph, quality = KernelGraph(), NormalisedModularity()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.variants:
        dominance, weight = VARIANTS[name]
        solver = SlotsSolver(
            train_steps=args.steps, step_nodes=args.step_nodes, learning_rate=args.rate, dominance_weight=dominance,
            quality_weight=weight,
        )
        write_states(args.out / f"{name}.pth", solver.trained_on(pool, graph, args.seed, quality).state())
    mlp = NetworkSolver(collapse_weight=0.0)
    nodes = [(part.z[: mlp.train_nodes].float(), part.weight[: mlp.train_nodes]) for part in pool]
    mlp = dataclasses.replace(mlp, network=train_network(nodes, mlp, mlp.num_communities, graph, args.seed, quality))
    write_states(args.out / "MLP.pth", mlp.state())


def solvers_in(folder: Path, refine: int) -> dict[str, Any]:
    """Solvers by the names of their rows."""
    from contrasep_lib.models.checkpoint import read_states
    from contrasep_lib.modularity.solvers.direct import DirectSolver
    from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
    from contrasep_lib.modularity.solvers.network import NetworkSolver
    from contrasep_lib.modularity.solvers.slots import SlotsSolver

    found: dict[str, Any] = {KMEANS: KMeansSolver(), DIRECT: DirectSolver()}
    if (folder / "MLP.pth").is_file():
        found[MLP] = NetworkSolver(collapse_weight=0.0).with_state(read_states(folder / "MLP.pth"))
    for name in VARIANTS:
        if (folder / f"{name}.pth").is_file():
            found[f"slots, {name}"] = SlotsSolver(refine_steps=0).with_state(read_states(folder / f"{name}.pth"))
            found[f"slots, {name}, refined"] = dataclasses.replace(found[f"slots, {name}"], refine_steps=refine)
    return found


def measures(model: Any, solvers: dict[str, Any], mixture: Any, sources: Any) -> dict[str, Any]:
    """Share of weight (0 to 1) and SI-SNRi (dB) of each partition of a mixture, Qn, and numbers of speakers found."""
    import torch

    from contrasep_lib.decode.attractor import centroids_of
    from contrasep_lib.modularity.diagnostics import contingency, matched_share
    from contrasep_lib.modularity.graphs import KernelGraph
    from contrasep_lib.modularity.operator import one_hot
    from contrasep_lib.modularity.quality import NormalisedModularity
    from contrasep_lib.modularity.solvers.slots import SlotsSolver
    from contrasep_lib.score.ratios import improvements

    count = len(sources)
    nodes, seen = model.analyse(torch.from_numpy(mixture)[None])
    weight = nodes.weight * nodes.valid
    dominant = model.granularity.targets(torch.from_numpy(sources)[None])
    truth = one_hot(dominant, count, torch.float32)
    made: dict[str, Any] = {"speakers": count, "share": {}, "si_snri": {}, "qn": {}, "counted": {}}

    def judged(name: str, labels: torch.Tensor, centroids: torch.Tensor) -> None:
        made["share"][name] = matched_share(contingency(labels[0], dominant[0], weight[0]))
        outputs = model.decode(seen, centroids, len(mixture))[0]
        made["si_snri"][name] = float(improvements(outputs.double().numpy(), mixture, sources).mean())

    centroids = centroids_of(nodes.z, truth, weight)
    judged(TRUTH, (nodes.z @ centroids.transpose(1, 2)).argmax(-1), centroids)
    for name, solver in solvers.items():
        solution = solver.solve(nodes, count, KernelGraph(), seed=0, quality=NormalisedModularity())
        hard = one_hot(solution.labels.clamp_min(0), count, torch.float32)
        judged(name, solution.labels, centroids_of(nodes.z, hard, weight))
        made["qn"][name] = float(solution.quality)
        if isinstance(solver, SlotsSolver) and not solver.refine_steps:
            kept = nodes.valid[0]
            said = solver.read(nodes.z[0, kept], weight[0, kept], torch.Generator().manual_seed(0))
            made["counted"][name] = max(int((said.existence > 0).sum()), 1)
    if model.counter is not None:
        made["counted"]["the model's classifier"] = int(model.count(nodes, seen).argmax()) + 1
    return made


def judge(args: argparse.Namespace) -> None:
    """Partition mixtures of development."""
    import torch
    from tqdm import tqdm

    from contrasep_lib.config.choices import refuse_unknown
    from contrasep_lib.io.atomic import write_text
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.models.checkpoint import load_model
    from contrasep_lib.train.clustering import drawn_keys

    model, solvers = load_model(args.model), solvers_in(args.networks, args.refine)
    if args.only:
        refuse_unknown(args.only, solvers, "--only", "row")
        solvers = {name: solvers[name] for name in args.only}
    if model.decoder is None:
        raise ContrasepError(f"{args.model}: expected a model with a decoder, got one without")
    rows = []
    for folder in args.sets:
        dump = DumpSet(folder)
        most = round(args.seconds * dump.rate)
        for key in tqdm(drawn_keys(dump, args.mixtures, args.seed), desc=str(folder), disable=None):
            with torch.no_grad():
                found = measures(model, solvers, dump.mixture(key)[:most], dump.sources(key)[:, :most])
            rows.append({"set": f"{folder.parent.name}/{folder.name}", "key": key, **found})
    write_text(args.out, json.dumps(rows, indent=1) + "\n")


def interval(differences: Sequence[float], cells: Sequence[str]) -> tuple[float, float, float]:
    """Mean over cells of the means within each, and its 95 % interval by resampling within each."""
    import numpy as np

    rng, values = np.random.default_rng(0), np.array(differences)
    means, draws = [], []
    for cell in sorted(set(cells)):
        part = values[[name == cell for name in cells]]
        means.append(part.mean())
        draws.append(part[rng.integers(len(part), size=(RESAMPLINGS, len(part)))].mean(1))
    low, high = np.quantile(np.mean(draws, axis=0), [0.025, 0.975])
    return float(np.mean(means)), float(low), float(high)


def merged(files: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Rows of several files, those of one mixture as one."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in (row for rows in files for row in rows):
        known = found.setdefault((row["set"], row["key"]), row)
        for kind in ("share", "si_snri", "qn", "counted"):
            known[kind] = {**known[kind], **row[kind]}
    return list(found.values())


def print_tables(rows: list[dict[str, Any]]) -> None:
    """A table for each corpus, and the count accuracy."""
    import numpy as np

    for corpus in sorted({row["set"].split("/")[0] for row in rows}):
        part = [row for row in rows if row["set"].split("/")[0] == corpus]
        counts = sorted({row["speakers"] for row in part})
        print(f"\n{corpus}, {len(part)} mixtures\n")
        heads = " | ".join(f"{count} speakers" for count in counts)
        print(f"| partition | {heads} | share - k-means, points | SI-SNRi - k-means, dB | Qn |")
        print(f"| --- | {' ---: |' * len(counts)} ---: | ---: | ---: |")
        cells = [row["set"] for row in part]
        for name in part[0]["share"]:
            means = [
                [np.mean([row[kind][name] for row in part if row["speakers"] == count]) for kind in ("share", "si_snri")]
                for count in counts
            ]
            words = [f"{100 * share:.1f} %, {ratio:.2f} dB" for share, ratio in means]
            for kind, scale, digits in (("share", 100, 1), ("si_snri", 1, 2)):
                gains = [scale * (row[kind][name] - row[kind][KMEANS]) for row in part]
                words.append("{:+.{d}f} [{:+.{d}f}, {:+.{d}f}]".format(*interval(gains, cells), d=digits))
            known = [row["qn"][name] for row in part if name in row["qn"]]
            words.append(f"{np.mean(known):.4f}" if known else "")
            print(f"| {name} | {' | '.join(words)} |")
        print(f"\n| count accuracy, % | {heads} |\n| --- | {' ---: |' * len(counts)}")
        for name in part[0]["counted"]:
            right = [
                np.mean([row["counted"][name] == count for row in part if row["speakers"] == count]) for count in counts
            ]
            print(f"| {name} | {' | '.join(f'{100 * share:.0f}' for share in right)} |")


def main() -> None:
    """Run a command; errors of the user in one line."""
    args = parse()
    try:
        if args.command == "table":
            print_tables(merged([json.loads(path.read_text(encoding="utf-8")) for path in args.json]))
        else:
            {"pool": make_pool, "train": train, "judge": judge}[args.command](args)
    except ContrasepError as error:
        sys.exit(f"slots.py: {error}")


if __name__ == "__main__":
    main()
