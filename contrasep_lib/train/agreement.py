"""Training processes go on from one and the same checkpoint, where a shared file system shows files late too."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from contrasep_lib.errors import ContrasepError

# seconds; NFS shows a file of another node after 3 to 60, by its caches of attributes
LATEST, STEP = 90.0, 0.5


def of_first(value: int) -> int:
    """The number that the first process has; all of them call."""
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    agreed = torch.tensor(value, device=device)
    torch.distributed.broadcast(agreed, 0)
    return int(agreed)


def seen_by_all(checkpoint: Path) -> None:
    """Wait until this process sees a checkpoint where the first one does; all of them call.

    Raises:
        ContrasepError: it does not appear, or one is here that the first process does not see.
    """
    there, limit = bool(of_first(checkpoint.is_file())), time.monotonic() + LATEST
    while checkpoint.is_file() != there:
        if time.monotonic() > limit:
            here, elsewhere = ("none", "one") if there else ("one", "none")
            raise ContrasepError(
                f"{checkpoint}: expected {elsewhere} here, as the first training process sees, got {here}; all nodes "
                "have to see the same folder"
            )
        time.sleep(STEP)


def of_one_epoch(restore: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The states of the checkpoint of that epoch which the first process reads; all of them call.

    Args:
        restore: reads them.

    Raises:
        ContrasepError: this process keeps reading those of another epoch.
    """
    states, limit = restore(), time.monotonic() + LATEST
    epoch = of_first(states["reporter"]["epoch"])
    while states["reporter"]["epoch"] != epoch:
        if time.monotonic() > limit:
            raise ContrasepError(
                f"checkpoint: expected that of epoch {epoch}, as the first training process reads, got epoch "
                f"{states['reporter']['epoch']}; all nodes have to see the same folder"
            )
        time.sleep(STEP)
        states = restore()
    return states
