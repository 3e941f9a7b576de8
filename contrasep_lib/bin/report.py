"""Write RESULTS.md and results.json of a tag, or a recipe's comparison of its tags.

With --exp: the tag's pages from its score tables. With --recipe-dir: DIR/RESULTS.md from all
DIR/EXPDIR/*/results.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from contrasep_lib.errors import ContrasepError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep report``."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--exp", metavar="DIR", help="exp/TAG; write its RESULTS.md and results.json")
    which.add_argument("--recipe-dir", metavar="DIR", help="recipe; write its RESULTS.md, comparing the tags")
    parser.add_argument(
        "--expdir", default="exp", metavar="DIR", help="folder of the tags, below --recipe-dir (default: exp)"
    )
    parser.add_argument("--recipe", metavar="NAME", help="name of the recipe")
    parser.add_argument("--config", metavar="FILE", help="configuration (YAML)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides",
        help="replace a value of the configuration; may be repeated",
    )
    parser.add_argument("--sets", nargs="+", metavar="DIR", help="dump/SET of every test set")
    parser.add_argument("--label", metavar="TEXT", help="the corpus, e.g. 'real speech (LibriSpeech)'")
    parser.add_argument(
        "--system", metavar="FILE", help="where the outputs are not ours: what made them (JSON; docs/experiments/benchmarks.md)"
    )
    parser.add_argument("--model", metavar="FILE", help="model.pth that separated, for its size and time of training")
    parser.add_argument("--command", metavar="TEXT", help="the command that repeats the run")
    parser.add_argument("--seconds", type=float, metavar="S", help="how long the run took, for RESULTS.md")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep report``."""
    if args.recipe_dir is not None:
        from contrasep_lib.report.results import write_comparison

        print(f"report: {write_comparison(args.recipe_dir, args.expdir)}")
    else:
        for option in ("recipe", "config", "sets", "label", "command"):
            if getattr(args, option) is None:
                raise ContrasepError(f"--{option}: wanted together with --exp")
        print(f"report: {_report_tag(args)}")


def _report_tag(args: argparse.Namespace) -> Path:
    from datetime import datetime

    from contrasep_lib.bin.common import read_config
    from contrasep_lib.report.cost import of_model, of_system, write_cost
    from contrasep_lib.report.results import build_results, read_system, write_results

    system = None if args.system is None else read_system(args.system)
    results = build_results(args.exp, args.sets, args.recipe, args.config, read_config(args), args.label, system)
    if system is not None or args.model is not None:
        costs = of_model(args.model) if system is None else of_system(system)
        write_cost(args.exp, costs, [Path(folder).name for folder in args.sets])
    when = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    took = None if args.seconds is None else f"{args.seconds:.0f} s"
    return write_results(args.exp, results, args.command, when, took)
