"""Orthogonalised steps for matrices (Muon), Adam for everything else, as one optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class MuonAdam(torch.optim.Optimizer):
    """Muon (Jordan et al., 2024) for weights that are matrices, Adam for biases, scales, filters and the rest.

    The momentum of a matrix is brought to singular values of about one, so that rare directions move as
    far as common ones. Steps are scaled to the length of Adam's (Liu et al., arXiv 2502.16982), so that
    both share one learning rate. `torch.optim.Muon` and `torch.optim.Adam` do the work on the groups of
    this optimiser; schedulers and checkpoints see one of two groups.

    Args:
        named: names and parameters of a model, as ``named_parameters`` gives them.
        lr: learning rate of both.
        momentum: of matrices.
        betas: of Adam.

    Raises:
        ValueError: a value is outside its range.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, torch.nn.Parameter]],
        lr: float = 1e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        parts: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
        for name, parameter in named:
            # ``weight_ih_l0`` and the like of recurrent layers too; other matrices hold vectors side by side
            parts[parameter.ndim == 2 and name.rpartition(".")[2].startswith("weight")].append(parameter)
        makers = (
            (parts[True], lambda some: torch.optim.Muon(
                some, lr, weight_decay=0.0, momentum=momentum, adjust_lr_fn="match_rms_adamw"
            )),
            (parts[False], lambda some: torch.optim.Adam(some, lr, tuple(betas))),
        )
        self._inner = [make(some) for some, make in makers if some]
        super().__init__([group for inner in self._inner for group in inner.param_groups], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both; returns what ``closure`` gives."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # a checkpoint that was loaded, and schedulers, have groups and states of this optimiser alone
        for inner, group in zip(self._inner, self.param_groups):
            inner.param_groups, inner.state = [group], self.state
            inner.step()
        return loss
