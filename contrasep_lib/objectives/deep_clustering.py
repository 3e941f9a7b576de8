"""Deep clustering: affinities of embeddings against those of labels."""

from __future__ import annotations

import torch

from contrasep_lib.objectives.base import Losses, Objective, Step
from contrasep_lib.objectives.common import accurate, check_embeddings, check_nodes, everywhere


@accurate
def deep_clustering_loss(
    z: torch.Tensor,
    labels: torch.Tensor,
    num_classes: int,
    weight: torch.Tensor | None = None,
    valid: torch.Tensor | None = None,
) -> torch.Tensor:
    """Distance of the affinities of embeddings from those of their labels.

    ``|V V' - Y Y'|_F^2 = |V'V|^2 - 2 |V'Y|^2 + |Y'Y|^2`` (Hershey et al., ICASSP 2016, eq. 1
    and 3), with the rows of V (embeddings) and Y (one-hot labels) multiplied by the square root
    of node weights that sum to one over the utterance. So the value is the weighted mean of
    ``(z_i . z_j - [y_i = y_j])^2`` over all pairs of nodes: it depends neither on the length
    nor on the scale of the weights. Nothing of size nodes x nodes is formed; the cost is
    ``O(nodes * dim * (dim + num_classes))`` time and ``O(nodes * (dim + num_classes))`` memory.

    Args:
        z: ``(batch, nodes, dim)``, of unit norm for the value to mean what it says.
        labels: ``(batch, nodes)`` int64 in ``0 .. num_classes - 1``; not read where not valid.
        num_classes: number of labels.
        weight: ``(batch, nodes)`` node weights, at least 0; equal ones by default.
        valid: ``(batch, nodes)`` bool; all by default.

    Returns:
        Scalar: mean over the utterances that have a valid node of positive weight, 0 if none
        has. float32, or float64 for such embeddings.

    Raises:
        ValueError: a shape does not fit, or ``num_classes`` is under 1.
    """
    rows, targets, counted = weighted_rows(z, labels, num_classes, weight, valid)
    within = (rows.transpose(1, 2) @ rows).square().sum((1, 2))
    across = (rows.transpose(1, 2) @ targets).square().sum((1, 2))
    sizes = targets.square().sum(1).square().sum(1)
    losses = within - 2 * across + sizes
    return torch.where(counted, losses, 0.0).sum() / counted.sum().clamp_min(1)


class DeepClustering(Objective):
    """See `deep_clustering_loss`; all nodes take part, for costs grow with their number and not with its square."""

    gathers = True

    def forward(self, step: Step) -> Losses:
        """See `Objective.forward`."""
        nodes = step.whole
        value = deep_clustering_loss(nodes.z, nodes.labels, nodes.number, nodes.weight, nodes.valid)
        return value, {}, step.counted(nodes.weight * nodes.valid)


def weighted_rows(
    z: torch.Tensor,
    labels: torch.Tensor,
    num_classes: int,
    weight: torch.Tensor | None,
    valid: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Embeddings and one-hot labels times the roots of weights that sum to one, checked.

    Returns:
        ``(batch, nodes, dim)``, ``(batch, nodes, num_classes)``, and which utterances count ``(batch,)``.
    """
    check_embeddings("z", z)
    check_nodes("labels", labels, z.shape[:2])
    if num_classes < 1:
        raise ValueError(f"num_classes: expected at least 1, got {num_classes}")
    valid = everywhere(z) if valid is None else valid
    weight = valid.to(z.dtype) if weight is None else torch.where(valid, weight.to(z.dtype), 0.0)
    check_nodes("valid", valid, z.shape[:2])
    check_nodes("weight", weight, z.shape[:2])

    total = weight.sum(1, keepdim=True)
    counted = (total > 0).squeeze(1)
    share = weight / torch.where(total > 0, total, 1.0)
    root = share.sqrt().unsqueeze(-1)
    rows = torch.where(valid.unsqueeze(-1), z, 0.0) * root
    inside = torch.where(valid, labels, 0).unsqueeze(-1)
    targets = root.new_zeros(*labels.shape, num_classes).scatter(2, inside, root)
    return rows, targets, counted
