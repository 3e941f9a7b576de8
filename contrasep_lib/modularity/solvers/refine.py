"""Moves of nodes and merges of communities that raise the quality of a hard partition."""

from __future__ import annotations

import torch

from contrasep_lib.modularity.operator import GraphOperator, one_hot


def sweep(
    operator: GraphOperator,
    labels: torch.Tensor,
    num_communities: int,
    max_sweeps: int = 50,
    min_gain: float = 1e-7,
) -> tuple[torch.Tensor, float]:
    """Batched Kernighan-Lin style moves; the operator's quality never falls.

    The gain of moving node i from a to b is, for Q and up to 2/2m,
    ``(AC)_ib - (AC)_ia - d_i (vol_b - vol_a + d_i) / 2m``, see `Quality.scores`. All nodes with a gain
    move at once, which for Q of kernels (close to a positive semidefinite form) always raises it. Where
    moves spoil one another and the quality falls, only the best quarter of them is tried again, down
    to the single best one, whose gain is exact.

    Args:
        operator: a graph with edges.
        labels: ``(nodes,)`` in 0..K-1.
        num_communities: K.
        max_sweeps: products with A at most.
        min_gain: sweeps end once one raises the quality by less.

    Returns:
        Labels and their exact quality.
    """
    degrees = operator.degrees
    tolerance = 8 * torch.finfo(operator.z.dtype).eps
    best_labels, best_quality = labels, -torch.inf
    ranking = best_labels[:0]
    moves, target = 0, labels
    for _ in range(max_sweeps):
        current = one_hot(labels, num_communities, degrees.dtype)
        edges, inside, volume = operator.sums(current)
        quality = operator.value(inside, volume)
        if quality > best_quality + tolerance:
            small = quality - best_quality < min_gain
            best_labels, best_quality = labels, quality
            if small:
                break
            score = operator.quality.scores(
                edges, degrees, operator.loops, labels, inside, volume, operator.two_m
            )
            top, target = score.max(1)
            gain = top - score.gather(1, labels.unsqueeze(1)).squeeze(1)
            # Rounding in a sum of d_i edges decides nothing.
            gain = torch.where(gain > tolerance * degrees, gain, 0.0)
            moves = int((gain > 0).sum())
            ranking = gain.argsort(descending=True, stable=True)
        elif moves == 1:
            break
        else:
            moves = -(-moves // 4)
        if not moves:
            break
        chosen = ranking[:moves]
        labels = best_labels.clone()
        labels[chosen] = target[chosen]
    return best_labels, best_quality


def merge(operator: GraphOperator, labels: torch.Tensor, num_communities: int) -> tuple[torch.Tensor, bool]:
    """Merge pairs of communities while that raises the operator's quality; labels, and whether any were merged."""
    current = one_hot(labels, num_communities, operator.z.dtype)
    between = (current.T @ operator.matmul(current)).double()
    volume = operator.degrees.double() @ current.double()
    changed = False
    while True:
        gain = operator.quality.merge_gains(between, volume, operator.two_m).tril(-1)
        best = int(gain.argmax())
        one, two = divmod(best, num_communities)
        if gain[one, two] <= 1e-9 * operator.two_m:
            return labels, changed
        labels = torch.where(labels == one, two, labels)
        between[two] += between[one]
        between[:, two] += between[:, one]
        between[one] = 0
        between[:, one] = 0
        volume[two] += volume[one]
        volume[one] = 0
        changed = True
