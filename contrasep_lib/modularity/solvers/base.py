"""What all solvers share: checks, the walk over a batch, and the form of a solution."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol

import torch

from contrasep_lib.modularity.graphs import Graph
from contrasep_lib.modularity.operator import GraphOperator, one_hot
from contrasep_lib.modularity.packing import pack
from contrasep_lib.modularity.quality import Modularity, Quality
from contrasep_lib.nodes.nodeset import NodeSet


@dataclasses.dataclass(frozen=True)
class Solution:
    """Partition of each graph of a batch into at most K communities.

    Communities are ordered by decreasing weight of their nodes; trailing ones may be empty.

    Attributes:
        assign: ``(batch, nodes, K)``, rows of valid nodes sum to one, others are zero; soft
            from the solvers that optimise soft assignments, else one-hot.
        labels: ``(batch, nodes)`` int64, the largest of ``assign``; -1 on invalid nodes.
        modularity: Q of the hard labels, ``(batch,)``.
        quality: of the hard labels, what the solver was asked to maximise, ``(batch,)``.
    """

    assign: torch.Tensor
    labels: torch.Tensor
    modularity: torch.Tensor
    quality: torch.Tensor


class TrainingMixtures(Protocol):
    """Training mixtures, embedded as they are asked for."""

    def __call__(self, count: int) -> Iterable[NodeSet]:
        """Node sets, one mixture each, of about so many mixtures."""

    def labelled(self, count: int) -> Iterable[tuple[NodeSet, torch.Tensor]]:
        """As `__call__`, with the source that dominates each node, ``(1, nodes)`` int64.

        Raises:
            ContrasepError: the sources are not there.
        """


class Solver(abc.ABC):
    """Finds communities of high modularity, or of another quality; one call serves one graph or a padded batch.

    An implementation writes `_assign`. One that learns over training mixtures writes `trained`, `state` and
    `with_state` too, and names the file that keeps what it learned.

    Attributes:
        state_file: name of that file in ``exp/<tag>/modularity``, ``.json`` (plain values) or ``.pth`` (plain values
            and tensors); empty for a solver that learns nothing.
    """

    state_file: ClassVar[str] = ""

    @classmethod
    def from_options(cls, options: Any, num_communities: int) -> Solver:
        """The solver of a configuration.

        Args:
            options: declared for it in the family ``solver``; their fields are its arguments.
            num_communities: the most that `solve` will be asked for.
        """
        return cls(**vars(options))

    def trained(
        self, mixtures: TrainingMixtures, graph: Graph, seed: int, quality: Quality = Modularity()
    ) -> Solver:
        """The solver after training; itself where it has nothing to learn.

        Args:
            mixtures: that it learns from.
            graph: that it will be asked to partition.
            seed: of all random choices.
            quality: of partitions, which it will be asked to maximise.

        Raises:
            ContrasepError: no mixture has a valid node, or training diverged.
        """
        return self

    def state(self) -> dict[str, Any]:
        """What training found, for `state_file`."""
        return {}

    def with_state(self, state: Mapping[str, Any]) -> Solver:
        """The solver with what an earlier training found.

        Raises:
            ValueError: it is not what `state` gave, or of other options.
        """
        return self

    def solve(
        self, nodes: NodeSet, num_communities: int, graph: Graph, seed: int = 0, quality: Quality = Modularity()
    ) -> Solution:
        """Partition each graph of a batch into at most ``num_communities`` communities.

        The same inputs and seed give the same solution, and a graph's solution does not
        depend on the others of its batch. A graph without edges (one node, or none, too)
        has quality 0 whatever the partition and comes back as one community.

        Args:
            nodes: node set with unit-norm embeddings; its gradient is not followed.
            num_communities: K, at least 1; may exceed the number of nodes.
            graph: threshold or kernel graph.
            seed: of all random choices.
            quality: of a partition, to be maximised.

        Raises:
            ValueError: K is below 1, a graph has nodes but none of them is valid (an
                all-silent mixture), or an embedding of a valid node has no unit norm.
        """
        if isinstance(num_communities, bool) or not isinstance(num_communities, int) or num_communities < 1:
            raise ValueError(f"num_communities: expected an integer of at least 1, got {num_communities!r}")
        heard = nodes.valid.any(1)
        if nodes.valid.shape[1] and not bool(heard.all()):
            row = int(heard.long().argmin())
            raise ValueError(
                f"valid: expected at least one valid node, but graph {row} of the batch (an all-silent "
                f"mixture?) has {nodes.valid.shape[1]} nodes, none valid"
            )
        with torch.no_grad():
            packed = pack(nodes)
            parts = [
                self._solve_one(packed.z[row][real], packed.weight[row][real], num_communities, graph, seed, quality)
                for row, real in enumerate(packed.real)
            ]
        batch, width = packed.real.shape
        assign = packed.z.new_zeros(batch, width, num_communities)
        labels = torch.full((batch, width, 1), -1, device=assign.device)
        for row, (part, hard, *_) in enumerate(parts):
            assign[row, : len(part)] = part
            labels[row, : len(part), 0] = hard
        total = nodes.z.shape[1]
        return Solution(
            assign=packed.scatter(assign, total).to(packed.out_dtype),
            labels=packed.scatter(labels, total, fill=-1).squeeze(-1),
            modularity=assign.new_tensor([q for *_, q, _ in parts]).to(packed.out_dtype),
            quality=assign.new_tensor([reached for *_, reached in parts]).to(packed.out_dtype),
        )

    def _solve_one(
        self,
        z: torch.Tensor,
        weight: torch.Tensor,
        num_communities: int,
        graph: Graph,
        seed: int,
        quality: Quality,
    ) -> tuple[torch.Tensor, torch.Tensor, float, float]:
        """Ordered assignment, hard labels, Q and the quality of one graph of valid nodes."""
        operator = GraphOperator(z, weight, graph, quality)
        if operator.two_m <= 0:
            labels = torch.zeros(len(z), dtype=torch.int64, device=z.device)
            return one_hot(labels, num_communities, z.dtype), labels, 0.0, 0.0
        generator = torch.Generator().manual_seed(seed)
        assign, reached = self._assign(operator, num_communities, generator)
        labels = assign.argmax(-1)
        hard = one_hot(labels, num_communities, z.dtype)
        order = (weight.double() @ hard.double()).argsort(descending=True, stable=True)
        place = order.argsort()
        if reached is None:
            reached = float(operator.qualities(hard[None]))
        modularity = reached if quality == Modularity() else operator.modularity(hard)
        return assign[:, order], place[labels], modularity, reached

    @abc.abstractmethod
    def _assign(
        self, operator: GraphOperator, num_communities: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, float | None]:
        """Assignment ``(nodes, K)`` of a graph with edges, and the quality of its argmax where known.

        The operator has the quality: `GraphOperator.quality`.
        """


def random_sample(nodes: int, size: int, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """``size`` distinct indices out of ``nodes``, in increasing order."""
    return torch.randperm(nodes, generator=generator)[:size].sort().values.to(device)
