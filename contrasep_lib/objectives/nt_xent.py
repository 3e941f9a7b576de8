"""Normalised temperature-scaled cross entropy."""

from __future__ import annotations

import torch

from contrasep_lib.objectives.common import (
    NOTHING,
    accurate,
    check_embeddings,
    check_nodes,
    check_temperature,
    everywhere,
    gather_ranks,
    masked_mean,
)


@accurate
def nt_xent_loss(
    first: torch.Tensor,
    second: torch.Tensor,
    labels: torch.Tensor | None = None,
    valid: torch.Tensor | None = None,
    temperature: float = 0.1,
    gather: bool = False,
) -> torch.Tensor:
    """NT-Xent over positive pairs, in both orders.

    ``l_ij = -log exp(z_i.z_j/t) / sum_{k != i} exp(z_i.z_k/t)`` for the pair (i, j) and for
    (j, i), k over both members of all pairs of the pool (Chen et al., ICML 2020, eq. 1); the
    mean over pairs and orders. Pools are the elements of the batch. With labels, nodes of the
    anchor's label other than its partner are left out of the sum over k: they are no negatives.

    Costs ``O(batch * pairs^2 * dim)`` time and ``O(batch * pairs^2)`` memory.

    Args:
        first, second: ``(batch, pairs, dim)`` of unit norm.
        labels: ``(batch, pairs)`` integers, one for both members of a pair, any values.
        valid: ``(batch, pairs)`` bool; all by default.
        temperature: t, in [0.001, 100].
        gather: with ``batch == 1``, take negatives from all ranks too, with gradient; labels
            must then mean the same on all ranks.

    Returns:
        Scalar: mean over the pools that have a pair, 0 if none has. float32, or float64 for
        such embeddings.

    Raises:
        ValueError: a shape or the temperature is out of range, or ``gather`` with a larger batch.
    """
    check_embeddings("first", first)
    check_temperature(temperature)
    if second.shape != first.shape:
        got = tuple(second.shape)
        raise ValueError(f"second: shape {tuple(first.shape)} wanted, as first has, got {got}")
    if gather and len(first) != 1:
        raise ValueError(f"gather: a batch of 1 (one pool of nodes) wanted, got a batch of {len(first)}")
    lead = first.shape[:2]
    valid = everywhere(first) if valid is None else valid
    check_nodes("valid", valid, lead)
    if labels is not None:
        check_nodes("labels", labels, lead)

    pairs = lead[1]
    valid = valid.repeat(1, 2)
    z = torch.where(valid.unsqueeze(-1), torch.cat([first, second], dim=1), 0.0)
    keys, key_valid, offset = z, valid, 0
    labels = key_labels = None if labels is None else labels.repeat(1, 2)
    if gather:
        (keys, key_valid), offset = gather_ranks(z, valid)
        if labels is not None:
            (key_labels,), _ = gather_ranks(labels)

    logits = z @ keys.transpose(1, 2) / temperature
    itself = torch.arange(2 * pairs, device=z.device).expand(len(z), -1)
    partner = ((itself + pairs) % max(2 * pairs, 1) + offset).unsqueeze(2)
    counted = key_valid.unsqueeze(1) & valid.unsqueeze(2)
    if labels is not None:
        counted = counted & (labels.unsqueeze(2) != key_labels.unsqueeze(1))
    counted = counted.scatter(2, (itself + offset).unsqueeze(2), False).scatter(2, partner, True)
    normaliser = torch.where(counted, logits, NOTHING).logsumexp(2)
    losses = normaliser - logits.gather(2, partner).squeeze(2)
    return masked_mean(torch.where(valid, losses, 0.0), valid.to(z.dtype))
