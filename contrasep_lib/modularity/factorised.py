"""Sums over all pairs of a kernel graph through its finite features, linear in the nodes.

With ``y = [1, z] / sqrt(2)`` the kernel is ``(y_i . y_j)^p``. A community is known by its
moment ``T_k = sum_i X_ik m(y_i) (x) y_i``, where ``m`` are the monomials of degree p - 1:

    (A X)_ik      = m(y_i)' T_k y_i - kappa_i X_ik
    (X' A X)_kl   = <T_k, T_l> - sum_i kappa_i X_ik X_il,      kappa_i = |y_i|^2p

The second terms take out the diagonal. As the form is symmetric in its p arguments, its
gradient with respect to y_i is p times the contraction with p - 1 of them, which needs no
derivative of the monomials. Nodes are walked in chunks, forwards and backwards, so that
neither monomials nor products are ever held for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from contrasep_lib.modularity.graphs import KernelGraph, homogeneous, monomials
from contrasep_lib.modularity.threads import in_shares

_CHUNK_ELEMENTS = {"cpu": 1 << 18, "cuda": 1 << 25}
"""What a core's cache holds, and what keeps a GPU busy."""


def _chunks(z: torch.Tensor, columns: int, power: int) -> list[slice]:
    """Slices of nodes whose largest temporary, ``(batch, chunk, columns * (dim + 1))``, stays small."""
    batch, nodes, dim = z.shape
    width = max(columns * (dim + 1), math.comb(dim + power - 1, power - 1))
    budget = _CHUNK_ELEMENTS.get(z.device.type, _CHUNK_ELEMENTS["cpu"])
    size = max(budget // max(batch * width, 1), 64)
    return [slice(start, start + size) for start in range(0, nodes, size)]


def _accumulate_moments(z: torch.Tensor, x: torch.Tensor, power: int) -> torch.Tensor:
    """``T (batch, F, columns * (dim + 1))`` in float64 for ``x (batch, nodes, columns)``."""
    batch, _, dim = z.shape
    width = x.shape[-1] * (dim + 1)
    chunks = _chunks(z, x.shape[-1], power)

    def work(share: int, shares: int) -> torch.Tensor:
        total = z.new_zeros((batch, math.comb(dim + power - 1, power - 1), width), dtype=torch.float64)
        for part in chunks[share::shares]:
            y = homogeneous(z[:, part])
            outer = (x[:, part, :, None] * y[:, :, None, :]).reshape(batch, y.shape[1], width)
            if power == 1:
                # A product with a vector of ones adds up equal terms one by one, whose
                # rounding is always to the same side; sum() adds by halves.
                total += outer.sum(1, keepdim=True)
            else:
                total += monomials(y, power - 1).transpose(1, 2) @ outer
        return total

    first, *others = in_shares(work, len(chunks), z.device)
    return sum(others, start=first)


def _contract(
    z: torch.Tensor, moments: torch.Tensor, columns: int, power: int, use: Callable[..., None]
) -> None:
    """``use(part, y, m(y_i)' T_k)`` for each chunk of nodes.

    The product is ``(batch, chunk, columns, dim + 1)`` and may be overwritten; ``use``
    stores what it makes of it under ``part``, which no other chunk shares.
    """
    # Differences between communities were taken in float64 before; only the result is
    # rounded, so they do not cancel at node level.
    form = moments.to(z.dtype)
    chunks = _chunks(z, columns, power)

    def work(share: int, shares: int) -> None:
        for part in chunks[share::shares]:
            y = homogeneous(z[:, part])
            use(part, y, (monomials(y, power - 1) @ form).unflatten(-1, (columns, y.shape[-1])))

    in_shares(work, len(chunks), z.device)


class _Moments(torch.autograd.Function):
    """``(z, x) -> T``; its backward expects a gradient that is symmetric like T itself."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, x: torch.Tensor, power: int) -> torch.Tensor:
        ctx.save_for_backward(z, x)
        ctx.power = power
        return _accumulate_moments(z, x, power)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        z, x = ctx.saved_tensors
        grad_z = torch.empty_like(z) if ctx.needs_input_grad[0] else None
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[1] else None

        def use(part: slice, y: torch.Tensor, partial: torch.Tensor) -> None:
            if grad_x is not None:
                grad_x[:, part] = (partial * y[:, :, None, :]).sum(-1)
            if grad_z is not None:
                slope = partial.mul_(x[:, part, :, None]).sum(2)[..., 1:]
                grad_z[:, part] = slope * (ctx.power * math.sqrt(0.5))

        _contract(z, grad, x.shape[-1], ctx.power, use)
        return grad_z, grad_x, None


class _Contract(torch.autograd.Function):
    """``(z, T) -> m(y_i)' T_k y_i``, ``(batch, nodes, columns)``."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, moments: torch.Tensor, power: int) -> torch.Tensor:
        ctx.save_for_backward(z, moments)
        ctx.power = power
        columns = moments.shape[-1] // (z.shape[-1] + 1)
        out = z.new_empty(z.shape[0], z.shape[1], columns)

        def use(part: slice, y: torch.Tensor, partial: torch.Tensor) -> None:
            out[:, part] = partial.mul_(y[:, :, None, :]).sum(-1)

        _contract(z, moments, columns, power, use)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        z, moments = ctx.saved_tensors
        grad_z = None
        if ctx.needs_input_grad[0]:
            slopes = grad_z = torch.empty_like(z)

            def use(part: slice, y: torch.Tensor, partial: torch.Tensor) -> None:
                slope = partial.mul_(grad[:, part, :, None]).sum(2)[..., 1:]
                slopes[:, part] = slope * (ctx.power * math.sqrt(0.5))

            _contract(z, moments, grad.shape[-1], ctx.power, use)
        grad_moments = _accumulate_moments(z, grad, ctx.power) if ctx.needs_input_grad[1] else None
        return grad_z, grad_moments, None


def self_affinity(z: torch.Tensor, graph: KernelGraph) -> torch.Tensor:
    """``kappa_i``, what the kernel would give a node with itself: ``(batch, nodes)``."""
    return ((1 + (z * z).sum(-1)) / 2) ** graph.power


def gram(z: torch.Tensor, x: torch.Tensor, graph: KernelGraph) -> torch.Tensor:
    """``x' A x``, ``(batch, columns, columns)`` in float64; A has a zero diagonal.

    Args:
        z: ``(batch, nodes, dim)`` float32 or float64.
        x: ``(batch, nodes, columns)`` of the same dtype, zero where a node takes no part;
            the last column holds the node weights.
        graph: the kernel.

    A graph whose 2m (the last corner) is rounding alone gives zeros.
    """
    moments = _Moments.apply(z, x, graph.power)
    columns = moments.unflatten(-1, (x.shape[-1], z.shape[-1] + 1)).transpose(1, 2).flatten(2)
    loops = ((x * self_affinity(z, graph).unsqueeze(-1)).transpose(1, 2) @ x).double()
    full = columns @ columns.transpose(1, 2)
    out = full - loops
    # A graph without edges leaves rounding behind where the diagonal is taken out.
    noise = 16 * torch.finfo(z.dtype).eps * full.detach()[:, -1:, -1:]
    edges = out.detach()[:, -1:, -1:] > noise
    return torch.where(edges, out, torch.zeros_like(out))


def matmul(z: torch.Tensor, x: torch.Tensor, graph: KernelGraph) -> torch.Tensor:
    """``A x``, ``(batch, nodes, columns)``; arguments as for :func:`gram`."""
    moments = _Moments.apply(z, x, graph.power)
    return _Contract.apply(z, moments, graph.power) - x * self_affinity(z, graph).unsqueeze(-1)


def cross(z: torch.Tensor, other: torch.Tensor, x: torch.Tensor, graph: KernelGraph) -> torch.Tensor:
    """Edges from ``z`` to ``other``, times ``x``; no diagonal is taken out.

    Args:
        z: ``(batch, nodes, dim)``.
        other: ``(batch, others, dim)``.
        x: ``(batch, others, columns)``.
        graph: whose edges.

    Returns:
        ``(batch, nodes, columns)``.
    """
    return _Contract.apply(z, _Moments.apply(other, x, graph.power), graph.power)
