"""Random graphs and their whole matrices in double precision, from the definitions."""

import math

import torch

from contrasep_lib.modularity.graphs import KernelGraph


def unit(*shape, seed=0):
    z = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(z, dim=-1)


def soft(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(-1)


def dense_adjacency(z, weight, graph):
    """A of one graph, from its definition; differentiable."""
    s = z @ z.T
    if isinstance(graph, KernelGraph):
        a = ((1 + s) / 2) ** graph.power
    elif graph.binary:
        a = (s > graph.tau).to(s.dtype)
    else:
        a = s * (s > graph.tau)
    return a * (1 - torch.eye(len(z), dtype=s.dtype)) * weight[:, None] * weight[None, :]


def relative(got, expected):
    return ((got.double() - expected).norm() / expected.norm()).item()


def padded_batch(sizes, dim=6, communities=3, seed=0):
    """Three graphs of different size with silent nodes in between; NaN where nothing is valid."""
    total = max(sizes) + 5
    z = unit(len(sizes), total, dim, seed=seed)
    valid = torch.zeros(len(sizes), total, dtype=torch.bool)
    order = torch.Generator().manual_seed(seed)
    for row, size in enumerate(sizes):
        valid[row, torch.randperm(total, generator=order)[:size]] = True
    assign = soft(len(sizes), total, communities, seed=seed + 1)
    weight = 0.2 + torch.rand(len(sizes), total, generator=order, dtype=torch.float64)
    z[~valid] = math.nan
    assign[~valid] = math.nan
    weight[~valid] = math.nan
    return z, weight, valid, assign
