"""Options of the section ``modularity`` and of the graphs; nothing here imports torch."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from contrasep_lib.config import LATER, Bounded, Range, choice, choice_of
from contrasep_lib.config.bounds import Power, Probability, Seed, Speakers


@choice("graph", "kernel", target="contrasep_lib.modularity.graphs:KernelGraph")
@dataclasses.dataclass(frozen=True)
class KernelOptions(Bounded):
    """Complete graph with the edges ((1 + cosine) / 2)^power.

    Attributes:
        power: exponent, an integer of at least 1.
    """

    power: Power = 2


@choice("graph", "threshold", target="contrasep_lib.modularity.graphs:ThresholdGraph")
@dataclasses.dataclass(frozen=True)
class ThresholdOptions(Bounded):
    """Graph of the pairs whose cosine exceeds tau, as in arXiv 2305.10652.

    Attributes:
        tau: threshold on the cosine, in [0, 1), or in [-1, 1) for the binary graph.
        binary: 0/1 edges instead of edges weighted by the cosine.
        quantile: in [0, 1), in place of ``tau``: the threshold of a recording is this quantile of the cosines of its
            pairs of nodes, estimated from a sample of them, at least 0 for the weighted graph and at most 0.999.
        centre: the weighted mean of the recording's embeddings is subtracted first, and what is left has unit norm
            again, so that a direction that all nodes share joins none.
    """

    tau: Annotated[float, Range(-1, 1, "[)")] = 0.5
    binary: bool = False
    quantile: Annotated[float, Range(0, 1, "[)")] | None = dataclasses.field(default=None, metadata=LATER)
    centre: bool = dataclasses.field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tau < 0 and not self.binary:
            raise ValueError(f"tau: expected a number of at least 0 for the weighted graph, got {self.tau}")


@choice("quality", "modularity", target="contrasep_lib.modularity.quality:Modularity")
@dataclasses.dataclass(frozen=True)
class ModularityQualityOptions(Bounded):
    """Modularity Q (Newman 2006) with a resolution (Reichardt and Bornholdt 2006).

    Attributes:
        gamma: resolution, positive; the larger, the smaller the communities. 1 is Newman's.
    """

    gamma: Annotated[float, Range(0, 1000, "(]")] = 1.0


@choice("quality", "normalised", target="contrasep_lib.modularity.quality:NormalisedModularity")
@dataclasses.dataclass(frozen=True)
class NormalisedOptions(Bounded):
    """Normalised modularity Qn, the normalised cut's counterpart (Yu and Shi 2003).

    Attributes:
        regularise: r in [0, 1]; r times the mean degree is spread over every node's pairs, so that a few nodes without
            edges to others do not win on a threshold graph.
    """

    regularise: Probability = 0.0


@dataclasses.dataclass(frozen=True)
class ModularityOptions(Bounded):
    """How embeddings become communities.

    Attributes:
        graph: over the embedded nodes.
        quality: of a partition, which the solver maximises.
        solver: that partitions the graph.
        counting: how the number of speakers is estimated.
        k_max: the largest number of speakers considered.
        seed: of what training draws, and, with the utterance id, of solver and counting.
    """

    graph: Any = choice_of("graph", "kernel")
    quality: Any = choice_of("quality", "normalised")
    solver: Any = choice_of("solver", "network")
    counting: Any = choice_of("counter", "recursive_split")
    k_max: Speakers = 5
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        needed: Any = getattr(self.counting, "needs_solver", object)
        if not isinstance(self.solver, needed):
            raise ValueError(
                f"counting: '{self.counting.name}' needs the solver '{needed.name}', got '{self.solver.name}'"
            )
