"""Direct ascent on soft assignments: free logits per node, no network between."""

from __future__ import annotations

import torch

from contrasep_lib.modularity.operator import GraphOperator
from contrasep_lib.modularity.solvers.base import Solver, random_sample
from contrasep_lib.modularity.solvers.options import DirectOptions

_STILL = 1e-3
_SHARPEST = 30.0


class DirectSolver(DirectOptions, Solver):
    """Mirror ascent of a quality over ``C = softmax(logits)``, one row of logits per node.

    The step adds ``rate * (BC)_ik / d_i`` to the logits: the natural gradient of Q, scaled
    by degree so that all nodes decide equally fast; of another quality, its slope in the place of
    ``BC``. The rate doubles while the quality rises and is cut where it does not, so it never falls.
    Its arguments are those of :class:`~contrasep_lib.modularity.solvers.options.DirectOptions`.
    """

    def _assign(
        self, operator: GraphOperator, num_communities: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, None]:
        small = operator
        if operator.nodes > self.sample:
            small = operator.restrict(
                random_sample(operator.nodes, self.sample, generator, operator.z.device)
            )
        best_quality, best = -torch.inf, small.z[:, :0]
        for _ in range(self.restarts):
            noise = torch.randn(small.nodes, num_communities, generator=generator, dtype=torch.float64)
            assign, quality = ascend(small, noise.to(small.z), self.steps)
            if quality > best_quality:
                best_quality, best = quality, assign
        if small is operator:
            return best, None
        pull = operator.attraction(small, best)
        scale = pull.abs().amax(1, keepdim=True).clamp(min=torch.finfo(pull.dtype).tiny)
        return ascend(operator, _SHARPEST * pull / scale, self.full_steps)[0], None


def ascend(operator: GraphOperator, logits: torch.Tensor, steps: int) -> tuple[torch.Tensor, float]:
    """Soft assignments ``(nodes, K)`` reached from ``logits``, and their quality."""
    degrees = operator.degrees.unsqueeze(1)
    inverse = torch.where(degrees > 0, 1 / degrees, torch.zeros_like(degrees))
    rate = 4.0 * logits.shape[1]
    best_quality, best, best_logits = -torch.inf, logits, logits
    direction = torch.zeros_like(logits)
    for _ in range(steps):
        assign = logits.softmax(1)
        edges, inside, volume = operator.sums(assign)
        quality = operator.value(inside, volume)
        if quality > best_quality:
            moved = 1.0 if best_quality == -torch.inf else float((assign - best).abs().amax())
            best_quality, best, best_logits = quality, assign, logits
            if moved < _STILL:
                break
            direction = operator.slope(edges, inside, volume) * inverse
            rate = min(2 * rate, 1e6)
        else:
            rate /= 8
            if rate < 1e-3:
                break
        logits = best_logits + rate * direction
        # Bounded, a node that must change sides later still can.
        logits = (logits - logits.amax(1, keepdim=True)).clamp(min=-_SHARPEST)
    return best, best_quality
