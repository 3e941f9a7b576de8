"""Make the data directory of a set of mixtures, or of a single-speaker set or imported mixtures.

Of several sets, --sources and --out take one value for each, --list and --mixtures one for each of the first sets:
those without a list have their tables already, and are copied.
"""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import paired
from contrasep_lib.errors import ContrasepError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep prepare-data``."""
    parser.add_argument(
        "--sources", required=True, nargs="+", metavar="DIR",
        help="single-speaker data directory of the set, or imported mixtures",
    )
    parser.add_argument(
        "--list",
        nargs="+",
        default=[],
        metavar="FILE",
        help="list of mixtures; without it the tables of --sources are copied",
    )
    parser.add_argument(
        "--mixtures", nargs="+", default=[], metavar="DIR", help="folder of the set's mixtures: mix/, s1/, s2/, ..."
    )
    parser.add_argument("--out", required=True, nargs="+", metavar="DIR", help="data directory to make")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep prepare-data``."""
    from contrasep_lib.io.datadir import copy_data_dir

    sets = paired(args, "sources", "out")
    mixed = paired(args, "list", "mixtures")
    if len(mixed) > len(sets):
        raise ContrasepError(
            f"--list: expected at most {len(sets)} values, one for each of --sources, got {len(mixed)}"
        )
    for (sources, out), (list_file, tree) in zip(sets, mixed):
        _prepare_mixtures(sources, list_file, tree, out)
    for sources, out in sets[len(mixed) :]:
        copy_data_dir(sources, out)


def _prepare_mixtures(sources: str, list_file: str, tree: str, out: str) -> None:
    from pathlib import Path

    from contrasep_lib.io.datadir import write_mixture_dir
    from contrasep_lib.io.scp import read_table
    from contrasep_lib.mix.lists import read_list
    from contrasep_lib.mix.mixer import mixture_files

    folder = Path(sources)
    utt2spk = read_table(folder / "utt2spk")
    text = read_table(folder / "text") if (folder / "text").is_file() else None
    mixtures = read_list(list_file)
    for name, table in (("utt2spk", utt2spk), ("text", text)):
        missing = {utt for mixture in mixtures for utt in mixture.utterances} - (
            utt2spk if table is None else table
        ).keys()
        if missing:
            raise ContrasepError(
                f"{folder / name}: key '{min(missing)}' missing, which {list_file} names; run stage 0 again"
            )
    files = {mixture.name: mixture_files(tree, mixture) for mixture in mixtures}
    talkers = {mixture.name: 1 + len(mixture.sources) for mixture in mixtures}
    # behind the talkers' there is that of the noise
    noise = {name: paths[-1] for name, paths in files.items() if len(paths) > talkers[name]}
    if noise and len(noise) < len(files):
        raise ContrasepError(
            f"{list_file}: {len(noise)} of {len(files)} lines have noise or a room; expected all or none"
        )
    write_mixture_dir(
        out,
        {name: paths[: talkers[name]] for name, paths in files.items()},
        {mixture.name: [utt2spk[utt] for utt in mixture.utterances] for mixture in mixtures},
        text and {mixture.name: [text[utt] for utt in mixture.utterances] for mixture in mixtures},
        noise or None,
    )
