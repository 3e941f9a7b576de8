"""Draw the mixtures of every set of the configuration and write their lists.

Sets are drawn from the single-speaker data directories SOURCES/<set>. A set whose name begins
with ``tt_`` is optional: it is left out where the corpus does not have it.
"""

from __future__ import annotations

import argparse
import sys

from contrasep_lib.bin.common import add_config, positive, read_config
from contrasep_lib.errors import ContrasepError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep make-lists``."""
    add_config(parser)
    parser.add_argument("--sources", required=True, metavar="DIR", help="folder of the single-speaker sets")
    parser.add_argument("--num-spk", required=True, type=positive, metavar="K", help="talkers per mixture")
    parser.add_argument("--out", required=True, metavar="DIR", help="where <set>.txt are written")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep make-lists``."""
    import zlib
    from pathlib import Path

    from contrasep_lib.io.scp import read_table
    from contrasep_lib.mix.lists import draw_list, write_list

    options = read_config(args)["mix"]
    for name, count in options.sets.items():
        table = Path(args.sources) / name / "utt2spk"
        if name.startswith("tt_") and not table.is_file():
            print(f"make-lists: the corpus has no set '{name}', left out", file=sys.stderr)
            continue
        # the set's name is part of the seed: adding a set does not change the others
        seed = (options.seed, args.num_spk, zlib.crc32(name.encode()))
        try:
            mixtures = draw_list(read_table(table), args.num_spk, count, options.max_gain_db, seed)
        except ContrasepError as error:
            raise ContrasepError(f"set {name}: {error}; change mix.sets.{name} or --num-spk") from None
        write_list(Path(args.out) / f"{name}.txt", mixtures)
