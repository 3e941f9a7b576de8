"""List the runs of a sweep: its folder, and a line of options of run.sh for each run.

The words of a line are quoted for a shell. utils/sweep.sh runs them.
"""

from __future__ import annotations

import argparse
import shlex


def add_sweep(parser: argparse.ArgumentParser) -> None:
    """The options that say which sweep it is."""
    parser.add_argument("--recipe", default=".", metavar="DIR", help="folder of the recipe (default: this one)")
    parser.add_argument("--name", metavar="NAME", help="name of the sweep (default: from its keys)")
    parser.add_argument(
        "--words", required=True, nargs=argparse.REMAINDER, metavar="WORD",
        help="SECTION.KEY=V1,V2,.. or config=FILE,FILE,.. and options of run.sh; takes all that follows",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep sweep-plan``."""
    add_sweep(parser)


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep sweep-plan``."""
    from contrasep_lib.report.sweep_plan import plan_sweep

    sweep = plan_sweep(args.words, args.recipe, args.name)
    print(sweep.folder)
    for planned in sweep.runs:
        print(shlex.join(planned.options))
