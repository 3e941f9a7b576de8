"""The log of a job: it begins with command and host, and ends with status and time."""

from __future__ import annotations

import os
import re
import time
from typing import IO

from .base import signal_name
from .words import quoted

_BAR = re.compile(r"(\d+)%\|")


def now() -> str:
    """The time as logs show it."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


def begin(path: str, command: list[str], attempt: int = 1, place: str = "") -> IO[bytes]:
    """Open a log and write its first lines; a further attempt stands below those before it.

    Raises:
        OSError: it cannot be written.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    again = "" if attempt == 1 else f", attempt {attempt}"
    # a log of a link's name is written in the link's place
    if attempt == 1 and os.path.islink(path):
        os.unlink(path)
    # all writers append: what a job leaves behind must not write over the last line
    file = open(path, "ab")
    try:
        if attempt == 1:
            file.truncate(0)
        text = f"# {quoted(command)}\n# Started at {now()} on {os.uname().nodename}{place}{again}\n"
        file.write(text.encode("utf-8", "surrogateescape"))
        file.flush()
    except BaseException:
        file.close()
        raise
    return file


def status_words(status: int) -> str:
    """``code 137: SIGKILL``."""
    return f"code {status}" + (f": {signal_name(status - 128)}" if 128 < status < 193 else "")


def end(path: str, words: str, seconds: float | None = None) -> None:
    """Write the last line; a log that cannot be written any more stays as it is."""
    line = f"# Ended ({words}) at {now()}" + ("" if seconds is None else f" after {seconds:.0f} s")
    try:
        with open(path, "ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else "\n" + line
            file.write((line + "\n").encode("utf-8", "replace"))
    except OSError:
        pass


def end_once(path: str, words: str) -> None:
    """Write the last line of a log that is there, where its job did not."""
    last = tail(path).rstrip("\n").rsplit("\n", 1)[-1]
    if os.path.exists(path) and not last.startswith("# Ended ("):
        end(path, words)


def tail(path: str, size: int = 400) -> str:
    """The last bytes of a log, as far as there is one; carriage returns end lines."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read().decode("utf-8", "replace").replace("\r", "\n")
    except OSError:
        return ""


def percent(path: str) -> int:
    """The last percentage that a progress bar wrote into a log, or 0."""
    found = _BAR.findall(tail(path))
    return int(found[-1]) if found else 0


def last_line(path: str) -> str:
    """The last whole line of a log that the command wrote, or nothing."""
    lines = [line for line in tail(path).split("\n")[:-1] if line.strip() and not line.startswith("#")]
    return lines[-1].strip() if lines else ""


def last_lines(path: str, number: int = 10) -> list[str]:
    """The last lines of a log that the command wrote; bars are left out."""
    lines = tail(path, 65536).split("\n")
    said = [line for line in lines if line.strip() and not line.startswith("#") and not _BAR.search(line)]
    return said[-number:]
