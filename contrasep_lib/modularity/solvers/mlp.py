"""The MLP of a modularity network, several of them side by side, and the optimiser that refines them."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence

import torch

_CHUNK_NODES = 65536
# logits per unit of cosine at a start from centroids: soft enough to move, sharp enough to be that partition
_SHARPNESS = 5.0
# SELU multiplies positive values by this (Klambauer et al. 2017)
_SELU = 1.0507009873554805


class ModularityNetwork(torch.nn.Module):
    """MLP with a softmax output: ``C = softmax(MLP(z))`` (arXiv 2305.10652).

    Args:
        dim: dimension of the embeddings, at least 1.
        num_communities: its outputs, at least 1.
        hidden: widths of the hidden layers, each at least 1.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, dim: int, num_communities: int, hidden: tuple[int, ...] = (64,)) -> None:
        super().__init__()
        widths = [dim, *hidden, num_communities]
        if min(widths) < 1:
            raise ValueError(
                "dim, hidden, num_communities: expected widths of at least 1, "
                f"got {dim}, {hidden}, {num_communities}"
            )
        layers: list[torch.nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [torch.nn.Linear(before, after), torch.nn.SELU()]
        self.layers = torch.nn.Sequential(*layers[:-1])

    @classmethod
    def of_centroids(cls, centroids: torch.Tensor, hidden: tuple[int, ...] = (64,)) -> ModularityNetwork:
        """A network whose outputs are the softmax of scaled cosines with centroids: their partition, softened.

        The first K units of each hidden layer carry ``1 + cosine``, which SELU scales; the others are new and reach
        the outputs once they have learned.

        Args:
            centroids: unit-norm, ``(K, dim)``.
            hidden: widths of the hidden layers, each at least K.
        """
        count, dim = centroids.shape
        network = cls(dim, count, hidden).to(centroids.device)
        first, *further = (layer for layer in network.layers if isinstance(layer, torch.nn.Linear))
        with torch.no_grad():
            for layer in further:
                layer.weight[:count] = 0
                layer.weight[:count, :count] = torch.eye(count)
                layer.bias[:count] = 0
            # without hidden layers this is the output too, and the constant is the same for all
            first.weight[:count], first.bias[:count] = centroids, 1
            last = network._linear(-1)
            last.weight[:, count if further else dim :] = 0
            last.weight *= _SHARPNESS / _SELU ** len(further)
        return network

    @property
    def dim(self) -> int:
        """Dimension of the embeddings it takes."""
        return self._linear(0).in_features

    @property
    def num_communities(self) -> int:
        """How many communities it distinguishes."""
        return self._linear(-1).out_features

    def _linear(self, place: int) -> torch.nn.Linear:
        layer = self.layers[place]
        assert isinstance(layer, torch.nn.Linear)
        return layer

    @property
    def hidden(self) -> list[int]:
        """Widths of its hidden layers."""
        return [layer.out_features for layer in self.layers if isinstance(layer, torch.nn.Linear)][:-1]

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Soft assignments ``(..., K)`` of embeddings ``(..., dim)``."""
        return self.layers(z).softmax(-1)

    def restricted(self, outputs: torch.Tensor) -> ModularityNetwork:
        """A copy that keeps only some of the outputs, ``(K',)`` int64."""
        part = copy.deepcopy(self)
        last = self._linear(-1)
        # torch's skip_init would load its compiler; the drawn weights are replaced at once
        with torch.random.fork_rng(devices=[]):
            kept = torch.nn.Linear(
                last.in_features, len(outputs), device=last.weight.device, dtype=last.weight.dtype
            )
        with torch.no_grad():
            kept.weight.copy_(last.weight[outputs])
            kept.bias.copy_(last.bias[outputs])
        part.layers[-1] = kept
        return part


class Starts(torch.nn.Module):
    """Networks of one form side by side: one product a layer serves all of them."""

    def __init__(self, networks: Sequence[ModularityNetwork]) -> None:
        super().__init__()
        linear = [[layer for layer in network.layers if isinstance(layer, torch.nn.Linear)] for network in networks]
        self.weights = torch.nn.ParameterList(
            torch.stack([layer.weight.detach().T for layer in layers]) for layers in zip(*linear)
        )
        self.biases = torch.nn.ParameterList(
            torch.stack([layer.bias.detach().unsqueeze(0) for layer in layers]) for layers in zip(*linear)
        )

    def forward(self, z: torch.Tensor, kept: slice = slice(None)) -> torch.Tensor:
        """Soft assignments ``(S, nodes, K)`` of embeddings ``(nodes, dim)``, of the networks kept."""
        hidden = z.expand(len(self.weights[0][kept]), *z.shape)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            weight, bias = weight[kept], bias[kept]
            hidden = torch.baddbmm(bias, torch.nn.functional.selu(hidden) if number else hidden, weight)
        return hidden.softmax(-1)

    def on_all(self, z: torch.Tensor, only: int | None = None) -> torch.Tensor:
        """`forward` on all nodes, of all networks or one, in the dtype of ``z``; hidden layers of a part at once."""
        kept = slice(None) if only is None else slice(only, only + 1)
        parts = z.to(self.weights[0].dtype).split(max(_CHUNK_NODES // len(self.weights[0][kept]), 1))
        with torch.no_grad():
            return torch.cat([self(part, kept) for part in parts], dim=1).to(z.dtype)


class Adam:
    """Adam (Kingma and Ba 2015) for a handful of parameters.

    The optimisers of torch load its compiler at first use, which takes longer than the
    refinement of a mixture and many times its memory.
    """

    def __init__(self, network: torch.nn.Module, rate: float) -> None:
        self.parameters = list(network.parameters())
        self.rate, self.count = rate, 0
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]

    def step(self, loss: torch.Tensor) -> None:
        """One step down the gradient of ``loss``."""
        gradients = torch.autograd.grad(loss, self.parameters)
        self.count += 1
        with torch.no_grad():
            for value, grad, first, second in zip(self.parameters, gradients, self.first, self.second):
                first.lerp_(grad, 0.1)
                second.lerp_(grad.square(), 0.001)
                root = (second / (1 - 0.999**self.count)).sqrt_().add_(1e-8)
                value.addcdiv_(first, root, value=-self.rate / (1 - 0.9**self.count))
