"""One graph as a linear operator: what solvers ask of it, without forming B."""

from __future__ import annotations

import torch

from contrasep_lib.modularity import dense, tiled
from contrasep_lib.modularity.graphs import Graph, KernelGraph
from contrasep_lib.modularity.objective import backend, values_of_gram
from contrasep_lib.modularity.quality import Modularity, Quality

DENSE_NODES = 4096
"""Threshold graphs, and graphs without sums of their own, of up to this many nodes keep A between products: 64 MiB in
float32."""


class GraphOperator:
    """The weighted graph of one utterance's valid nodes; nothing here is differentiated.

    Args:
        z: unit-norm embeddings ``(nodes, dim)``, float32 or float64.
        weight: node weights ``(nodes,)`` of the same dtype.
        graph: threshold or kernel graph; fitted to these nodes where it is relative to a recording.
        quality: of its partitions. Where it regularises, what it adds to every pair is part of A here.

    Attributes:
        degrees: ``d = A 1``, ``(nodes,)``.
        loops: ``A_ii``, ``(nodes,)``; 0 without regularisation.
        two_m: sum of the degrees; 0 for a graph without edges.
    """

    def __init__(
        self, z: torch.Tensor, weight: torch.Tensor, graph: Graph, quality: Quality = Modularity()
    ) -> None:
        self.z, self.weight, self.quality = z.detach(), weight.detach(), quality
        self.graph = graph = graph.fitted(self.z, self.weight)
        self._points = graph.points(self.z)
        self._uniform = 0.0
        self._backend = backend(graph)
        self._dense: torch.Tensor | None = None
        if self._backend in (dense, tiled) and z.shape[0] <= DENSE_NODES:
            edges = graph.affinity(self._points @ self._points.T).fill_diagonal_(0)
            self._dense = edges.mul_(self.weight.unsqueeze(0)).mul_(self.weight.unsqueeze(1))
        self.degrees = self.matmul(torch.ones_like(self.weight).unsqueeze(-1)).squeeze(-1)
        if isinstance(graph, KernelGraph):
            # Rounding where the diagonal is taken out must not look like an edge.
            noise = 16 * torch.finfo(z.dtype).eps * self.weight.square()
            self.degrees = torch.where(self.degrees > noise, self.degrees, 0.0)
        self.two_m = float(self.degrees.double().sum())
        total = float(self.weight.double().sum())
        if quality.regularise and self.two_m > 0:
            self._uniform = quality.regularise * self.two_m / total**2
            self.degrees = self.degrees + self._uniform * total * self.weight
            self.two_m *= 1 + quality.regularise
        self.loops = self._uniform * self.weight.square()

    @property
    def nodes(self) -> int:
        """How many nodes the graph has."""
        return self.z.shape[0]

    def matmul(self, columns: torch.Tensor) -> torch.Tensor:
        """``A X`` for ``(nodes, columns)``."""
        product = self._edges(columns)
        if self._uniform:
            product = product + self._uniform * self.weight.unsqueeze(-1) * (self.weight @ columns)
        return product

    def _edges(self, columns: torch.Tensor) -> torch.Tensor:
        """``A X`` without what regularisation adds."""
        if self._dense is not None:
            # A is symmetric; this order of the same product is several times faster.
            return (columns.T.contiguous() @ self._dense).T
        weight = self.weight.unsqueeze(-1)
        with torch.no_grad():
            product = self._backend.matmul(self._points[None], (columns * weight)[None], self.graph)
        return product[0] * weight

    def spread_matmul(self, columns: torch.Tensor) -> torch.Tensor:
        """The matrix whose eigenvectors spread communities times ``(nodes, columns)``, see `Quality.spread`.

        For modularity it is B, or A (which is 0) for a graph without edges.
        """
        scale, share, _ = self.quality.spread(self.degrees, self.two_m)
        columns = scale.unsqueeze(-1) * columns
        product = self.matmul(columns)
        if self.two_m > 0:
            product -= self.degrees.unsqueeze(-1) * (share * (self.degrees @ columns) / self.two_m)
        return scale.unsqueeze(-1) * product

    def sums(self, assign: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``AC (nodes, K)``, and ``(C'AC)_kk`` and ``(C'd)_k``, both ``(K,)`` in float64."""
        edges = self.matmul(assign)
        inside = (assign.double() * edges.double()).sum(0)
        return edges, inside, self.degrees.double() @ assign.double()

    def value(self, inside: torch.Tensor, volume: torch.Tensor) -> float:
        """The quality of a partition with these sums."""
        return float(self.quality.value(inside, volume, inside.new_tensor(self.two_m)))

    def slope(self, edges: torch.Tensor, inside: torch.Tensor, volume: torch.Tensor) -> torch.Tensor:
        """m times the derivative of the quality with respect to an assignment with these sums, ``(nodes, K)``."""
        return self.quality.slope(edges, self.degrees, inside, volume, self.two_m)

    def modularity(self, assign: torch.Tensor) -> float:
        """Q of an assignment ``(nodes, K)``, whatever the quality."""
        return float(self._values(assign.unsqueeze(0), Modularity()))

    def qualities(self, assign: torch.Tensor) -> torch.Tensor:
        """The quality of several assignments ``(S, nodes, K)``, ``(S,)`` in float64."""
        return self._values(assign, self.quality)

    def _values(self, assign: torch.Tensor, quality: Quality) -> torch.Tensor:
        flat = assign.to(self.weight.dtype).transpose(0, 1).flatten(1)
        ones = torch.cat([flat, torch.ones_like(flat[:, :1])], dim=-1)
        if self._dense is not None:
            gram = (self._edges(ones).double().T @ ones.double())[None]
        else:
            columns = ones * self.weight.unsqueeze(-1)
            with torch.no_grad():
                gram = self._backend.gram(self._points[None], columns[None], self.graph).double()
        mass = (self.weight.double() @ ones.double())[None]
        return values_of_gram(gram, mass, len(assign), quality)[0]

    def restrict(self, index: torch.Tensor) -> GraphOperator:
        """The graph among some of the nodes."""
        return GraphOperator(self.z[index], self.weight[index], self.graph, self.quality)

    def attraction(self, sample: GraphOperator, assign: torch.Tensor) -> torch.Tensor:
        """How much each node belongs to the communities of a sample of nodes, ``(nodes, K)``.

        m times the derivative of the quality with respect to this graph's assignments, with the sums over
        all nodes estimated from the sample's; the row-wise argmax extends its partition.
        """
        ones = torch.cat([assign, torch.ones_like(assign[:, :1])], dim=-1)
        columns = ones * sample.weight.unsqueeze(-1)
        with torch.no_grad():
            edges = self._backend.cross(self._points[None], sample._points[None], columns[None], self.graph)[0]
        if sample._uniform:
            edges = edges + sample._uniform * columns.sum(0)
        _, inside, volume = sample.sums(assign)
        two_m = max(sample.two_m, torch.finfo(edges.dtype).tiny)
        return self.quality.slope(edges[:, :-1], edges[:, -1], inside, volume, two_m)


def one_hot(labels: torch.Tensor, num_communities: int, dtype: torch.dtype) -> torch.Tensor:
    """``(nodes, K)`` indicator of labels in 0..K-1."""
    return torch.nn.functional.one_hot(labels, num_communities).to(dtype)
