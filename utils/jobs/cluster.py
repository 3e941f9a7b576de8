"""Jobs on a cluster: arrays, and markers that tell how their tasks ended.

A task's marker is a file that its job writes. The scheduler is asked only whether jobs are gone without one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time

from . import folders, logs, processes
from .base import Backend, JobError, Outcome, Task, token, working_folder, write_new
from .options import ROOT, Call
from .scheduler import Scheduler, State
from .worker import MARKER, SPEC

# seconds between two questions to the scheduler, at least
ASK_SECONDS = 5.0
# seconds in which cancelled jobs are expected to end
CANCEL_SECONDS = 30.0
# a job that the scheduler ended has no marker; one that ended at the same time may have
SURE_SECONDS = 3.0
# of what the scheduler knows nothing
UNKNOWN = State(True, "")
SCRIPT = """#!/bin/sh
exec {python} -S -E {program} --worker {folder} "${index}" >{folder}/output."${index}" 2>&1
"""


class Submission:
    """One array: its id, and by their places those of its tasks whose end is not known yet."""

    def __init__(self, folder: str, tasks: list[Task]):
        self.folder, self.id = folder, ""
        self.open = dict(enumerate(tasks, 1))


def job_name(call: Call) -> str:
    """A name that is like the log's and unique: mix.JOB.log gives mix-0f3c29d1."""
    stem = os.path.basename(call.log).replace(call.name or "\0", "")
    stem = re.sub(r"[^A-Za-z0-9]+", "-", stem[:-4] if stem.endswith(".log") else stem).strip("-")
    return f"{stem if stem[:1].isalpha() else 'job' + stem}-{token()}"


