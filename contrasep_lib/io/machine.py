"""The machine that computes: its words for results, and its memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path

CPU_TABLE = Path("/proc/cpuinfo")
# parameters of mallopt (malloc.h of glibc) and what they are set to
_MALLOC = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, 2**31 - 1), "M_TOP_PAD": (-2, 256 * 2**20)}


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
    """The clock that measures work.

    Processor time, because jobs may share a core; with GPUs, whose work is not in that, the time.
    """
    return time.perf_counter if ngpu else time.process_time


def _cores() -> int:
    # not every system tells which cores a process may use
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory() -> bool:
    """Let this process, and those it forks, keep the memory that tensors free.

    By default glibc maps a large block for each large tensor and unmaps it afterwards, and the kernel clears its
    pages anew each time. With this the heap grows to the most that is in use at once and never shrinks. For runs on
    the CPU, before the model is built.

    Returns:
        whether it took effect; other C libraries are left as they are.
    """
    try:
        glibc = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return False
    if not (glibc or "").startswith("glibc"):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(parameter, value) == 1 for parameter, value in _MALLOC.values()])


def give_back_memory() -> None:
    """Give freed memory back to the system now, in spite of `keep_freed_memory`; between long pieces of work.

    The heap of a process that computes for hours otherwise grows beyond what any one piece takes, by what lies between
    blocks in use.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def forget_shapes() -> None:
    """Let oneDNN, which computes for torch on the CPU, remember few shapes; before torch is imported.

    It keeps compiled code and buffers for each of 1024 lengths of a window otherwise, some 7 MB each. So does ideep,
    by which torch calls it in bfloat16: 2.5 MB for each window of 30 s, whose length without its silences is a new one.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8")
    os.environ.setdefault("LRU_CACHE_CAPACITY", "8")
