"""Score separated audio: SI-SNR and SDR improvement of every utterance, oracles, plots.

Several jobs each score a share with --part J/N; --merge N joins their tables into
OUT/scores.tsv and draws the plots. With neither, one process does it all.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from contrasep_lib.bin.common import add_config, part, positive, read_config, share
from contrasep_lib.io.parallel import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep score``."""
    add_config(parser)
    parser.add_argument("--dump", required=True, metavar="DIR", help="dump/SET with mixtures and sources")
    parser.add_argument("--separated", required=True, metavar="DIR", help="exp/TAG/separate_SET")
    parser.add_argument("--out", required=True, metavar="DIR", help="exp/TAG/score_SET")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--part", type=part, metavar="J/N", help="score the J-th of N shares")
    which.add_argument("--merge", type=positive, metavar="N", help="join the tables of N jobs, draw plots")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep score``."""
    config = read_config(args)
    # Before numpy and torch load: jobs run side by side, so threads within a job would fight for
    # the same cores, and the order of sums would depend on how many there are.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    from contrasep_lib.extras import missing_extra
    from contrasep_lib.io.dumpset import DumpSet, SeparatedSet
    from contrasep_lib.score.sets import Scorer
    from contrasep_lib.score.tables import merge_parts, write_rows

    dump, separated, out = DumpSet(args.dump), SeparatedSet(args.separated), Path(args.out)
    parts = out / "parts"
    if args.merge is None:
        scorer = Scorer(dump, separated, config["score"], config["features"])
        job, jobs = args.part or (1, 1)
        keys = share(dump.keys, (job, jobs))
        # closed before an error is reported, so that its line stands alone
        with progress(keys, f"scoring {dump.name}") as shown:
            rows = scorer.rows(shown)
        write_rows(parts / f"{job}.tsv", rows)
    if args.part is None:
        tables = [parts / f"{job}.tsv" for job in range(1, (args.merge or 1) + 1)]
        rows = merge_parts(tables, dump.keys, out / "scores.tsv")
        from contrasep_lib.report.plots import draw_set

        try:
            draw_set(out, rows, dump, separated, config["score"].plots, config["features"])
        except ImportError as error:
            # scores are worth having without plots
            print(f"score: no plots: {missing_extra(error) or error}")
        shutil.rmtree(parts)
