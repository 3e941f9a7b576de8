"""The paper's modularity network: a small MLP from embedding to community, shared by mixtures."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import torch

from contrasep_lib.modularity.objective import modularity_loss
from contrasep_lib.modularity.operator import GraphOperator
from contrasep_lib.modularity.solvers.base import Solver, random_sample
from contrasep_lib.nodes.nodeset import NodeSet

_CHUNK_NODES = 65536


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
                "dim, hidden, num_communities: widths of at least 1 wanted, "
                f"got {dim}, {hidden}, {num_communities}"
            )
        layers: list[torch.nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [torch.nn.Linear(before, after), torch.nn.SELU()]
        self.layers = torch.nn.Sequential(*layers[:-1])

    @property
    def dim(self) -> int:
        """Dimension of the embeddings it takes."""
        return self._linear(0).in_features

    @property
    def num_communities(self) -> int:
        """How many communities it tells apart."""
        return self._linear(-1).out_features

    def _linear(self, place: int) -> torch.nn.Linear:
        layer = self.layers[place]
        assert isinstance(layer, torch.nn.Linear)
        return layer

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


class _Adam:
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


@dataclasses.dataclass(frozen=True)
class NetworkSolver(Solver):
    """Refines a copy of a trained :class:`ModularityNetwork` on each graph.

    A network shared by all mixtures is a fixed partition of the sphere, and two talkers
    in one of its cells never part; so a copy is trained further on the graph itself.

    Args:
        network: the trained network; when None, a new one is drawn from the seed for each
            graph. For fewer communities than it has outputs, the outputs with most of the
            graph's weight are kept.
        steps: steps of Adam on the graph; 0 takes the network as it is.
        learning_rate: of Adam, above 0.
        collapse_weight: weight of the collapse term in the loss at the first step, at least
            0; it falls linearly to 0, so that the last steps maximise Q itself.
        batch_nodes: nodes drawn at random for each step, at least 1; all of a smaller graph.

    Raises:
        ValueError: an argument is out of range; in ``solve`` also when more communities are
            asked for than the network has outputs, or its input does not fit the embeddings.
    """

    network: ModularityNetwork | None = None
    steps: int = 100
    learning_rate: float = 0.02
    collapse_weight: float = 0.3
    batch_nodes: int = 2048

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError(f"steps: at least 0 wanted, got {self.steps}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate: above 0 wanted, got {self.learning_rate}")
        if not self.collapse_weight >= 0:
            raise ValueError(f"collapse_weight: at least 0 wanted, got {self.collapse_weight}")
        if self.batch_nodes < 1:
            raise ValueError(f"batch_nodes: at least 1 wanted, got {self.batch_nodes}")

    def _assign(
        self, operator: GraphOperator, num_communities: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, None]:
        z, weight = operator.z, operator.weight
        seed = int(torch.randint(2**62, (), generator=generator))
        if self.network is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                network = ModularityNetwork(z.shape[1], num_communities).to(z.device)
        else:
            network = self._restricted(self.network, z, weight, num_communities)
        dtype = next(network.parameters()).dtype
        with torch.enable_grad():
            network.train()
            optimiser = _Adam(network, self.learning_rate)
            for step in range(self.steps):
                some: slice | torch.Tensor = slice(None)
                if len(z) > self.batch_nodes:
                    some = random_sample(len(z), self.batch_nodes, generator, z.device)
                nodes = NodeSet.from_embeddings(z[None, some], weight[None, some])
                assign = network(nodes.z.to(dtype))
                weight_now = self.collapse_weight * (1 - step / self.steps)
                loss = modularity_loss(nodes, assign, operator.graph, weight_now).sum()
                optimiser.step(loss)
        return self._apply(network, z).to(z.dtype), None

    def _restricted(
        self, trained: ModularityNetwork, z: torch.Tensor, weight: torch.Tensor, num_communities: int
    ) -> ModularityNetwork:
        width, dim = trained.num_communities, trained.dim
        if num_communities > width:
            raise ValueError(f"num_communities: at most the network's {width} wanted, got {num_communities}")
        if dim != z.shape[1]:
            raise ValueError(f"z: embeddings of the network's dimension {dim} wanted, got {z.shape[1]}")
        network = copy.deepcopy(trained).to(z.device).requires_grad_()
        if num_communities == width:
            return network
        mass = weight.double() @ self._apply(network, z).double()
        kept = mass.argsort(descending=True, stable=True)[:num_communities].sort().values
        return network.restricted(kept)

    @staticmethod
    def _apply(network: ModularityNetwork, z: torch.Tensor) -> torch.Tensor:
        """The network on all nodes, without its hidden layers held for all at once."""
        network.eval()
        dtype = next(network.parameters()).dtype
        with torch.no_grad():
            return torch.cat([network(part.to(dtype)) for part in z.split(_CHUNK_NODES)])
