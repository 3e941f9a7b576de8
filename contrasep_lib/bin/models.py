"""List trained models: speakers, rate, size, licence, and what they were trained on.

    contrasep models                        the models of the package
    contrasep models exp/tf unpacked/best   folders of experiments, unpacked models
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep models``."""
    parser.add_argument("models", nargs="*", metavar="MODEL", help="names or folders (default: those of the package)")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep models``."""
    from contrasep_lib.packs.summary import HEADER, Summary
    from contrasep_lib.separate.shipped import names

    rows = [HEADER, *(Summary.of(model).cells() for model in args.models or names())]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths)).rstrip())
