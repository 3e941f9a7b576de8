"""Write RESULTS.md, results.json and sweep.png of a sweep.

Reads what utils/sweep.sh noted of the runs, and the results.json of their tags.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from contrasep_lib.bin.sweep_plan import add_sweep


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep sweep-report``."""
    add_sweep(parser)


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep sweep-report``."""
    import shlex

    from contrasep_lib.report.sweep import write_sweep
    from contrasep_lib.report.sweep_plan import plan_sweep

    sweep = plan_sweep(args.words, args.recipe, args.name)
    where = ["--recipe", args.recipe] if args.recipe != "." else []
    named = ["--name", args.name] if args.name is not None else []
    command = shlex.join(["utils/sweep.sh", *where, *named, *args.words])
    print(f"sweep-report: {write_sweep(sweep, Path(args.recipe).resolve().name, command)}")
