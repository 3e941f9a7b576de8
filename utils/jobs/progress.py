"""How far jobs are, on a terminal."""

from __future__ import annotations

import os
import sys

from . import logs
from .base import Task


class Progress:
    """One line, drawn again; nothing where errors go to a file.

    Args:
        tasks: all.
    """

    def __init__(self, tasks: list[Task]):
        self.drawn = sys.stderr.isatty()
        self._tasks = tasks
        if self.drawn:
            try:
                self._width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
            except OSError:
                self._width = 79

    def draw(self, done: set[Task]) -> None:
        """Show which tasks are done, and what the logs of the others say."""
        if not self.drawn:
            return
        share = sum(100 if task in done else logs.percent(task.log) for task in self._tasks) / len(self._tasks)
        words = f"  {share:3.0f} %  {len(done)}/{len(self._tasks)} jobs"
        # one that draws no bar, as training into a log, has lines to show
        if len(self._tasks) == 1 and not share:
            words = f"  {logs.last_line(self._tasks[0].log) or words.strip()}"
        print(f"\r{words[: self._width]:{self._width}}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave an empty line."""
        if self.drawn:
            print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)
