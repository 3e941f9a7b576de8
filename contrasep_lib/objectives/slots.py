"""Slots over the graph of each mixture, trained with the embedding: it learns from the partition that is found."""

from __future__ import annotations

import math
import typing

import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.modularity.quality import NormalisedModularity
from contrasep_lib.modularity.solvers.slot_loss import SlotLoss
from contrasep_lib.modularity.solvers.slot_network import SlotNetwork
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.objectives.base import Losses, Objective, Step
from contrasep_lib.objectives.options import SlotsObjectiveOptions
from contrasep_lib.objectives.sampling import all_finite, own_labels, take

if typing.TYPE_CHECKING:
    from contrasep_lib.models.separation import SeparationModel


class Slots(Objective):
    """See `contrasep_lib.modularity.solvers.slot_loss.SlotLoss`, of some nodes of each mixture.

    A mixture of which fewer than two sources are drawn takes no part: one community for all would draw all directions
    together. The network of the slots is no part of the trained model; the solver ``slots`` learns its own.

    Args:
        options: of the objective.
        dim: of the embeddings that it sees.
    """

    def __init__(self, options: SlotsObjectiveOptions, dim: int) -> None:
        super().__init__(options)
        self.network = SlotNetwork(dim, options.slots, options.width, options.layers)
        self.loss = SlotLoss(
            KernelGraph(options.power), NormalisedModularity(), options.dominance_weight, options.quality_weight,
            options.existence_weight,
        )

    @classmethod
    def from_options(cls, options: SlotsObjectiveOptions, model: SeparationModel) -> Slots:
        """See `Objective.from_options`."""
        return cls(options, model.options.projection or model.options.embedding_dim)

    def forward(self, step: Step) -> Losses:
        """See `Objective.forward`; the statistics are the terms of the loss, ``slots_dominance`` and so on.

        Raises:
            ContrasepError: a mixture of more speakers than there are slots.
        """
        index, drawn, z = step.graph_nodes(self.options.sampled_nodes)
        with torch.autocast(z.device.type, enabled=False):
            if not all_finite(z, drawn):
                return math.nan * z.sum(), {}
            weight = take(step.nodes.weight, index).float()
            labels, number, counts = own_labels(take(step.nodes.labels, index), drawn & (weight > 0))
            if number > self.options.slots:
                raise ContrasepError(
                    f"model.objectives.slots.slots: expected at least {number}, the speakers of a mixture, "
                    f"got {self.options.slots}"
                )
            nodes = NodeSet.from_embeddings(z, weight, drawn & (counts > 1).unsqueeze(1))
            value, terms = self.loss(self.network(nodes.z, weight, nodes.valid), nodes, labels, number)
        counted = (nodes.weight * nodes.valid).sum(1).gt(0).sum()
        return value, {f"slots_{name}": term for name, term in terms.items()}, counted
