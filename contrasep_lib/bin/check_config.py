"""Check a configuration and print it whole, defaults filled in, as YAML."""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_config, read_config
from contrasep_lib.errors import ContrasepError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep check-config``."""
    add_config(parser)
    parser.add_argument("--get", metavar="SECTION.KEY", help="print this value alone")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep check-config``."""
    import yaml

    from contrasep_lib.config import as_tree

    value = as_tree(read_config(args))
    if args.get is None:
        print(yaml.safe_dump(_lists(value), sort_keys=False), end="")
        return
    for name in args.get.split("."):
        if not isinstance(value, dict) or name not in value:
            raise ContrasepError(f"--get {args.get}: no such value; see contrasep check-config without --get")
        value = value[name]
    print(" ".join(map(str, value)) if isinstance(value, (list, tuple, dict)) else value)


def _lists(tree: object) -> object:
    """Tuples as lists, which is how YAML writes them."""
    if isinstance(tree, dict):
        return {key: _lists(value) for key, value in tree.items()}
    return list(tree) if isinstance(tree, tuple) else tree
