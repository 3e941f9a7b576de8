"""Supervised contrastive learning."""

from __future__ import annotations

import torch

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


def supcon_loss(
    z: torch.Tensor,
    labels: torch.Tensor,
    weight: torch.Tensor | None = None,
    valid: torch.Tensor | None = None,
    temperature: float = 0.1,
) -> torch.Tensor:
    """SupCon with the sum over positives outside of the logarithm.

    ``L_out = mean_i -1/|P(i)| sum_{p in P(i)} log( exp(z_i.z_p/t) / sum_{a != i} exp(z_i.z_a/t) )``
    (Khosla et al., NeurIPS 2020, eq. 2), P(i) the other nodes of i's label in its utterance;
    all other nodes of the utterance make up the sum over a. Anchors without positives are left
    out of the mean. With node weights (scaled to a mean of 1), anchors, positives and the sum
    over a are weighted alike: a node of weight 2 counts as two.

    Costs ``O(batch * nodes^2 * dim)`` time and ``O(batch * nodes^2)`` memory: draw nodes first
    (`contrasep_lib.objectives.sampling.sample_nodes`).

    Args:
        z: ``(batch, nodes, dim)`` of unit norm.
        labels: ``(batch, nodes)`` integers, any values; not read where not valid.
        weight: ``(batch, nodes)`` node weights, at least 0; equal ones by default.
        valid: ``(batch, nodes)`` bool; all by default.
        temperature: t, in [0.001, 100].

    Returns:
        Scalar: mean over the utterances that have an anchor, 0 if none has. float32, or
        float64 for such embeddings.

    Raises:
        ValueError: a shape or the temperature is out of range.
    """
    losses, weight = _of_anchors(z, labels, weight, valid, temperature)
    return masked_mean(losses, weight)


@accurate
def _of_anchors(
    z: torch.Tensor,
    labels: torch.Tensor,
    weight: torch.Tensor | None,
    valid: torch.Tensor | None,
    temperature: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses of nodes and their weights, ``(batch, nodes)`` each, 0 for those that are no anchors."""
    check_embeddings("z", z)
    check_temperature(temperature)
    valid = everywhere(z) if valid is None else valid
    weight = z.new_ones(z.shape[:2]) if weight is None else weight.to(z.dtype)
    for name, value in (("labels", labels), ("valid", valid), ("weight", weight)):
        check_nodes(name, value, z.shape[:2])

    valid = valid & (weight > 0)
    weight = torch.where(valid, weight, 0.0)
    z = torch.where(valid.unsqueeze(-1), z, 0.0)
    mean = weight.sum(1, keepdim=True) / valid.sum(1, keepdim=True).clamp_min(1)
    share = weight / torch.where(mean > 0, mean, 1.0)

    logits = z @ z.transpose(1, 2) / temperature
    itself = torch.arange(z.shape[1], device=z.device)
    others = (valid.unsqueeze(1) & valid.unsqueeze(2)).scatter(2, itself.expand(len(z), -1).unsqueeze(2), False)
    weighted = logits + torch.where(valid, share, 1.0).log().unsqueeze(1)
    normaliser = torch.where(others, weighted, NOTHING).logsumexp(2)
    positive = others & (labels.unsqueeze(2) == labels.unsqueeze(1))
    pull = positive * share.unsqueeze(1)
    mass = pull.sum(2)
    anchor = positive.any(2)
    losses = normaliser - (pull * logits).sum(2) / torch.where(anchor, mass, 1.0)
    return torch.where(anchor, losses, 0.0), weight * anchor


class SupCon(Objective):
    """See `supcon_loss`; between nodes that are drawn."""

    gathers = True

    def forward(self, step: Step) -> Losses:
        """See `Objective.forward`."""
        nodes = step.draw(self.options.sampled_nodes)
        losses, weight = _of_anchors(nodes.z, nodes.labels, nodes.weight, nodes.valid, self.options.temperature)
        return masked_mean(losses, weight), {}, step.counted(weight)
