"""Training in several processes, of one machine or of several: each takes its share of every batch.

They are started by torch's own launcher (``torch.distributed.launcher``, what ``torchrun`` runs): one on each node,
which starts and watches the processes there. A process that dies ends all the others.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import io
import json
import logging
import multiprocessing
import multiprocessing.connection
import os
import re
import resource
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.machine import keep_freed_memory
from contrasep_lib.train.rendezvous import THIS_MACHINE, meeting_point, own_name

if TYPE_CHECKING:
    from contrasep_lib.train.task import ContrasepTask

# how long nodes wait for one another at the start, and processes for one another at each step
MINUTES_TO_MEET, MINUTES_OF_SILENCE = 60, 5
# open files of a launcher, and of each process that it starts: pipes, sockets, shared memory
FILES, FILES_OF_ONE = 64, 8
GOES_ON = "the same command goes on from the last checkpoint"
# what torch says where the process at the other end is gone; its own kinds of errors differ between backends
_LOST = re.compile(
    r"gloo|NCCL|\bTCPStore\b|Connection (closed|reset|refused)|Broken pipe|Socket|Timed out|"
    r"^(DistBackendError|DistNetworkError|DistStoreError|ConnectionError|EOFError)"
)


def train_in_processes(args: argparse.Namespace, task: type[ContrasepTask]) -> None:
    """Start this node's processes, train with those of all nodes, and wait for the end.

    Args:
        args: see `contrasep_lib.train.task.build_arguments`; ``processes`` on each of ``num_nodes`` nodes, which meet
            at ``rendezvous``.
        task: what is trained.

    Raises:
        ContrasepError: too few open files are allowed, nodes that do not meet, a process that died, or what one of the
            processes reports.
        SystemExit: ended by a signal.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    _allow_open_files(FILES + FILES_OF_ONE * args.processes, args.processes)
    # it has the tracebacks of its processes, which are told in one line here
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    logging.getLogger("torch.multiprocessing").setLevel(logging.CRITICAL)
    # torch advises on each process's terminal; read when a process loads it
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # imported once, and not by each process; nothing but imports runs before they part
    multiprocessing.set_forkserver_preload(["contrasep_lib.train.preload"])
    alone = args.num_nodes == 1
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="contrasep-"))
        stack.enter_context(_signals_kept())
        # a node that is not told so asks a second time, as a guest, where it cannot be the host: for minutes
        where = (f"{THIS_MACHINE}:0", True) if alone else stack.enter_context(meeting_point(args.rendezvous))
        settings = {"join_timeout": 60 * MINUTES_TO_MEET, **({} if where[1] is None else {"is_host": where[1]})}
        config = LaunchConfig(
            min_nodes=args.num_nodes, max_nodes=args.num_nodes, nproc_per_node=args.processes, run_id="contrasep",
            rdzv_backend="c10d", rdzv_endpoint=where[0], rdzv_configs=settings, max_restarts=0,
            start_method="forkserver", local_addr=THIS_MACHINE if alone else own_name(),
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        threads = max(1, torch.get_num_threads() // args.processes)
        try:
            elastic_launch(config, _train_as_rank)(task, args, threads)
        except ChildFailedError as error:
            _, first = error.get_first_failure()
            raise _reason(Path(folder), first.exitcode) from None
        except RendezvousError as error:
            if any(Path(folder).rglob("attempt_*")):
                # they had met: the node at which they did is gone
                raise _reason(Path(folder), 1) from None
            if alone:
                raise ContrasepError(
                    f"training processes cannot meet at {THIS_MACHINE}: {_last_words(error)}; train in one process "
                    f"(--processes 1)"
                ) from None
            raise ContrasepError(
                f"--rendezvous {args.rendezvous}: {args.num_nodes} nodes did not meet at {where[0]} "
                f"({_last_words(error)}); start all of them within {MINUTES_TO_MEET} minutes"
            ) from None
        except SignalException as error:
            if error.sigval == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise SystemExit(128 + error.sigval) from None


def _allow_open_files(needed: int, processes: int) -> None:
    """Raise the limit: where sockets cannot be opened torch tries again for minutes, or ends in a traceback."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ContrasepError(
            f"--processes {processes}: expected at least {needed} open files to be allowed, got {hard}; raise the "
            f"limit (ulimit -n), or train in one process"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _train_as_rank(task: type[ContrasepTask], args: argparse.Namespace, threads: int) -> None:
    """What each process runs; its number is in the environment."""
    args.dist_rank, args.dist_world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    # ESPnet trains on one GPU in each process that was started from outside
    args.ngpu = min(args.ngpu, 1)
    if args.ngpu:
        os.environ.setdefault("NCCL_DEBUG", "WARN")  # ESPnet's is INFO
    else:
        # ESPnet looks for a GPU by them, whether one is used or not
        for name in ("LOCAL_RANK", "CUDA_VISIBLE_DEVICES"):
            os.environ.pop(name, None)
        keep_freed_memory()
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    silence = datetime.timedelta(minutes=MINUTES_OF_SILENCE)
    # ESPnet has no option for it
    torch.distributed.init_process_group = functools.partial(torch.distributed.init_process_group, timeout=silence)
    try:
        # ESPnet prints the command of each process
        with contextlib.redirect_stderr(io.StringIO()) if args.dist_rank else contextlib.nullcontext():
            task.main(args=args)
        # whoever leaves first takes the connection of the others away
        torch.distributed.barrier()
    finally:
        if torch.distributed.is_initialized():
            # threads of gloo that outlive the interpreter abort the process
            torch.distributed.destroy_process_group()


def _end_with_launcher() -> None:
    # its end of a pipe closes when it dies, whatever it dies of
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _reason(folder: Path, exit_code: int) -> Exception:
    """Why processes of this node died, as far as they or their end say."""
    said = []
    for path in sorted(folder.rglob("error.json"), key=lambda path: path.stat().st_mtime):
        # one that is killed while it writes leaves half of it
        with contextlib.suppress(ValueError, KeyError, TypeError):
            message = json.loads(path.read_text(encoding="utf-8"))["message"]
            said.append((message["message"], message["extraInfo"]["py_callstack"]))
    for words, _ in said:
        if words.startswith(f"{ContrasepError.__name__}: "):
            return ContrasepError(words.partition(": ")[2])
        error = last_os_error(words)
        # what a process says whose connection to another one broke is a consequence
        if error and not isinstance(error, (ConnectionError, TimeoutError)):
            return error
    for words, traceback in said:
        if not _LOST.search(words):
            return RuntimeError(f"in a training process:\n{traceback}")
    if exit_code < 0:
        killed = signal.Signals(-exit_code).name
        return ContrasepError(
            f"a training process was ended by {killed}{', out of memory?' * (killed == 'SIGKILL')}, and with it all "
            f"others; {GOES_ON}"
        )
    return ContrasepError(
        f"another training process was lost (killed? out of memory? see the log of each node), and with it all others; "
        f"{GOES_ON}"
    )


def last_os_error(text: str) -> OSError | None:
    """The last error of the system in such a traceback, if any: a full disk, a folder that may not be written to."""
    found = re.findall(r"^\w+Error: \[Errno (\d+)\] (.*?)(?:: '(.*)')?$", text, flags=re.MULTILINE)
    return OSError(int(found[-1][0]), *found[-1][1:]) if found else None


def _last_words(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """The launcher sets handlers of signals and leaves them; before it does, a signal ends the process in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    kept = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT)}
    try:
        signal.signal(signal.SIGTERM, end)
        yield
    finally:
        for name, handler in kept.items():
            signal.signal(name, handler)
