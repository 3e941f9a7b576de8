"""Slurm."""

from __future__ import annotations

import contextlib
import os
import re
import time

from .base import JobError
from .scheduler import Scheduler, State
from .settings import Settings

OVER = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}
# after these the job may have ended by itself, with a marker on its way
BY_ITSELF = {"COMPLETED", "FAILED"}
# of what pends for these reasons nothing runs until somebody does something
HELD = (
    "JobHeld",
    "BadConstraints",
    "AccountNotAllowed",
    "DependencyNeverSatisfied",
    "launch failed",
    "PartitionDown",
    "InvalidAccount",
    "InvalidQOS",
)
# failures that pass
PASSING = ("timed out", "temporarily", "Unable to contact", "try again")


class Slurm(Scheduler):
    name, title = "slurm", "Slurm"
    index = "SLURM_ARRAY_TASK_ID"
    restarts = "SLURM_RESTART_COUNT"
    remedies = {"OUT_OF_MEMORY": "give it more by --mem", "TIMEOUT": "give it more by --time"}

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self._submitted: set[str] = set()

    def submit(self, script: str, name: str, count: int, at_once: int | None, flags: list[str]) -> str:
        array = f"1-{count}" + (f"%{at_once}" if at_once and at_once < count else "")
        words = [
            *self.settings.command[1:],
            *flags,
            "--parsable",
            f"--job-name={name}",
            f"--array={array}",
            "--output=/dev/null",
            "--error=/dev/null",
            script,
        ]
        job = self._submit(name, words)
        self._submitted.add(job)
        return job

    def _submit(self, name: str, words: list[str]) -> str:
        for pause in (5, 10, 20, None):
            try:
                return self.call(self.settings.command[0], *words, plain=False).strip().split(";")[0]
            except JobError as error:
                if pause is None or not any(words in str(error) for words in PASSING):
                    raise
            time.sleep(pause)
            with contextlib.suppress(JobError):
                # it may have been accepted all the same
                accepted = {job for job, _ in self.ask(name)} - self._submitted
                if accepted:
                    return accepted.pop()
        raise AssertionError

    def ask(self, name: str) -> dict[tuple[str, int], State]:
        told = self.call(
            "squeue",
            "--noheader",
            "--array",
            "--states=all",
            f"--user={os.getuid()}",
            f"--name={name}",
            "--format=%F|%K|%T|%r",
        )
        states = {}
        for line in told.splitlines():
            job, place, word, reason = [*line.split("|", 3), "", "", ""][:4]
            # what was cancelled before it began has no place of its own
            states[job, int(place) if place.isdecimal() else 0] = _state(word, reason)
        return states

    def explain(self, tasks: list[tuple[str, int]]) -> dict[tuple[str, int], State]:
        which = ",".join(sorted({job for job, _ in tasks}))
        try:
            told = self.call(
                "sacct", "--noheader", "--allocations", "--parsable2", f"--jobs={which}", "--format=JobID,State"
            )
        except JobError:
            # no accounting here
            return {}
        found = re.findall(r"^(\d+)_(\d+)\|(.+)$", told, re.MULTILINE)
        return {(job, int(place)): _state(words) for job, place, words in found}

    def cancel(self, name: str) -> None:
        self.call("scancel", f"--user={os.getuid()}", f"--name={name}")


def _state(words: str, reason: str = "") -> State:
    """The state of a job by Slurm's words: ``CANCELLED by 1000``."""
    word = (words.split() or [""])[0]
    over, said = word in OVER, reason not in ("", "None")
    return State(
        over,
        f"{words} ({reason})" if said else words,
        over and word not in BY_ITSELF,
        word == "CANCELLED",
        not over and reason.startswith(HELD),
    )
