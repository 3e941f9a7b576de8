"""The command line of run.py."""

from __future__ import annotations

import os
import re

from .base import UsageError
from .settings import Settings, read_settings
from .words import stands_in_log

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BACKENDS = ("local", "slurm", "sge")
_COUNT = (re.compile(r"[1-9][0-9]{0,8}"), "a whole number of at least 1")
_NUMBER = (re.compile(r"[0-9]{1,9}"), "a whole number")
# options of every backend: their values, and those in words
CHECKS = {
    "mem": (re.compile(r"[0-9]+(\.[0-9]+)?[KMGTkmgt]?"), "a size as 4G"),
    "gpu": _NUMBER,
    "num_threads": _COUNT,
    "num_nodes": _COUNT,
    "time": (re.compile(r"[0-9]+(-[0-9]+)?(:[0-9]+){0,2}"), "a time as 1:00:00"),
    "max_jobs_run": _COUNT,
    "retries": _NUMBER,
    "mark": _NUMBER,
}
# options that a site's file turns into flags
RESOURCES = ("mem", "gpu", "num_threads", "num_nodes", "time")
_RANGE = re.compile(r"([A-Za-z_]\w*)=([0-9]{1,9})(?::([0-9]{1,9}))?")
_MOST_JOBS = 1_000_000


class Call:
    """What run.py was asked for.

    Attributes:
        backend: its name.
        settings: the site's, None for ``local``.
        resources: values by names of options, for the site's file.
        at_once: most jobs at once, None for no limit.
        retries: further attempts of a failed job.
        marked: see ``words.substitute``.
        with_parent: end when the calling process ends.
        name, numbers: of the range; None and [1] without one.
        log, command: with the name.
    """

    def __init__(self) -> None:
        self.backend = "local"
        self.settings: Settings | None = None
        self.config: str | None = None
        self.resources: dict[str, str] = {}
        self.at_once: int | None = None
        self.retries, self.with_parent = 0, False
        self.marked: int | None = None
        self.name: str | None = None
        self.numbers, self.log = [1], ""
        self.command: list[str] = []


def parse(arguments: list[str]) -> Call:
    """Read a command line.

    Raises:
        UsageError: it is wrong.
    """
    call, words = Call(), list(arguments)
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option in ("--end-with-parent", "--end_with_parent"):
            call.with_parent = True
            continue
        option, equals, value = option.partition("=")
        if not equals:
            if not words:
                raise UsageError(f"{option} needs a value")
            value = words.pop(0)
        _take(call, option, value)
    _take_range(call, words)
    if len(words) < 2:
        raise UsageError("expected a log file and a command; see run.py --help")
    call.log, call.command = words[0], words[1:]
    _check(call)
    if call.backend != "local":
        call.settings = read_settings(call.config or configuration(call.backend))
    for name in call.resources:
        if name not in RESOURCES and not (call.settings and call.settings.knows(name)):
            raise UsageError(f"unknown option '--{name.replace('_', '-')}'; see run.py --help")
    return call


def _take(call: Call, option: str, value: str) -> None:
    name = option[2:].replace("-", "_")
    if not re.fullmatch(r"--\w[\w-]*", option):
        raise UsageError(f"unknown option '{option}'; see run.py --help")
    if name in CHECKS:
        pattern, words = CHECKS[name]
        if not pattern.fullmatch(value):
            raise UsageError(f"{option}: expected {words}, got '{value}'")
    if name == "backend":
        if value not in BACKENDS:
            raise UsageError(f"{option}: unknown backend '{value}'; known: {', '.join(BACKENDS)}")
        call.backend = value
    elif name == "config":
        call.config = value
    elif name == "max_jobs_run":
        call.at_once = int(value)
    elif name == "retries":
        call.retries = int(value)
    elif name == "mark":
        call.marked = int(value)
    else:
        call.resources[name] = value


def _take_range(call: Call, words: list[str]) -> None:
    match = _RANGE.fullmatch(words[0]) if words else None
    if not match:
        return
    first, last = int(match[2]), int(match[3] or match[2])
    if not 1 <= first <= last or last - first >= _MOST_JOBS:
        raise UsageError(f"expected a range like JOB=1:4, got '{words[0]}'")
    call.name, call.numbers = match[1], list(range(first, last + 1))
    words.pop(0)


def _check(call: Call) -> None:
    if call.name and len(call.numbers) > 1 and not stands_in_log(call.name, call.log, call.marked):
        where = "" if call.marked is None else " in its last component"
        raise UsageError(f"the log '{call.log}' must hold {call.name}{where}, or the jobs would share it")
    if call.marked is not None and call.marked > len(call.command):
        raise UsageError(f"--mark {call.marked}: expected at most the {len(call.command)} words of the command")


def configuration(backend: str) -> str:
    """The recipe's own file, or the toolkit's."""
    own = os.path.join("conf", f"{backend}.conf")
    return own if os.path.exists(own) else os.path.join(ROOT, own)
