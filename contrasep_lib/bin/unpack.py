"""Unpack a model of `contrasep pack`.

    contrasep unpack best.zip models/best
    contrasep separate meeting.wav --out separated --model models/best

Nothing in a pack runs, and nothing is written outside of the folder.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep unpack``."""
    parser.add_argument("pack", metavar="FILE.zip", help="a pack")
    parser.add_argument("out", metavar="DIR", help="the folder to make of it")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep unpack``."""
    from contrasep_lib.packs.reading import unpack

    manifest = unpack(args.pack, args.out)
    use = f"contrasep separate FILE --out DIR --model {args.out}"
    print(f"{args.out}: {manifest.name}, licence: {manifest.licence}; {use}")
