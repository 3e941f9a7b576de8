"""Waiting that signals end."""

from __future__ import annotations

import contextlib
import os
import select
import signal

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal that ends this program.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


class Wakeup:
    """Signals that are noticed while waiting, and nowhere else: what is under way, as a submission, is completed.

    Those that the caller ignores, as nohup does, stay ignored.
    """

    def __init__(self) -> None:
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        self._got: list[int] = []
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in ENDING:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda number, frame: self._got.append(number))

    def wait(self, seconds: float) -> None:
        """Wait until the time is over or a child has ended.

        Raises:
            Interrupted: a signal came, now or earlier.
        """
        if not self._got:
            select.select([self._read], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)
        if self._got:
            raise Interrupted(self._got[0])

    @staticmethod
    def end_by(number: int) -> None:
        """End this program by a signal, so that the calling shell sees it."""
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
