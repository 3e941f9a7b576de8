"""The objectives of deep clustering: affinity, and affinity after whitening."""

from __future__ import annotations

import torch

from contrasep_lib.objectives.common import accurate, check_embeddings, check_nodes, everywhere


@accurate
def affinity_loss(
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
    rows, targets, counted = _weighted(z, labels, num_classes, weight, valid)
    within = (rows.transpose(1, 2) @ rows).square().sum((1, 2))
    across = (rows.transpose(1, 2) @ targets).square().sum((1, 2))
    sizes = targets.square().sum(1).square().sum(1)
    losses = within - 2 * across + sizes
    return torch.where(counted, losses, 0.0).sum() / counted.sum().clamp_min(1)


@accurate
def whitened_loss(
    z: torch.Tensor,
    labels: torch.Tensor,
    num_classes: int,
    weight: torch.Tensor | None = None,
    valid: torch.Tensor | None = None,
    ridge: float = 1e-3,
) -> torch.Tensor:
    """Share of the labels that no linear function of the embeddings tells.

    ``1 - tr((V'V)^-1 V'Y (Y'Y)^-1 Y'V) / K`` with V, Y and weights as in `affinity_loss` (the
    whitened k-means objective of Wang, Le Roux, Hershey, ICASSP 2018, section 2, divided by the
    K classes that are present): 0 where the labels lie in the span of the embeddings, 1 where
    the two are orthogonal. Directions are measured after whitening, so a small difference between
    talkers counts as much as a large one: where the affinity objective rests for long near the
    best constant embedding, this one has a gradient. It leaves open how far talkers lie apart,
    so clustering by cosines wants it together with another objective.

    Args:
        z, labels, num_classes, weight, valid: as in `affinity_loss`.
        ridge: added to the diagonal of ``V'V``, whose trace is 1 for unit-norm embeddings;
            bounds the gradient of directions that no embedding takes. Positive.

    Returns:
        Scalar: mean over the utterances that have a valid node of positive weight, 0 if none
        has. float32, or float64 for such embeddings.

    Raises:
        ValueError: a shape does not fit, ``num_classes`` is under 1, ``ridge`` is not positive.
    """
    if not ridge > 0:
        raise ValueError(f"ridge: a positive number wanted, got {ridge:g}")
    rows, targets, counted = _weighted(z, labels, num_classes, weight, valid)
    gram = rows.transpose(1, 2) @ rows + ridge * torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device)
    across = rows.transpose(1, 2) @ targets
    told = (torch.linalg.solve(gram, across) * across).sum(1)
    sizes = targets.square().sum(1)
    present = sizes > 0
    shares = torch.where(present, told / torch.where(present, sizes, 1.0), 0.0)
    losses = 1 - shares.sum(1) / present.sum(1).clamp_min(1)
    return torch.where(counted, losses, 0.0).sum() / counted.sum().clamp_min(1)


def _weighted(
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
        raise ValueError(f"num_classes: at least 1 wanted, got {num_classes}")
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
