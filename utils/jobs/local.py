"""Jobs on this machine."""

from __future__ import annotations

import os

from . import logs, processes
from .base import Backend, Outcome, Task, shell_status, token


def processors() -> int:
    """Those that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


class Local(Backend):
    """Jobs as processes, each in a session of its own.

    Args:
        at_once: most jobs at once; None for one per processor.
    """

    title = "local"

    def __init__(self, at_once: int | None):
        self._at_once = at_once or processors()
        self._run = token() + token()
        self._running: dict[Task, processes.Job] = {}
        self._failed: list[tuple[Task, Outcome]] = []
        run = self._run
        self._watcher = processes.Watcher(lambda: processes.end_all(run, [], grace=0))

    def start(self, waiting: list[Task]) -> None:
        while waiting and len(self._running) < self._at_once:
            task = waiting.pop(0)
            try:
                with logs.begin(task.log, task.command, task.attempt) as out:
                    try:
                        self._running[task] = processes.Job(processes.start(task.command, out, self._run))
                    except OSError as error:
                        status = processes.start_status(error)
                        out.write(f"{task.command[0]}: {error.strerror}\n".encode("utf-8", "replace"))
                        out.close()
                        logs.end(task.log, logs.status_words(status), 0)
                        self._failed.append((task, Outcome(status, final=True)))
            except OSError as error:
                self._failed.append((task, Outcome(1, f"cannot be written: {error.strerror}", final=True)))

    def ended(self) -> list[tuple[Task, Outcome]]:
        found, self._failed = self._failed, []
        for task, job in list(self._running.items()):
            returned = job.poll()
            if returned is not None:
                del self._running[task]
                status = shell_status(returned)
                logs.end(task.log, logs.status_words(status), job.seconds)
                found.append((task, Outcome(status)))
        # the end of a job wakes the program, that of what it left does not
        self.pause = 0.05 if any(job.lingers for job in self._running.values()) else Backend.pause
        return found

    def cancel(self, reason: str) -> None:
        processes.end_all(self._run, [job.process.pid for job in self._running.values()])
        for task, job in self._running.items():
            job.process.wait()
            logs.end(task.log, reason, job.seconds)
        self._running.clear()

    def close(self) -> None:
        self._watcher.dismiss()
