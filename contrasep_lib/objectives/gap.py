"""The gap of the criterion: a wrong partition must not be worth more than the true one."""

from __future__ import annotations

import math

import torch

from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.modularity.objective import starts_loss
from contrasep_lib.modularity.operator import GraphOperator, one_hot
from contrasep_lib.modularity.quality import NormalisedModularity
from contrasep_lib.modularity.solvers.kmeans import spherical_kmeans
from contrasep_lib.modularity.solvers.refine import sweep
from contrasep_lib.modularity.solvers.slot_loss import match_slots
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.objectives.base import Losses, Objective, Step
from contrasep_lib.objectives.sampling import all_finite, own_labels, take

_RESTARTS, _ITERATIONS = 2, 30


class Gap(Objective):
    """Hinge on the gap between the partition that is found and the true one (Bach and Jordan 2003; structured margins).

    ``[Qn(found) - Qn(true) + margin D(found, true)]_+`` of some nodes of each mixture, D the share of weight on a wrong
    speaker after matching. The partition is found by k-means and moves of nodes that raise Qn, for the true number of
    speakers and without a gradient, which goes through the graph alone. A mixture of which fewer than two sources are
    drawn takes no part.
    """

    def forward(self, step: Step) -> Losses:
        """See `Objective.forward`; the statistic ``gap_wrong`` is the mean of D."""
        options = self.options
        index, drawn, z = step.graph_nodes(options.sampled_nodes)
        with torch.autocast(z.device.type, enabled=False):
            if not all_finite(z, drawn):
                return math.nan * z.sum(), {}
            weight = take(step.nodes.weight, index).float().masked_fill(~drawn, 0)
            labels, number, counts = own_labels(take(step.nodes.labels, index), drawn & (weight > 0))
            nodes = NodeSet.from_embeddings(z, weight, drawn & (counts > 1).unsqueeze(1))
            graph, quality = KernelGraph(options.power), NormalisedModularity()
            truth = one_hot(labels, number, z.dtype)
            found = torch.zeros_like(truth)
            for row in counts.gt(1).nonzero().squeeze(1).tolist():
                kept = nodes.valid[row]
                operator = GraphOperator(z[row, kept], weight[row, kept], graph, quality)
                communities = self._found(operator, int(counts[row]), step.draws.each[row])
                found[row, kept] = one_hot(communities, number, z.dtype)
            with torch.no_grad():
                wrong = _wrong(found, truth, weight.masked_fill(~nodes.valid, 0))
            worth = -starts_loss(nodes, torch.stack([found, truth], dim=1), graph, 0.0, quality)
            gap = (worth[:, 0] - worth[:, 1] + options.margin * wrong).clamp_min(0)
            share = (counts > 1).to(gap.dtype) / (counts > 1).sum().clamp_min(1)
            # in here: autocast would take the product in half precision
            return share @ gap, {"gap_wrong": share @ wrong}, (counts > 1).sum()

    def _found(self, operator: GraphOperator, count: int, generator: torch.Generator) -> torch.Tensor:
        with torch.no_grad():
            labels = spherical_kmeans(operator.z, operator.weight, count, generator, _RESTARTS, _ITERATIONS)
            if self.options.moves and operator.two_m > 0:
                labels, _ = sweep(operator, labels, count, self.options.moves)
        return labels


def _wrong(found: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Share of weight on a wrong source after matching, ``(batch,)``; 0 without weight."""
    overlap = (found * weight.unsqueeze(-1)).transpose(1, 2) @ truth
    match = match_slots(overlap)
    kept = overlap.gather(1, match.clamp_min(0).unsqueeze(1)).squeeze(1).masked_fill(match < 0, 0).sum(1)
    total = weight.sum(1)
    return torch.where(total > 0, 1 - kept / torch.where(total > 0, total, torch.ones_like(total)), 0.0)
