"""Separate recordings of your own.

    contrasep separate meeting.wav interview.mp3 --out separated

Of each recording NAME: NAME_spk1.wav, NAME_spk2.wav, .., and NAME.json with what speaks for the count.
"""

from __future__ import annotations

import argparse
import sys

from contrasep_lib.bin.common import add_config, add_ngpu, device_of, positive
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.parallel import progress_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep separate``."""
    parser.set_defaults(refuse=parser.error)
    parser.add_argument("files", nargs="*", metavar="FILE", help="recordings, or folders of recordings")
    parser.add_argument("--out", metavar="DIR", help="where the audio goes")
    parser.add_argument(
        "--model", metavar="NAME|DIR", help="a model of the package, or the folder of an experiment (default: best)"
    )
    parser.add_argument("--num-spk", type=positive, metavar="K", help="speakers of each recording (default: estimated)")
    parser.add_argument("--channel", type=positive, metavar="C", help="take channel C (default: the mean of all)")
    parser.add_argument(
        "--window", type=positive, default=30, metavar="S",
        help="longer recordings are separated by windows of so many seconds (default %(default)s)",
    )
    add_ngpu(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace earlier outputs")
    parser.add_argument("--list-models", action="store_true", help="list the models of the package")
    add_config(parser, required=False)


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep separate``."""
    if args.list_models:
        from contrasep_lib.separate.shipped import headline, names

        print("\n".join(f"{name:10} {headline(name)}" for name in names()))
        return
    if not args.files:
        args.refuse("recordings are needed; a dumped set is separated by contrasep separate-set")
    if not args.out:
        args.refuse("--out DIR is needed")

    from contrasep_lib.io.machine import keep_freed_memory
    from contrasep_lib.separate.files import Request, files_in, seconds_in, separate_files
    from contrasep_lib.separate.shipped import DEFAULT, load_separator

    if not args.ngpu:
        keep_freed_memory()
    files = files_in(args.files)
    separator = load_separator(args.model or DEFAULT, device_of(args.ngpu, 0), args.config, args.overrides)
    request = Request(args.out, args.num_spk, args.channel, args.window, args.overwrite)
    with progress_of(seconds_in(files), "separating") as bar:

        def report(line: str, error: bool) -> None:
            with bar.external_write_mode(file=sys.stderr if error else sys.stdout):
                print(f"contrasep separate: {line}" if error else line, file=sys.stderr if error else sys.stdout)

        failed = separate_files(separator, files, request, report, bar.update)
    if failed:
        raise ContrasepError(f"{failed} of {len(files)} recordings not separated, see above")
