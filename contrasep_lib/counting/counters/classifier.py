"""Counting by the classifier that a model has learned beside its embeddings."""

from __future__ import annotations

import torch

from contrasep_lib.counting.counters.base import CountDecision, number_words
from contrasep_lib.counting.counters.options import RecursiveSplitOptions
from contrasep_lib.counting.counters.recursive_split import RecursiveSplit
from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.graphs import Graph
from contrasep_lib.nodes.nodeset import NodeSet


class Classifier(RecursiveSplit):
    """The most probable number of speakers by a network that sees the whole recording at once.

    The null of the recursive split gives the evidence where it is asked for; it decides nothing.

    Attributes:
        network: `contrasep_lib.counting.counter.Counter` of the model.
    """

    network: torch.nn.Module

    @classmethod
    def from_options(
        cls, options: RecursiveSplitOptions, graph: Graph, most: int, network: torch.nn.Module | None
    ) -> Classifier:
        """See `CountEstimator.from_options`."""
        if network is None:
            raise ContrasepError(
                "modularity.counting: 'classifier' needs a model trained with the objective count; "
                "use 'recursive_split'"
            )
        made = cls(options, graph, most)
        made.network = network
        return made

    @torch.no_grad()
    def count(
        self, nodes: NodeSet, analysis: Analysis, most: int, seed: int, with_evidence: bool = False
    ) -> CountDecision:
        """See `CountEstimator.count`."""
        evidence = super().count(nodes, analysis, most, seed, True).evidence if with_evidence else ()
        scores = self.network(nodes.z, nodes.weight * nodes.valid, analysis.hidden, analysis.frames)
        chance = scores.log_softmax(-1)[0, :most].softmax(-1).cpu().numpy()
        number = int(chance.argmax()) + 1
        shares = ", ".join(f"{k} {share:.0%}" for k, share in enumerate(chance, 1))
        words = f"{number_words(number)} by the classifier ({shares})"
        return CountDecision(number, words, tuple(chance.tolist()), evidence)
