"""Deep clustering after whitening."""

from __future__ import annotations

import torch

from contrasep_lib.objectives.base import Losses, Objective, Step
from contrasep_lib.objectives.common import accurate
from contrasep_lib.objectives.deep_clustering import weighted_rows


@accurate
def whitened_deep_clustering_loss(
    z: torch.Tensor,
    labels: torch.Tensor,
    num_classes: int,
    weight: torch.Tensor | None = None,
    valid: torch.Tensor | None = None,
    ridge: float = 1e-3,
) -> torch.Tensor:
    """Share of the labels that no linear function of the embeddings explains.

    ``1 - tr((V'V)^-1 V'Y (Y'Y)^-1 Y'V) / K`` with V, Y and weights as in `deep_clustering_loss` (the
    whitened k-means objective of Wang, Le Roux, Hershey, ICASSP 2018, section 2, divided by the
    K classes that are present): 0 where the labels lie in the span of the embeddings, 1 where
    the two are orthogonal. Directions are measured after whitening, so a small difference between
    speakers counts as much as a large one: where deep clustering rests for long near the best constant
    embedding, this objective has a gradient. It leaves open how far speakers lie apart, so clustering by
    cosines needs it together with another objective.

    Args:
        z, labels, num_classes, weight, valid: as in `deep_clustering_loss`.
        ridge: added to the diagonal of ``V'V``, whose trace is 1 for unit-norm embeddings;
            bounds the gradient of directions that no embedding takes. Positive.

    Returns:
        Scalar: mean over the utterances that have a valid node of positive weight, 0 if none
        has. float32, or float64 for such embeddings.

    Raises:
        ValueError: a shape does not fit, ``num_classes`` is under 1, ``ridge`` is not positive.
    """
    if not ridge > 0:
        raise ValueError(f"ridge: expected a positive number, got {ridge:g}")
    rows, targets, counted = weighted_rows(z, labels, num_classes, weight, valid)
    gram = rows.transpose(1, 2) @ rows + ridge * torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device)
    across = rows.transpose(1, 2) @ targets
    explained = (torch.linalg.solve(gram, across) * across).sum(1)
    sizes = targets.square().sum(1)
    present = sizes > 0
    shares = torch.where(present, explained / torch.where(present, sizes, 1.0), 0.0)
    losses = 1 - shares.sum(1) / present.sum(1).clamp_min(1)
    return torch.where(counted, losses, 0.0).sum() / counted.sum().clamp_min(1)


class WhitenedDeepClustering(Objective):
    """See `whitened_deep_clustering_loss`.

    All nodes take part, for costs grow with their number and not with its square.
    """

    gathers = True

    def forward(self, step: Step) -> Losses:
        """See `Objective.forward`."""
        nodes = step.whole
        value = whitened_deep_clustering_loss(nodes.z, nodes.labels, nodes.number, nodes.weight, nodes.valid)
        return value, {}, step.counted(nodes.weight * nodes.valid)
