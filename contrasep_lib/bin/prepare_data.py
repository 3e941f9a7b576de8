"""Make the data directory of a set of mixtures, or of a single-speaker set."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep prepare-data``."""
    parser.add_argument("--sources", required=True, metavar="DIR", help="single-speaker data directory of the set")
    parser.add_argument("--list", metavar="FILE", help="list of mixtures; without it the single-speaker set is copied")
    parser.add_argument("--mixtures", metavar="DIR", help="folder of the set's mixtures: mix/, s1/, s2/, ...")
    parser.add_argument("--out", required=True, metavar="DIR", help="data directory to make")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep prepare-data``."""
    from pathlib import Path

    from contrasep_lib.errors import ContrasepError
    from contrasep_lib.io.datadir import copy_single_dir, write_mixture_dir
    from contrasep_lib.io.scp import read_table
    from contrasep_lib.mix.lists import read_list
    from contrasep_lib.mix.mixer import mixture_files

    if args.list is None:
        copy_single_dir(args.sources, args.out)
        return
    if args.mixtures is None:
        raise ContrasepError("--mixtures DIR is needed with --list")
    sources = Path(args.sources)
    utt2spk = read_table(sources / "utt2spk")
    text = read_table(sources / "text") if (sources / "text").is_file() else None
    mixtures = read_list(args.list)
    for name, table in (("utt2spk", utt2spk), ("text", text)):
        missing = {utt for mixture in mixtures for utt in mixture.utterances} - (utt2spk if table is None else table).keys()
        if missing:
            raise ContrasepError(f"{sources / name}: key '{min(missing)}' missing, which {args.list} names; run stage 0 again")
    write_mixture_dir(
        args.out,
        {mixture.name: mixture_files(args.mixtures, mixture) for mixture in mixtures},
        {mixture.name: [utt2spk[utt] for utt in mixture.utterances] for mixture in mixtures},
        text and {mixture.name: [text[utt] for utt in mixture.utterances] for mixture in mixtures},
    )
