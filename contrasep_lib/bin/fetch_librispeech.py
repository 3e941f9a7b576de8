"""Stage 0, corpus mini_librispeech: Mini LibriSpeech (OpenSLR SLR31), downloaded or a local copy.

Writes the single-speaker sets OUT/tr, OUT/cv, OUT/tt, of development speakers OUT/dev and, where
dev-clean-2 is there, OUT/tt_dev; see `contrasep_lib.corpus.librispeech`.
"""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_corpus, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options to a parser."""
    add_corpus(parser, "train-clean-5")
    parser.add_argument(
        "--extra-train",
        action="store_true",
        help="add single utterances of train-clean-100 to tr and dev (with a download: 6.3 GB more)",
    )


def run(args: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        ContrasepError: bad configuration, failed download, corpus missing or damaged.
    """
    from contrasep_lib.corpus.librispeech import fetch, prepare

    options = read_config(args)["corpus"].librispeech
    corpus = args.corpus or fetch(args.download_dir, args.extra_train)
    counts = prepare(corpus, args.out, options, extra_train=args.extra_train, jobs=args.nj)
    print(f"{args.out}: " + ", ".join(f"{name} {n} utterances" for name, n in counts.items()))
