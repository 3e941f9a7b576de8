"""Counting by the effective number of communities against that of single-speaker recordings."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from contrasep_lib.config import Bounded
from contrasep_lib.config.bounds import PositiveWeight, Steps, Weight
from contrasep_lib.counting.counters.base import CountDecision, CountEstimator, KnownSpeech, number_words
from contrasep_lib.counting.counters.options import EffectiveNumberOptions
from contrasep_lib.counting.cuts import MIN_NODES
from contrasep_lib.counting.drawing import check_countable, drawn
from contrasep_lib.counting.effective import effective_number
from contrasep_lib.counting.evidence import Evidence, evidence_of
from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.diagnostics import FurtherSplit
from contrasep_lib.modularity.graphs import Graph
from contrasep_lib.nodes.nodeset import NodeSet

NODES = 1024
"""Of a recording's nodes so many are measured at most, drawn by weight."""

LEAST_EXCESS = 0.25
"""Of the mean. Recordings as alike as planted clouds would otherwise leave no room for what a sum of few nodes adds."""


@dataclasses.dataclass(frozen=True)
class SingleSpeakers(Bounded):
    """Effective numbers of single-speaker recordings.

    Attributes:
        mean: of them.
        excess: by which their upper quantile exceeds the mean, at least 0.
        recordings: that were measured; 0 for the values of a narrow cloud, which stand in where there are none.
    """

    mean: PositiveWeight = 1.0
    excess: Weight = 0.4
    recordings: Steps = 0

    def score(self, number: float, speakers: int) -> float:
        """By how much an effective number exceeds that of so many speakers, over the root of their number.

        Effective numbers of speakers without edges between them add up. The sum of K has K times the mean and, where
        they are independent, a spread that grows with the root of K: the score of K speakers exceeds ``excess`` as
        rarely as one speaker does.
        """
        return (number - speakers * self.mean) / math.sqrt(speakers)

    def count(self, number: float) -> int:
        """The least number of speakers whose score does not exceed ``excess``."""
        speakers = 1
        while self.score(number, speakers) > self.excess + 1e-9:
            speakers += 1
        return speakers


class EffectiveNumber(CountEstimator):
    """As many speakers as the graph's effective number of communities takes; see `contrasep_lib.counting.effective`.

    It learns from single-speaker recordings alone, and has one threshold for all counts.

    Args:
        options: declared for it.
        graph: in which evidence is measured; the decision has a graph of its own.
        single: effective numbers of one speaker.
    """

    state_file = "effective_number.json"

    def __init__(
        self, options: EffectiveNumberOptions, graph: Graph, single: SingleSpeakers = SingleSpeakers()
    ) -> None:
        self.options, self.graph, self.single = options, graph, single

    @classmethod
    def from_options(
        cls, options: EffectiveNumberOptions, graph: Graph, most: int, network: torch.nn.Module | None
    ) -> EffectiveNumber:
        """See `CountEstimator.from_options`."""
        return cls(options, graph)

    def fitted(self, speech: KnownSpeech | None, seed: int) -> EffectiveNumber:
        """See `CountEstimator.fitted`; the values of a narrow cloud without any speech."""
        options = self.options
        if speech is None or options.utterances == 0:
            return self._with_single(SingleSpeakers())
        pieces = speech.mixtures(1, options.utterances, options.seconds)
        # 0 where there are too few nodes or no edges: that says nothing of one speaker
        values = [number for nodes, _ in pieces if (number := self.number(nodes, seed)) > 0]
        if not values:
            raise ContrasepError(
                f"{speech.name}: nothing but silence, or recordings of fewer than {MIN_NODES} nodes; look at the dump "
                "of stage 2"
            )
        made = self.calibrated(values)
        single = made.single
        print(
            f"null of the count: {single.recordings} single speakers, effective number {single.mean:.2f}, "
            f"at most {single.mean + single.excess:.2f}"
        )
        return made

    def calibrated(self, values: Sequence[float]) -> EffectiveNumber:
        """The counter after it has seen effective numbers above 0 of single-speaker recordings, at least one."""
        mean = float(np.mean(values))
        upper = float(np.quantile(values, 1 - self.options.level))
        return self._with_single(SingleSpeakers(mean, max(upper - mean, LEAST_EXCESS * mean), len(values)))

    def state(self) -> dict[str, Any]:
        """See `CountEstimator.state`."""
        return dataclasses.asdict(self.single)

    def with_state(self, state: Mapping[str, Any]) -> EffectiveNumber:
        """See `CountEstimator.with_state`."""
        expected = [field.name for field in dataclasses.fields(SingleSpeakers)]
        if sorted(state) != sorted(expected):
            raise ValueError(f"expected the fields {', '.join(expected)}, got {', '.join(map(str, state)) or 'none'}")
        return self._with_single(SingleSpeakers(**state))

    def number(self, nodes: NodeSet, seed: int) -> float:
        """Effective number of communities of one recording; 0 with fewer than 24 nodes, which any few could be cut.

        Args:
            nodes: node set of one recording.
            seed: of the nodes that are drawn where there are more than 1,024.
        """
        z, weight, _ = drawn(nodes, 0, seed, NODES)
        return effective_number(z, weight, self.options.power) if len(z) >= MIN_NODES else 0.0

    @torch.no_grad()
    def count(
        self, nodes: NodeSet, analysis: Analysis, most: int, seed: int, with_evidence: bool = False
    ) -> CountDecision:
        """See `CountEstimator.count`."""
        check_countable(nodes)
        number = self.number(nodes, seed)
        found = self.single.count(number)
        count = min(found, most)
        scores = [self.single.score(number, k) for k in range(1, most + 1)]
        words = f"{number_words(count)}: the graph has {number:.2f} effective communities, "
        words += f"{number_words(count)} at most {self._most_of(count):.2f}"
        if found > most:
            words = f"{number_words(count)}: the graph has {number:.2f} effective communities, "
            words += f"which would be {number_words(found)}, but k_max is {most}"
        bar = self.single.excess
        evidence: tuple[Evidence, ...] = ()
        if with_evidence:
            rows = [(score, below, bar) for score, below in zip(scores, [math.nan, *scores])]
            evidence = evidence_of(nodes, most, self.graph, rows, seed, self.quality)
        return CountDecision(count, words, None, evidence, FurtherSplit(scores[count - 1], bar, found > most))

    def _most_of(self, speakers: int) -> float:
        """The effective number at which so many speakers become one more."""
        return speakers * self.single.mean + math.sqrt(speakers) * self.single.excess

    def _with_single(self, single: SingleSpeakers) -> EffectiveNumber:
        made = copy.copy(self)
        made.single = single
        return made
