"""Graphs over embedded nodes: thresholded cosine similarity and a polynomial kernel.

They are functions of the cosine ``s_ij = z_i . z_j`` alone, have no self-loops
(``A_ii = 0``) and only non-negative edges, which the null model of modularity assumes.
Node weights enter as ``A_ij <- w_i w_j A_ij``. A graph may take something from all nodes of its
recording, a threshold or a centre: it is `fitted` to the recording before sums are made.
"""

from __future__ import annotations

import abc
import functools
import itertools
import math
import types
from typing import Any

import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.options import KernelOptions, ThresholdOptions
from contrasep_lib.modularity.pairs import quantile_of_cosines

# pairs closer than this are joined whatever the quantile, or nodes that coincide would have no edge
_HIGHEST = 0.999
# monomials of a kernel's features: each is a column over all nodes of a chunk
_MOST_MONOMIALS = 10**6
# what rounding leaves of a node at the centre is not a direction
_NO_DIRECTION = 1e-5


class Graph(abc.ABC):
    """A graph over embedded nodes, given by the cosines of pairs.

    An implementation writes `affinity`, and `fitted` where it is ``relative``.

    Attributes:
        relative: whether it has to be fitted to a recording.
        sums: a module whose ``gram``, ``matmul`` and ``cross`` make sums over all pairs of this graph, see
            `contrasep_lib.modularity.dense`, which forms the whole matrix and stands in where there is none.
    """

    sums: types.ModuleType | None = None

    @property
    def relative(self) -> bool:
        """See `Graph`."""
        return False

    @classmethod
    def from_options(cls, options: Any) -> Graph:
        """The graph of a configuration; the fields of the options are its arguments."""
        return cls(**vars(options))

    @abc.abstractmethod
    def affinity(self, cosine: torch.Tensor) -> torch.Tensor:
        """Edge weight, at least 0, for each cosine (any shape), not yet weighted by the nodes."""

    def fitted(self, z: torch.Tensor, weight: torch.Tensor) -> Graph:
        """The graph with what it takes from a recording as a whole; itself where that is nothing.

        Args:
            z: all nodes of a recording that take part, ``(nodes, dim)`` of unit norm.
            weight: ``(nodes,)``.
        """
        return self

    def points(self, z: torch.Tensor) -> torch.Tensor:
        """What cosines are taken of, ``(..., dim)``, for embeddings ``(..., dim)``."""
        return z


class ThresholdGraph(ThresholdOptions, Graph):
    """Thresholded similarity graph of the paper (arXiv 2305.10652).

    ``A_ij = s_ij`` where ``s_ij > tau`` and 0 elsewhere; with ``binary`` the edges are 1.
    Gradients treat the set of edges as fixed: the jump at ``tau`` has none, and the binary
    graph none at all with respect to the embeddings. Its arguments are those of
    :class:`~contrasep_lib.modularity.options.ThresholdOptions`. With ``quantile`` or ``centre`` it is
    relative to the recording; nodes of weight 0 do not count there, and a quantile counts pairs whatever
    their weights. Gradients go through the centre and not through the threshold.

    Example:
        >>> graph = ThresholdGraph(tau=0.5)
        >>> graph.affinity(torch.tensor([0.4, 0.5, 0.6]))
        tensor([0.0000, 0.0000, 0.6000])
    """

    def affinity(self, cosine: torch.Tensor) -> torch.Tensor:
        """Edge weight for each cosine (any shape), not yet weighted by the nodes."""
        if self.binary:
            return (cosine > self.tau).to(cosine.dtype)
        return torch.nn.functional.threshold(cosine, self.tau, 0.0)

    @property
    def relative(self) -> bool:
        """See `Graph`."""
        return self.quantile is not None or self.centre

    def fitted(self, z: torch.Tensor, weight: torch.Tensor) -> ThresholdGraph:
        """See `Graph.fitted`."""
        if not self.relative:
            return self
        some = weight > 0
        z, weight, mean, tau = z[some], weight[some], None, self.tau
        if self.centre:
            mean = weight @ z / weight.sum().clamp_min(torch.finfo(z.dtype).tiny)
        if self.quantile is not None:
            with torch.no_grad():
                tau = quantile_of_cosines(z if mean is None else _about(z, mean), self.quantile)
            tau = min(max(tau, -1.0 if self.binary else 0.0), _HIGHEST)
        return FittedThresholdGraph(tau, self.binary, mean)

    def affinity_(self, cosine: torch.Tensor) -> torch.Tensor:
        """:meth:`affinity` that may overwrite its argument."""
        if self.binary:
            return cosine.gt_(self.tau)
        return torch.threshold_(cosine, self.tau, 0.0)


