"""Mix the sources of a list, or of several; what is there already is kept.

Of several sets, --list, --sources and --out take one value for each.
"""

from __future__ import annotations

import argparse
import typing

from contrasep_lib.bin.common import add_config, add_part, add_pipes, paired, read_config, share
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.parallel import progress

if typing.TYPE_CHECKING:
    from pathlib import Path

    from contrasep_lib.mix.lists import Mixture
    from contrasep_lib.mix.mixer import Mixer
    from contrasep_lib.mix.options import MixOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep mix``."""
    add_config(parser)
    add_part(parser)
    parser.add_argument("--list", required=True, nargs="+", metavar="FILE", help="list of mixtures")
    parser.add_argument("--sources", required=True, nargs="+", metavar="DIR", help="data directory of the sources")
    parser.add_argument("--out", required=True, nargs="+", metavar="DIR", help="folder of the set: mix/, s1/, s2/, ...")
    add_pipes(parser)
    parser.add_argument(
        "--cache", metavar="DIR", help="resampled sources of each set, shared by all jobs; remove it afterwards"
    )


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep mix``."""
    from pathlib import Path

    from contrasep_lib.mix.lists import read_list
    from contrasep_lib.mix.mixer import write_mixture

    options = read_config(args)["mix"]
    for list_file, sources, out in paired(args, "list", "sources", "out"):
        mixtures = read_list(list_file)
        cache = None if args.cache is None else Path(args.cache) / Path(out).name
        mixer = _mixer(list_file, mixtures, Path(sources), options, cache, args.allow_pipes)
        with progress(share(mixtures, args.part), "mixing") as shown:
            written = sum(write_mixture(out, mixture, mixer) for mixture in shown)
        looped = f"; the noise of {mixer.looped} was shorter and is looped with a cross-fade" if mixer.looped else ""
        print(f"mix: {written} mixtures written to {out}{looped}")


def _mixer(
    list_file: str, mixtures: list[Mixture], sources: Path, options: MixOptions, cache: Path | None, pipes: bool
) -> Mixer:
    from contrasep_lib.io.pipes import require_no_commands
    from contrasep_lib.io.scp import read_table
    from contrasep_lib.mix.levels import read_levels
    from contrasep_lib.mix.mixer import Mixer

    wav = read_table(sources / "wav.scp")
    if not pipes:
        require_no_commands(sources / "wav.scp", wav)
    unknown = sorted({utt for mixture in mixtures for utt in mixture.utterances} - wav.keys())
    if unknown:
        raise ContrasepError(
            f"{list_file}: {len(unknown)} sources are not in {sources}/wav.scp, e.g. {', '.join(unknown[:3])}"
        )
    levels = read_levels(sources / "utt2level", wav) if options.active_level == "published" else None
    return Mixer(wav, options, levels, cache, pipes)
