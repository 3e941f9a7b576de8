"""Separate a dumped set and write audio, assignments and evidence."""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_config, add_part, positive, progress, read_config, share


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep separate``."""
    add_config(parser)
    add_part(parser)
    parser.add_argument("--dump", required=True, metavar="DIR", help="dump directory of the set")
    parser.add_argument("--out", required=True, metavar="DIR", help="where the audio goes")
    parser.add_argument("--merge", type=positive, metavar="N", help="join N parts after all are written")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep separate``."""
    if args.merge:
        from contrasep_lib.separate.writer import merge_parts

        print(f"separate: {merge_parts(args.out, args.merge)} utterances in {args.out}")
        return
    config = read_config(args)

    import torch

    from contrasep_lib.errors import ContrasepError
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.separate.oracle import Oracle
    from contrasep_lib.separate.writer import Writer

    # the set is parted over jobs, so more threads in each would only compete
    torch.set_num_threads(1)
    options, features = config["separate"], config["features"]
    dump = DumpSet(args.dump)
    with Writer(args.out, args.part[0], dump.rate) as writer:
        with progress(share(dump.keys, args.part), "separating") as keys:
            for key in keys:
                try:
                    oracle = Oracle(dump.mixture(key), dump.sources(key), features, options.silence_db)
                except ContrasepError as error:
                    raise ContrasepError(f"{args.dump}: '{key}': {error}; run stage 2 again") from None
                writer.write(key, oracle.separate(options.separator))
