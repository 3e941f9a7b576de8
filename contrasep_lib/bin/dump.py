"""Write a data directory's audio, spectra and statistics to ark; whole shards are kept."""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_config, add_part, read_config
from contrasep_lib.io.parallel import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep dump``."""
    add_config(parser)
    add_part(parser)
    parser.add_argument("--data", required=True, metavar="DIR", help="data directory")
    parser.add_argument("--out", required=True, metavar="DIR", help="dump directory of the set")
    parser.add_argument("--merge", action="store_true", help="join the shards after all parts are written")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep dump``."""
    from pathlib import Path

    from contrasep_lib.io.dump import Dumper

    config = read_config(args)
    dumper = Dumper(Path(args.data), Path(args.out), config["dump"], config["mix"].rate)
    if args.merge:
        print(f"dump: {dumper.merge()} utterances in {args.out}")
        return
    job, jobs = args.part
    tables = dumper.tables()
    # strided: shards differ in length only at the end
    with progress(dumper.shards()[job - 1 :: jobs], "dumping shards") as shown:
        for shard, keys in shown:
            if not dumper.is_whole(shard):
                dumper.write_shard(shard, keys, tables)