class FittedThresholdGraph(ThresholdGraph):
    """The threshold graph of one recording.

    Args:
        tau, binary: see `ThresholdGraph`.
        mean: ``(dim,)``, subtracted from embeddings; None for embeddings as they are.
    """

    mean: torch.Tensor | None
    # of one recording: equal thresholds do not make it that of another
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, tau: float, binary: bool, mean: torch.Tensor | None) -> None:
        super().__init__(tau, binary)
        object.__setattr__(self, "mean", mean)

    def points(self, z: torch.Tensor) -> torch.Tensor:
        """See `Graph.points`; a node at the centre has no direction and becomes zero."""
        return z if self.mean is None else _about(z, self.mean.to(z))


def _about(z: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    away = z - mean
    norm = torch.linalg.vector_norm(away, dim=-1, keepdim=True)
    near = norm < _NO_DIRECTION
    return torch.where(near, 0.0, away) / torch.where(near, 1.0, norm)


class KernelGraph(KernelOptions, Graph):
    """Complete graph with the kernel ``A_ij = ((1 + s_ij) / 2)^power``.

    Antipodal embeddings, to which contrastive losses push two talkers, get no edge; the
    plain square ``s^2`` would merge them. The kernel has finite exact features, so sums
    over all pairs cost a number of operations linear in the nodes. Its argument is that of
    :class:`~contrasep_lib.modularity.options.KernelOptions`.
    """

    def affinity(self, cosine: torch.Tensor) -> torch.Tensor:
        """Edge weight for each cosine (any shape), not yet weighted by the nodes."""
        return ((1 + cosine) / 2) ** self.power

    def features(self, z: torch.Tensor) -> torch.Tensor:
        """Exact features ``phi`` with ``phi_i . phi_j = ((1 + z_i . z_j) / 2)^power``.

        Args:
            z: embeddings, ``(..., dim)``, floating point.

        Returns:
            ``(..., F)`` with ``F = binomial(dim + power, power)``: the monomials of degree
            ``power`` in ``[1, z] / sqrt(2)``, each with the root of its multinomial
            coefficient.
        """
        return monomials(homogeneous(z), self.power)


def homogeneous(z: torch.Tensor) -> torch.Tensor:
    """``y = [1, z] / sqrt(2)``, so that ``y_i . y_j = (1 + z_i . z_j) / 2``; ``(..., dim + 1)``."""
    return torch.cat([torch.ones_like(z[..., :1]), z], dim=-1) * math.sqrt(0.5)


def monomials(y: torch.Tensor, degree: int) -> torch.Tensor:
    """Symmetric features with ``monomials(a) . monomials(b) = (a . b)^degree``; ``(..., F)``."""
    if degree == 0:
        return torch.ones_like(y[..., :1])
    if degree == 1:
        return y
    count = math.comb(y.shape[-1] + degree - 1, degree)
    if count > _MOST_MONOMIALS:
        raise ContrasepError(
            f"kernel graph: expected at most {_MOST_MONOMIALS} monomials, got {count} of degree {degree} for "
            f"embeddings of {y.shape[-1] - 1} dimensions; lower the graph's power or model.embedding_dim"
        )
    index, scale = _monomial_table(y.shape[-1], degree)
    columns = torch.tensor(index, device=y.device)
    out = y[..., columns[0]]
    for row in columns[1:]:
        out = out * y[..., row]
    return out * torch.tensor(scale, dtype=y.dtype, device=y.device)


@functools.lru_cache(maxsize=16)
def _monomial_table(dim: int, degree: int) -> tuple[tuple[tuple[int, ...], ...], tuple[float, ...]]:
    """Which coordinates each monomial multiplies, one row per factor, and its root multinomial."""
    combos = list(itertools.combinations_with_replacement(range(dim), degree))
    scale = []
    for combo in combos:
        repeats = math.prod(math.factorial(combo.count(axis)) for axis in set(combo))
        scale.append(math.sqrt(math.factorial(degree) / repeats))
    return tuple(zip(*combos)), tuple(scale)
