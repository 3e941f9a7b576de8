"""Sums over all pairs of any graph through its whole matrix: simple, with memory quadratic in the nodes.

For graphs that have no sums of their own. The gradient is that of `Graph.affinity`.
"""

from __future__ import annotations

import torch

from contrasep_lib.modularity.graphs import Graph


def _matrix(z: torch.Tensor, graph: Graph) -> torch.Tensor:
    """``A (batch, nodes, nodes)``, its diagonal zero."""
    edges = graph.affinity(z @ z.transpose(1, 2))
    loops = torch.eye(z.shape[1], dtype=torch.bool, device=z.device)
    return edges.masked_fill(loops, 0.0)


def gram(z: torch.Tensor, x: torch.Tensor, graph: Graph) -> torch.Tensor:
    """``x' A x``, ``(batch, columns, columns)`` in float64; A has a zero diagonal.

    Args:
        z: ``(batch, nodes, dim)`` float32 or float64.
        x: ``(batch, nodes, columns)`` of the same dtype, zero where a node takes no part.
        graph: the graph.
    """
    return x.double().transpose(1, 2) @ (_matrix(z, graph).double() @ x.double())


def matmul(z: torch.Tensor, x: torch.Tensor, graph: Graph) -> torch.Tensor:
    """``A x``, ``(batch, nodes, columns)``; arguments as for :func:`gram`."""
    return _matrix(z, graph) @ x


def cross(z: torch.Tensor, other: torch.Tensor, x: torch.Tensor, graph: Graph) -> torch.Tensor:
    """Edges from ``z`` to other nodes, times ``x``; no diagonal is taken out.

    Args:
        z: ``(batch, nodes, dim)``.
        other: ``(batch, others, dim)``.
        x: ``(batch, others, columns)``.
        graph: the graph.

    Returns:
        ``(batch, nodes, columns)``.
    """
    return graph.affinity(z @ other.transpose(1, 2)) @ x
