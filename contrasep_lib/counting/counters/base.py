"""What all counters share: the form of a decision, and what they are given."""

from __future__ import annotations

import abc
import copy
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

import torch

from contrasep_lib.counting.evidence import Evidence
from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.modularity.diagnostics import FurtherSplit
from contrasep_lib.modularity.graphs import Graph
from contrasep_lib.modularity.quality import Modularity, Quality
from contrasep_lib.modularity.solvers.base import Solver
from contrasep_lib.nodes.nodeset import NodeSet

Estimator = TypeVar("Estimator", bound="CountEstimator")


@dataclasses.dataclass(frozen=True)
class CountDecision:
    """How many speakers a recording has, and why.

    Attributes:
        number: of speakers, at least 1.
        words: the decision in words.
        probabilities: of 1, 2, .. speakers; None from a counter that knows none.
        evidence: one entry for each number from 1 on; empty if not asked for.
        further: what the counter says of one speaker more; None from a counter that does not split.
    """

    number: int
    words: str
    probabilities: tuple[float, ...] | None = None
    evidence: tuple[Evidence, ...] = ()
    further: FurtherSplit | None = None


class KnownSpeech(Protocol):
    """Embedded recordings whose speakers are known, from which stage 4 lets a counter learn.

    Attributes:
        name: of the set, for messages.
        most: speakers in a mixture at most.
    """

    name: str
    most: int

    def singles(self, count: int) -> Iterable[NodeSet]:
        """At most ``count`` single-speaker recordings."""

    def mixtures(self, num_spk: int, count: int, seconds: float) -> Iterable[tuple[NodeSet, torch.Tensor]]:
        """At most ``count`` mixtures of ``num_spk`` speakers, no longer than ``seconds``.

        With each comes the speaker that dominates each node, ``(1, nodes)`` int64.
        """


class CountEstimator(abc.ABC):
    """Estimates the number of speakers of a recording.

    An implementation writes `count`. One that learns writes `fitted`, `state` and `with_state` too, and names the
    file that keeps what it learned.

    Attributes:
        state_file: name of that file in ``exp/<tag>/modularity``, ``.json`` (plain values) or ``.pth`` (plain values
            and tensors); empty for a counter that learns nothing.
        quality: whose null and excess evidence gives, see `with_quality`.
    """

    state_file: ClassVar[str] = ""
    quality: Quality = Modularity()

    @classmethod
    @abc.abstractmethod
    def from_options(
        cls, options: Any, graph: Graph, most: int, network: torch.nn.Module | None
    ) -> CountEstimator:
        """The counter of a configuration.

        Args:
            options: declared for it in the family ``counter``.
            graph: in which evidence is measured.
            most: the largest number of speakers that is ever asked for.
            network: the model's classifier of the number of speakers, see `contrasep_lib.counting.counter.Counter`;
                None for a model that has none.

        Raises:
            ContrasepError: the counter needs a network and there is none.
        """

    def with_quality(self: Estimator, quality: Quality) -> Estimator:
        """The counter with evidence of the quality that solvers maximise."""
        made = copy.copy(self)
        made.quality = quality
        return made

    def fitted(self, speech: KnownSpeech | None, seed: int) -> CountEstimator:
        """The counter after it has learned from known speech; itself where it learns nothing.

        Args:
            speech: None where stage 4 was given no single speakers.
            seed: of all random choices.

        Raises:
            ContrasepError: the speech does not serve.
        """
        return self

    def with_solver(self, solver: Solver) -> CountEstimator:
        """The counter beside the solver of its configuration, trained or not; itself where it does not ask it.

        Raises:
            ContrasepError: it needs another solver.
        """
        return self

    def state(self) -> dict[str, Any]:
        """What `fitted` found, for `state_file`."""
        return {}

    def with_state(self, state: Mapping[str, Any]) -> CountEstimator:
        """The counter with what an earlier fit found.

        Raises:
            ValueError: it is not what `state` gave.
        """
        return self

    @abc.abstractmethod
    def count(
        self, nodes: NodeSet, analysis: Analysis, most: int, seed: int, with_evidence: bool = False
    ) -> CountDecision:
        """Count the speakers of one recording.

        Args:
            nodes: node set of one recording (a batch of 1) with at least one valid node.
            analysis: what the backbone found in it.
            most: the largest number considered, at least 1.
            seed: of all random choices.
            with_evidence: whether to fill ``evidence``, which takes time of its own.
        """


def number_words(number: int) -> str:
    """"1 speaker", "2 speakers", .."""
    return f"{number} speaker{'s' if number > 1 else ''}"
