"""Pack a trained model with its card and licence into one file.

    contrasep pack exp/tf tf.zip --config conf/tf.yaml --licence 'CC BY 4.0'
    contrasep unpack tf.zip tf && contrasep separate meeting.wav --out separated --model tf

The same model gives the same bytes. A pack holds weights, settings and text, and no code.
"""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep pack``."""
    parser.add_argument("model", metavar="MODEL", help="folder of an experiment or a model, or a model of the package")
    parser.add_argument("out", metavar="FILE.zip", help="the pack")
    parser.add_argument(
        "--licence", "--license", metavar="WORDS",
        help="licence, e.g. 'CC BY 4.0', where the card (README.md in the folder) has none",
    )
    add_config(parser, required=False)


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep pack``."""
    from contrasep_lib.packs.writing import pack

    manifest = pack(args.model, args.out, args.licence, args.config, args.overrides)
    total = sum(size for size, _ in manifest.files.values())
    print(f"{args.out}: {manifest.name}, {total / 1e6:.1f} MB, licence: {manifest.licence}")
