"""Soft communities on the sphere with sizes of their own, on which the counting rests.

The partition of largest Q prefers communities of equal size and cuts a large talker in two
rather than part off one of 5 %. So partitions are refined by the alternation

    C_ik = softmax_k(kappa z_i . mu_k + log pi_k),  mu_k ~ sum_i w_i C_ik z_i,  pi_k ~ sum_i w_i C_ik,

soft spherical k-means with sizes (Banerjee et al. 2005, a single kappa for all communities).
A concentration shared by all keeps any one of them from becoming the bin for outliers, and
``z_i . mu_k`` bounds what an outlier can do.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.special import ive

_MAX_KAPPA = 1e4
_SHORT = 12


@dataclasses.dataclass(frozen=True)
class SoftPartition:
    """Communities: ``centroids (K, dim)``, ``sizes (K,)`` summing to one, ``kappa``, ``fit``.

    ``fit`` is the objective per unit of weight, with which starting points are compared.
    """

    centroids: np.ndarray
    sizes: np.ndarray
    kappa: float
    fit: float

    def assign(self, z: np.ndarray) -> np.ndarray:
        """Soft assignments ``(nodes, K)`` of unit-norm ``z (nodes, dim)``."""
        return _softmax(self._logits(z))[0].T

    def labels(self, z: np.ndarray) -> np.ndarray:
        """Largest of :meth:`assign`, ``(nodes,)`` int64."""
        return self._logits(z).argmax(0)

    def _logits(self, z: np.ndarray) -> np.ndarray:
        return _logits(z.astype(np.float32, copy=False), self.centroids, self.sizes, self.kappa)


def concentration(resultant: float, dim: int) -> float:
    """Concentration of a von Mises-Fisher cloud with this mean resultant length; at most 1e4.

    The approximation of Banerjee et al. (2005); its error, below a few percent, only moves
    the borders between communities.
    """
    r = min(max(resultant, 1e-6), 1 - 1e-9)
    return float(min(r * (dim - r * r) / (1 - r * r), _MAX_KAPPA))


def log_bessel(order: float, kappa: float) -> float:
    """``log I_order(kappa)``; where it underflows, by the uniform expansion (DLMF 10.41.3)."""
    scaled = ive(order, kappa)
    if scaled > 0:
        return float(np.log(scaled) + kappa)
    x = kappa / order
    root = np.sqrt(1 + x * x)
    return float(order * (root + np.log(x / (1 + root))) - 0.5 * np.log(2 * np.pi * order * root))


def whole(z: np.ndarray, weight: np.ndarray) -> SoftPartition:
    """All nodes as one community."""
    return SoftPartition(unit(weight @ z)[None], np.ones(1), 1.0, 0.0)


def refine(
    z: np.ndarray, weight: np.ndarray, centroids: np.ndarray, sizes: np.ndarray, iterations: int = 60
) -> SoftPartition:
    """Alternate from the given centroids and sizes until sizes move by less than 2e-4."""
    z, weight = z.astype(np.float32, copy=False), weight.astype(np.float32, copy=False)
    total, dim = float(weight.sum(dtype=np.float64)), z.shape[1]
    kappa = concentration(max(float((centroids.astype(np.float32) @ z.T).max(0) @ weight) / total, 0.05), dim)
    sizes = np.maximum(sizes, 1e-6)
    previous = None
    for step in range(iterations + 1):
        soft, level = _softmax(_logits(z, centroids, sizes, kappa))
        soft *= weight
        mass = soft.sum(1, dtype=np.float64)
        if step == iterations or (previous is not None and np.abs(mass - previous).max() < 2e-4 * total):
            break
        previous = mass
        sums = (soft @ z).astype(np.float64)
        length = np.linalg.norm(sums, axis=1)
        moved = sums / np.maximum(length, 1e-300)[:, None]
        centroids = np.where((length > 1e-12 * total)[:, None], moved, centroids)
        sizes = np.maximum(mass / total, 1e-6)
        kappa = concentration(float(length.sum() / total), dim)
    half = dim / 2 - 1
    log_norm = half * np.log(kappa) - dim / 2 * np.log(2 * np.pi) - log_bessel(half, kappa)
    return SoftPartition(centroids, sizes, kappa, float(level @ weight.astype(np.float64) / total + log_norm))


def best_of(
    z: np.ndarray,
    weight: np.ndarray,
    num_communities: int,
    starts: list[tuple[np.ndarray, np.ndarray]],
    restarts: int,
    rng: np.random.Generator,
    iterations: int = 60,
) -> SoftPartition:
    """Refine the given starts (centroids, sizes) and k-means++ ones; the best fit wins.

    All starts run a few iterations; only the best goes on.
    """
    even = np.full(num_communities, 1 / num_communities)
    seeded = [(_plus_plus(z, weight, num_communities, rng), even) for _ in range(restarts)]
    short = [refine(z, weight, *start, iterations=_SHORT) for start in [*starts, *seeded]]
    # Fits that differ by rounding alone must not change places.
    best = max(short, key=lambda got: round(got.fit, 6))
    return refine(z, weight, best.centroids, best.sizes, iterations)


def unit(vector: np.ndarray) -> np.ndarray:
    """Scale the last axis to norm 1; the first axis of space stands in for zero."""
    norm = np.linalg.norm(vector, axis=-1, keepdims=True)
    first = np.zeros(vector.shape[-1])
    first[0] = 1.0
    return np.where(norm > 1e-12, vector / np.maximum(norm, 1e-300), first)


def _logits(z: np.ndarray, centroids: np.ndarray, sizes: np.ndarray, kappa: float) -> np.ndarray:
    """``kappa z_i . mu_k + log pi_k`` as ``(K, nodes)``: reductions over K then run along memory."""
    pull = (kappa * centroids).astype(np.float32) @ z.T
    pull += np.log(sizes).astype(np.float32)[:, None]
    return pull


def _softmax(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Softmax over the first axis, and log-sum-exp."""
    top = logits.max(0)
    raised = np.exp(logits - top)
    total = raised.sum(0)
    raised /= total
    return raised, top + np.log(total)


def _plus_plus(z: np.ndarray, weight: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++ seeding (Arthur and Vassilvitskii 2007) with chord distances."""
    chosen = [z[rng.choice(len(z), p=weight / weight.sum())]]
    gap = 1 - z @ chosen[0]
    for _ in range(count - 1):
        chance = weight * np.maximum(gap, 1e-9)
        chosen.append(z[rng.choice(len(z), p=chance / chance.sum())])
        gap = np.minimum(gap, 1 - z @ chosen[-1])
    return np.array(chosen)
