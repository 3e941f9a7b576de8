"""Write a data directory's audio, spectra and statistics to ark; whole shards are kept.

Of several sets, --data and --out take one value for each.
"""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_config, add_part, add_pipes, paired, read_config
from contrasep_lib.io.parallel import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep dump``."""
    add_config(parser)
    add_part(parser)
    parser.add_argument("--data", required=True, nargs="+", metavar="DIR", help="data directory")
    parser.add_argument("--out", required=True, nargs="+", metavar="DIR", help="dump directory of the set")
    add_pipes(parser)
    parser.add_argument("--merge", action="store_true", help="join the shards after all parts are written")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep dump``."""
    from pathlib import Path

    from contrasep_lib.io.dump import Dumper

    config = read_config(args)
    dumpers = [
        Dumper(Path(data), Path(out), config["dump"], config["mix"].rate, args.allow_pipes)
        for data, out in paired(args, "data", "out")
    ]
    if args.merge:
        for dumper in dumpers:
            print(f"dump: {dumper.merge()} utterances in {dumper.folder}")
        return
    job, jobs = args.part
    # strided over the shards of all sets: those of a set differ in length only at the end
    shards = [(dumper, *shard) for dumper in dumpers for shard in dumper.shards()][job - 1 :: jobs]
    tables = {dumper: dumper.tables() for dumper in dict.fromkeys(dumper for dumper, *_ in shards)}
    with progress(shards, "dumping shards") as shown:
        for dumper, shard, keys in shown:
            if not dumper.is_whole(shard, tables[dumper]):
                dumper.write_shard(shard, keys, tables[dumper])
