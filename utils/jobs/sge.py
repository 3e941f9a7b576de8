"""Grid Engine: Sun's, Son of Grid Engine, Univa's."""

from __future__ import annotations

import getpass
import re

from .base import JobError
from .scheduler import Scheduler, State

_FIELD = re.compile(r"<(JB_job_number|JB_name|state|tasks)>(.*?)</")


class Sge(Scheduler):
    name, title = "sge", "Grid Engine"
    index = "SGE_TASK_ID"

    def submit(self, script: str, name: str, count: int, at_once: int | None, flags: list[str]) -> str:
        limit = ["-tc", str(at_once)] if at_once and at_once < count else []
        told = self.call(
            self.settings.command[0],
            *self.settings.command[1:],
            *flags,
            "-terse",
            "-N",
            name,
            "-t",
            f"1-{count}",
            *limit,
            "-j",
            "y",
            "-o",
            "/dev/null",
            script,
            plain=False,
        )
        found = re.search(r"^\s*(\d+)", told, re.MULTILINE)
        if not found:
            raise JobError(f"{self.settings.command[0]}: expected the number of a job, got '{told.strip()}'")
        return found[1]

    def ask(self, name: str) -> dict[tuple[str, int], State]:
        states = {}
        for entry in self.call("qstat", "-u", getpass.getuser(), "-xml").split("<job_list")[1:]:
            fields = dict(_FIELD.findall(entry))
            if fields.get("JB_name") == name:
                word = fields.get("state", "")
                # E: an error of the node or of the script's start; it is not tried again by itself
                state = State("E" in word, f"state {word}", "E" in word, False, "h" in word)
                states.update({(fields["JB_job_number"], place): state for place in _places(fields.get("tasks", ""))})
        return states

    def explain(self, tasks: list[tuple[str, int]]) -> dict[tuple[str, int], State]:
        known = {}
        for job in sorted({job for job, _ in tasks}):
            try:
                told = self.call("qacct", "-j", job)
            except JobError:
                # no accounting here, or not written yet
                continue
            for entry in re.split(r"^=+$", told, flags=re.MULTILINE):
                fields = dict(re.findall(r"^(\w+)\s+(.*?)\s*$", entry, re.MULTILINE))
                if fields.get("taskid", "").isdecimal() and "exit_status" in fields:
                    known[job, int(fields["taskid"])] = _state(fields)
        return known

    def cancel(self, name: str) -> None:
        try:
            self.call("qdel", name)
        except JobError as error:
            if "does not exist" not in str(error):
                raise


def _state(fields: dict[str, str]) -> State:
    """The state of a job by its account; who deleted it stands in some versions' alone."""
    by = fields.get("deleted_by", "NONE")
    words = ", ".join(
        f"{name} {' '.join(fields[name].split())}" for name in ("exit_status", "failed", "maxvmem") if name in fields
    )
    return State(True, words + ("" if by == "NONE" else f", deleted by {by}"), True, by != "NONE")


def _places(words: str) -> list[int]:
    """Places in an array as qstat shows them: ``1,2,5-9:2``."""
    places: list[int] = []
    for part in words.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?(?::(\d+))?", part)
        if found:
            places += range(int(found[1]), int(found[2] or found[1]) + 1, int(found[3] or 1))
    return places
