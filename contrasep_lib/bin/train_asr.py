"""Train a small speech recogniser on dumped single-speaker sets with transcripts.

OUT/asr.pth is the one with the fewest word errors on --valid-sets, OUT/curve.tsv has a line for each validation. It
serves contrasep score --wer and contrasep transcribe.
"""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_config, add_ngpu, device_of, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep train-asr``."""
    add_config(parser)
    parser.add_argument("--train-sets", required=True, nargs="+", metavar="DIR", help="dumped single-speaker sets")
    parser.add_argument("--valid-sets", required=True, nargs="+", metavar="DIR", help="those that it is chosen by")
    parser.add_argument("--out", required=True, metavar="DIR", help="receives asr.pth and curve.tsv")
    add_ngpu(parser)


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep train-asr``."""
    from pathlib import Path

    from contrasep_lib.io.machine import keep_freed_memory

    config = read_config(args)
    if not args.ngpu:
        keep_freed_memory()
    from contrasep_lib.asr.data import read_spoken
    from contrasep_lib.asr.train import Training

    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    training = Training(
        read_spoken(args.train_sets), read_spoken(args.valid_sets), config["asr"], out, device_of(args.ngpu, 0)
    )
    weights = sum(weight.numel() for weight in training.model.parameters())
    print(f"train-asr: {len(training.training)} utterances, {len(training.model.tokens)} units, {weights} weights")
    best = training.run(lambda line: print(f"train-asr: {line}", flush=True))
    print(f"train-asr: {out / 'asr.pth'}: WER {best:.1%} on {', '.join(args.valid_sets)}")
