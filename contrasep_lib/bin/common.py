"""Options that several commands share."""

from __future__ import annotations

import argparse
from typing import Any, Callable, Sequence, TypeVar

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
            raise ContrasepError(f"--{option}: expected {len(values[0])} values, one for each of --{options[0]}, got {len(given)}")
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


def add_corpus(parser: argparse.ArgumentParser, holds: str, *names: str) -> None:
    """Options of stage 0 of a corpus that can be downloaded.

    Those of `add_config`, ``--out``, ``--nj``, ``--corpus`` and ``--download-dir``.

    Args:
        parser: receives the options.
        holds: what is in the folder of a local copy, for the help.
        names: further names of ``--corpus``.
    """
    add_config(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="sources folder")
    parser.add_argument("--nj", type=positive, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument(
        "--corpus", *names, metavar="DIR", help=f"local copy, the folder that holds {holds}; nothing is downloaded then"
    )
    add_download_dir(parser)


def add_download_dir(parser: argparse.ArgumentParser) -> None:
    """``--download-dir DIR``."""
    parser.add_argument(
        "--download-dir", default="downloads", metavar="DIR", help="for downloads (default: %(default)s)"
    )


def share(items: Sequence[Item], which: tuple[int, int]) -> list[Item]:
    """The J-th of N contiguous shares of ``items``, whose sizes differ by one at most."""
    job, jobs = which
    return list(items[len(items) * (job - 1) // jobs : len(items) * job // jobs])


def progress(items: Sequence[Item], what: str) -> Any:
    """``items`` under a progress bar: drawn on a terminal, a line now and then in a log.

    Used as ``with progress(items, what) as shown``, so that the bar is closed before a fault is told.
    """
    import sys

    from tqdm import tqdm

    interval = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(items, desc=what, mininterval=interval, ascii=not sys.stderr.isatty())


def progress_of(total: float, what: str) -> Any:
    """A progress bar over ``total`` seconds of audio, as `progress` draws them; its ``update(seconds)`` moves it."""
    import math
    import sys

    from tqdm import tqdm

    interval, form = 0.2 if sys.stderr.isatty() else 10.0, "{l_bar}{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"
    # headers and tables round, and nothing passes a whole bar
    total = max(math.ceil(total), 1)
    return tqdm(total=total, desc=what, mininterval=interval, ascii=not sys.stderr.isatty(), bar_format=form)


class _Spread:
    """``work(*item)`` as a function of one argument that can be sent to a process."""

    def __init__(self, work: Callable[..., Any]) -> None:
        self.work = work

    def __call__(self, item: Sequence[Any]) -> Any:
        return self.work(*item)


def in_processes(work: Callable[..., Any], items: Sequence[Sequence[Any]], nj: int, what: str) -> list[Any]:
    """``[work(*item) for item in items]`` on ``nj`` processes, in order, under a progress bar.

    Raises:
        ContrasepError: the first fault of ``work``, or a process that died.
    """
    if nj == 1 or len(items) < 2:
        with progress(items, what) as shown:
            return [work(*item) for item in shown]
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    try:
        with ProcessPoolExecutor(min(nj, len(items))) as pool:
            results = pool.map(_Spread(work), items, chunksize=max(1, len(items) // (nj * 8)))
            with progress(range(len(items)), what) as shown:
                return [result for _, result in zip(shown, results)]
    except BrokenProcessPool:
        raise ContrasepError(f"{what}: a worker process was killed; out of memory? use a smaller --nj") from None
