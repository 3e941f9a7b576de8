"""Training in several processes of one machine without GPUs: each takes its share of every batch."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import signal
import sys
import tempfile
from typing import TYPE_CHECKING

import torch

from contrasep_lib.io.machine import keep_freed_memory

if TYPE_CHECKING:
    from contrasep_lib.train.task import ContrasepTask


def train_in_processes(args: argparse.Namespace, task: type[ContrasepTask]) -> None:
    """Processes of this machine that share each batch and average their gradients."""
    threads = max(1, torch.get_num_threads() // args.processes)
    # torch advises on each process's terminal; read when a process loads it
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with tempfile.TemporaryDirectory(prefix="contrasep-") as folder:
        vars(args).update(
            dist_backend="gloo", dist_init_method=f"file://{folder}/meeting", dist_world_size=args.processes
        )
        torch.multiprocessing.spawn(_train_as_rank, (task, args, threads), args.processes)


def _train_as_rank(rank: int, task: type[ContrasepTask], args: argparse.Namespace, threads: int) -> None:
    torch.set_num_threads(threads)
    keep_freed_memory()
    # torch sends it when the parent dies, and whoever is started in the background ignores it
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    args.dist_rank = rank
    # ESPnet prints the command of each process
    try:
        with contextlib.redirect_stderr(io.StringIO()) if rank else contextlib.nullcontext():
            task.main(args=args)
        # whoever leaves first takes the connection of the others away
        torch.distributed.barrier()
    finally:
        if torch.distributed.is_initialized():
            # threads of gloo that outlive the interpreter abort the process
            torch.distributed.destroy_process_group()
    _leave()


def _leave() -> None:
    """End a process whose work is done, and do not wait for destructors.

    Some threads of torch's and gloo's outlive `destroy_process_group`; now and then one of them is still there when
    the libraries' static objects go, and the process is
    aborted ("terminate called without an active exception") after all is written.
    """
    for child in torch.multiprocessing.active_children():  # those that prepare data
        child.terminate()
        child.join()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
