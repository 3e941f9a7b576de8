"""Drawing nodes and positive pairs."""

from __future__ import annotations

import torch

from contrasep_lib.nodes.draws import Draws


def sample_nodes(valid: torch.Tensor, count: int, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw valid nodes of each utterance without replacement, in random order.

    Args:
        valid: ``(batch, nodes)`` bool.
        count: nodes to draw, at least 1.
        draws: of each utterance.

    Returns:
        Indices ``(batch, n)`` with ``n = min(count, nodes)``, and whether each is valid,
        ``(batch, n)``: an utterance with fewer valid nodes is filled up with others, last.

    Raises:
        ValueError: ``count`` under 1.
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1 node, got {count}")
    keys = draws.uniform(valid.shape[1]).to(valid.device)
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


def pair_across(
    labels: torch.Tensor, valid: torch.Tensor, items: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pair off nodes of one label and of different recordings, each node in at most one pair.

    The first node of a label in each recording, then the second, and so on, are paired in this order; so a label of two
    recordings gives as many pairs as the one with fewer of its nodes has.

    Args:
        labels: ``(pools, nodes)`` integers, as many of each recording, one recording after another.
        valid: ``(pools, nodes)`` bool.
        items: recordings of a pool; with one there are no pairs.

    Returns:
        As `pair_nodes`.
    """
    each = labels.shape[1] // items
    own = torch.where(valid, labels, torch.iinfo(labels.dtype).max).reshape(-1, each)
    ranked, place = own.sort(dim=1, stable=True)
    begins = torch.searchsorted(ranked.contiguous(), ranked.contiguous())
    rank = torch.empty_like(place).scatter_(1, place, torch.arange(each, device=labels.device) - begins)
    order = rank.view(labels.shape).argsort(dim=1, stable=True)
    first, second, paired = pair_nodes(labels.gather(1, order), valid.gather(1, order))
    first, second = order.gather(1, first), order.gather(1, second)
    return first, second, paired & (first // each != second // each)


def lagged_partners(
    labels: torch.Tensor, valid: torch.Tensor, frames: int, lag: tuple[int, ...], draws: Draws
) -> tuple[torch.Tensor, torch.Tensor]:
    """A partner of each node, in the same recording and some frames before or after it.

    Args:
        labels: ``(batch, nodes)`` integers.
        valid: ``(batch, nodes)`` bool.
        frames: of each recording; nodes are frame by frame.
        lag: least and most frames between the two, each number between as likely.
        draws: of each recording.

    Returns:
        Indices ``(batch, nodes)``, and whether node and partner are a pair: two valid nodes of one label.
    """
    total = labels.shape[1]
    per_frame = total // frames
    itself = torch.arange(total, device=labels.device)
    apart = lag[0] + draws.integers(lag[1] - lag[0] + 1, total).to(labels.device)
    apart = torch.where(draws.integers(2, total).to(labels.device) > 0, apart, -apart)
    frame = itself // per_frame
    there = frame + apart
    # at an end there is one side alone
    there = torch.where((there < 0) | (there >= frames), frame - apart, there)
    inside = (there >= 0) & (there < frames)
    partner = there.clamp(0, frames - 1) * per_frame + draws.integers(per_frame, total).to(labels.device)
    same = labels.gather(1, partner) == labels
    return partner, inside & same & valid & valid.gather(1, partner) & (partner != itself)


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
