"""What a partition is worth: modularity with a resolution, and normalised modularity.

Both are made from the same sums over pairs: ``(C'AC)_kk``, what lies inside a community, its volume
``vol_k = (C'd)_k`` and ``2m``. With the resolution gamma of Reichardt and Bornholdt (2006)

    Q_gamma(C) = sum_k (C'AC)_kk / 2m - gamma sum_k (vol_k / 2m)^2.

Q has a resolution limit: merging a and b raises it where ``A_ab > gamma vol_a vol_b / 2m``. Normalised modularity

    Qn(C) = sum_k (C'AC)_kk / vol_k - 1 = K - 1 - NCut(C)

(Yu and Shi 2003; Dhillon, Guan and Kulis 2004) has none, but grows with K: it chooses a partition into K, not K.
"""

from __future__ import annotations

import abc
from typing import Any

import torch

from contrasep_lib.modularity.options import ModularityQualityOptions, NormalisedOptions

NO_VOLUME = 1e-9
"""Communities with less of 2m than this have no volume: what rounding leaves of none must not be divided by."""


class Quality(abc.ABC):
    """A value of partitions, which solvers maximise.

    Slopes, scores and gains are those of the value times m, so that all qualities have the unit of an edge.

    Attributes:
        regularise: r; ``r d_mean / N`` is added to every pair of nodes before the value is taken.
    """

    regularise: float = 0.0

    @classmethod
    def from_options(cls, options: Any) -> Quality:
        """The quality of a configuration; the fields of the options are its arguments."""
        return cls(**vars(options))

    @abc.abstractmethod
    def value(self, inside: torch.Tensor, volume: torch.Tensor, two_m: torch.Tensor) -> torch.Tensor:
        """The value of partitions, differentiable; 0 for a graph without edges.

        Args:
            inside: ``(C'AC)_kk``, ``(..., K)``.
            volume: ``(C'd)_k``, ``(..., K)``.
            two_m: ``(...,)``.

        Returns:
            ``(...,)``.
        """

    @abc.abstractmethod
    def slope(
        self, edges: torch.Tensor, degrees: torch.Tensor, inside: torch.Tensor, volume: torch.Tensor, two_m: float
    ) -> torch.Tensor:
        """m times the derivative with respect to the assignments, ``(nodes, K)``.

        Args:
            edges: ``AC``, ``(nodes, K)``.
            degrees: ``(nodes,)``.
            inside, volume, two_m: as for `value`.
        """

    @abc.abstractmethod
    def scores(
        self, edges: torch.Tensor, degrees: torch.Tensor, loops: torch.Tensor, labels: torch.Tensor,
        inside: torch.Tensor, volume: torch.Tensor, two_m: float,
    ) -> torch.Tensor:
        """What each node is worth in each community of a hard partition, ``(nodes, K)``.

        Moving one node raises m times the value by exactly the difference of two entries of its row.

        Args:
            loops: ``A_ii``, ``(nodes,)``.
            labels: ``(nodes,)`` in 0..K-1.
            edges, degrees, inside, volume, two_m: as for `slope`.
        """

    @abc.abstractmethod
    def merge_gains(self, between: torch.Tensor, volume: torch.Tensor, two_m: float) -> torch.Tensor:
        """By how much merging two communities raises m times the value, ``(K, K)``.

        Args:
            between: ``C'AC``, ``(K, K)``.
            volume, two_m: as for `value`.
        """

    @abc.abstractmethod
    def spread(self, degrees: torch.Tensor, two_m: float) -> tuple[torch.Tensor, float, torch.Tensor | None]:
        """The matrix whose leading eigenvectors u spread the communities, ``S (A - share d d' / 2m) S``.

        Returns:
            The diagonal of S ``(nodes,)``, the share, and the masses of the nodes where their points ``S u`` are
            partitioned by distance (weighted k-means), None where by direction (Newman 2006).
        """


class Modularity(ModularityQualityOptions, Quality):
    """Q_gamma; its argument is that of :class:`~contrasep_lib.modularity.options.ModularityQualityOptions`.

    Example:
        >>> float(Modularity().value(torch.tensor([4.0, 4.0]), torch.tensor([5.0, 5.0]), torch.tensor(10.0)))
        0.30000001192092896
    """

    def value(self, inside: torch.Tensor, volume: torch.Tensor, two_m: torch.Tensor) -> torch.Tensor:
        """See `Quality.value`."""
        edges = two_m > 0
        safe = torch.where(edges, two_m, torch.ones_like(two_m))
        expected = self.gamma * (volume / safe.unsqueeze(-1)).square().sum(-1)
        return torch.where(edges, inside.sum(-1) / safe - expected, torch.zeros_like(two_m))

    def slope(
        self, edges: torch.Tensor, degrees: torch.Tensor, inside: torch.Tensor, volume: torch.Tensor, two_m: float
    ) -> torch.Tensor:
        """See `Quality.slope`."""
        return edges - degrees.unsqueeze(1) * (self.gamma * volume / two_m).to(edges.dtype)

    def scores(
        self, edges: torch.Tensor, degrees: torch.Tensor, loops: torch.Tensor, labels: torch.Tensor,
        inside: torch.Tensor, volume: torch.Tensor, two_m: float,
    ) -> torch.Tensor:
        """See `Quality.scores`: ``(AC)_ik - gamma d_i vol_k / 2m``, without the node itself in its own community."""
        score = self.slope(edges, degrees, inside, volume, two_m)
        alone = self.gamma * degrees.square() / two_m - loops
        return score.scatter_add(1, labels.unsqueeze(1), alone.unsqueeze(1))

    def merge_gains(self, between: torch.Tensor, volume: torch.Tensor, two_m: float) -> torch.Tensor:
        """See `Quality.merge_gains`."""
        return between - self.gamma * volume.unsqueeze(0) * volume.unsqueeze(1) / two_m

    def spread(self, degrees: torch.Tensor, two_m: float) -> tuple[torch.Tensor, float, None]:
        """See `Quality.spread`: B itself."""
        return torch.ones_like(degrees), self.gamma, None


