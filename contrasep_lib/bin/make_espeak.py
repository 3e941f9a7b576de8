"""Stage 0, corpus mini_2mix: sentences spoken by eSpeak NG (synthetic; nothing is downloaded).

Writes OUT/wav and the single-speaker sets OUT/tr, OUT/cv and OUT/tt; see
`contrasep_lib.corpus.espeak`. A rerun keeps what is whole.
"""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_config, positive, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options to a parser."""
    add_config(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="sources folder")
    parser.add_argument(
        "--nj", type=positive, default=1, metavar="N", help="processes (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        ContrasepError: bad configuration, a folder with another corpus, eSpeak NG missing.
    """
    from contrasep_lib.corpus.espeak import make_corpus

    options = read_config(args)["corpus"].espeak
    counts = make_corpus(options, args.out, args.nj)
    print(
        f"{args.out}: synthetic speech, " + ", ".join(f"{name} {n} utterances" for name, n in counts.items())
    )
