"""Print all that the stage script of a recipe takes from its configuration, as assignments of a shell.

A line is NAME=VALUE or NAME=(VALUE ..), quoted for a shell; utils/recipe.sh evaluates them. Run it in a recipe's
folder to read what a run would use:

    contrasep resolve --config conf/tf.yaml --set separate.count=given
"""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_config, within
from contrasep_lib.config.bounds import Speakers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep resolve``."""
    add_config(parser)
    parser.add_argument("--recipe", default=".", metavar="DIR", help="folder of the recipe (default: this one)")
    parser.add_argument("--caller", default=".", metavar="DIR", help="folder that configurations may be relative to")
    parser.add_argument(
        "--refuse-unread", action="store_true", help="a --set that nothing reads is an error, not a warning"
    )
    options = parser.add_argument_group("options of run.sh")
    options.add_argument("--tag", default="", metavar="NAME", help="name of the experiment")
    options.add_argument("--model-tag", default="", metavar="NAME", help="experiment whose model is used")
    options.add_argument("--model-dir", default="", metavar="DIR", help="folder of a trained experiment")
    options.add_argument("--init-param", default="", metavar="FILE", help="model.pth that training begins with")
    options.add_argument("--extra-train", action="store_true", help="also train on extra utterances")
    options.add_argument("--budget-minutes", default="", metavar="M", help="time for stages 3 to 6")
    options.add_argument("--num-spk", type=within(Speakers), default=2, metavar="K", help="talkers per mixture")
    options.add_argument(
        "--own-num-spk", type=within(Speakers), metavar="K", help="the recipe's own (default: --num-spk)"
    )


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep resolve``."""
    import dataclasses
    import sys

    from contrasep_lib.recipe import Options, refuse, resolve

    args.own_num_spk = args.own_num_spk or args.num_spk
    options = Options(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Options)})

    def warn(line: str) -> None:
        print(f"contrasep resolve: warning: {line}", file=sys.stderr)

    values = resolve(
        args.config, args.overrides, options, args.recipe, args.caller, refuse if args.refuse_unread else warn
    )
    for name, value in values.items():
        print(f"{name}={shell_value(value)}")


def shell_value(value: str | bool | list[str]) -> str:
    """A value as a shell reads it; a truth value as the name of the command ``true`` or ``false``."""
    import shlex

    if isinstance(value, bool):
        return str(value).lower()
    return shlex.quote(value) if isinstance(value, str) else f"({shlex.join(value)})"
