"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, TypeVar

from contrasep_lib.errors import ContrasepError

Item = TypeVar("Item")


def add_config(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Repeatable ``--config FILE[,FILE..]`` and ``--set section.key=value``."""
    parser.add_argument(
        "--config", required=required, action="extend", type=config_files, metavar="FILE[,FILE..]",
        help="configuration (YAML); of several files, or repeated options, later ones over earlier ones",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides",
        help="replace a value of the configuration; may be repeated",
    )


def config_files(text: str) -> list[str]:
    """Type of ``--config``, whose action is ``extend``: files separated by commas."""
    files = text.split(",")
    if not all(files):
        raise argparse.ArgumentTypeError(f"expected files separated by commas, got '{text}'")
    return files


def read_config(args: argparse.Namespace) -> dict[str, Any]:
    """The configuration named by `add_config`'s options, all of it checked."""
    from contrasep_lib.config import load_config

    return load_config(args.config, args.overrides)


def paired(args: argparse.Namespace, *options: str) -> list[tuple[str, ...]]:
    """The values of options that take one for each set, set by set.

    Raises:
        ContrasepError: one of them has more values than another.
    """
    values = [getattr(args, option) for option in options]
    for option, given in zip(options, values):
        if len(given) != len(values[0]):
            raise ContrasepError(
                f"--{option}: expected {len(values[0])} values, one for each of --{options[0]}, got {len(given)}"
            )
    return list(zip(*values))


def positive(text: str) -> int:
    """Type of options that count something."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got '{text}'")
    return value


def part(text: str) -> tuple[int, int]:
    """Type of ``--part J/N``: the J-th of N shares, counted from 1."""
    job, _, jobs = text.partition("/")
    if not (job.isdigit() and jobs.isdigit() and 1 <= int(job) <= int(jobs)):
        raise argparse.ArgumentTypeError(f"expected J/N with 1 <= J <= N, got '{text}'")
    return int(job), int(jobs)


def add_part(parser: argparse.ArgumentParser) -> None:
    """``--part J/N``."""
    parser.add_argument(
        "--part", type=part, default=(1, 1), metavar="J/N", help="do the J-th of N shares (default: all)"
    )


def add_ngpu(parser: argparse.ArgumentParser) -> None:
    """``--ngpu N``."""
    parser.add_argument("--ngpu", type=int, default=0, metavar="N", help="GPUs (default 0: the CPU)")


def device_of(ngpu: int, job: int) -> str:
    """Where a job computes, by ``--ngpu``; jobs of one machine take its GPUs in turn.

    Raises:
        ContrasepError: a GPU is asked for and there is none.
    """
    import torch

    if not ngpu:
        return "cpu"
    if not torch.cuda.is_available():
        raise ContrasepError("--ngpu: no GPU is available here; leave it out")
    return f"cuda:{job % torch.cuda.device_count()}"


def share(items: Sequence[Item], which: tuple[int, int]) -> list[Item]:
    """The J-th of N contiguous shares of ``items``, whose sizes differ by one at most."""
    job, jobs = which
    return list(items[len(items) * (job - 1) // jobs : len(items) * job // jobs])
