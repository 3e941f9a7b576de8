"""Sums over all pairs of a threshold graph, tile by tile: exact, with memory linear in the nodes.

Neither the adjacency matrix nor its tiles outlive the step that reads them: the backward
pass walks the tiles anew. As A is symmetric, only tiles on and above the diagonal are made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch.autograd.function import once_differentiable

from contrasep_lib.modularity.graphs import ThresholdGraph

_TILE_ELEMENTS = {"cpu": 1 << 19, "cuda": 1 << 25}


def _tiles(z: torch.Tensor) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Rows, columns and cosines of the tiles on and above the diagonal; -2 on the diagonal itself."""
    batch, nodes, _ = z.shape
    budget = _TILE_ELEMENTS.get(z.device.type, _TILE_ELEMENTS["cpu"])
    size = max(math.isqrt(budget // max(batch, 1)), 64)
    for top in range(0, nodes, size):
        rows = slice(top, top + size)
        for left in range(top, nodes, size):
            columns = slice(left, left + size)
            cosine = z[:, rows] @ z[:, columns].transpose(1, 2)
            if left == top:
                # Below every threshold, so that no node is its own neighbour.
                cosine.diagonal(dim1=1, dim2=2).fill_(-2.0)
            yield rows, columns, cosine


def _product(z: torch.Tensor, x: torch.Tensor, graph: ThresholdGraph) -> torch.Tensor:
    """``A x`` accumulated over tiles in float64, ``(batch, nodes, columns)``."""
    out = torch.zeros_like(x, dtype=torch.float64)
    for rows, columns, cosine in _tiles(z):
        tile = graph.affinity(cosine)
        out[:, rows] += tile @ x[:, columns]
        if rows.start != columns.start:
            out[:, columns] += tile.transpose(1, 2) @ x[:, rows]
    return out


def _backward(z, graph, left, right, column, need_z, need_column):
    """Both gradients of one walk over the tiles.

    Returns ``(M o (left right')) z`` for a symmetric ``left right'``, where M tells the
    edges, and ``A column``; each is None where it is not needed.
    """
    need_z = need_z and not graph.binary
    grad_z = torch.zeros_like(z, dtype=torch.float64) if need_z else None
    product = torch.zeros_like(column, dtype=torch.float64) if need_column else None
    if not (need_z or need_column):
        return grad_z, product
    for rows, columns, cosine in _tiles(z):
        mirrored = rows.start != columns.start
        if need_z:
            slope = left[:, rows] @ right[:, columns].transpose(1, 2)
            slope = torch.ops.aten.threshold_backward(slope, cosine, graph.tau)
            grad_z[:, rows] += slope @ z[:, columns]
            if mirrored:
                grad_z[:, columns] += slope.transpose(1, 2) @ z[:, rows]
        if need_column:
            tile = graph.affinity(cosine)
            product[:, rows] += tile @ column[:, columns]
            if mirrored:
                product[:, columns] += tile.transpose(1, 2) @ column[:, rows]
    return grad_z, product


class _Gram(torch.autograd.Function):
    """``(z, x) -> x' A x``."""

    @staticmethod
    def forward(ctx, z, x, graph):
        ctx.save_for_backward(z, x)
        ctx.graph = graph
        return x.double().transpose(1, 2) @ _product(z, x, graph)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        z, x = ctx.saved_tensors
        # A (x G) instead of (A x) G: the second takes small differences of large sums.
        mixed = (x.double() @ (grad + grad.transpose(1, 2))).to(x.dtype)
        grad_z, grad_x = _backward(z, ctx.graph, mixed, x, mixed, *ctx.needs_input_grad[:2])
        return _cast(grad_z, z), _cast(grad_x, x), None


class _Matmul(torch.autograd.Function):
    """``(z, x) -> A x``."""

    @staticmethod
    def forward(ctx, z, x, graph):
        ctx.save_for_backward(z, x)
        ctx.graph = graph
        return _product(z, x, graph).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        z, x = ctx.saved_tensors
        left, right = torch.cat([grad, x], -1), torch.cat([x, grad], -1)
        grad_z, grad_x = _backward(z, ctx.graph, left, right, grad, *ctx.needs_input_grad[:2])
        return _cast(grad_z, z), _cast(grad_x, x), None


def _cast(value: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor | None:
    return None if value is None else value.to(like.dtype)


def gram(z: torch.Tensor, x: torch.Tensor, graph: ThresholdGraph) -> torch.Tensor:
    """``x' A x``, ``(batch, columns, columns)`` in float64; A has a zero diagonal.

    Args:
        z: ``(batch, nodes, dim)`` float32 or float64.
        x: ``(batch, nodes, columns)`` of the same dtype, zero where a node takes no part.
        graph: the threshold.
    """
    return _Gram.apply(z, x, graph)


def matmul(z: torch.Tensor, x: torch.Tensor, graph: ThresholdGraph) -> torch.Tensor:
    """``A x``, ``(batch, nodes, columns)``; arguments as for :func:`gram`."""
    return _Matmul.apply(z, x, graph)


def cross(z: torch.Tensor, other: torch.Tensor, x: torch.Tensor, graph: ThresholdGraph) -> torch.Tensor:
    """Edges from ``z (batch, nodes, dim)`` to ``other (batch, others, dim)``, times
    ``x (batch, others, columns)``: ``(batch, nodes, columns)``, no diagonal taken out."""
    out = x.new_zeros(z.shape[0], z.shape[1], x.shape[-1])
    budget = _TILE_ELEMENTS.get(z.device.type, _TILE_ELEMENTS["cpu"])
    size = max(budget // max(z.shape[0] * other.shape[1], 1), 64)
    for start in range(0, z.shape[1], size):
        rows = slice(start, start + size)
        out[:, rows] = graph.affinity(z[:, rows] @ other.transpose(1, 2)) @ x
    return out
