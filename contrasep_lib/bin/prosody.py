"""Measure pitch, timbre and speaking rate of single speakers: how much of them is the speaker's own, and for how long.

Writes prosody.json, tables (utterances.tsv, statistics.tsv, lags.tsv, with --model also probes.tsv), prosody.png, and
the features of all frames under cache/, with which the same command goes on after an interruption. Needs the extra
'prosody'.
"""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import within
from contrasep_lib.config.bounds import Jobs, Seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep prosody``."""
    parser.add_argument("data", metavar="DATA_DIR", help="data directory or dump of single speakers")
    parser.add_argument(
        "--out", metavar="DIR", help="where results go (default: prosody_NAME, of the data directory's name)"
    )
    parser.add_argument("--model", metavar="FILE", help="model.pth: what its embedding keeps of each feature")
    parser.add_argument("--seed", type=within(Seed), default=0, metavar="N", help="draws pairs and folds (default 0)")
    parser.add_argument("--nj", type=within(Jobs), default=1, metavar="N", help="processes (default 1)")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep prosody``."""
    import os

    from contrasep_lib.prosody.report import study, summary

    out = args.out or f"prosody_{os.path.basename(os.path.abspath(args.data))}"
    print(summary(study(args.data, out, args.nj, args.model, args.seed)))
    print(f"prosody: results in {out}")
