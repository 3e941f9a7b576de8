"""Sums over all pairs of a threshold graph, tile by tile: exact, with memory linear in the nodes.

Neither the adjacency matrix nor its tiles outlive the step that reads them: the backward
pass walks the tiles anew. As A is symmetric, only tiles on and above the diagonal are made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
from torch.autograd.function import once_differentiable

from contrasep_lib.modularity.graphs import ThresholdGraph
from contrasep_lib.modularity.threads import in_shares

Sums: TypeAlias = "tuple[torch.Tensor | None, torch.Tensor | None]"
"""``vector' A`` and ``z' (M o (left' right))`` of :func:`_walk`, None where not asked for."""

_TILE_ELEMENTS = {"cpu": 1 << 18, "cuda": 1 << 25}
"""What a core's cache holds, and what keeps a GPU busy."""


def _tiles(
    zt: torch.Tensor, tau: float, share: int, shares: int
) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Rows, columns and cosines of the tiles on and above the diagonal; -2 on the diagonal itself.

    Yields every ``shares``-th tile, from the ``share``-th on. ``zt`` is ``(batch, dim, nodes)``:
    with nodes along the last axis, as everywhere inside this module, products with a few
    columns run at several times the speed.
    """
    size, steps = _tiling(zt)
    for number, (top, left) in enumerate((i, j) for i in range(steps) for j in range(i, steps)):
        if number % shares != share:
            continue
        rows = slice(top * size, (top + 1) * size)
        columns = slice(left * size, (left + 1) * size)
        cosine = zt[..., rows].transpose(1, 2) @ zt[..., columns]
        if cosine.dtype != torch.float64:
            _settle_ties(cosine, zt[..., rows], zt[..., columns], tau)
        if left == top:
            # Below every threshold, so that no node is its own neighbour.
            cosine.diagonal(dim1=1, dim2=2).fill_(-2.0)
        yield rows, columns, cosine


def _tiling(zt: torch.Tensor) -> tuple[int, int]:
    """Edge of a tile in nodes, and how many of them span all nodes."""
    budget = _TILE_ELEMENTS.get(zt.device.type, _TILE_ELEMENTS["cpu"])
    size = max(math.isqrt(budget // max(zt.shape[0], 1)), 64)
    return size, -(-zt.shape[2] // size)


def _settle_ties(cosine: torch.Tensor, left: torch.Tensor, right: torch.Tensor, tau: float) -> None:
    """Decide in float64 which cosines within rounding of ``tau`` are edges.

    Among millions of pairs some are that close, and one edge more or less is seen in the
    gradient of its two nodes.
    """
    rounding = torch.finfo(cosine.dtype).eps * max(left.shape[1] / 2, 8)
    gap = torch.sub(cosine, tau).abs_()
    if float(gap.min()) > rounding:
        return
    batch, row, column = (gap <= rounding).nonzero(as_tuple=True)
    exact = (left[batch, :, row].double() * right[batch, :, column].double()).sum(-1)
    # Thresholds are compared in the dtype of the tile.
    limit = cosine.new_tensor(tau)
    above = torch.nextafter(limit, limit + 1)
    value = cosine[batch, row, column]
    cosine[batch, row, column] = torch.where(exact > tau, value.maximum(above), value.minimum(limit))


def _add_product(out: torch.Tensor, tile: torch.Tensor, rows: slice, columns: slice, xt: torch.Tensor) -> None:
    """``out += x' A`` for a symmetric matrix of which ``tile`` is one tile and its mirror image."""
    out[..., columns] += xt[..., rows] @ tile
    if rows.start != columns.start:
        out[..., rows] += xt[..., columns] @ tile.transpose(1, 2)


def _walk(
    zt: torch.Tensor,
    graph: ThresholdGraph,
    vector: torch.Tensor | None = None,
    sides: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> Sums:
    """All sums over pairs, in one walk over the tiles.

    Returns ``vector' A`` for ``vector (batch, columns, nodes)`` in float64, and
    ``z' (M o (left' right))`` for ``sides`` of a symmetric ``left' right``, where M tells the
    edges; each is None where it is not asked for. Sums are accumulated in float64.
    """
    part = None if vector is None else vector.to(zt.dtype)
    # Below 0 most pairs are edges: the missing ones are summed and taken from all pairs,
    # or B of a nearly complete graph would be lost in rounding.
    complement = graph.binary and graph.tau < 0
    steps = _tiling(zt)[1]

    def one(share: int, shares: int) -> Sums:
        return _walk_share(zt, graph, complement, part, sides, share, shares)

    done = in_shares(one, steps * (steps + 1) // 2, zt.device)
    product, slopes = (None if parts[0] is None else sum(parts) for parts in zip(*done))
    if complement and vector is not None and product is not None:
        product = vector.double().sum(-1, keepdim=True) - product
        # Nodes without an edge must not keep the rounding of this difference as one.
        noise = 1e-14 * vector.double().abs().sum(-1, keepdim=True)
        product = torch.where(product.abs() > noise, product, 0.0)
    return product, slopes


def _walk_share(
    zt: torch.Tensor,
    graph: ThresholdGraph,
    complement: bool,
    part: torch.Tensor | None,
    sides: tuple[torch.Tensor, torch.Tensor] | None,
    share: int,
    shares: int,
) -> Sums:
    """The sums over one share of the tiles; with ``complement``, over the missing edges."""
    product = None if part is None else torch.zeros_like(part, dtype=torch.float64)
    slopes = None if sides is None else torch.zeros_like(zt, dtype=torch.float64)
    for rows, columns, cosine in _tiles(zt, graph.tau, share, shares):
        if slopes is not None and sides is not None:
            left, right = sides
            slope = left[..., rows].transpose(1, 2) @ right[..., columns]
            torch.ops.aten.threshold_backward.grad_input(slope, cosine, graph.tau, grad_input=slope)
            _add_product(slopes, slope, rows, columns, zt)
        if product is not None and part is not None:
            tile = cosine.le_(graph.tau) if complement else graph.affinity_(cosine)
            _add_product(product, tile, rows, columns, part)
    return product, slopes


def _product(zt: torch.Tensor, graph: ThresholdGraph, vector: torch.Tensor) -> torch.Tensor:
    """``vector' A`` in float64."""
    product, _ = _walk(zt, graph, vector)
    assert product is not None
    return product


class _Gram(torch.autograd.Function):
    """``(z', x') -> x' A x``."""

    @staticmethod
    def forward(ctx: Any, zt: torch.Tensor, xt: torch.Tensor, graph: ThresholdGraph) -> torch.Tensor:
        ctx.save_for_backward(zt, xt)
        ctx.graph = graph
        return _product(zt, graph, xt) @ xt.double().transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        zt, xt = ctx.saved_tensors
        # A (x G) instead of (A x) G: the second takes small differences of large sums.
        mixed = (grad + grad.transpose(1, 2)) @ xt.double()
        return _gradients(ctx, zt, xt, mixed, mixed.to(xt.dtype), xt)


class _Matmul(torch.autograd.Function):
    """``(z', x') -> x' A``."""

    @staticmethod
    def forward(ctx: Any, zt: torch.Tensor, xt: torch.Tensor, graph: ThresholdGraph) -> torch.Tensor:
        ctx.save_for_backward(zt, xt)
        ctx.graph = graph
        return _product(zt, graph, xt).to(xt.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        zt, xt = ctx.saved_tensors
        grad = grad.contiguous()
        return _gradients(ctx, zt, xt, grad, torch.cat([grad, xt], 1), torch.cat([xt, grad], 1))


def _gradients(
    ctx: Any, zt: torch.Tensor, xt: torch.Tensor, vector: torch.Tensor, left: torch.Tensor, right: torch.Tensor
) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
    """Gradients of both functions with respect to z', x' and (none) the graph."""
    need_z = ctx.needs_input_grad[0] and not ctx.graph.binary
    need_x = ctx.needs_input_grad[1]
    grad_x = grad_z = None
    if need_z or need_x:
        sides = (left, right) if need_z else None
        grad_x, grad_z = _walk(zt, ctx.graph, vector if need_x else None, sides)
    return (
        None if grad_z is None else grad_z.to(zt.dtype),
        None if grad_x is None else grad_x.to(xt.dtype),
        None,
    )


def _nodes_last(values: torch.Tensor) -> torch.Tensor:
    return values.transpose(1, 2).contiguous()


def gram(z: torch.Tensor, x: torch.Tensor, graph: ThresholdGraph) -> torch.Tensor:
    """``x' A x``, ``(batch, columns, columns)`` in float64; A has a zero diagonal.

    Args:
        z: ``(batch, nodes, dim)`` float32 or float64.
        x: ``(batch, nodes, columns)`` of the same dtype, zero where a node takes no part.
        graph: the threshold.
    """
    return _Gram.apply(_nodes_last(z), _nodes_last(x), graph)


def matmul(z: torch.Tensor, x: torch.Tensor, graph: ThresholdGraph) -> torch.Tensor:
    """``A x``, ``(batch, nodes, columns)``; arguments as for :func:`gram`."""
    return _Matmul.apply(_nodes_last(z), _nodes_last(x), graph).transpose(1, 2)


def cross(z: torch.Tensor, other: torch.Tensor, x: torch.Tensor, graph: ThresholdGraph) -> torch.Tensor:
    """Edges from ``z`` to ``other``, times ``x``; no diagonal is taken out.

    Args:
        z: ``(batch, nodes, dim)``.
        other: ``(batch, others, dim)``.
        x: ``(batch, others, columns)``.
        graph: whose edges.

    Returns:
        ``(batch, nodes, columns)``.
    """
    xt = _nodes_last(x)
    out = x.new_empty(x.shape[0], x.shape[2], z.shape[1])
    budget = _TILE_ELEMENTS.get(z.device.type, _TILE_ELEMENTS["cpu"])
    size = max(budget // max(z.shape[0] * other.shape[1], 1), 64)
    for start in range(0, z.shape[1], size):
        part = slice(start, start + size)
        out[..., part] = xt @ graph.affinity_(other @ z[:, part].transpose(1, 2))
    return out.transpose(1, 2)
