"""The effective number of communities of a graph, from its normalised spectrum.

With edges ``A_ij = max(0, z_i . z_j)^power`` between different nodes, degrees d and 2m as in modularity, it is

    E = sum_ij A_ij^2 / (d_i d_j),    E - 1 = sum_ij (A_ij - d_i d_j / 2m)^2 / (d_i d_j),

so E - 1 is Pearson's mean square contingency of the graph against the null of modularity, ``d_i d_j / 2m``. It is also
the sum of the squared eigenvalues of ``D^-1/2 A D^-1/2``, the matrix whose leading eigenvectors give the partition of
largest normalised modularity. K communities without edges between them and with equal edges inside have E = K, whatever
their sizes, as they have ``Qn = K - 1``. Over communities without edges between them E adds up.
"""

from __future__ import annotations

import numpy as np

REGULARISE = 0.02
"""Share of the mean degree that is added to every degree: outliers have hardly any edges but those to one another."""

_TILE = 256


def effective_number(z: np.ndarray, weight: np.ndarray, power: float = 4.0, regularise: float = REGULARISE) -> float:
    """E of the weighted graph over nodes on the sphere; 0 for a graph without edges.

    Pairs are walked twice in tiles; memory is linear in the nodes.

    Args:
        z: unit-norm embeddings ``(nodes, dim)``.
        weight: positive weights ``(nodes,)``; ``A_ij <- w_i w_j A_ij``.
        power: of the cosine. The larger it is, the narrower the communities that count as one.
        regularise: r; degrees grow by r times their mean, and E by ``(1 + r)^2``, so that equal degrees change nothing
            (regularised spectral clustering, Amini et al. 2013).

    Example:
        >>> z = np.eye(3).repeat(20, axis=0)
        >>> round(effective_number(z, np.ones(60)), 2)
        3.16
    """
    weight = weight / weight.sum()
    tiles = [slice(start, start + _TILE) for start in range(0, len(z), _TILE)]
    degree = np.concatenate([_edges(z, part, power) @ weight for part in tiles])
    mean = float(weight @ degree)
    if mean <= 0:
        return 0.0
    degree = degree + regularise * mean
    scaled = np.where(degree > 0, weight / np.where(degree > 0, degree, 1.0), 0.0)
    total = sum(scaled[part] @ (np.square(_edges(z, part, power)) @ scaled) for part in tiles)
    return float(total) * (1 + regularise) ** 2


def _edges(z: np.ndarray, part: slice, power: float) -> np.ndarray:
    """Edges ``(part, nodes)`` of some nodes to all, none of a node to itself."""
    edges = np.maximum(z[part] @ z.T, 0.0)
    while power > 1 and power % 2 == 0:
        # ten times as fast as a power
        edges, power = np.square(edges, out=edges), power / 2
    if power != 1:
        edges **= power
    edges[np.arange(len(edges)), np.arange(len(z))[part]] = 0.0
    return edges
