"""Write RESULTS.md and results.json of a tag, or a recipe's comparison of its tags.

With --exp: the tag's pages from its score tables, then the RESULTS.md beside its folder, which compares the tags there.
With --recipe-dir: that page alone, DIR/EXPDIR/RESULTS.md, from all DIR/EXPDIR/*/results.json. With --publish besides:
the recipe's committed DIR/results.json and DIR/RESULTS.md, whose rows of these tags are replaced.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contrasep_lib.bin.common import add_config
from contrasep_lib.errors import ContrasepError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep report``."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--exp", metavar="DIR", help="exp/TAG; write its RESULTS.md and results.json")
    which.add_argument("--recipe-dir", metavar="DIR", help="recipe; write EXPDIR/RESULTS.md, comparing the tags")
    parser.add_argument(
        "--expdir", default="exp", metavar="DIR", help="folder of the tags, below --recipe-dir (default: exp)"
    )
    parser.add_argument(
        "--publish", nargs="*", metavar="TAG",
        help="put these tags into the recipe's committed results, or with none of them write its page again",
    )
    parser.add_argument("--recipe", metavar="NAME", help="name of the recipe")
    add_config(parser, required=False)
    parser.add_argument("--sets", nargs="+", metavar="DIR", help="dump/SET of every test set")
    parser.add_argument("--label", metavar="TEXT", help="the corpus, e.g. 'real speech (LibriSpeech)'")
    parser.add_argument(
        "--system",
        metavar="FILE",
        help="where the outputs are not ours: what made them (JSON; docs/experiments/benchmarks.md)",
    )
    parser.add_argument("--model", metavar="FILE", help="model.pth that separated, for its size and time of training")
    parser.add_argument("--command", metavar="TEXT", help="the command that repeats the run")
    parser.add_argument("--seconds", type=float, metavar="S", help="how long the run took, for RESULTS.md")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep report``."""
    from contrasep_lib.report.compare import publish, write_comparison

    if args.recipe_dir is None:
        if args.publish is not None:
            raise ContrasepError("--publish: expected together with --recipe-dir")
        for option in ("recipe", "config", "sets", "label", "command"):
            if getattr(args, option) is None:
                raise ContrasepError(f"--{option}: expected together with --exp")
        print(f"report: {_report_tag(args)}")
        write_comparison(Path(args.exp).parent, ".")
        return
    if args.publish is None:
        print(f"report: {write_comparison(args.recipe_dir, args.expdir)}")
    else:
        print(f"report: {publish(args.recipe_dir, args.publish, args.expdir)}")


def _draw_counts(exp: Path, results: Mapping[str, Any]) -> None:
    """``counts.png`` of a tag where the number of speakers was estimated."""
    from contrasep_lib.extras import missing_extra
    from contrasep_lib.report.counts import confusion_of

    plot, confusion = exp / "counts.png", confusion_of(results)
    if not confusion:
        plot.unlink(missing_ok=True)
        return
    try:
        from contrasep_lib.report.counts_plot import draw_confusion

        draw_confusion(plot, confusion, f"{results['recipe']}: {exp.resolve().name}")
    except ImportError as error:
        # tables are worth having without plots
        print(f"report: no plot: {missing_extra(error) or error}")


def _report_tag(args: argparse.Namespace) -> Path:
    from datetime import datetime

    from contrasep_lib.bin.common import read_config
    from contrasep_lib.report.cost import of_system, write_cost
    from contrasep_lib.report.results import build_results, read_system, write_results

    system = None if args.system is None else read_system(args.system)
    results = build_results(args.exp, args.sets, args.recipe, args.config[-1], read_config(args), args.label, system)
    _draw_counts(Path(args.exp), results)
    cost = None if system is None else of_system(system)
    if cost is None and args.model is not None:
        from contrasep_lib.train.record import cost_of_model

        cost = cost_of_model(args.model)
    if cost is not None:
        write_cost(args.exp, cost, [Path(folder).name for folder in args.sets])
    when = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    took = None if args.seconds is None else f"{args.seconds:.0f} s"
    return write_results(args.exp, results, args.command, when, took)
