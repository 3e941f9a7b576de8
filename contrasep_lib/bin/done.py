"""Check or set the .done marker of a stage's folder.

Exit status 0 when the marker is current, 3 when the stage has to run. ``--begin`` makes the folder
ready: what the same settings left is kept, what others made is removed (or refused).
"""

from __future__ import annotations

import argparse
import sys

from contrasep_lib.bin.common import add_config, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep done``."""
    parser.add_argument("folder", metavar="FOLDER", help="folder of the stage")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--mark", action="store_true", help="set the marker instead of checking it")
    action.add_argument("--begin", choices=("clear", "refuse"), help="what to do with output of other settings")
    parser.add_argument("--sections", default="", metavar="A,B", help="sections of the configuration it reads")
    parser.add_argument("--inputs", nargs="*", default=[], metavar="FILE", help="files it reads")
    parser.add_argument("--values", nargs="*", default=[], metavar="KEY=VALUE", help="other things it depends on")
    add_config(parser)


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep done``."""
    from contrasep_lib.config import as_key
    from contrasep_lib.io.done import begin, is_done, mark_done, stage_key

    config = read_config(args)
    sections = {name: as_key(config[name]) for name in args.sections.split(",") if name}
    key = stage_key(sections, args.inputs, dict(value.partition("=")[::2] for value in args.values))
    if args.mark:
        mark_done(args.folder, key)
    elif args.begin:
        begin(args.folder, key, refuse_other=args.begin == "refuse")
    elif not is_done(args.folder, key):
        sys.exit(3)
