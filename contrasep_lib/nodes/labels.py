"""Labelled nodes from which objectives learn, with sources and without.

With sources, a node belongs to the one that dominates it. Without, all that is known is which
recording a sound comes from, and two views of a recording are made:

- the recording as it is, and
- a remix: the recording plus another one of the batch at a random relative level.

A node of the remix is labelled with the recording that dominates it. Supervision is that of
whole utterances, and nothing tells the talkers of one recording apart. Yet which talkers share
a recording cannot be heard, so the expected affinity of two nodes of the remix is 1 within a
talker and less between talkers, also between those of one recording; the network learns that
expectation. For NT-Xent a node of the remix and a node of its own recording unmixed, up to a
few frames away at the same frequency, make a positive pair; negatives are nodes of the other
recording.
"""

from __future__ import annotations

import dataclasses

import torch

from contrasep_lib.nodes.draws import Draws


@dataclasses.dataclass(frozen=True)
class LabelledNodes:
    """Nodes with labels.

    Attributes:
        z: ``(pools, nodes, dim)`` of unit norm; negatives come from the same pool.
        labels: ``(pools, nodes)`` int64 in ``0 .. number - 1``.
        weight: ``(pools, nodes)``.
        valid: ``(pools, nodes)`` bool.
        number: of labels.
        names: ``(number,)`` int64, labels that mean the same on all ranks; None where labels have
            a meaning only here.
    """

    z: torch.Tensor
    labels: torch.Tensor
    weight: torch.Tensor
    valid: torch.Tensor
    number: int
    names: torch.Tensor | None = None

    def pooled(self) -> LabelledNodes:
        """All nodes in one pool."""
        tensors = (self.z, self.labels, self.weight, self.valid)
        return LabelledNodes(*(part.flatten(0, 1).unsqueeze(0) for part in tensors), self.number, self.names)


def similarity(nodes: LabelledNodes) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Mean cosine of pairs of nodes of one label (``within``) and of different labels (``between``).

    Means over all pairs of a pool, then over pools with two labels; no pair is formed, the cost
    is ``O(nodes * labels * dim)``. Without any learning the two are equal.

    Returns:
        The two means, and of how many pools they are means.
    """
    valid = nodes.valid.unsqueeze(-1)
    z = torch.where(valid, nodes.z, 0.0)
    chosen = z.new_zeros(*nodes.labels.shape, nodes.number)
    chosen = chosen.scatter(2, nodes.labels.unsqueeze(-1), valid.to(z.dtype))
    count = chosen.sum(1)
    sums = chosen.transpose(1, 2) @ z
    # a node is no pair with itself
    itself = z.square().sum((1, 2))
    own, own_pairs = sums.square().sum((1, 2)), count.square().sum(1)
    whole, pairs = sums.sum(1).square().sum(1), count.sum(1).square()
    counted = (count > 0).sum(1) > 1

    def mean(total: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
        return torch.where(counted, total / of.clamp_min(1), 0.0).sum() / counted.sum().clamp_min(1)

    means = {
        "within": mean(own - itself, own_pairs - count.sum(1)),
        "between": mean(whole - own, pairs - own_pairs),
    }
    return means, counted.sum()


def remix(
    mixture: torch.Tensor, lengths: torch.Tensor, level_db: float, draws: Draws
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each recording with another one of the batch on top.

    The other is the one before in the batch, at a level relative to the recording drawn
    uniformly from ``+- level_db``; a recording alone in its batch gets itself, reversed.

    Args:
        mixture: ``(batch, samples)``, zero behind ``lengths (batch,)``.
        lengths: samples of each.
        level_db: dB.
        draws: the level of each.

    Returns:
        ``(batch, samples)`` intruders, zero behind ``lengths``, to be added to ``mixture``, and
        ``(batch,)`` the index of the recording that each is (``batch`` for a reversed one).
    """
    if len(mixture) > 1:
        other = torch.arange(len(mixture), device=mixture.device).roll(1)
        intruder = mixture[other]
    else:
        other = torch.ones(1, dtype=torch.int64, device=mixture.device)
        intruder = mixture.flip(1)
    inside = torch.arange(mixture.shape[1], device=mixture.device) < lengths.unsqueeze(1)
    intruder = torch.where(inside, intruder, 0.0)
    draw = draws.uniform(1).squeeze(1).to(mixture)
    level = mixture.square().sum(1).sqrt() * 10 ** ((2 * draw - 1) * level_db / 20)
    power = intruder.square().sum(1).sqrt()
    gain = torch.where(power > 0, level / power.clamp_min(1e-12), 0.0)
    return intruder * gain.unsqueeze(1), other
