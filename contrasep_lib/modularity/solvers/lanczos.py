"""Leading eigenvectors of the modularity matrix by a block Lanczos method."""

from __future__ import annotations

import torch

from contrasep_lib.modularity.operator import GraphOperator


def leading_eigenvectors(
    operator: GraphOperator,
    count: int,
    generator: torch.Generator,
    max_steps: int = 12,
    tolerance: float = 1e-3,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenpairs of ``B = A - d d' / 2m`` of largest eigenvalue, without forming B.

    Of the matrix that `Quality.spread` names, where the operator's quality is another than Q.

    Block Lanczos with full reorthogonalisation: one product with a few columns costs
    little more than one with a single column, as most time goes into making the edges.

    Args:
        operator: the graph.
        count: number of pairs.
        generator: of the starting block.
        max_steps: products at most.
        tolerance: stop once the residuals of all of them are below it, relative to the largest
            eigenvalue in magnitude.

    Returns:
        Eigenvalues ``(count',)``, largest first, and eigenvectors ``(nodes, count')``;
        ``count'`` is less where the graph has fewer nodes.
    """
    nodes, dtype = operator.nodes, operator.z.dtype
    count = min(count, nodes)
    width = min(count + 2, nodes)
    block = torch.randn(nodes, width, generator=generator, dtype=torch.float64).to(operator.z)
    basis = _orthonormal(block, block[:, :0])
    images = basis[:, :0]
    values, vectors = basis.new_zeros(0), basis[:, :0]
    fresh = basis
    for _ in range(max_steps):
        images = torch.cat([images, operator.spread_matmul(fresh)], dim=1)
        small = basis.double().T @ images.double()
        values, rotation = torch.linalg.eigh((small + small.T) / 2)
        values, rotation = values.flip(0), rotation.flip(1)
        top = rotation[:, :count].to(dtype)
        vectors = basis @ top
        residual = images @ top - vectors * values[:count].to(dtype)
        scale = float(values.abs().max())
        if float(torch.linalg.vector_norm(residual, dim=0).max()) <= tolerance * scale:
            break
        fresh = _orthonormal(images[:, -fresh.shape[1] :], basis)
        if fresh.shape[1] == 0:
            break
        basis = torch.cat([basis, fresh], dim=1)
    return values[:count].to(dtype), vectors


def _orthonormal(block: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """What a block adds to an orthonormal basis, orthonormalised; null directions are dropped."""
    scale = float(torch.linalg.vector_norm(block, dim=0).max()) if block.numel() else 0.0
    for _ in range(2):
        block = block - basis @ (basis.T @ block)
    left, strength, _ = torch.linalg.svd(block, full_matrices=False)
    keep = strength > 1e2 * torch.finfo(block.dtype).eps * max(scale, 1e-300)
    block = left[:, keep]
    return block - basis @ (basis.T @ block)
