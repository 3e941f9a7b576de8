"""Mix the sources of a list; what is there already is kept."""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_config, add_part, read_config, share
from contrasep_lib.io.parallel import progress
from contrasep_lib.errors import ContrasepError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep mix``."""
    add_config(parser)
    add_part(parser)
    parser.add_argument("--list", required=True, metavar="FILE", help="list of mixtures")
    parser.add_argument("--sources", required=True, metavar="DIR", help="data directory of the sources")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the set: mix/, s1/, s2/, ...")
    parser.add_argument("--cache", metavar="DIR", help="resampled sources, shared by all jobs; remove it afterwards")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep mix``."""
    from pathlib import Path

    from contrasep_lib.io.scp import read_table
    from contrasep_lib.mix.levels import read_levels
    from contrasep_lib.mix.lists import read_list
    from contrasep_lib.mix.mixer import Mixer, write_mixture

    options = read_config(args)["mix"]
    mixtures = read_list(args.list)
    wav = read_table(Path(args.sources) / "wav.scp")
    unknown = sorted({utt for mixture in mixtures for utt in mixture.utterances} - wav.keys())
    if unknown:
        raise ContrasepError(
            f"{args.list}: {len(unknown)} sources are not in {args.sources}/wav.scp, e.g. {', '.join(unknown[:3])}"
        )
    levels = None
    if options.active_level == "published":
        levels = read_levels(Path(args.sources) / "utt2level", wav)
    mixer = Mixer(wav, options, levels, args.cache)
    with progress(share(mixtures, args.part), "mixing") as shown:
        written = sum(write_mixture(args.out, mixture, mixer) for mixture in shown)
    print(f"mix: {written} mixtures written to {args.out}")
