"""Drawing nodes and positive pairs, deterministic for a given generator."""

from __future__ import annotations

import torch


def sample_nodes(
    valid: torch.Tensor, count: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw valid nodes of each utterance without replacement, in random order.

    Args:
        valid: ``(batch, nodes)`` bool.
        count: nodes to draw, at least 1.
        generator: on any device; the same state gives the same nodes.

    Returns:
        Indices ``(batch, n)`` with ``n = min(count, nodes)``, and whether each is valid,
        ``(batch, n)``: an utterance with fewer valid nodes is filled up with others, last.

    Raises:
        ValueError: ``count`` under 1.
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1 node, got {count}")
    keys = torch.rand(valid.shape, generator=generator, device=generator.device).to(valid.device)
    top = torch.where(valid, keys, -1.0).topk(min(count, valid.shape[1]), dim=1)
    return top.indices, top.values >= 0


def take(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Rows ``index (batch, n)`` of ``values (batch, nodes, ...)``: ``(batch, n, ...)``."""
    lead = index.reshape(*index.shape, *[1] * (values.dim() - 2))
    return values.gather(1, lead.expand(*index.shape, *values.shape[2:]))


def pair_nodes(labels: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pair off nodes of one label, each node in at most one pair.

    Nodes are paired in the order in which they come, so nodes in random order (see
    `sample_nodes`) give random pairs. Of each label at most one node stays alone, and the pairs
    do not depend on which number a label is.

    Args:
        labels: ``(batch, nodes)`` integers.
        valid: ``(batch, nodes)`` bool.

    Returns:
        Indices ``(batch, nodes // 2)`` of the first and of the second of each pair, and whether
        the pair is one: both nodes valid and of one label.
    """
    last = torch.iinfo(labels.dtype).max
    ranked, order = torch.where(valid, labels, last).sort(dim=1, stable=True)
    begins = torch.searchsorted(ranked.contiguous(), ranked.contiguous())
    even = (torch.arange(labels.shape[1], device=labels.device) - begins) % 2 == 0
    paired = even[:, :-1] & (ranked[:, :-1] == ranked[:, 1:]) & valid.gather(1, order[:, 1:])
    kept = paired.int().argsort(dim=1, descending=True, stable=True)[:, : labels.shape[1] // 2]
    return order[:, :-1].gather(1, kept), order[:, 1:].gather(1, kept), paired.gather(1, kept)


def all_finite(z: torch.Tensor, valid: torch.Tensor) -> bool:
    """Whether embeddings ``(batch, nodes, dim)`` are finite where ``valid (batch, nodes)``.

    What partitions nodes refuses others; an objective then has the loss NaN, at which training stops.
    """
    return bool((z.detach().isfinite().all(-1) | ~valid).all())


def own_labels(labels: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, int, torch.Tensor]:
    """Labels of each mixture from 0 on, whatever they mean in the batch.

    Args:
        labels: ``(batch, nodes)`` integers.
        valid: ``(batch, nodes)`` bool, where they are read.

    Returns:
        ``(batch, nodes)`` int64, 0 where not valid; the largest number of labels of a mixture, at least 1; that of
        each, ``(batch,)``.
    """
    own, counts = torch.zeros_like(labels), torch.zeros_like(labels[:, 0])
    for row, read in enumerate(valid):
        names, own[row, read] = labels[row, read].unique(return_inverse=True)
        counts[row] = len(names)
    return own, max(int(counts.max()), 1), counts
