"""Options that several commands share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from contrasep_lib.config.bounds import Count, Processes, shown, typed
from contrasep_lib.errors import ContrasepError

Item = TypeVar("Item")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all others are."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")


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


def within(kind: Any) -> Callable[[str], Any]:
    """Type of options that take a number.

        parser.add_argument("--seconds", type=within(Seconds))
        parser.add_argument("--channel", type=within(Annotated[int, Range(1, 64)]))

    Args:
        kind: ``int`` or ``float`` with bounds, as options of a configuration have it (`contrasep_lib.config.bounds`).
    """

    def convert(text: str) -> Any:
        try:
            return typed(kind, text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


# of options that count something
positive = within(Count)


def part(text: str) -> tuple[int, int]:
    """Type of ``--part J/N``: the J-th of N shares, counted from 1."""
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    job, jobs = map(int, found.groups()) if found else (0, 0)
    if not 1 <= job <= jobs:
        raise argparse.ArgumentTypeError(f"expected J/N with 1 <= J <= N, got {shown(text)}")
    return job, jobs


def add_part(parser: argparse.ArgumentParser) -> None:
    """``--part J/N``."""
    parser.add_argument(
        "--part", type=part, default=(1, 1), metavar="J/N", help="do the J-th of N shares (default: all)"
    )


def add_pipes(parser: argparse.ArgumentParser) -> None:
    """``--allow-pipes``."""
    parser.add_argument(
        "--allow-pipes", action="store_true",
        help="run the commands in wav.scp ('cmd |', by sh -c), for tables that you trust; without it they are refused",
    )


def add_ngpu(parser: argparse.ArgumentParser) -> None:
    """``--ngpu N``."""
    parser.add_argument("--ngpu", type=within(Processes), default=0, metavar="N", help="GPUs (default 0: the CPU)")


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
