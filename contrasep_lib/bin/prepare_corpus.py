"""Stage 0: make single-speaker data directories of a corpus, downloaded, spoken or a local copy.

Writes the sets OUT/tr, OUT/cv, OUT/tt and, where the corpus has them, further ones. A rerun keeps audio that is
whole. `contrasep list corpora` lists corpora and their options. A file FILE.py lists a corpus of one's own: it is
run, and its function recordings(corpus) yields a Recording of each file (docs/howto/new_corpus.md).
"""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_config, read_config, within
from contrasep_lib.config.bounds import Jobs, Speakers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep prepare-corpus``."""
    parser.add_argument("name", metavar="CORPUS", help="name of the corpus, see contrasep list corpora; or FILE.py")
    add_config(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="sources folder")
    parser.add_argument("--nj", type=within(Jobs), default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument("--corpus", metavar="DIR", help="local copy; nothing is downloaded then")
    parser.add_argument(
        "--download-dir", default="downloads", metavar="DIR", help="for downloads (default: %(default)s)"
    )
    parser.add_argument("--extra-train", action="store_true", help="add utterances beyond the usual training set")
    parser.add_argument("--mix-lists", metavar="DIR", help="lists of mixtures, of a corpus that brings its own")
    parser.add_argument(
        "--num-spk", type=within(Speakers), metavar="K", help="speakers per mixture, which choose the lists"
    )


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep prepare-corpus``."""
    from contrasep_lib.config import create
    from contrasep_lib.corpus.base import Corpus, Request

    config = read_config(args)
    if args.name.endswith(".py"):
        from contrasep_lib.corpus.recordings import Recordings

        corpus: Corpus = Recordings.of_file(args.name, config["corpus"].of("recordings"), config["mix"])
    else:
        corpus = create(config["corpus"].of(args.name), mix=config["mix"])
    request = Request(
        args.out, args.corpus, args.download_dir, args.nj, args.extra_train, args.mix_lists, args.num_spk
    )
    corpus.check(request)
    counts = corpus.prepare(request)
    print(f"{args.out}: " + ", ".join(f"{name} {number} utterances" for name, number in counts.items()))
