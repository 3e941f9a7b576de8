"""What slots learn from: the quality of their partition, which source dominates a node, and which slots are needed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from contrasep_lib.modularity.graphs import Graph
from contrasep_lib.modularity.objective import partition_quality
from contrasep_lib.modularity.quality import Quality
from contrasep_lib.modularity.solvers.slot_network import SlotOutput
from contrasep_lib.nodes.nodeset import NodeSet


@dataclasses.dataclass(frozen=True)
class SlotLoss:
    """Loss of slots over labelled mixtures.

    - dominance: cross entropy of the assignment, over all slots, with the source that dominates a node; a node counts
      with its weight. Sources are matched to slots by `match_slots`;
    - quality: the negative quality of the partition that the matched slots alone make;
    - existence: binary cross entropy of each slot's probability with whether it is matched.

    Dominance and existence are taken after every layer and averaged, as in detection transformers; the quality after
    the last.

    Args:
        graph: over the nodes.
        quality: of a partition, to be maximised.
        dominance_weight, quality_weight, existence_weight: of the terms, at least 0. Without dominance as many slots as
            there are sources are taken, those that hold most weight, and which node is whose is not read.
    """

    graph: Graph
    quality: Quality
    dominance_weight: float = 1.0
    quality_weight: float = 1.0
    existence_weight: float = 1.0

    def __call__(
        self, outputs: Sequence[SlotOutput], nodes: NodeSet, labels: torch.Tensor, number: int
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Mean over the graphs of a batch.

        Args:
            outputs: of a `SlotNetwork`, the last layer last.
            nodes: of the graphs.
            labels: ``(batch, nodes)`` int64 in ``0 .. number - 1``; not read on invalid nodes.
            number: of labels. Of each graph those count that have any weight; at most as many as there are slots.

        Returns:
            The loss, a scalar, and its terms after the last layer as scalars without gradient. A graph without weight
            adds nothing. NaN, and no terms, where slots say anything that is not finite.

        Raises:
            ValueError: a graph with more sources than slots.
        """
        truth = _shares(nodes, labels, number)
        sizes = truth.sum(1)
        counted = (sizes > 0).any(1)
        most, slots = int((sizes > 0).sum(1).max()), outputs[-1].existence.shape[1]
        if most > slots:
            raise ValueError(f"num_spk: expected at most {slots} sources in a mixture, the slots, got {most}")
        if not all(bool(output.logits.isfinite().all()) for output in outputs):
            return math.nan * outputs[-1].existence.sum(), {}
        share = counted.to(truth.dtype) / counted.sum().clamp_min(1)
        total, terms = truth.new_zeros(()), {}
        for output in outputs:
            matched = self._matched(output, truth)
            terms = {
                "dominance": share @ _cross_entropy(output, truth, matched),
                "existence": share @ _existence(output, matched),
            }
            total = total + self.dominance_weight * terms["dominance"] + self.existence_weight * terms["existence"]
        total = total / len(outputs)
        if self.quality_weight:
            terms["quality"] = share @ self._qualities(outputs[-1], nodes, matched).to(share.dtype)
            total = total - self.quality_weight * terms["quality"]
        return total, {name: value.detach() for name, value in terms.items()}

    def _matched(self, output: SlotOutput, truth: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            assign = output.logits.softmax(-1)
            if self.dominance_weight:
                return match_slots(assign.transpose(1, 2) @ truth)
            mass = (truth.sum(2).unsqueeze(1) @ assign).squeeze(1)
            return _largest(mass, truth.sum(1) > 0)

    def _qualities(self, output: SlotOutput, nodes: NodeSet, matched: torch.Tensor) -> torch.Tensor:
        return partition_quality(nodes, restricted(output.logits, matched), self.graph, self.quality)


def match_slots(overlap: torch.Tensor) -> torch.Tensor:
    """The slot of each source: one to one, with the largest sum of overlaps (Hungarian method).

    Args:
        overlap: ``(batch, slots, sources)``, at least 0: weight that a slot and a source share. A source with none
            at all is absent.

    Returns:
        ``(batch, sources)`` int64, -1 for absent sources.
    """
    table = overlap.detach().double().cpu().numpy()
    matched = np.full(table.shape[::2], -1, np.int64)
    for row, (entry, present) in enumerate(zip(table, np.any(table > 0, axis=1))):
        sources = np.flatnonzero(present)
        mine, theirs = linear_sum_assignment(entry[:, sources], maximize=True)
        matched[row, sources[theirs]] = mine
    return torch.from_numpy(matched).to(overlap.device)


def restricted(logits: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """Assignment to some of the slots alone.

    Args:
        logits: ``(batch, nodes, slots)``.
        slots: ``(batch, K)`` int64, distinct ones; -1 gives a community without nodes.

    Returns:
        ``(batch, nodes, K)``, rows sum to 1; zeros for a graph without any slot.
    """
    absent = (slots < 0).unsqueeze(1)
    index = slots.clamp_min(0).unsqueeze(1).expand(-1, logits.shape[1], -1)
    kept = logits.gather(2, index).masked_fill(absent, torch.finfo(logits.dtype).min)
    return kept.softmax(-1).masked_fill(absent, 0)


def _shares(nodes: NodeSet, labels: torch.Tensor, number: int) -> torch.Tensor:
    """The share of each node in the weight, in the column of its source: ``(batch, nodes, number)``."""
    weight = nodes.weight.masked_fill(~nodes.valid, 0).to(torch.promote_types(nodes.z.dtype, torch.float32))
    total = weight.sum(1, keepdim=True)
    share = weight / torch.where(total > 0, total, torch.ones_like(total))
    inside = labels.masked_fill(~nodes.valid, 0).unsqueeze(-1)
    return weight.new_zeros(*labels.shape, number).scatter(2, inside, share.unsqueeze(-1))


def _largest(mass: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """As many slots as there are sources, those with the most of ``mass (batch, slots)``: ``(batch, sources)``."""
    order = mass.argsort(dim=1, descending=True, stable=True)
    place = present.long().cumsum(1) - 1
    return order.gather(1, place.clamp(0, mass.shape[1] - 1)).masked_fill(~present, -1)


def _cross_entropy(output: SlotOutput, truth: torch.Tensor, matched: torch.Tensor) -> torch.Tensor:
    """``(batch,)``."""
    away = -(output.logits.log_softmax(-1).to(truth.dtype).transpose(1, 2) @ truth)
    chosen = away.gather(1, matched.clamp_min(0).unsqueeze(1)).squeeze(1)
    return chosen.masked_fill(matched < 0, 0).sum(1)


def _existence(output: SlotOutput, matched: torch.Tensor) -> torch.Tensor:
    """``(batch,)``."""
    batch, slots = output.existence.shape
    # absent sources mark a column of their own
    needed = output.existence.new_zeros(batch, slots + 1).scatter(1, matched % (slots + 1), 1.0)[:, :-1]
    return torch.nn.functional.binary_cross_entropy_with_logits(output.existence, needed, reduction="none").mean(1)
