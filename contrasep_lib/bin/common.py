"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


def add_config(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """``--config FILE`` and repeatable ``--set section.key=value``."""
    parser.add_argument("--config", required=required, metavar="FILE", help="configuration (YAML)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides",
        help="replace a value of the configuration; may be repeated",
    )


def read_config(args: argparse.Namespace) -> dict[str, Any]:
    """The configuration named by `add_config`'s options, all of it checked."""
    from contrasep_lib.config import load_config

    return load_config(args.config, args.overrides)


def positive(text: str) -> int:
    """Type of options that count something."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 wanted, got '{text}'")
    return value


def part(text: str) -> tuple[int, int]:
    """Type of ``--part J/N``: the J-th of N shares, counted from 1."""
    job, _, jobs = text.partition("/")
    if not (job.isdigit() and jobs.isdigit() and 1 <= int(job) <= int(jobs)):
        raise argparse.ArgumentTypeError(f"J/N with 1 <= J <= N wanted, got '{text}'")
    return int(job), int(jobs)


def add_part(parser: argparse.ArgumentParser) -> None:
    """``--part J/N``."""
    parser.add_argument(
        "--part", type=part, default=(1, 1), metavar="J/N", help="do the J-th of N shares (default: all)"
    )


def share(items: Sequence[Item], which: tuple[int, int]) -> list[Item]:
    """The J-th of N contiguous shares of ``items``, whose sizes differ by one at most."""
    job, jobs = which
    return list(items[len(items) * (job - 1) // jobs : len(items) * job // jobs])
