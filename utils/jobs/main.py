"""The program: from the command line to the exit status."""

from __future__ import annotations

import os
import signal
import sys

from . import folders, logs
from .base import Backend, JobError, Outcome, Task, UsageError, signal_name, working_folder
from .options import Call, parse
from .progress import Progress
from .wakeup import Interrupted, Wakeup
from .words import ranges, substitute


def main(arguments: list[str], manual: str) -> int:
    """Run jobs; returns 0 where all succeeded, 1 where some failed, 2 for a wrong call."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(manual.strip())
        return 0
    try:
        return run(parse(arguments))
    except UsageError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 2
    except JobError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1


def scheduler_of(backend: str, call: Call):
    """The programs of a cluster.

    Raises:
        UsageError: its configuration is wrong.
    """
    from .options import configuration
    from .settings import read_settings

    settings = call.settings if call.settings and call.backend == backend else read_settings(configuration(backend))
    if backend == "slurm":
        from .slurm import Slurm

        return Slurm(settings)
    from .sge import Sge

    return Sge(settings)


def backend_of(call: Call, log: str) -> Backend:
    """Where the jobs of a call run."""
    if call.backend == "local":
        from .local import Local

        return Local(call.at_once)
    from .cluster import Cluster

    return Cluster(scheduler_of(call.backend, call), call, folders.new_folder(log))


def tasks_of(call: Call) -> list[Task]:
    """A task for each number."""
    folder, tasks = working_folder(), []
    for number in call.numbers:
        log, command = substitute(call.name, number, call.log, call.command, call.marked)
        tasks.append(Task(number, os.path.join(folder, log), log, command))
    return tasks


def run(call: Call) -> int:
    """Run the jobs of a call.

    Raises:
        JobError: they cannot be run.
    """
    if call.with_parent:
        from .processes import signal_at_parents_end

        signal_at_parents_end(signal.SIGTERM)
    tasks, log = tasks_of(call), os.path.join(working_folder(), call.log)
    wakeup = Wakeup()
    folders.cancel_left(log, lambda backend: scheduler_of(backend, call))
    backend = backend_of(call, log)
    progress = Progress(tasks)
    try:
        outcomes = supervise(backend, tasks, call.retries, wakeup, progress)
    except Interrupted as interrupted:
        progress.clear()
        end(backend, f"cancelled by {signal_name(interrupted.number)}")
        wakeup.end_by(interrupted.number)
        return 128 + interrupted.number
    except BaseException:
        end(backend, "cancelled as run.py failed")
        raise
    progress.clear()
    backend.close()
    return report(tasks, outcomes)


def end(backend: Backend, reason: str) -> None:
    """Cancel all that runs; what cannot be cancelled is told."""
    try:
        backend.cancel(reason)
    except JobError as error:
        print(f"run.py: {error}; cancel the jobs by hand", file=sys.stderr)
    backend.close()


def supervise(
    backend: Backend, tasks: list[Task], retries: int, wakeup: Wakeup, progress: Progress
) -> dict[Task, Outcome]:
    """Run tasks, failed ones again; returns how each ended."""
    waiting, outcomes = list(tasks), {}
    while len(outcomes) < len(tasks):
        backend.start(waiting)
        ended = backend.ended()
        for task, outcome in ended:
            if outcome.status != 0 and not outcome.final and task.attempt <= retries:
                task.attempt += 1
                waiting.append(task)
            else:
                outcomes[task] = outcome
        progress.draw(set(outcomes))
        # in the place of what ended others may begin at once
        if not ended and len(outcomes) < len(tasks):
            wakeup.wait(min(backend.pause, 0.2) if progress.drawn else backend.pause)
    return outcomes


def report(tasks: list[Task], outcomes: dict[Task, Outcome]) -> int:
    """Tell what failed; returns the exit status."""
    failed = [task for task in tasks if outcomes[task].status != 0]
    if not failed:
        return 0
    for line in logs.last_lines(failed[0].log):
        print(line, file=sys.stderr)
    alike: dict[str, list[Task]] = {}
    for task in failed:
        words = outcomes[task].words
        if outcomes[task].status == 128 + signal.SIGKILL:
            words = "killed (SIGKILL), by somebody or for want of memory: see --mem"
        if words:
            alike.setdefault(words, []).append(task)
    for words, found in alike.items():
        which = f"job {ranges([task.number for task in found])}: " if len(tasks) > 1 else ""
        print(f"{found[0].shown}: {which}{words}", file=sys.stderr)
    print(f"run.py: {len(failed)} of {len(tasks)} jobs failed, log is in {failed[0].shown}", file=sys.stderr)
    return 1
