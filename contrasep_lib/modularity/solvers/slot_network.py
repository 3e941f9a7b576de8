"""A modularity network that sees the whole graph: slots that attend to all nodes and to one another."""

from __future__ import annotations

import dataclasses
import math

import torch

_LEAST_WEIGHT = 1e-4
_CHUNK_NODES = 65536
# with which centroids begin: cosines times 10
_CONCENTRATION = math.log(10)


@dataclasses.dataclass(frozen=True)
class SlotOutput:
    """What slots say of a batch of graphs, after one of their layers.

    Attributes:
        logits: ``(batch, nodes, slots)``; softmax over slots is the assignment. 0 on nodes that take no part.
        existence: ``(batch, slots)``, logits of the probability that a slot holds a community.
    """

    logits: torch.Tensor
    existence: torch.Tensor


class SlotNetwork(torch.nn.Module):
    """Slot attention over the nodes of a graph (Locatello et al., NeurIPS 2020), its queries learned.

    Each layer lets slots compete for the nodes (softmax over slots), gives each the mean of what it holds, weighted
    by the nodes, and its share of the weight; slots then attend to one another, as the attractors of a transformer
    decoder do (Lee et al., "Boosting unknown-number speaker separation with transformer decoder-based attractor",
    ICASSP 2024). Keys and values of nodes are linear in their features, so their matrices act on slots alone: the cost
    is that of the features plus ``O(nodes * slots * width)`` for each layer.

    To the learned scores of slots for nodes comes, from the second layer on, the cosine of a node with the centroid of
    what the slot held in the layer before, times a learned concentration: layers begin as steps of soft spherical
    k-means and learn what differs from it.

    The start is learned and nothing is drawn: the same graph gives the same slots. A scale of all weights changes
    nothing.

    Args:
        dim: dimension of the embeddings, at least 1.
        slots: at least 1.
        width: of slots and features of nodes, at least 2.
        layers: at least 1.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, dim: int, slots: int, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        for name, value, least in (("dim", dim, 1), ("slots", slots, 1), ("width", width, 2), ("layers", layers, 1)):
            if value < least:
                raise ValueError(f"{name}: expected at least {least}, got {value}")
        self.dim, self.slots, self.width = dim, slots, width
        self.straight = torch.nn.Linear(dim + 1, width)
        self.bent = torch.nn.Sequential(
            torch.nn.Linear(dim + 1, width), torch.nn.GELU(), torch.nn.Linear(width, width)
        )
        self.queries = torch.nn.Parameter(torch.randn(slots, width))
        self.layers = torch.nn.ModuleList([_Layer(width) for _ in range(layers)])
        self.norm = torch.nn.LayerNorm(width)
        self.score = _Score(width)
        self.exists = torch.nn.Linear(width, 1)

    def forward(self, z: torch.Tensor, weight: torch.Tensor, valid: torch.Tensor) -> list[SlotOutput]:
        """What slots say after each layer, the last one last.

        Args:
            z: ``(batch, nodes, dim)`` of unit norm; not read on invalid nodes.
            weight: ``(batch, nodes)``, at least 0; not read on invalid nodes.
            valid: ``(batch, nodes)`` bool.
        """
        z, features, share = self._features(z, weight, valid)
        outputs = [self._output(features, z, held) for held in self._attend(features, z, share)]
        return [dataclasses.replace(part, logits=part.logits * valid.unsqueeze(-1)) for part in outputs]

    def held(self, z: torch.Tensor, weight: torch.Tensor, some: torch.Tensor | slice) -> SlotOutput:
        """What slots say of one graph in the end, without a gradient and without all features at once.

        Args:
            z: ``(nodes, dim)`` of unit norm.
            weight: ``(nodes,)``.
            some: the nodes to which slots attend.

        Returns:
            for a batch of 1.
        """
        dtype, mean = self.queries.dtype, weight[some].mean()
        with torch.no_grad():
            z, weight = z.to(dtype), weight.to(dtype)
            unit, features, share = self._features(z[None, some], weight[None, some], None, mean)
            held = self._attend(features, unit, share)[-1]
            parts = []
            for part, heavy in zip(z.split(_CHUNK_NODES), weight.split(_CHUNK_NODES)):
                unit, features, _ = self._features(part[None], heavy[None], None, mean)
                parts.append(self._output(features, unit, held))
            return dataclasses.replace(parts[0], logits=torch.cat([part.logits for part in parts], dim=1))

    def _features(
        self, z: torch.Tensor, weight: torch.Tensor, valid: torch.Tensor | None, mean: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Embeddings, features ``(batch, nodes, width)``, and shares of nodes in the weight ``(batch, nodes)``."""
        if valid is not None:
            z, weight = z.masked_fill(~valid.unsqueeze(-1), 0), weight.masked_fill(~valid, 0)
        weight = weight.to(z.dtype)
        total = weight.sum(1, keepdim=True)
        if mean is None:
            assert valid is not None
            mean = total / valid.sum(1, keepdim=True).clamp_min(1)
        some = mean > 0
        level = (weight / torch.where(some, mean, torch.ones_like(mean))).clamp_min(_LEAST_WEIGHT).log()
        inputs = torch.cat([math.sqrt(self.dim) * z, level.unsqueeze(-1)], dim=-1)
        share = weight / torch.where(total > 0, total, torch.ones_like(total))
        return z, self.straight(inputs) + self.bent(inputs), share

    def _attend(self, features: torch.Tensor, z: torch.Tensor, share: torch.Tensor) -> list[_Held]:
        """Slots after each layer."""
        held = _Held(self.queries.expand(len(features), -1, -1), z.new_zeros(len(z), self.slots, self.dim))
        found = []
        for layer in self.layers:
            held = layer(held, features, z, share)
            found.append(held)
        return found

    def _output(self, features: torch.Tensor, z: torch.Tensor, held: _Held) -> SlotOutput:
        slots = self.norm(held.slots)
        return SlotOutput(self.score(features, z, slots, held.centroids), self.exists(slots).squeeze(-1))


