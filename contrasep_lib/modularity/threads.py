"""Loops whose steps are independent, walked by several threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")


def in_shares(work: Callable[[int, int], Part], steps: int, device: torch.device) -> list[Part]:
    """``work(share, shares)`` for each share of ``steps`` steps; the results, by share.

    On a CPU there are as many shares as torch has threads, each walked by one thread alone
    (none gets less than four steps). Threads that share the work of each step meet
    thousands of times, and stand still wherever other work keeps a core busy. Gradients
    are not recorded.
    """
    threads = torch.get_num_threads()
    shares = max(min(threads, steps // 4), 1) if device.type == "cpu" else 1

    def alone(share: int) -> Part:
        torch.set_num_threads(1)
        with torch.no_grad():
            return work(share, shares)

    if shares == 1:
        with torch.no_grad():
            return [work(0, 1)]
    try:
        with ThreadPoolExecutor(shares) as pool:
            return list(pool.map(alone, range(shares)))
    finally:
        torch.set_num_threads(threads)
