"""Clouds of nodes on the sphere: their centre, their plane, and what lies opposite the centre."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betainc

RESOLUTION = 0.02
"""Angles below this (radian, about one degree) do not tell two speakers apart."""

_CAP_COSINES = np.cos(np.deg2rad([15.0, 30.0, 45.0, 60.0, 70.0]))


def robust_centre(z: np.ndarray, weight: np.ndarray, iterations: int = 8) -> np.ndarray:
    """Centre ``(dim,)`` on the sphere whose nodes pull with a force bounded by the median chord.

    Huber's M-estimator by reweighting; the mean direction would be moved by outliers by more
    than a narrow cloud is wide.
    """
    total = weight @ z
    for _ in range(iterations):
        norm = np.linalg.norm(total)
        if norm < 1e-9 * weight.sum():
            return z[int(np.argmax(weight))]
        chord = np.sqrt(np.maximum(2 - 2 * (z @ (total / norm)), 0))
        bound = max(float(np.median(chord)), RESOLUTION / 2)
        total = (weight * np.minimum(1, bound / np.maximum(chord, 1e-9))) @ z
    norm = np.linalg.norm(total)
    return total / norm if norm > 1e-9 * weight.sum() else z[int(np.argmax(weight))]


def stereographic(z: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Plane coordinates ``(nodes, dim - 1)``: length ``2 tan(angle / 2)``, bearing kept.

    The projection spreads what lies far from the centre, where a second cloud is, and
    bearings are all the null changes, so it costs the null nothing.
    """
    mirror = centre.copy()
    mirror[0] += 1.0 if centre[0] > 0 else -1.0
    mirror /= np.linalg.norm(mirror)
    flat = (z - 2 * np.outer(z @ mirror, mirror))[:, 1:]
    return flat * (2 / np.maximum(1 + z @ centre, 1e-3))[:, None]


def antipode_score(cosine: np.ndarray, weight: np.ndarray, dim: int, min_weight: float) -> float:
    """Standard deviations by which the cap opposite the centre is too full for one cloud.

    Two antipodal speakers lie on one line through the centre, and rotating about it changes
    nothing. But the density of one cloud (and of uniform outliers) does not grow with the
    angle: the cap beyond an angle must not be denser than the belt between it and 90 degrees.
    """
    total = weight.sum()
    nodes = total**2 / (weight**2).sum()
    worst = 0.0
    for cosine_cap in _CAP_COSINES:
        cap_area = 0.5 * betainc((dim - 1) / 2, 0.5, 1 - cosine_cap**2)
        inside = weight[cosine < -cosine_cap].sum()
        if inside < min_weight:
            continue
        far = inside / total * nodes
        both = weight[cosine < 0].sum() / total * nodes
        share = cap_area / 0.5
        deviation = math.sqrt(max(both * share * (1 - share), 1.0))
        worst = max(worst, (far - both * share - 0.5) / deviation)
    return float(worst)


def weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    """Median of ``(nodes,)`` values by weight."""
    order = np.argsort(values, kind="stable")
    mass = np.cumsum(weight[order])
    return float(values[order[min(int(np.searchsorted(mass, 0.5 * mass[-1])), len(order) - 1)]])
