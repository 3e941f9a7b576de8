"""A learning rate schedule without an end."""

from __future__ import annotations

import torch
from espnet2.schedulers.abs_scheduler import AbsBatchStepScheduler


class WarmupConstantLR(torch.optim.lr_scheduler.LRScheduler, AbsBatchStepScheduler):
    """The learning rate rises linearly over the first steps, then stays (``scheduler: warmupconstant``).

    The rate of step n (from 1) is ``min(1, n / warmup_steps)`` times the optimiser's. It does not depend on how many
    steps will follow, so a training can be continued for ever by the same command.

    A decay is a phase of its own: begin with the averaged weights of the constant phase (``--init-param model.pth``)
    under a schedule that decays, in another folder. Momenta of the optimiser are not taken over; they are
    made anew within some hundred steps, for which ``onecyclelr`` has a warm-up. The constant phase is left as it is
    and may go on. Changing the schedule within a folder is refused, as every option that changes a step.

    Args:
        optimizer: whose learning rates are the highest.
        warmup_steps: steps until they are reached.
        last_epoch: as torch's.

    Raises:
        ValueError: ``warmup_steps`` is less than 1.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, warmup_steps: int = 500, last_epoch: int = -1) -> None:
        if warmup_steps < 1:
            raise ValueError(f"warmup_steps: expected at least 1, got {warmup_steps}")
        self.warmup_steps = warmup_steps
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Rates of the next step."""
        share = min(1.0, (self.last_epoch + 1) / self.warmup_steps)
        return [rate * share for rate in self.base_lrs]
