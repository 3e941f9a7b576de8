"""Normalised temperature-scaled cross entropy."""

from __future__ import annotations

import torch

from contrasep_lib.nodes.labels import LabelledNodes
from contrasep_lib.objectives.base import Losses, Objective, Step
from contrasep_lib.objectives.common import (
    NOTHING,
    accurate,
    check_embeddings,
    check_nodes,
    check_temperature,
    everywhere,
    masked_mean,
)
from contrasep_lib.objectives.ranks import gather_pool
from contrasep_lib.objectives.sampling import lagged_partners, pair_across, pair_nodes, sample_nodes, take


@accurate
def nt_xent_loss(
    first: torch.Tensor,
    second: torch.Tensor,
    labels: torch.Tensor | None = None,
    valid: torch.Tensor | None = None,
    temperature: float = 0.1,
) -> torch.Tensor:
    """NT-Xent over positive pairs, in both orders.

    ``l_ij = -log exp(z_i.z_j/t) / sum_{k != i} exp(z_i.z_k/t)`` for the pair (i, j) and for
    (j, i), k over both members of all pairs of the pool (Chen et al., ICML 2020, eq. 1); the
    mean over pairs and orders. Pools are the elements of the batch. With labels, nodes of the
    anchor's label other than its partner are left out of the sum over k: they are no negatives
    (option ``denominator: labelled``); without, they are (``denominator: all``).

    Costs ``O(batch * pairs^2 * dim)`` time and ``O(batch * pairs^2)`` memory.

    Args:
        first, second: ``(batch, pairs, dim)`` of unit norm.
        labels: ``(batch, pairs)`` integers, one for both members of a pair, any values.
        valid: ``(batch, pairs)`` bool; all by default.
        temperature: t, in [0.001, 100].

    Returns:
        Scalar: mean over the pools that have a pair, 0 if none has. float32, or float64 for
        such embeddings.

    Raises:
        ValueError: a shape or the temperature is out of range.
    """
    check_embeddings("first", first)
    check_temperature(temperature)
    if second.shape != first.shape:
        got = tuple(second.shape)
        raise ValueError(f"second: expected shape {tuple(first.shape)}, as first has, got {got}")
    lead = first.shape[:2]
    valid = everywhere(first) if valid is None else valid
    check_nodes("valid", valid, lead)
    if labels is not None:
        check_nodes("labels", labels, lead)

    pairs = lead[1]
    valid = valid.repeat(1, 2)
    z = torch.where(valid.unsqueeze(-1), torch.cat([first, second], dim=1), 0.0)
    labels = None if labels is None else labels.repeat(1, 2)

    logits = z @ z.transpose(1, 2) / temperature
    itself = torch.arange(2 * pairs, device=z.device).expand(len(z), -1)
    partner = ((itself + pairs) % max(2 * pairs, 1)).unsqueeze(2)
    counted = valid.unsqueeze(1) & valid.unsqueeze(2)
    if labels is not None:
        counted = counted & (labels.unsqueeze(2) != labels.unsqueeze(1))
    counted = counted.scatter(2, itself.unsqueeze(2), False).scatter(2, partner, True)
    normaliser = torch.where(counted, logits, NOTHING).logsumexp(2)
    losses = normaliser - logits.gather(2, partner).squeeze(2)
    return masked_mean(torch.where(valid, losses, 0.0), valid.to(z.dtype))


class NTXent(Objective):
    """See `nt_xent_loss`; between pairs of nodes of one label, or without labels between views of a node."""

    gathers = True

    def forward(self, step: Step) -> Losses:
        """See `Objective.forward`."""
        first, second, labels, valid = self._pairs(step) if step.remix is None else self._views(step)
        labels = labels if self.options.denominator == "labelled" else None
        return nt_xent_loss(first, second, labels, valid, self.options.temperature), {}, step.counted(valid.float())

    def _pairs(self, step: Step) -> tuple[torch.Tensor, ...]:
        if self.options.positives == "lag":
            return self._lagged(step)
        nodes = step.draw(self.options.sampled_nodes)
        if self.options.positives == "other":
            each = min(step.per_utterance(self.options.sampled_nodes), step.nodes.valid.shape[1])
            first, second, valid = pair_across(nodes.labels, nodes.valid, nodes.labels.shape[1] // each)
        else:
            first, second, valid = pair_nodes(nodes.labels, nodes.valid)
        return take(nodes.z, first), take(nodes.z, second), take(nodes.labels, first), valid

    def _lagged(self, step: Step) -> tuple[torch.Tensor, ...]:
        """Pairs of one recording and label whose frames lie ``lag`` apart; of units, at any two frequencies."""
        nodes, frames = step.nodes, step.analysis.spectrum.shape[1]
        partner, paired = lagged_partners(nodes.labels, nodes.valid, frames, self.options.lag, step.draws)
        index, valid = sample_nodes(paired, step.per_utterance(self.options.sampled_nodes // 2), step.draws)
        ends = [step.model.project(take(nodes.z, end)) for end in (index, partner.gather(1, index))]
        # a pair travels as one node, so that ranks exchange whole pairs
        labels = take(nodes.labels, index)
        pairs = LabelledNodes(torch.cat(ends, -1), labels, valid.float(), valid, nodes.number, nodes.names)
        pairs = pairs.pooled() if step.batch_negatives else pairs
        pairs = gather_pool(step.share, pairs) if step.gather else pairs
        return *pairs.z.chunk(2, -1), pairs.labels, pairs.valid

    def _views(self, step: Step) -> tuple[torch.Tensor, ...]:
        """A node of a remix, and one of its own recording, unmixed and up to ``neighbours`` frames apart."""
        nodes, recording, neighbours = step.nodes, step.remix.recording, step.model.options.neighbours
        alone, valid_alone = step.remix.alone()
        index, drawn = sample_nodes(nodes.valid, step.per_utterance(self.options.sampled_nodes // 2), step.draws)
        span = 2 * neighbours + 1
        shift = step.draws.integers(span, index.shape[1]).to(index) - neighbours
        near = index + shift * (nodes.valid.shape[1] // step.analysis.spectrum.shape[1])
        drawn = drawn & (near >= 0) & (near < nodes.valid.shape[1])
        near = near.clamp(0, nodes.valid.shape[1] - 1)
        own = recording.gather(1, index)
        # a reversed intruder has no view of its own
        drawn = drawn & (own < len(alone))
        own = own.clamp_max(len(alone) - 1)
        drawn = drawn & valid_alone[own, near]
        ends = [step.model.project(end) for end in (take(nodes.z, index), alone[own, near])]
        found = [*ends, take(nodes.labels, index), drawn]
        return tuple(part.flatten(0, 1).unsqueeze(0) if step.batch_negatives else part for part in found)
