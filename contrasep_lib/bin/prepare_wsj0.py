"""Stage 0, corpus WSJ0 (LDC93S6A): every file that the lists of WSJ0-mix name is found, checked and decoded.

Writes the single-speaker sets OUT/tr, OUT/cv, OUT/tt, the lists, and OUT/wsj0_files.tsv, which says of
every file whether it is there; see `contrasep_lib.corpus.wsj0`. A rerun keeps what is decoded.
"""

from __future__ import annotations

import argparse
import functools

from contrasep_lib.bin.common import add_config, add_download_dir, in_processes, positive, read_config
from contrasep_lib.errors import ContrasepError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep prepare-wsj0``."""
    add_config(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="sources folder")
    parser.add_argument("--nj", type=positive, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument("--corpus", metavar="DIR", help="folder that holds WSJ0: disks, flat tree, .wv1, wav or flac")
    parser.add_argument("--num-spk", required=True, type=positive, metavar="K", help="talkers per mixture")
    parser.add_argument("--mix-lists", metavar="DIR", help="folder of the lists; without it they are downloaded")
    add_download_dir(parser)


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep prepare-wsj0``."""
    from contrasep_lib.corpus.wsj0 import prepare
    from contrasep_lib.corpus.wsj0_lists import fetch_lists

    options = read_config(args)["mix"]
    if not args.corpus:
        raise ContrasepError(
            "WSJ0 comes from the LDC (LDC93S6A): name the folder that holds it by --wsj0 DIR, or once in db.sh"
        )
    lists = args.mix_lists or fetch_lists(args.download_dir, args.num_spk)
    run_all = functools.partial(in_processes, nj=args.nj, what="checking and decoding")
    counts = prepare(args.corpus, lists, args.num_spk, args.out, options.active_level == "published", run_all)
    print(f"{args.out}: " + ", ".join(f"{name} {n} utterances" for name, n in counts.items()))
