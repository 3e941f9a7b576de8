"""The machine that computes, in words for results."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Callable

CPU_TABLE = Path("/proc/cpuinfo")


def device_words(ngpu: int = 0, cores: int = 1) -> str:
    """What computes, e.g. ``2 cores of AMD EPYC``, or the name of the GPU.

    Args:
        ngpu: GPUs in use; 0 means the processor.
        cores: of the processor in use; no more than there are for this process count.
    """
    if ngpu:
        import torch

        return (f"{ngpu} x " if ngpu > 1 else "") + torch.cuda.get_device_name()
    lines = CPU_TABLE.read_text(encoding="utf-8").splitlines() if CPU_TABLE.is_file() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "CPU")
    cores = min(_cores(), cores)
    return f"{cores} core{'s' * (cores > 1)} of {name}"


def work_clock(ngpu: int = 0) -> Callable[[], float]:
    """The clock that tells work: processor time, because jobs may share a core; with GPUs, whose work is not in that, the time."""
    return time.perf_counter if ngpu else time.process_time


def _cores() -> int:
    # not every system tells which cores a process may use
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
