"""Counting by the probabilities of existence of the solver's slots."""

from __future__ import annotations

import copy

import torch

from contrasep_lib.counting.counters.base import CountDecision, number_words
from contrasep_lib.counting.counters.recursive_split import RecursiveSplit
from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.solvers.base import Solver
from contrasep_lib.modularity.solvers.slots import SlotsSolver
from contrasep_lib.nodes.nodeset import NodeSet

_CERTAIN = 20.0
"""Largest logit of an existence."""


class SlotCount(RecursiveSplit):
    """The most probable number of slots that exist, each independent of the others.

    It knows the numbers of speakers that the solver was trained on, and no single speakers where those were left out.
    The null of the recursive split gives the evidence where it is asked for; it decides nothing.

    Attributes:
        solver: from which the probabilities come; `with_solver` sets it.
    """

    solver: SlotsSolver | None = None

    def with_solver(self, solver: Solver) -> SlotCount:
        """See `CountEstimator.with_solver`."""
        if not isinstance(solver, SlotsSolver):
            raise ContrasepError(
                f"modularity.counting: 'slots' needs modularity.solver 'slots', got {type(solver).__name__}"
            )
        made = copy.copy(self)
        made.solver = solver
        return made

    @torch.no_grad()
    def count(
        self, nodes: NodeSet, analysis: Analysis, most: int, seed: int, with_evidence: bool = False
    ) -> CountDecision:
        """See `CountEstimator.count`."""
        if self.solver is None:
            raise ContrasepError("modularity.counting: 'slots' needs modularity.solver 'slots', got none")
        evidence = super().count(nodes, analysis, most, seed, True).evidence if with_evidence else ()
        kept = nodes.valid[0]
        said = self.solver.read(nodes.z[0, kept], nodes.weight[0, kept], torch.Generator().manual_seed(seed))
        # a certain slot would leave no chance at all for numbers below that of the certain ones
        exist = said.existence[0].double().clamp(-_CERTAIN, _CERTAIN).sigmoid()
        chance = number_chances(exist)[1 : most + 1]
        chance = chance / chance.sum().clamp_min(torch.finfo(chance.dtype).tiny)
        number = int(chance.argmax()) + 1
        shares = ", ".join(f"{k} {share:.0%}" for k, share in enumerate(chance.tolist(), 1))
        words = f"{number_words(number)} by the slots ({shares})"
        return CountDecision(number, words, tuple(chance.tolist()), evidence)


def number_chances(chance: torch.Tensor) -> torch.Tensor:
    """Probabilities of 0, 1, .. slots of which each exists with a probability of its own (Poisson binomial).

    Args:
        chance: ``(slots,)``.

    Returns:
        ``(slots + 1,)``.

    Example:
        >>> number_chances(torch.tensor([0.5, 0.5])).tolist()
        [0.25, 0.5, 0.25]
    """
    numbers = torch.nn.functional.pad(chance.new_ones(1), (0, len(chance)))
    for one in chance:
        numbers = (1 - one) * numbers + one * torch.nn.functional.pad(numbers[:-1], (1, 0))
    return numbers
