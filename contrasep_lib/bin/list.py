"""List the parts that a configuration chooses by name, with their options and defaults.

    contrasep list                 the families
    contrasep list backbones       name, one sentence, options of each backbone
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep list``."""
    parser.add_argument(
        "family", nargs="?", metavar="FAMILY", help="backbones, objectives, solvers, ..; all families by default"
    )
    parser.add_argument("--plugins", default="", metavar="A,B", help="also modules that declare further parts")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep list``."""
    from contrasep_lib.config import FAMILIES, refuse_unknown
    from contrasep_lib.config.choices import load_plugins

    load_plugins(filter(None, args.plugins.split(",")))
    if args.family is None:
        width = max(len(family.plural) for family in FAMILIES.values())
        for family in FAMILIES.values():
            print(f"{family.plural:{width}}  {family.what}")
        return
    by_plural = {family.plural: family.name for family in FAMILIES.values()} | {name: name for name in FAMILIES}
    refuse_unknown([args.family], by_plural, "", "family")
    print("\n\n".join(described(by_plural[args.family])))


def described(family: str) -> list[str]:
    """Name, one sentence and options of each member of a family."""
    import dataclasses

    from contrasep_lib.config import names, options_class
    from contrasep_lib.config.choices import summary

    texts = []
    for name in names(family, everything=True):
        options = options_class(family, name)
        lines = [f"{name}: {summary(options)}"]
        lines += [f"    {field.name}: {_value(field)}" for field in dataclasses.fields(options)]
        texts.append("\n".join(lines))
    return texts


def _value(field: object) -> str:
    """A default as YAML has it."""
    import yaml

    from contrasep_lib.config.schema import as_tree, default_of

    value = as_tree(default_of(field))  # type: ignore[arg-type]
    value = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(value, default_flow_style=True).replace("...", "").strip()
