"""Check a configuration and print it whole, defaults filled in, as YAML."""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_config, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep check-config``."""
    add_config(parser)


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep check-config``."""
    import yaml

    from contrasep_lib.config import as_tree

    print(yaml.safe_dump(_lists(as_tree(read_config(args))), sort_keys=False), end="")


def _lists(tree: object) -> object:
    """Tuples as lists, which is how YAML writes them."""
    if isinstance(tree, dict):
        return {key: _lists(value) for key, value in tree.items()}
    return list(tree) if isinstance(tree, tuple) else tree
