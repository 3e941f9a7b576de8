"""What a job of a cluster runs: one task of a submission, with its log and its marker."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time

from . import logs, processes
from .base import shell_status, write_new
from .words import substitute

SPEC, MARKER = "spec.json", "done."


def tidy() -> None:
    """Wait for what the command left in this process group, and end it then: the log's last line is the last."""
    group, deadline = os.getpgrp(), time.monotonic() + processes.LINGER
    while time.monotonic() < deadline and processes.rest_of(group, os.getpid(), younger=True):
        time.sleep(0.05)
    for pid in processes.rest_of(group, os.getpid(), younger=True):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def run(folder: str, place: int) -> int:
    """Run the task at a place of the array, counted from 1; returns 0 where it succeeded, else 1.

    A marker tells its exit status. None is written where the scheduler ended it: whether it runs again is known
    there alone.
    """
    with open(os.path.join(folder, SPEC), encoding="utf-8") as file:
        spec = json.load(file)
    number, attempt = spec["tasks"][place - 1]
    log, command = substitute(spec["name"], number, spec["log"], spec["command"], spec["marked"])
    log = os.path.join(spec["cwd"], log)
    attempt += int(os.environ.get(spec["restarts"]) or 0)
    begun, ended = time.monotonic(), []
    job = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("JOB_ID") or ""
    with logs.begin(log, command, attempt, f" ({spec['title']} {job}.{place})") as out:
        try:
            process = processes.start(command, out, cwd=spec["cwd"])

            def pass_on(signum: int, _frame: object) -> None:
                ended.append(signum)
                process.send_signal(signum)

            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(signum, pass_on)
            returned = process.wait()
            status = shell_status(returned)
            # a scheduler ends all processes of a job, and not all at the same moment
            deadline = time.monotonic() + (2.0 if returned < 0 else 0.5 if returned else 0.0)
            while not ended and time.monotonic() < deadline:
                time.sleep(0.05)
            tidy()
        except OSError as error:
            status = processes.start_status(error)
            out.write(f"{error.filename or command[0]}: {error.strerror}\n".encode("utf-8", "replace"))
    words = logs.status_words(status) + (f", {logs.signal_name(ended[0])} from the scheduler" if ended else "")
    logs.end(log, words, time.monotonic() - begun)
    if not ended:
        write_new(os.path.join(folder, f"{MARKER}{place}"), f"{status}\n")
    return 1 if status else 0


def main(arguments: list[str]) -> int:
    """``run.py --worker FOLDER PLACE``."""
    folder, place = arguments
    try:
        return run(folder, int(place))
    except (OSError, ValueError, LookupError) as error:
        print(f"{folder}: task {place} cannot be run: {error}", file=sys.stderr)
        return 1
