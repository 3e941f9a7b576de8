"""Stage 0: take mixtures that others have made: LibriMix, WHAM!, any tree of SET/{mix,s1,s2[,s3..][,noise]}.

    contrasep import-mixtures --corpus LibriMix --num-spk 2 --set corpus.mixtures.mixture=mix_both --out DIR

Writes data directories that refer to the files where they lie: OUT/mixtures/SET, with noise.scp where there is noise,
and single speakers OUT/SET of the sets that are no tests. All files are read first, and every error is one line:
unequal lengths or rates, sources that do not add up. mix.rate and mix.mode choose folders (wav8k/min), mix.sets the
sets, and of longer ones the first lines; corpus.mixtures has the options (contrasep list corpora).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from contrasep_lib.bin.common import add_config, read_config, within
from contrasep_lib.config.bounds import Jobs, Speakers

# mixtures of a set, where no configuration bounds them
EVERYTHING = 10**7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep import-mixtures``."""
    add_config(parser, required=False)
    parser.add_argument("--corpus", metavar="DIR", help="folder that holds the mixtures")
    parser.add_argument("--out", required=True, metavar="DIR", help="sources folder")
    parser.add_argument("--num-spk", type=within(Speakers), metavar="K", help="talkers (default: all of s1, s2, ..)")
    parser.add_argument("--nj", type=within(Jobs), default=1, metavar="N", help="processes (default: %(default)s)")
    # run.sh has it for all corpora
    parser.add_argument("--download-dir", metavar="DIR", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep import-mixtures``."""
    from contrasep_lib.config import create
    from contrasep_lib.corpus.base import Request

    args.config = args.config or []
    config = read_config(args)
    if not args.config and args.corpus and not any(override.startswith("mix.sets") for override in args.overrides):
        from contrasep_lib.corpus.mixture_tree import find_base, usual_sets

        base = find_base(Path(args.corpus), config["mix"].rate, config["mix"].mode, args.num_spk)
        sets = ", ".join(f"{name}: {EVERYTHING}" for name in config["corpus"].of("mixtures").sets or usual_sets(base))
        args.overrides.append(f"mix.sets={{{sets}}}")
        config = read_config(args)
    corpus = create(config["corpus"].of("mixtures"), mix=config["mix"])
    request = Request(args.out, args.corpus, jobs=args.nj, num_spk=args.num_spk)
    corpus.check(request)
    counts = corpus.prepare(request)
    print(f"{args.out}: " + ", ".join(f"{name} {number} mixtures" for name, number in counts.items()))
