"""The paper's own count: the communities that the partition of largest Q leaves non-empty (arXiv 2305.10652)."""

from __future__ import annotations

import math

import torch

from contrasep_lib.counting.counters.base import CountDecision, CountEstimator, number_words
from contrasep_lib.counting.counters.options import LargestModularityOptions
from contrasep_lib.counting.drawing import check_countable, drawn
from contrasep_lib.counting.evidence import Evidence, evidence_of
from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.modularity.graphs import Graph
from contrasep_lib.modularity.solvers.spectral import SpectralSolver
from contrasep_lib.nodes.nodeset import NodeSet

NODES = 1024
"""Of a recording's nodes so many are partitioned at most, drawn by weight."""


class LargestModularity(CountEstimator):
    """The number of communities of the partition of largest Q into at most so many.

    It has no null and learns nothing. One speaker is the answer only where no partition has a positive Q
    (``docs/concepts/counting.md``).

    Args:
        options: declared for it.
        graph: that is partitioned.
    """

    def __init__(self, options: LargestModularityOptions, graph: Graph) -> None:
        self.options, self.graph = options, graph

    @classmethod
    def from_options(
        cls, options: LargestModularityOptions, graph: Graph, most: int, network: torch.nn.Module | None
    ) -> LargestModularity:
        """See `CountEstimator.from_options`."""
        return cls(options, graph)

    @torch.no_grad()
    def count(
        self, nodes: NodeSet, analysis: Analysis, most: int, seed: int, with_evidence: bool = False
    ) -> CountDecision:
        """See `CountEstimator.count`."""
        check_countable(nodes)
        z, weight, _ = drawn(nodes, 0, seed, NODES)
        some = NodeSet.from_embeddings(
            torch.from_numpy(z).float()[None], weight=torch.from_numpy(weight).float()[None]
        )
        found = SpectralSolver().solve(some, self.options.outputs, self.graph, seed)
        number = len(found.labels.unique())
        count = min(number, most)
        words = f"{number_words(count)}: the largest Q, {float(found.modularity):.2f}, leaves {number} of "
        words += f"{self.options.outputs} communities non-empty"
        if number > most:
            words += f", but k_max is {most}"
        evidence: tuple[Evidence, ...] = ()
        if with_evidence:
            evidence = evidence_of(nodes, most, self.graph, [(math.nan,) * 3] * most, seed, self.quality)
        return CountDecision(count, words, None, evidence)
