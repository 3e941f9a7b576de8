#!/usr/bin/env python3
"""A tree of WSJ0's names, formats and durations with other speech in it, to rehearse the recipes.

    tools/rehearse_wsj0.py --out DIR --scale 0.02
    egs/wsj0_2mix/run.sh --wsj0 DIR --mix-lists DIR/lists

Scale 1 has WSJ0-mix's 28,000 mixtures of two talkers (about 30, 8 and 5 hours) and as many of three.
Every table made of it says that it is a rehearsal.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from pathlib import Path
from typing import Annotated

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main() -> int:
    """Command line of the rehearsal; returns the exit status."""
    from contrasep_lib.bin.common import Parser, positive, within
    from contrasep_lib.config.bounds import Range, Seed
    from contrasep_lib.errors import ContrasepError
    from contrasep_lib.io.parallel import in_processes

    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make")
    parser.add_argument(
        "--scale", type=within(Annotated[float, Range(0, 1, "(]")]), default=0.02, metavar="S", help="share of the lists, (0, 1] (default: %(default)s)"
    )
    parser.add_argument(
        "--num-spk", type=positive, nargs="+", default=[2, 3], metavar="K", help="talkers per mixture (default: 2 3)"
    )
    parser.add_argument(
        "--mix-lists", metavar="DIR", help="WSJ0-mix's lists, whose first lines are taken; without it lists are drawn"
    )
    parser.add_argument(
        "--corpus", metavar="DIR", help="recordings to cut from, e.g. LibriSpeech; without it eSpeak NG speaks"
    )
    parser.add_argument("--seed", type=within(Seed), default=0, metavar="N", help="(default: %(default)s)")
    parser.add_argument(
        "--nj", type=positive, default=os.cpu_count() or 1, metavar="N", help="processes (default: the cores)"
    )
    args = parser.parse_args()

    from contrasep_lib.corpus.wsj0_rehearsal import make_rehearsal

    run = functools.partial(in_processes, nj=args.nj, what="rehearsal")
    try:
        hours = make_rehearsal(
            args.out, args.scale, args.num_spk, args.mix_lists, args.corpus, args.seed, args.nj, run
        )
    except ContrasepError as error:
        print(f"rehearse_wsj0.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"rehearse_wsj0.py: {error.filename or args.out}: {error.strerror or error}", file=sys.stderr)
        return 1
    print(", ".join(f"{name} {of:.2f} h" for name, of in hours.items()))
    print(f"egs/wsj0_2mix/run.sh --wsj0 {args.out} --mix-lists {Path(args.out) / 'lists'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
