"""Draw the mixtures of every set of the configuration and write their lists.

Sets are drawn from the single-speaker data directories SOURCES/<set>. A set ``dev``
or ``tt_..`` is optional: it is left out where the corpus does not have it. A corpus that brings
its lists (SOURCES/lists/mix_K_spk_<set>.txt) is mixed by those. A list of one talker holds no utterance
twice, so it ends with the set's last one. Last, room on disk is checked.
"""

from __future__ import annotations

import argparse
import sys
import typing
from pathlib import Path

from contrasep_lib.bin.common import add_config, read_config, within
from contrasep_lib.config.bounds import Speakers
from contrasep_lib.errors import ContrasepError

if typing.TYPE_CHECKING:
    from contrasep_lib.mix.lists import Mixture
    from contrasep_lib.mix.options import MixOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep make-lists``."""
    add_config(parser)
    parser.add_argument("--sources", required=True, metavar="DIR", help="folder of the single-speaker sets")
    parser.add_argument("--num-spk", required=True, type=within(Speakers), metavar="K", help="talkers per mixture")
    parser.add_argument("--sets", nargs="+", metavar="SET", help="of mix.sets, those to draw (default: all)")
    parser.add_argument("--out", required=True, metavar="DIR", help="where <set>.txt are written")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep make-lists``."""
    from contrasep_lib.io.datadir import read_durations
    from contrasep_lib.mix.lists import write_list
    from contrasep_lib.mix.space import cache_bytes, mixture_bytes, require_space

    options = read_config(args)["mix"]
    if unknown := sorted(set(args.sets or ()) - options.sets.keys()):
        raise ContrasepError(f"--sets: '{unknown[0]}' is not in mix.sets; known: {', '.join(options.sets)}")
    needed = 0
    for name in args.sets or options.sets:
        sources = Path(args.sources) / name
        if (name == "dev" or name.startswith("tt_")) and not (sources / "utt2spk").is_file():
            print(f"make-lists: the corpus has no set '{name}', left out", file=sys.stderr)
            continue
        mixtures = _surrounded(_mixtures(args, options, name), args, options, name)
        write_list(Path(args.out) / f"{name}.txt", mixtures)
        seconds = read_durations(sources / "utt2dur")
        if missing := {utt for mixture in mixtures for utt in mixture.utterances} - seconds.keys():
            raise ContrasepError(f"{sources / 'utt2dur'}: no duration of '{min(missing)}'; run stage 0 again")
        needed += mixture_bytes(mixtures, seconds, options) + cache_bytes(mixtures, seconds, options)
    require_space(Path(args.out).parent, needed)


def _mixtures(args: argparse.Namespace, options: MixOptions, name: str) -> list[Mixture]:
    """The mixtures of a set: the first lines of the corpus's own list, or drawn."""
    import zlib

    from contrasep_lib.io.scp import read_table
    from contrasep_lib.mix.lists import draw_list, read_list

    sources, count = Path(args.sources), options.sets[name]
    own = sources / "lists" / f"mix_{args.num_spk}_spk_{name}.txt"
    if own.is_file():
        return read_list(own, args.num_spk)[:count]
    if own.parent.is_dir():
        raise ContrasepError(
            f"{own}: no such list, and this corpus is mixed by its own; run stage 0 anew for this --num-spk"
        )
    # the set's name is part of the seed: adding a set does not change the others
    seed = (options.seed, args.num_spk, zlib.crc32(name.encode()))
    utt2spk = read_table(sources / name / "utt2spk")
    utt2lang = read_table(sources / name / "utt2lang") if name in options.same_language else None
    if args.num_spk == 1 and count > len(utt2spk):
        print(
            f"make-lists: set {name}: one talker, {count} mixtures asked for, all {len(utt2spk)} utterances taken",
            file=sys.stderr,
        )
        count = len(utt2spk)
    try:
        return draw_list(utt2spk, args.num_spk, count, options.max_gain_db, seed, utt2lang)
    except ContrasepError as error:
        raise ContrasepError(f"set {name}: {error}; change mix.sets.{name} or --num-spk") from None


def _surrounded(mixtures: list[Mixture], args: argparse.Namespace, options: MixOptions, name: str) -> list[Mixture]:
    """The mixtures with noise and rooms, where ``mix.noise`` and ``mix.room`` ask for them."""
    import zlib

    from contrasep_lib.io.scp import read_table
    from contrasep_lib.mix.surroundings import surround

    utt2spk = read_table(Path(args.sources) / name / "utt2spk")
    return surround(mixtures, options, utt2spk, name, (options.seed, args.num_spk, zlib.crc32(name.encode())))
