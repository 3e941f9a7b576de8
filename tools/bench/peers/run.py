#!/usr/bin/env python3
"""Peers in the harness of our own models: systems of ESPnet, same mixtures, same time, same scores.

    cd egs/mini_librispeech_2mix          # entries of dumped sets are relative to the recipe
    ../../tools/bench/peers/run.py sizes
    ../../tools/bench/peers/run.py train --system tcn --out exp/peer_tcn --budget-minutes 60 --processes 2
    ../../tools/bench/peers/run.py results --exp exp/peer_tcn --sets dump/tt_2mix --label "read speech (Mini LibriSpeech)"
    ../../tools/bench/peers/run.py rtf --peers exp/peer_tcn --model ../../contrasep_lib/pretrained/small

``train`` goes on where the same command was killed. ``results`` separates, scores, and writes the
experiment's and the recipe's RESULTS.md. See docs/experiments/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

ROOT = Path(__file__).resolve().parents[3]
# processes that are spawned find modules by the path too
sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "bench")]

from contrasep_lib.bin.common import Parser, positive, within  # noqa: E402
from contrasep_lib.config.bounds import LearningRate, Minutes, Range, Seconds, Seed  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402
from peers.options import SIZES, SYSTEMS, PeerOptions  # noqa: E402

DEFAULT_CONFIG = ROOT / "conf" / "tf.yaml"
MODEL = "model.pth"
# how a peer learns where the command says nothing else; the rest is the configuration's
PEER_DEFAULTS = ("best=si_snri", "best_mode=max", "learning_rate=0.001", "num_workers=0")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, line: str, configured: bool = True) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=line, description=line, allow_abbrev=False)
        if configured:
            made.add_argument(
                "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="configuration (conf/tf.yaml)"
            )
            made.add_argument(
                "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides",
                help="replace a value of the configuration; may be repeated",
            )
        return made

    sizes = command("sizes", "print parameters and multiply-accumulates", configured=False)
    sizes.add_argument("--num-spk", type=positive, default=2, metavar="K", help="talkers (2)")
    sizes.add_argument(
        "--model", type=Path, nargs="*", default=[], metavar="FILE", help="model.pth of ours beside them"
    )

    train = command("train", "train a peer, or go on with it")
    train.add_argument("--system", required=True, choices=tuple(SYSTEMS), help="which")
    train.add_argument("--size", choices=SIZES, default="small", help="published: as ESPnet's recipe (default small)")
    train.add_argument("--num-spk", type=positive, default=2, metavar="K", help="talkers in every mixture (2)")
    train.add_argument(
        "--dump", type=Path, default=Path("dump"), metavar="DIR", help="folder of the dumped sets (dump)"
    )
    train.add_argument("--train-set", default="tr_single", metavar="SET", help="single speakers (tr_single)")
    train.add_argument(
        "--valid-set", default="cv_single", metavar="SET", help="single speakers or mixtures (cv_single)"
    )
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="exp/TAG")
    train.add_argument("--budget-minutes", type=within(Minutes), metavar="M", help="time over all runs (as configured)")
    train.add_argument("--batch-size", type=positive, metavar="N", help="mixtures in a batch (as configured)")
    train.add_argument("--segment-seconds", type=within(Seconds), metavar="S", help="length of mixtures (as configured)")
    train.add_argument("--speed", type=within(Annotated[float, Range(0.5, 2)]), nargs="+", metavar="F", help="factors of speed (as configured)")
    train.add_argument("--precision", choices=("float32", "bfloat16"), help="of the separator (as configured)")
    train.add_argument("--learning-rate", type=within(LearningRate), metavar="R", help="of Adam (0.001)")
    train.add_argument("--seed", type=within(Seed), metavar="N", help="draws weights and mixtures (as configured)")
    train.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where it is trained (cpu)")
    train.add_argument("--processes", type=positive, default=1, metavar="N", help="on the CPU: that share a batch (1)")
    train.add_argument("--threads", type=positive, default=cores(), metavar="N", help="over all processes (all cores)")

    for name, line in (
        ("separate", "separate dumped sets of mixtures"), ("results", "separate, score, and write RESULTS.md"),
    ):
        made = command(name, line)
        made.add_argument("--exp", type=Path, required=True, metavar="DIR", help="exp/TAG that 'train' wrote")
        made.add_argument(
            "--sets", type=Path, nargs="+", required=True, metavar="DIR", help="dump/SET of every test set"
        )
        made.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where it separates (cpu)")
        if name == "results":
            made.add_argument(
                "--label", required=True, metavar="TEXT", help="the corpus, in the words of the recipe's run.sh"
            )

    rtf = command("rtf", "real-time factors on one core, the count given")
    rtf.add_argument("--peers", type=Path, nargs="*", default=[], metavar="DIR", help="exp/TAG of peers")
    rtf.add_argument("--model", type=Path, metavar="DIR", help="exp/TAG of ours: finetune/model.pth and modularity/")
    rtf.add_argument("--dump", type=Path, default=Path("dump/tt_2mix"), metavar="DIR", help="mixtures (dump/tt_2mix)")
    rtf.add_argument("--utterances", type=positive, default=10, metavar="N", help="of them (10)")
    rtf.add_argument("--repeats", type=positive, default=3, metavar="N", help="of each, the median counts (3)")
    return parser.parse_args(arguments)


def configuration(args: argparse.Namespace, *overrides: str) -> dict[str, Any]:
    """The configuration, with ``overrides`` under those of the command line."""
    from contrasep_lib.config import load_config

    return load_config(args.config, [*overrides, *args.overrides])


def run_sizes(args: argparse.Namespace) -> None:
    """Entry point of ``sizes``."""
    from peers.sizes import compute, row

    print(
        "| system | size | parameters | multiply-accumulates for a second of audio, millions |\n| --- | --- | ---: | ---: |"
    )
    for system in SYSTEMS:
        for size in SIZES:
            print(row(PeerOptions.of(system, size, args.num_spk)), flush=True)
    for path in args.model:
        from contrasep_lib.models.checkpoint import load_model
        from peers.systems import parameters

        model = load_model(path)
        print(f"| contrasep | {path} | {parameters(model):,} | {compute(model.embed):.0f} |")


def run_train(args: argparse.Namespace) -> None:
    """Entry point of ``train``."""
    import contextlib
    import io

    import torch

    # ESPnet prints which optional packages it lacks
    with contextlib.redirect_stdout(io.StringIO()):
        from peers.training import arguments_of, train_peer

    torch.set_num_threads(args.threads)
    given = [
        f"finetune.{name}={getattr(args, name)}"
        for name in ("budget_minutes", "batch_size", "segment_seconds", "speed", "precision", "learning_rate", "seed")
        if getattr(args, name) is not None
    ]
    # the command's own options count over all others
    args.overrides += given
    config = configuration(args, f"finetune.num_spk=[{args.num_spk}]", *(f"finetune.{name}" for name in PEER_DEFAULTS))
    options = PeerOptions.of(args.system, args.size, args.num_spk)
    path = train_peer(arguments_of(
        options, config, [args.dump / args.train_set], [args.dump / args.valid_set], args.out,
        ngpu=int(args.device == "cuda"), processes=args.processes,
    ))
    print(f"train: {path}")


def run_separate(args: argparse.Namespace) -> None:
    """Entry point of ``separate``."""
    import torch

    from contrasep_lib.io.dumpset import DumpSet
    from peers.separation import separate_set

    if args.device == "cuda" and not torch.cuda.is_available():
        raise ContrasepError("--device cuda: no GPU found here; use --device cpu")
    config = configuration(args)
    for folder in args.sets:
        print(f"separate: {separate_set(args.exp / MODEL, DumpSet(folder), args.exp, config, args.device)}")


def run_results(args: argparse.Namespace) -> None:
    """Entry point of ``results``."""
    from contrasep_lib.bin.main import main as contrasep
    from peers.separation import SYSTEM

    run_separate(args)
    settings = ["--config", str(args.config), *(word for value in args.overrides for word in ("--set", value))]
    recipe = Path.cwd()
    commands = [
        ["score", *settings, "--dump", str(folder), "--separated", str(args.exp / f"separate_{folder.name}"),
         "--out", str(args.exp / f"score_{folder.name}")]
        for folder in args.sets
    ]
    commands.append([
        "report", *settings, "--exp", str(args.exp), "--recipe", recipe.name, "--sets", *map(str, args.sets),
        "--label", args.label, "--system", str(args.exp / SYSTEM),
        "--command", f"tools/bench/peers/run.py {shlex.join(sys.argv[1:])}",
    ])
    if args.exp.resolve().parent == recipe / "exp":
        commands.append(["report", "--recipe-dir", "."])
    for command in commands:
        if status := contrasep(command):
            sys.exit(status)


def run_rtf(args: argparse.Namespace) -> None:
    """Entry point of ``rtf``."""
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.separate.shipped import load_separator
    from peers.separation import peer_separator, real_time_factors

    if not args.peers and not args.model:
        raise ContrasepError("--peers or --model: expected something to time, got none")
    dump, separators = DumpSet(args.dump), {}
    for exp in args.peers:
        name, separate = peer_separator(exp / MODEL)
        separators[f"{name} ({exp.name})"] = separate
    if args.model:
        ours = load_separator(str(args.model), config=str(args.config), overrides=args.overrides)
        separators[f"contrasep ({ours.name})"] = lambda key, mixture: ours.separator.separate(
            key, mixture, dump.num_spk
        )
    factors = real_time_factors(separators, dump, dump.keys[: args.utterances], args.repeats)
    print("| system | seconds of one core for a second of audio |\n| --- | ---: |")
    for name, factor in factors.items():
        print(f"| {name} | {factor:.3g} |")


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = parse(arguments)
    try:
        globals()[f"run_{args.command}"](args)
    except ContrasepError as error:
        print(f"run.py {args.command}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
