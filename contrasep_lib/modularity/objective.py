"""Modularity of soft assignments and the loss made from it, for graphs never held in memory.

With degrees ``d = A 1``, ``2m = sum d`` and ``B = A - d d' / 2m`` (Newman 2006)

    Q(C) = Tr(C' B C) / 2m = Tr(C' A C) / 2m - |C' d|^2 / (2m)^2,

and 0 for a graph without edges. Normalised modularity and the resolution of Q are those of
`contrasep_lib.modularity.quality`. The collapse term of the loss is that of deep modularity
networks (Tsitsulin et al. 2023). All sums over pairs run in float32 or better, whatever
the inputs, and are differentiable with respect to assignments and embeddings.

Example:
    >>> z = torch.nn.functional.normalize(torch.randn(1, 100, 20), dim=-1).requires_grad_()
    >>> assign = torch.randn(1, 100, 2).softmax(-1)
    >>> modularity(NodeSet.from_embeddings(z), assign, KernelGraph()).sum().backward()
"""

from __future__ import annotations

import math
import types

import torch

from contrasep_lib.modularity import dense, factorised, tiled
from contrasep_lib.modularity.graphs import Graph, KernelGraph, ThresholdGraph
from contrasep_lib.modularity.packing import Packed, pack
from contrasep_lib.modularity.quality import Modularity, NormalisedModularity, Quality, with_uniform_pairs
from contrasep_lib.nodes.nodeset import NodeSet


def backend(graph: Graph) -> types.ModuleType:
    """The module whose ``gram`` and ``matmul`` serve a graph, fitted where it is relative."""
    if not isinstance(graph, Graph):
        raise ValueError(f"graph: expected a Graph, e.g. KernelGraph(), got {type(graph).__name__}")
    if graph.relative:
        raise ValueError("graph: expected one that is fitted to a recording, got one relative to it")
    if graph.sums is not None:
        return graph.sums
    if isinstance(graph, KernelGraph):
        return factorised
    if isinstance(graph, ThresholdGraph):
        return tiled
    return dense


def check_assign(nodes: NodeSet, assign: torch.Tensor) -> None:
    """Raise ValueError unless ``assign`` is finite ``(batch, nodes, K)`` with K of at least 1."""
    expected = tuple(nodes.z.shape[:2])
    if assign.dim() != 3 or tuple(assign.shape[:2]) != expected or assign.shape[2] < 1:
        raise ValueError(f"assign: expected shape {(*expected, 'K >= 1')}, as z has, got {tuple(assign.shape)}")
    if not assign.is_floating_point():
        raise ValueError(f"assign: expected floating point, got {assign.dtype}")
    if not (torch.isfinite(assign.detach()).all(-1) | ~nodes.valid).all():
        raise ValueError("assign: NaN or infinite values in valid nodes; all must be finite")


def _sums(name: str, packed: Packed, columns: torch.Tensor, graph: Graph) -> torch.Tensor:
    """``gram`` or ``matmul`` of each graph of a batch; a relative one is fitted to each."""
    if not (isinstance(graph, Graph) and graph.relative):
        return getattr(backend(graph), name)(graph.points(packed.z), columns, graph)
    parts = []
    for row, real in enumerate(packed.real):
        one, each = graph.fitted(packed.z[row][real], packed.weight[row][real]), slice(row, row + 1)
        parts.append(getattr(backend(one), name)(one.points(packed.z[each]), columns[each], one))
    return torch.cat(parts)