class Cluster(Backend):
    """Tasks as arrays of a scheduler.

    Args:
        scheduler: its programs.
        call: what run.py was asked for.
        folder: a new one, for scripts and markers, which all machines see.
    """

    def __init__(self, scheduler: Scheduler, call: Call, folder: str):
        self.title = scheduler.title
        self._scheduler, self._call, self._folder = scheduler, call, folder
        self._name = job_name(call)
        assert call.settings is not None
        self._flags = call.settings.flags_of(call.resources)
        self._values = call.settings.values
        self._submissions: list[Submission] = []
        self._count = 0
        # task -> (since when it is gone, what the scheduler said)
        self._gone: dict[Task, tuple[float, State | None]] = {}
        self._asked, self._interval = time.monotonic(), ASK_SECONDS
        self._told: set[str] = set()
        folders.make(folder, call.backend, self._name)
        name = self._name
        self._watcher = processes.Watcher(lambda: scheduler.cancel(name))

    # ---------------------------------------------------------------- start
    def start(self, waiting: list[Task]) -> None:
        running = sum(len(submission.open) for submission in self._submissions)
        limit = self._call.at_once if self._call.at_once and self._call.at_once < len(self._call.numbers) else None
        # a limit holds within an array: the next one waits for the end of this
        if not waiting or (limit and running):
            return
        # what failed is gathered, as submitting costs the scheduler too
        if self._count and running and time.monotonic() < self._asked + ASK_SECONDS:
            return
        most = int(self._values["max_array"])
        tasks = waiting[:most]
        del waiting[:most]
        self._submit(tasks, limit)

    def _submit(self, tasks: list[Task], limit: int | None) -> None:
        try:
            submission, script = self._prepare(tasks)
        except OSError as error:
            raise JobError(f"{error.filename}: cannot be written: {error.strerror}") from None
        submission.id = self._scheduler.submit(script, self._name, len(tasks), limit, self._flags)
        self._submissions.append(submission)
        self._interval = ASK_SECONDS

    def _prepare(self, tasks: list[Task]) -> tuple[Submission, str]:
        """What the jobs of an array read, and its script."""
        call = self._call
        self._count += 1
        submission = Submission(os.path.join(self._folder, str(self._count)), tasks)
        os.mkdir(submission.folder)
        for task in tasks:
            if task.attempt == 1:
                os.makedirs(os.path.dirname(task.log), exist_ok=True)
                folders.remove_file(task.log)
        spec = {
            "name": call.name,
            "tasks": [(task.number, task.attempt) for task in tasks],
            "log": call.log,
            "command": call.command,
            "marked": call.marked,
            "cwd": working_folder(),
            "title": self.title,
            "restarts": self._scheduler.restarts,
        }
        write_new(os.path.join(submission.folder, SPEC), json.dumps(spec))
        script = os.path.join(submission.folder, "job.sh")
        write_new(
            script,
            SCRIPT.format(
                python=shlex.quote(sys.executable),
                program=shlex.quote(os.path.join(ROOT, "utils", "run.py")),
                folder=shlex.quote(submission.folder),
                index=self._scheduler.index,
            ),
        )
        return submission, script

    # ---------------------------------------------------------------- ends
    def ended(self) -> list[tuple[Task, Outcome]]:
        found = [pair for submission in self._submissions for pair in self._by_markers(submission)]
        now = time.monotonic()
        overdue = self._overdue(now)
        unexplained = [(submission, place) for submission, place, state in overdue if state is None]
        if unexplained and now >= self._asked + ASK_SECONDS:
            self._explain(unexplained)
        elif now >= self._asked + self._interval and any(submission.open for submission in self._submissions):
            self._ask()
            self._interval = min(1.5 * self._interval, max(self._values["ask_seconds"], ASK_SECONDS))
        for submission, place, state in overdue:
            if state is not None:
                task = submission.open.pop(place)
                del self._gone[task]
                found.append((task, self._lost(submission, place, task, state)))
        return found

    def _overdue(self, now: float) -> list[tuple[Submission, int, State | None]]:
        """Tasks whose markers are not awaited any longer, with what is known of them."""
        found = []
        for submission in self._submissions:
            for place, task in submission.open.items():
                since, state = self._gone.get(task, (now, None))
                patience = self._values["late_seconds"]
                if task in self._gone and now >= since + (
                    min(SURE_SECONDS, patience) if state and state.sure else patience
                ):
                    found.append((submission, place, state))
        return found

    def _explain(self, unexplained: list[tuple[Submission, int]]) -> None:
        self._asked = time.monotonic()
        known = self._scheduler.explain([(submission.id, place) for submission, place in unexplained])
        for submission, place in unexplained:
            task = submission.open[place]
            self._gone[task] = self._gone[task][0], known.get((submission.id, place), UNKNOWN)

    def _by_markers(self, submission: Submission) -> list[tuple[Task, Outcome]]:
        found = []
        # to open the folder makes other machines' files in it visible, where looking for their names alone does not
        try:
            names = os.listdir(submission.folder) if submission.open else []
        except OSError:
            # a server that is away for a while
            return []
        for name in names:
            place = name[len(MARKER) :]
            if name.startswith(MARKER) and place.isdecimal() and int(place) in submission.open:
                status = self._status(submission, int(place))
                if status is not None:
                    task = submission.open.pop(int(place))
                    self._gone.pop(task, None)
                    found.append((task, Outcome(status)))
        return found

    @staticmethod
    def _status(submission: Submission, place: int) -> int | None:
        try:
            with open(os.path.join(submission.folder, f"{MARKER}{place}"), encoding="utf-8") as file:
                return int(file.read())
        except (OSError, ValueError):
            return None

    def _ask(self) -> None:
        self._asked = time.monotonic()
        try:
            known = self._scheduler.ask(self._name)
        except JobError as error:
            self._tell(f"{self.title} does not answer: {error}; waiting")
            return
        held: dict[str, list[int]] = {}
        for submission in self._submissions:
            for place, task in submission.open.items():
                state = known.get((submission.id, place), known.get((submission.id, 0)))
                if state is None or state.over:
                    since, before = self._gone.get(task, (self._asked, None))
                    self._gone[task] = since, state or before
                else:
                    self._gone.pop(task, None)
                    if state.held:
                        held.setdefault(state.words, []).append(task.number)
        for words, numbers in held.items():
            self._tell(f"{self.title} holds {len(numbers)} jobs: {words}; waiting")

    def _lost(self, submission: Submission, place: int, task: Task, state: State) -> Outcome:
        """The verdict on a task that left no marker."""
        # the last look is for the file itself
        status = self._status(submission, place)
        if status is not None:
            return Outcome(status)
        job = f"{submission.id}.{place}"
        said = logs.tail(os.path.join(submission.folder, f"output.{place}")).strip().split("\n")[-1]
        words = f"{self.title} says {state.words}" if state.words else f"{self.title} knows nothing of it any more"
        words = f"{self.title} job {job} left no status; {words}" + (f"; it said: {said}" if said else "")
        try:
            if not os.path.exists(task.log):
                logs.begin(task.log, task.command, task.attempt, f" ({self.title} {job})").close()
        except OSError:
            pass
        logs.end_once(task.log, words)
        remedy = self._scheduler.remedies.get((state.words.split() or [""])[0])
        return Outcome(None, f"{words}; {f'{remedy}, then ' if remedy else ''}run the same command again", state.final)

    def _tell(self, words: str) -> None:
        if words not in self._told:
            self._told.add(words)
            print(f"run.py: {words}", file=sys.stderr, flush=True)

    # ---------------------------------------------------------------- the end
    def cancel(self, reason: str) -> None:
        if not self._submissions:
            return
        folders.cancel(self._scheduler, self._name, CANCEL_SECONDS)
        for submission in self._submissions:
            for task in submission.open.values():
                logs.end_once(task.log, reason)

    def close(self) -> None:
        self._watcher.dismiss()
        folders.remove(self._folder)
