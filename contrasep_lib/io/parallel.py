"""Work on several processes, and progress bars."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from contrasep_lib.errors import ContrasepError

if TYPE_CHECKING:
    from multiprocessing.context import SpawnContext


def progress(items: Sequence[Any], what: str) -> Any:
    """``items`` under a progress bar: drawn on a terminal, a line now and then in a log.

    Used as ``with progress(items, what) as shown``, so that the bar is closed before an error is reported.
    """
    from tqdm import tqdm

    interval = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(items, desc=what, mininterval=interval, ascii=not sys.stderr.isatty())


def progress_of(total: float, what: str, in_logs: bool = True) -> Any:
    """A progress bar over ``total`` seconds of audio, as `progress` draws them; its ``update(seconds)`` moves it.

    Args:
        total: seconds.
        what: stands before it.
        in_logs: whether a log gets a line now and then; without, nothing is drawn but on a terminal.
    """
    from tqdm import tqdm

    interval, form = 0.2 if sys.stderr.isatty() else 10.0, "{l_bar}{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"
    # headers and tables round, and nothing passes a whole bar
    total = max(math.ceil(total), 1)
    return tqdm(
        total=total, desc=what, mininterval=interval, ascii=not sys.stderr.isatty(), bar_format=form,
        disable=not (in_logs or sys.stderr.isatty()),
    )


def in_processes(work: Callable[..., Any], items: Sequence[Sequence[Any]], nj: int, what: str) -> list[Any]:
    """``[work(*item) for item in items]`` on ``nj`` processes, in order, under a progress bar.

    Raises:
        ContrasepError: the first error of ``work``, or a process that died.
    """
    if nj == 1 or len(items) < 2:
        with progress(items, what) as shown:
            return [work(*item) for item in shown]
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    try:
        with ProcessPoolExecutor(min(nj, len(items))) as pool:
            results = pool.map(work, *zip(*items), chunksize=max(1, len(items) // (nj * 8)))
            with progress(range(len(items)), what) as shown:
                return [result for _, result in zip(shown, results)]
    except BrokenProcessPool:
        raise ContrasepError(f"{what}: a worker process was killed; out of memory? use a smaller --nj") from None


def spawning() -> SpawnContext:
    """Multiprocessing whose processes begin anew, for libraries that do not survive a fork.

    Where a signal ends this process, its tracker of semaphores removes them without a warning.
    """
    import multiprocessing

    filters = [*filter(None, os.environ.get("PYTHONWARNINGS", "").split(","))]
    os.environ["PYTHONWARNINGS"] = ",".join(dict.fromkeys([*filters, "ignore:resource_tracker"]))
    return multiprocessing.get_context("spawn")