class NormalisedModularity(NormalisedOptions, Quality):
    """Qn; its argument is that of :class:`~contrasep_lib.modularity.options.NormalisedOptions`.

    A community without volume adds 0 to it and to its gradient.

    Example:
        >>> float(NormalisedModularity().value(torch.tensor([4.0, 4.0]), torch.tensor([5.0, 5.0]), torch.tensor(10.0)))
        0.6000000238418579
    """

    def value(self, inside: torch.Tensor, volume: torch.Tensor, two_m: torch.Tensor) -> torch.Tensor:
        """See `Quality.value`."""
        some = volume > NO_VOLUME * two_m.unsqueeze(-1)
        safe = torch.where(some, volume, torch.ones_like(volume))
        kept = torch.where(some, inside / safe, torch.zeros_like(inside)).sum(-1)
        return torch.where(two_m > 0, kept - 1, torch.zeros_like(two_m))

    def slope(
        self, edges: torch.Tensor, degrees: torch.Tensor, inside: torch.Tensor, volume: torch.Tensor, two_m: float
    ) -> torch.Tensor:
        """See `Quality.slope`: m times ``2 (AC)_ik / vol_k - d_i (C'AC)_kk / vol_k^2``."""
        inverse = _inverse(volume, two_m)
        rate = (two_m * inverse).to(edges.dtype)
        return edges * rate - degrees.unsqueeze(1) * (two_m / 2 * inside * inverse.square()).to(edges.dtype)

    def scores(
        self, edges: torch.Tensor, degrees: torch.Tensor, loops: torch.Tensor, labels: torch.Tensor,
        inside: torch.Tensor, volume: torch.Tensor, two_m: float,
    ) -> torch.Tensor:
        """See `Quality.scores`: what (C'AC)_kk / vol_k gains by the node, in its own community what it would lose."""
        edge, degree, loop = edges.double(), degrees.double().unsqueeze(1), loops.double().unsqueeze(1)
        mean = inside * _inverse(volume, two_m)
        # (g + 2e + l) / (v + d) - g / v, without the difference of two near numbers
        enter = (2 * edge + loop - mean * degree) * _inverse(volume + degree, two_m)
        own = labels.unsqueeze(1)
        rest = volume[labels].unsqueeze(1) - degree
        leave = (2 * edge.gather(1, own) - loop - mean[labels].unsqueeze(1) * degree) * _inverse(rest, two_m)
        # of a community of this node alone nothing stays
        leave = torch.where(rest > NO_VOLUME * two_m, leave, mean[labels].unsqueeze(1))
        return (two_m / 2 * enter.scatter(1, own, leave)).to(edges.dtype)

    def merge_gains(self, between: torch.Tensor, volume: torch.Tensor, two_m: float) -> torch.Tensor:
        """See `Quality.merge_gains`."""
        inside = between.diagonal()
        mean = inside * _inverse(volume, two_m)
        both = inside.unsqueeze(0) + inside.unsqueeze(1) + 2 * between
        joint = both * _inverse(volume.unsqueeze(0) + volume.unsqueeze(1), two_m)
        return two_m / 2 * (joint - mean.unsqueeze(0) - mean.unsqueeze(1))

    def spread(self, degrees: torch.Tensor, two_m: float) -> tuple[torch.Tensor, float, torch.Tensor]:
        """See `Quality.spread`: the normalised cut's matrix (Yu and Shi 2003), without the vector that all share."""
        return _inverse(degrees, 0.0).sqrt(), 1.0, degrees


def _inverse(volume: torch.Tensor, two_m: float) -> torch.Tensor:
    """``1 / volume``, 0 where there is none."""
    some = volume > NO_VOLUME * two_m
    return torch.where(some, 1 / torch.where(some, volume, torch.ones_like(volume)), torch.zeros_like(volume))


def with_uniform_pairs(gram: torch.Tensor, mass: torch.Tensor, share: float) -> torch.Tensor:
    """``[C, 1]' A [C, 1]`` after ``share d_mean / N`` is added to every pair (Amini et al. 2013).

    A pair of nodes counts with the product of their weights, as its edge does, and a pair of a node with itself counts
    too, so that each degree grows by ``share d_mean`` where weights are equal.

    Args:
        gram: ``(batch, K + 1, K + 1)``; 2m is its last corner.
        mass: ``[C, 1]' w``, ``(batch, K + 1)``.
        share: r, at least 0.
    """
    total = mass[:, -1:].clamp(min=torch.finfo(mass.dtype).tiny)
    part = mass / total
    return gram + share * gram[:, -1:, -1:] * part.unsqueeze(1) * part.unsqueeze(2)
