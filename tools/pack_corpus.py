#!/usr/bin/env python3
"""Pack single-speaker speech into one file of a given size, to train where the corpus cannot go.

    tools/pack_corpus.py --sources egs/mini_librispeech_2mix/mixtures/sources --size 40M --out speech.zip
    tools/pack_corpus.py --dump egs/mini_librispeech_2mix/dump --size 40M --out speech.zip
    tools/pack_corpus.py --unpack speech.zip --out dump          (makes dump/tr_single, dump/cv_single)
    contrasep train --config FILE --phase finetune --dump dump --train-sets tr_single --valid-sets cv_single --out exp/new/finetune

Opus at 8 kHz is lossy: packs are for training, and scores always come from the original audio.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Annotated

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from contrasep_lib.bin.common import Parser, within
from contrasep_lib.config.bounds import Range, Seed


def main(arguments: list[str] | None = None) -> int:
    """Command line of packing; returns the exit status."""
    from contrasep_lib.errors import ContrasepError

    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--sources", metavar="DIR", help="prepared sources of stage 0, with tr/ and cv/")
    what.add_argument("--dump", metavar="DIR", help="dumps of stage 2, with tr_single/ and cv_single/")
    what.add_argument("--unpack", metavar="FILE", help="make dumps of this pack")
    parser.add_argument("--out", required=True, metavar="PATH", help="file to make; with --unpack the folder of dumps")
    parser.add_argument("--size", default="40M", metavar="N", help="bytes at most, e.g. 40M (default: %(default)s)")
    parser.add_argument(
        "--kbits", type=within(Annotated[float, Range(1, 1000)]), default=16.0, metavar="R", help="kbit/s of the coding (default: %(default)g)"
    )
    parser.add_argument(
        "--sets", nargs="+", default=["tr", "cv"], metavar="SET", help="sets to pack (default: tr cv)"
    )
    parser.add_argument(
        "--seed", type=within(Seed), default=0, metavar="N", help="of the choice of utterances (default: %(default)s)"
    )
    args = parser.parse_args(arguments)
    try:
        print(_unpack(args) if args.unpack else _pack(args))
    except ContrasepError as error:
        print(f"pack_corpus.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"pack_corpus.py: {error.filename or args.out}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _pack(args: argparse.Namespace) -> str:
    from contrasep_lib.corpus.packing import pack, read_spoken, size_of
    from contrasep_lib.io.parallel import progress_of

    size = size_of(args.size)
    suffix, root = ("", args.sources) if args.sources else ("_single", args.dump)
    sets = {name: read_spoken(Path(root) / f"{name}{suffix}", name) for name in args.sets}
    with progress_of(sum(u.seconds for spoken in sets.values() for u in spoken), "packing") as bar:
        index = pack(sets, args.out, size, args.kbits, args.seed, bar.update)
    words = [f"{args.out}: {os.path.getsize(args.out) / 2**20:.1f} MB"]
    for name in sets:
        rows = [row for row in index["utterances"] if row["set"] == name]
        hours = sum(row["samples"] for row in rows) / index["rate"] / 3600
        speakers = len({row["speaker"] for row in rows})
        words.append(f"{name}: {len(rows)} of {len(sets[name])} utterances of {speakers} speakers, {hours:.2f} h")
    return "\n".join(words)


def _unpack(args: argparse.Namespace) -> str:
    from contrasep_lib.corpus.unpacking import read_index, unpack
    from contrasep_lib.io.parallel import progress_of

    index = read_index(args.unpack)
    seconds = sum(row["samples"] for row in index["utterances"]) / index["rate"]
    with progress_of(seconds, "unpacking") as bar:
        folders = unpack(args.unpack, args.out, bar.update)
    return "\n".join(map(str, folders))


if __name__ == "__main__":
    sys.exit(main())