def _gram(packed: Packed, assign: torch.Tensor, graph: Graph) -> torch.Tensor:
    """``[C, 1]' A [C, 1]`` in float64: C'AC, the volumes C'd, and 2m in the last corner."""
    weight = packed.weight.unsqueeze(-1)
    inside = packed.gather(assign)
    # Taken about its mean, an assignment leaves small sums where B takes differences of
    # large ones; the mean comes back in exact enough arithmetic on the few sums.
    with torch.no_grad():
        mass = packed.weight.double().unsqueeze(1)
        mean = mass @ inside.double() / mass.sum(2, keepdim=True).clamp(min=1e-300)
    columns = torch.cat([(inside - mean.to(inside.dtype)) * weight, weight], dim=-1)
    gram = _sums("gram", packed, columns, graph).double()
    shift = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device).repeat(len(gram), 1, 1)
    shift[:, :-1, -1] = mean.to(inside.dtype).squeeze(1)
    return shift @ gram @ shift.transpose(1, 2)


def quantities(
    nodes: NodeSet, assign: torch.Tensor, graph: Graph
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The sums over pairs from which modularity and conductance are made.

    Args:
        nodes: node set with unit-norm embeddings.
        assign: ``(batch, nodes, K)`` floating point, soft or one-hot; what it holds for
            invalid nodes is not read.
        graph: threshold or kernel graph.

    Returns:
        ``C'AC (batch, K, K)``, degrees ``d (batch, nodes)`` (0 on invalid nodes) and
        ``2m (batch,)``, all float32, or float64 where an input is.

    Raises:
        ValueError: ``assign`` has the wrong shape or is not finite, or an embedding of a
            valid node has no unit norm.
    """
    check_assign(nodes, assign)
    packed = pack(nodes, assign)
    gram = _gram(packed, assign, graph).to(packed.out_dtype)
    return gram[:, :-1, :-1], _degrees(nodes, packed, graph), gram[:, -1, -1]


def degrees(nodes: NodeSet, graph: Graph) -> torch.Tensor:
    """Degrees ``d = A 1`` of the weighted graph, ``(batch, nodes)``, 0 on invalid nodes."""
    return _degrees(nodes, pack(nodes), graph)


def _degrees(nodes: NodeSet, packed: Packed, graph: Graph) -> torch.Tensor:
    weight = packed.weight.unsqueeze(-1)
    column = _sums("matmul", packed, weight, graph) * weight
    return packed.scatter(column, nodes.z.shape[1]).squeeze(-1).to(packed.out_dtype)


def modularity(nodes: NodeSet, assign: torch.Tensor, graph: Graph, gamma: float = 1.0) -> torch.Tensor:
    """Modularity Q of each graph of a batch, ``(batch,)``.

    Arguments and errors are those of :func:`quantities`. A graph without edges has Q = 0.

    Args:
        gamma: resolution, positive; ValueError otherwise.
    """
    return partition_quality(nodes, assign, graph, Modularity(gamma))


def normalised_modularity(
    nodes: NodeSet, assign: torch.Tensor, graph: Graph, regularise: float = 0.0
) -> torch.Tensor:
    """Normalised modularity ``Qn = sum_k (C'AC)_kk / vol_k - 1`` of each graph of a batch, ``(batch,)``.

    Arguments and errors are those of :func:`quantities`. A community without volume adds nothing; a graph without
    edges has Qn = 0.

    Args:
        regularise: r in [0, 1], see :func:`~contrasep_lib.modularity.quality.with_uniform_pairs`; ValueError
            otherwise.
    """
    return partition_quality(nodes, assign, graph, NormalisedModularity(regularise))


def partition_quality(nodes: NodeSet, assign: torch.Tensor, graph: Graph, quality: Quality) -> torch.Tensor:
    """A quality of the partition of each graph of a batch, ``(batch,)``; errors as for :func:`quantities`."""
    check_assign(nodes, assign)
    packed = pack(nodes, assign)
    return _values(packed, assign.unsqueeze(1), graph, quality).squeeze(1).to(packed.out_dtype)


def _values(packed: Packed, assign: torch.Tensor, graph: Graph, quality: Quality) -> torch.Tensor:
    """Quality of several partitions of each graph, ``(batch, S)`` for ``assign (batch, S, nodes, K)``.

    They share one walk over the pairs.
    """
    flat = assign.transpose(1, 2).flatten(2)
    gram = _gram(packed, flat, graph)
    mass = None
    if quality.regularise:
        inside = packed.gather(flat).double()
        weight = packed.weight.double().unsqueeze(1)
        mass = torch.cat([(weight @ inside).squeeze(1), weight.sum(2)], dim=1)
    return values_of_gram(gram, mass, assign.shape[1], quality)


def values_of_gram(
    gram: torch.Tensor, mass: torch.Tensor | None, partitions: int, quality: Quality
) -> torch.Tensor:
    """Quality of partitions from their joint sums, ``(batch, S)`` in the dtype of ``gram``.

    Args:
        gram: ``[C_1, .., C_S, 1]' A [C_1, .., C_S, 1]``, ``(batch, S K + 1, S K + 1)``.
        mass: ``[C_1, .., C_S, 1]' w``, ``(batch, S K + 1)``; read where the quality regularises.
        partitions: S.
        quality: their value.
    """
    if quality.regularise:
        assert mass is not None
        gram = with_uniform_pairs(gram, mass, float(quality.regularise))
    inside = gram[:, :-1, :-1].diagonal(dim1=1, dim2=2).unflatten(1, (partitions, -1))
    volume = gram[:, :-1, -1].unflatten(1, (partitions, -1))
    return quality.value(inside, volume, gram[:, -1:, -1].expand(-1, partitions))


def collapse(nodes: NodeSet, assign: torch.Tensor) -> torch.Tensor:
    """Collapse term ``sqrt(K)/N |sum_i C_i|_2 - 1`` of each graph, ``(batch,)``.

    It is 0 for communities of equal size and ``sqrt(K) - 1`` when all nodes are in one.
    A node counts with its weight, as it does in the graph; N is the sum of weights. The
    term is 0 where there is no node. Errors as for :func:`quantities`.
    """
    check_assign(nodes, assign)
    dtype = torch.promote_types(torch.promote_types(nodes.z.dtype, assign.dtype), torch.float32)
    weight = torch.where(nodes.valid, nodes.weight, 0).to(dtype)
    return _collapse(weight, assign.masked_fill(~nodes.valid.unsqueeze(-1), 0).to(dtype))


def _collapse(weight: torch.Tensor, assign: torch.Tensor) -> torch.Tensor:
    """`collapse` of ``assign (batch, nodes, K)``, zero like its weight where a node takes no part."""
    sizes = (weight.unsqueeze(1) @ assign).squeeze(1)
    total = weight.sum(1)
    some = total > 0
    safe = torch.where(some, total, torch.ones_like(total))
    # Where nothing is summed the norm has no gradient: ones stand in for the zeros.
    sizes = torch.where(some.unsqueeze(-1), sizes, torch.ones_like(sizes))
    term = math.sqrt(assign.shape[-1]) / safe * torch.linalg.vector_norm(sizes, dim=-1) - 1
    return torch.where(some, term, torch.zeros_like(term))


def modularity_loss(
    nodes: NodeSet,
    assign: torch.Tensor,
    graph: Graph,
    collapse_weight: float = 0.1,
    quality: Quality = Modularity(),
) -> torch.Tensor:
    """Loss ``-quality + collapse_weight * collapse`` of each graph, ``(batch,)``.

    The collapse term pulls towards communities of equal size, which is wrong when one
    talker speaks more: ``collapse_weight`` (lambda of the paper, at least 0) is a setting.

    Args:
        nodes, assign, graph: as for :func:`quantities`.
        collapse_weight: of the collapse term.
        quality: which value of the partition is maximised.

    Raises:
        ValueError: as :func:`quantities`, or ``collapse_weight`` is negative or not finite.
    """
    return starts_loss(nodes, assign.unsqueeze(1), graph, collapse_weight, quality).squeeze(1)


def starts_loss(
    nodes: NodeSet, assign: torch.Tensor, graph: Graph, collapse_weight: float, quality: Quality
) -> torch.Tensor:
    """:func:`modularity_loss` of S partitions of each graph, ``(batch, S)``, in one walk over the pairs.

    Args:
        nodes, graph, collapse_weight, quality: as for :func:`modularity_loss`.
        assign: ``(batch, S, nodes, K)``.

    Raises:
        ValueError: as :func:`modularity_loss`.
    """
    if not (math.isfinite(collapse_weight) and collapse_weight >= 0):
        raise ValueError(f"collapse_weight: expected a finite value of at least 0, got {collapse_weight}")
    for start in range(assign.shape[1]):
        check_assign(nodes, assign[:, start])
    packed = pack(nodes, assign)
    loss = -_values(packed, assign, graph, quality).to(packed.out_dtype)
    if collapse_weight == 0:
        return loss
    terms = [collapse(nodes, assign[:, start]) for start in range(assign.shape[1])]
    return loss + collapse_weight * torch.stack(terms, dim=1)


def sampled_loss(
    z: torch.Tensor, weight: torch.Tensor, assign: torch.Tensor, graph: Graph, collapse_weight: float, quality: Quality
) -> torch.Tensor:
    """:func:`starts_loss` of one graph whose nodes were checked already, ``(S,)``, in the dtype of ``z``.

    For loops of small steps, in which the checks would take as long as the sums.

    Args:
        z: unit-norm embeddings ``(nodes, dim)`` of valid nodes, float32 or float64.
        weight: ``(nodes,)``.
        assign: ``(S, nodes, K)``.
        graph, collapse_weight, quality: as for :func:`starts_loss`.
    """
    packed = Packed(z[None], weight[None], weight[None] >= 0, None, z.dtype)
    loss = -_values(packed, assign.unsqueeze(0), graph, quality)[0].to(z.dtype)
    if collapse_weight == 0:
        return loss
    return loss + collapse_weight * _collapse(weight.expand(len(assign), -1), assign.to(z.dtype))


def modularity_matvec(nodes: NodeSet, vector: torch.Tensor, graph: Graph) -> torch.Tensor:
    """``B v`` without forming ``B = A - d d' / 2m`` (``B = A = 0`` for a graph without edges).

    Args:
        nodes: node set with unit-norm embeddings.
        vector: ``(batch, nodes)`` or ``(batch, nodes, columns)``, floating point; not read
            on invalid nodes.
        graph: threshold or kernel graph.

    Returns:
        As ``vector`` in shape, 0 on invalid nodes, float32 or better.

    Raises:
        ValueError: ``vector`` has the wrong shape or is not finite, or an embedding of a
            valid node has no unit norm.
    """
    columns = vector.unsqueeze(-1) if vector.dim() == 2 else vector
    if columns.dim() != 3 or columns.shape[:2] != nodes.z.shape[:2]:
        expected = tuple(nodes.z.shape[:2])
        raise ValueError(
            f"vector: expected shape {expected} or {(*expected, 'columns')}, got {tuple(vector.shape)}"
        )
    if not columns.is_floating_point() or not (torch.isfinite(columns).all(-1) | ~nodes.valid).all():
        raise ValueError("vector: expected finite floating point values in valid nodes")
    packed = pack(nodes, columns)
    weight = packed.weight.unsqueeze(-1)
    both = torch.cat([packed.gather(columns) * weight, weight], dim=-1)
    product = _sums("matmul", packed, both, graph) * weight
    degree = product[..., -1:]
    two_m = degree.sum(1, keepdim=True)
    safe = torch.where(two_m > 0, two_m, torch.ones_like(two_m))
    share = degree.transpose(1, 2) @ packed.gather(columns) / safe
    out = packed.scatter(product[..., :-1] - degree * share, nodes.z.shape[1]).to(packed.out_dtype)
    return out.squeeze(-1) if vector.dim() == 2 else out
