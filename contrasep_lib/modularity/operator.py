"""One graph as a linear operator: what solvers ask of it, without forming B."""

from __future__ import annotations

import torch

from contrasep_lib.modularity.graphs import Graph, KernelGraph, ThresholdGraph
from contrasep_lib.modularity.objective import backend, modularity_from_gram

DENSE_NODES = 4096
"""Threshold graphs of up to this many nodes keep A between products: 64 MiB in float32."""


class GraphOperator:
    """The weighted graph of one utterance's valid nodes; nothing here is differentiated.

    Args:
        z: unit-norm embeddings ``(nodes, dim)``, float32 or float64.
        weight: node weights ``(nodes,)`` of the same dtype.
        graph: threshold or kernel graph.

    Attributes:
        degrees: ``d = A 1``, ``(nodes,)``.
        two_m: sum of the degrees; 0 for a graph without edges.
    """

    def __init__(self, z: torch.Tensor, weight: torch.Tensor, graph: Graph) -> None:
        self.z, self.weight, self.graph = z.detach(), weight.detach(), graph
        self._backend = backend(graph)
        self._dense: torch.Tensor | None = None
        if isinstance(graph, ThresholdGraph) and z.shape[0] <= DENSE_NODES:
            dense = graph.affinity(self.z @ self.z.T).fill_diagonal_(0)
            self._dense = dense.mul_(self.weight.unsqueeze(0)).mul_(self.weight.unsqueeze(1))
        self.degrees = self.matmul(torch.ones_like(self.weight).unsqueeze(-1)).squeeze(-1)
        if isinstance(graph, KernelGraph):
            # Rounding where the diagonal is taken out must not look like an edge.
            noise = 16 * torch.finfo(z.dtype).eps * self.weight.square()
            self.degrees = torch.where(self.degrees > noise, self.degrees, 0.0)
        self.two_m = float(self.degrees.double().sum())

    @property
    def nodes(self) -> int:
        """How many nodes the graph has."""
        return self.z.shape[0]

    def matmul(self, columns: torch.Tensor) -> torch.Tensor:
        """``A X`` for ``(nodes, columns)``."""
        if self._dense is not None:
            # A is symmetric; this order of the same product is several times faster.
            return (columns.T.contiguous() @ self._dense).T
        weight = self.weight.unsqueeze(-1)
        with torch.no_grad():
            product = self._backend.matmul(self.z[None], (columns * weight)[None], self.graph)
        return product[0] * weight

    def modularity_matmul(self, columns: torch.Tensor) -> torch.Tensor:
        """``B X`` for ``(nodes, columns)``; ``A X`` (which is 0) for a graph without edges."""
        product = self.matmul(columns)
        if self.two_m > 0:
            share = (self.degrees @ columns) / self.two_m
            product -= self.degrees.unsqueeze(-1) * share
        return product

    def modularity(self, assign: torch.Tensor) -> float:
        """Q of an assignment ``(nodes, K)``."""
        weight = self.weight.unsqueeze(-1)
        columns = torch.cat([assign.to(weight.dtype) * weight, weight], dim=-1)
        if self._dense is not None:
            ones = torch.cat([assign.to(weight.dtype), torch.ones_like(weight)], dim=-1).double()
            gram = (self.matmul(ones.to(weight.dtype)).double().T @ ones)[None]
        else:
            with torch.no_grad():
                gram = self._backend.gram(self.z[None], columns[None], self.graph).double()
        return float(modularity_from_gram(gram))

    def restrict(self, index: torch.Tensor) -> GraphOperator:
        """The graph among some of the nodes."""
        return GraphOperator(self.z[index], self.weight[index], self.graph)

    def attraction(self, sample: GraphOperator, assign: torch.Tensor) -> torch.Tensor:
        """How much each node belongs to the communities of a sample of nodes, ``(nodes, K)``.

        The derivative of Q with respect to this graph's assignments, with the sums over
        all nodes estimated from the sample's; the row-wise argmax extends its partition.
        """
        column = sample.weight.unsqueeze(-1)
        columns = torch.cat([assign * column, column], dim=-1)
        with torch.no_grad():
            edges = self._backend.cross(self.z[None], sample.z[None], columns[None], self.graph)[0]
        volume = sample.degrees @ assign
        return edges[:, :-1] - edges[:, -1:] * (volume / max(sample.two_m, torch.finfo(column.dtype).tiny))


def one_hot(labels: torch.Tensor, num_communities: int, dtype: torch.dtype) -> torch.Tensor:
    """``(nodes, K)`` indicator of labels in 0..K-1."""
    return torch.nn.functional.one_hot(labels, num_communities).to(dtype)
