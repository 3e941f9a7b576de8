"""Graph convolutions over the frames of a recording (Kipf and Welling, ICLR 2017; Tsitsulin et al., JMLR 2023)."""

from __future__ import annotations

import dataclasses

import torch

from contrasep_lib.embedding.backbones.base import SpectralBackbone
from contrasep_lib.embedding.inputs import frame_mask

# cosines of so many frames with so many others are in memory at once
TILE = 1024


@dataclasses.dataclass(frozen=True)
class FrameGraph:
    """Normalised adjacency ``D^-1/2 A D^-1/2`` of the frames of a batch, one graph for each recording.

    Attributes:
        pairs: ``(2, edges)`` int64, both directions of each edge; frame t of recording b is node ``b frames + t``.
        weight: ``(edges,)``, ``A_ij / sqrt(d_i d_j)``.
        nodes: of all recordings, padding included; that has no edges.
    """

    pairs: torch.Tensor
    weight: torch.Tensor
    nodes: int

    def matmul(self, x: torch.Tensor) -> torch.Tensor:
        """Product with ``(nodes, channels)``, in float32 or better; differentiable. Costs ``O(edges * channels)``."""
        # unless asked whether it shall check, torch warns
        unchecked = torch.sparse.check_sparse_tensor_invariants(False)
        with torch.autocast(x.device.type, enabled=False), unchecked:
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            size = (self.nodes, self.nodes)
            matrix = torch.sparse_coo_tensor(self.pairs, self.weight.to(x.dtype), size, is_coalesced=True)
            return torch.sparse.mm(matrix, x)


@torch.no_grad()
def frame_graph(x: torch.Tensor, frames: torch.Tensor, neighbours: int, threshold: float = -1.0) -> FrameGraph:
    """Graph that joins frames of one recording where one of them is among the nearest of the other.

    Near are frames whose cosine about the mean frame of the recording is large. Cosines are taken tile by tile; memory
    is ``O(frames * neighbours)``, time ``O(frames^2 * freq)`` for each recording.

    Args:
        x: ``(batch, frames, freq)``.
        frames: ``(batch,)`` of each recording.
        neighbours: nearest frames of each, at least 1.
        threshold: least cosine of an edge, in [-1, 1).
    """
    inside = frame_mask(frames, x.shape[1])
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    with torch.autocast(x.device.type, enabled=False):
        mean = (x * inside.unsqueeze(-1)).sum(1, keepdim=True) / frames.clamp_min(1).view(-1, 1, 1)
        z = torch.nn.functional.normalize(x - mean, dim=-1)
        found = [_nearest(z, inside, start, neighbours) for start in range(0, x.shape[1], TILE)]
    cosine, other = (torch.cat(part, dim=1) for part in zip(*found))
    batch, row, place = ((cosine >= threshold) & inside.unsqueeze(-1)).nonzero(as_tuple=True)
    first, second = batch * x.shape[1] + row, batch * x.shape[1] + other[batch, row, place]
    # an edge counts once, whichever of its ends found the other; sorted, as sparse products take them
    nodes = len(x) * x.shape[1]
    keys = torch.cat([first * nodes + second, second * nodes + first]).unique()
    pairs = torch.stack([keys // max(nodes, 1), keys % max(nodes, 1)])
    degree = torch.bincount(pairs[0], minlength=nodes).to(x.dtype)
    return FrameGraph(pairs, degree[pairs].prod(0).rsqrt(), nodes)


def _nearest(z: torch.Tensor, inside: torch.Tensor, start: int, neighbours: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines, -inf where there is none, and indices of the nearest frames of one tile of frames."""
    rows = z[:, start : start + TILE]
    cosines = rows.new_full((*rows.shape[:2], 0), -torch.inf)
    indices = torch.empty(cosines.shape, dtype=torch.int64, device=z.device)
    for first in range(0, z.shape[1], TILE):
        columns = z[:, first : first + TILE]
        tile = (rows @ columns.transpose(1, 2)).clamp_(-1, 1)
        tile.masked_fill_(~inside[:, None, first : first + TILE], -torch.inf)
        if first == start:
            tile.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
        index = torch.arange(first, first + columns.shape[1], device=z.device).expand(tile.shape)
        both = torch.cat([cosines, tile], dim=2)
        cosines, kept = both.topk(min(neighbours, both.shape[2]), dim=2)
        indices = torch.cat([indices, index], dim=2).gather(2, kept)
    # as many of every tile, however short the last is
    missing, fill = neighbours - cosines.shape[2], torch.nn.functional.pad
    return fill(cosines, (0, missing), value=-torch.inf), fill(indices, (0, missing))


class GraphConvolution(torch.nn.Module):
    """``A X W + X S + b`` with a normalised adjacency A; S are the skip weights that stand in for self-loops in DMoN.

    Args:
        inputs, outputs: channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix = torch.nn.Linear(inputs, outputs, bias=False)
        self.skip = torch.nn.Linear(inputs, outputs)
        for layer in (self.mix, self.skip):
            torch.nn.init.xavier_uniform_(layer.weight)
        torch.nn.init.zeros_(self.skip.bias)

    def forward(self, x: torch.Tensor, graph: FrameGraph) -> torch.Tensor:
        """``(nodes, inputs)`` to ``(nodes, outputs)``."""
        return graph.matmul(self.mix(x)) + self.skip(x)


class GCN(SpectralBackbone):
    """Graph convolutions with SELU over the graph of nearest frames.

    ``X <- SELU(A X W + X S + b)``, as the encoder of deep modularity networks (Tsitsulin et al. 2023, section 4.2).
    The graph is made from the spectra that come in, and does not learn.

    Args:
        freq: frequencies.
        dim: dimension of the embeddings.
        layers: graph convolutions.
        width: their channels.
        dropout: after each.
        neighbours, threshold: see `frame_graph`.
    """

    def __init__(
        self, freq: int, dim: int, layers: int, width: int, dropout: float = 0.0, neighbours: int = 16,
        threshold: float = -1.0,
    ) -> None:
        super().__init__()
        self.convolutions = torch.nn.ModuleList(
            GraphConvolution(width if layer else freq, width) for layer in range(layers)
        )
        self.dropout = torch.nn.AlphaDropout(dropout)
        self.output = torch.nn.Linear(width, dim)
        self.neighbours, self.threshold = neighbours, threshold
        self.places, self.channels = 1, width

    def hidden(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq)`` to ``(batch, frames, 1, width)``."""
        graph = frame_graph(x, frames, self.neighbours, self.threshold)
        features = x.flatten(0, 1)
        for convolution in self.convolutions:
            features = self.dropout(torch.nn.functional.selu(convolution(features, graph)))
        return features.unflatten(0, x.shape[:2]).unsqueeze(2)

    def units(self, hidden: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, 1, dim)`` of `hidden`: a frame is one unit."""
        return self.output(hidden)