@dataclasses.dataclass(frozen=True)
class _Held:
    """Slots ``(batch, slots, width)``, and unit centroids ``(batch, slots, dim)`` of what they hold, 0 before that."""

    slots: torch.Tensor
    centroids: torch.Tensor


class _Score(torch.nn.Module):
    """Scores of slots for nodes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # the last entries: a bias, as large slots win more nodes, and the logarithm of a concentration
        self.pull = torch.nn.Linear(width, width + 2)
        with torch.no_grad():
            self.pull.bias[-1] = _CONCENTRATION

    def forward(
        self, features: torch.Tensor, z: torch.Tensor, slots: torch.Tensor, centroids: torch.Tensor
    ) -> torch.Tensor:
        """``(batch, nodes, slots)``."""
        pull, bias, concentration = self.pull(slots).split((features.shape[-1], 1, 1), dim=-1)
        scores = features @ (pull / math.sqrt(features.shape[-1])).transpose(1, 2)
        return scores + z @ (concentration.exp() * centroids).transpose(1, 2) + bias.transpose(1, 2)


class _Layer(torch.nn.Module):
    """Slots compete for nodes, then attend to one another."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = torch.nn.ModuleList([torch.nn.LayerNorm(width) for _ in range(3)])
        self.score = _Score(width)
        # of what a slot holds: the mean of the features, and its share of the weight
        self.value = torch.nn.Linear(width + 1, width)
        self.mixed = torch.nn.Linear(width, 3 * width)
        self.out = torch.nn.Linear(width, width)
        self.bent = torch.nn.Sequential(
            torch.nn.Linear(width, 2 * width), torch.nn.GELU(), torch.nn.Linear(2 * width, width)
        )

    def forward(self, held: _Held, features: torch.Tensor, z: torch.Tensor, share: torch.Tensor) -> _Held:
        """The next slots of ``features (batch, nodes, width)``, ``z (batch, nodes, dim)``, ``share (batch, nodes)``."""
        slots = held.slots
        part = self.score(features, z, self.norms[0](slots), held.centroids).softmax(-1) * share.unsqueeze(-1)
        sums = part.transpose(1, 2) @ torch.cat([features, z, torch.ones_like(z[..., :1])], dim=-1)
        mean, centroids, size = sums.split((features.shape[-1], z.shape[-1], 1), dim=-1)
        norm = torch.linalg.vector_norm(centroids, dim=-1, keepdim=True)
        slots = slots + self.value(torch.cat([mean / size.clamp_min(1e-6), size], dim=-1))
        query, key, value = self.mixed(self.norms[1](slots)).chunk(3, dim=-1)
        attention = (query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])).softmax(-1)
        slots = slots + self.out(attention @ value)
        return _Held(slots + self.bent(self.norms[2](slots)), centroids / norm.clamp_min(1e-6))
