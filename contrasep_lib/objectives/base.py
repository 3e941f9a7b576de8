"""What objectives share: their interface, and what a training step computes once for all of them."""

from __future__ import annotations

import abc
import dataclasses
import functools
import typing
from collections.abc import Callable
from typing import Any

import torch

from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.nodes.draws import Draws
from contrasep_lib.nodes.labels import LabelledNodes
from contrasep_lib.objectives.ranks import Share, gather_pool
from contrasep_lib.objectives.sampling import sample_nodes, take

if typing.TYPE_CHECKING:
    from contrasep_lib.models.separation import SeparationModel

# a mean, or a mean and of how many
Statistics = dict[str, "torch.Tensor | tuple[torch.Tensor, torch.Tensor]"]
Losses = tuple[torch.Tensor, Statistics] | tuple[torch.Tensor, Statistics, torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Sources:
    """What is known of the sources of mixtures.

    Attributes:
        signals: ``(batch, max_spk, samples)``, zeros behind their ends and in place of absent ones.
        lengths: ``(batch,)`` samples of each mixture.
        counts: ``(batch,)`` int64, speakers of each.
        power: ``(batch, max_spk, nodes)``, of the sources in each node; None where there is one source alone, and
            no noise to tell it from.
        rest: ``(batch, samples)``, what mixtures have beside their sources: noise, late reverberation.
        rest_power: ``(batch, nodes)``, of the rest in each node; None where nodes of noise are not left out by it.
    """

    signals: torch.Tensor
    lengths: torch.Tensor
    counts: torch.Tensor
    power: torch.Tensor | None
    rest: torch.Tensor
    rest_power: torch.Tensor | None = None


@dataclasses.dataclass(frozen=True)
class Remix:
    """What is known of mixtures of recordings without labels (`contrasep_lib.nodes.labels`).

    Attributes:
        recording: ``(batch, nodes)`` int64, the recording of the batch that dominates each node; ``batch`` for one that
            is not in the batch.
        alone: gives embeddings ``(batch, nodes, dim)`` and valid nodes ``(batch, nodes)`` of the recordings unmixed.
    """

    recording: torch.Tensor
    alone: Callable[[], tuple[torch.Tensor, torch.Tensor]]


@dataclasses.dataclass(frozen=True)
class Step:
    """What a training step computes once.

    Attributes:
        model: what learns.
        nodes: labelled nodes.
        analysis: what the backbone found in the mixtures.
        draws: what objectives draw from.
        batch_negatives: whether negatives come from the whole batch, not from the same utterance alone.
        gather: whether nodes of all ranks are compared.
        sources: None with ``labels: none``.
        remix: None but with ``labels: none``.
        share: which items of the batch these are; None: all.
    """

    model: SeparationModel
    nodes: LabelledNodes
    analysis: Analysis
    draws: Draws
    batch_negatives: bool = False
    gather: bool = False
    sources: Sources | None = None
    remix: Remix | None = None
    share: Share | None = None

    @property
    def items(self) -> int:
        """Items of the batch, over all ranks."""
        return len(self.nodes.z) if self.share is None else sum(self.share.items)

    @functools.cached_property
    def pools(self) -> LabelledNodes:
        """The nodes in the pools from which negatives come."""
        return self.nodes.pooled() if self.batch_negatives else self.nodes

    @functools.cached_property
    def projected(self) -> LabelledNodes:
        """`pools` behind the projection head."""
        return dataclasses.replace(self.pools, z=self.model.project(self.pools.z))

    @functools.cached_property
    def whole(self) -> LabelledNodes:
        """`projected`, with the nodes of all ranks where they are compared."""
        return gather_pool(self.share, self.projected) if self.gather else self.projected

    @property
    def passes(self) -> list[Step]:
        """This step with the embeddings after each earlier pass of the backbone, where it has several."""
        analysis = dataclasses.replace(self.analysis, passes=())
        return [
            dataclasses.replace(
                self, nodes=dataclasses.replace(self.nodes, z=z), analysis=dataclasses.replace(analysis, z=z)
            )
            for z in self.analysis.passes
        ]

    def draw(self, count: int) -> LabelledNodes:
        """Some nodes of each utterance, projected, in their pools, with those of all ranks where they are compared.

        Args:
            count: of each utterance, or of the batch where negatives come from there.
        """
        nodes = self.nodes
        index, drawn = sample_nodes(nodes.valid, self.per_utterance(count), self.draws)
        z = self.model.project(take(nodes.z, index))
        labels, weight = take(nodes.labels, index), take(nodes.weight, index)
        some = LabelledNodes(z, labels, weight, drawn, nodes.number, nodes.names)
        some = some.pooled() if self.batch_negatives else some
        return gather_pool(self.share, some) if self.gather else some

    def graph_nodes(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Nodes of a graph for each utterance: ``count`` drawn ones, with projected embeddings of unit norm, float32.

        Returns:
            Indices ``(batch, n)`` and whether each is valid, see `sample_nodes`; embeddings ``(batch, n, dim)``.
        """
        index, drawn = sample_nodes(self.nodes.valid, count, self.draws)
        z = self.model.project(take(self.nodes.z, index))
        with torch.autocast(z.device.type, enabled=False):
            return index, drawn, torch.nn.functional.normalize(z.float(), dim=-1)

    def counted(self, weight: torch.Tensor) -> torch.Tensor:
        """Of how many utterances a mean over pools of nodes is one, for what ranks make of it; see `Objective.forward`.

        Args:
            weight: ``(pools, nodes)``, 0 for nodes that take no part.
        """
        # each rank then has the loss of the whole batch
        return weight.new_ones(()) if self.gather else (weight.sum(1) > 0).sum()

    def per_utterance(self, count: int) -> int:
        """How many of ``count`` nodes fall to an utterance, where they may be those of the whole batch."""
        if not self.batch_negatives:
            return count
        # at least two of each recording, or it would have no positives of its own
        return max(-(-count // self.items), 2)


class Objective(torch.nn.Module, abc.ABC):
    """A term of the training loss.

    An implementation has one method, `forward`. Weights of its own, where it has any, learn with the model and are no
    part of the trained one.

    Args:
        options: of the objective's own dataclass, a `contrasep_lib.objectives.options.ObjectiveOptions`.

    Attributes:
        gathers: whether it compares nodes of all ranks.
    """

    gathers: bool = False

    def __init__(self, options: Any) -> None:
        super().__init__()
        self.options = options

    @classmethod
    def from_options(cls, options: Any, model: SeparationModel) -> Objective:
        """Build an objective.

        Args:
            options: of the objective's own dataclass.
            model: that it teaches, for objectives with weights of their own.
        """
        return cls(options)

    @abc.abstractmethod
    def forward(self, step: Step) -> Losses:
        """Loss of a training step.

        Returns:
            Loss, a scalar with gradient, and statistics: scalars that are reported. The loss itself is reported under
            the objective's name unless a statistic of that name is among them. Where these are means over anything but
            the utterances, also of how many, a scalar: several training processes weight their means by it. A statistic
            that is a mean over yet another number is a pair of the two.
        """

    def teaches(self, model: torch.nn.Module) -> bool:
        """Whether anything that the objective reaches may change."""
        names = ("backbone", *self.options.needs, *(("projection",) if self.options.shapes else ()))
        parts = [part for name in names if (part := getattr(model, name)) is not None]
        return any(weight.requires_grad for part in (self, *parts) for weight in part.parameters())
