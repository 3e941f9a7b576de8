"""The paper's modularity network: a small MLP from embedding to community, shared by mixtures."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.graphs import Graph, KernelGraph
from contrasep_lib.modularity.objective import modularity_loss, sampled_loss
from contrasep_lib.modularity.operator import GraphOperator, one_hot
from contrasep_lib.modularity.quality import Modularity, Quality
from contrasep_lib.modularity.solvers.base import Solver, random_sample
from contrasep_lib.modularity.solvers.kmeans import spherical_kmeans
from contrasep_lib.modularity.solvers.mlp import Adam, ModularityNetwork, Starts
from contrasep_lib.modularity.solvers.options import NetworkOptions
from contrasep_lib.nodes.nodeset import NodeSet

# weight of the collapse term where it is needed
_COLLAPSE = 0.3
# of the k-means partitions that starts begin at; few restarts, so that they differ
_RESTARTS = 2
# nodes for those, and for the choice of a start
_SAMPLE = 4096


@dataclasses.dataclass(frozen=True)
class NetworkSolver(NetworkOptions, Solver):
    """Refines a copy of a trained :class:`ModularityNetwork` on each graph.

    A network shared by all mixtures is a fixed partition of the sphere, and two speakers in one of its cells are never
    separated; so a copy is trained further on the graph itself. Others begin at partitions by k-means, each of its own
    seeds; all are refined side by side, and the one whose hard partition has the highest quality is kept.
    Its first arguments are those of :class:`~contrasep_lib.modularity.solvers.options.NetworkOptions`.

    Args:
        num_communities: outputs of the network that `trained` makes.
        network: the trained network; when None, new ones are drawn from the seed for each
            graph. For fewer communities than it has outputs, the outputs with most of the
            graph's weight are kept.

    Raises:
        ValueError: an argument is out of range; in ``solve`` also when more communities are
            asked for than the network has outputs, or its input does not fit the embeddings.
    """

    state_file: ClassVar[str] = "network.pth"

    num_communities: int = 5
    network: ModularityNetwork | None = None

    @classmethod
    def from_options(cls, options: NetworkOptions, num_communities: int) -> NetworkSolver:
        """See `Solver.from_options`."""
        return cls(**vars(options), num_communities=num_communities)

    def trained(
        self, mixtures: Callable[[int], Iterable[NodeSet]], graph: Graph, seed: int, quality: Quality = Modularity()
    ) -> NetworkSolver:
        """See `Solver.trained`."""
        rng = np.random.default_rng(seed)
        pool = [draw_nodes(nodes, self.train_nodes, rng) for nodes in mixtures(self.train_pool)]
        network = train_network(pool, self, self.num_communities, graph, seed, quality)
        return dataclasses.replace(self, network=network.cpu())

    def collapse_of(self, graph: Graph, quality: Quality) -> float:
        """The collapse term's weight where the options leave it open.

        A community without volume adds nothing to Qn, so on a kernel graph, or with `regularise`, no partition with an
        empty community is best. On a plain threshold graph a few nodes without edges to others would be.
        """
        if self.collapse_weight is not None:
            return self.collapse_weight
        connected = isinstance(graph, KernelGraph) or quality.regularise > 0
        return 0.0 if connected and not isinstance(quality, Modularity) else _COLLAPSE

    def state(self) -> dict[str, Any]:
        """See `Solver.state`; empty before training."""
        if self.network is None:
            return {}
        return {
            "dim": self.network.dim, "num_communities": self.network.num_communities,
            "hidden": self.network.hidden, "state": self.network.state_dict(),
        }

    def with_state(self, state: Mapping[str, Any]) -> NetworkSolver:
        """See `Solver.with_state`."""
        try:
            network = ModularityNetwork(state["dim"], state["num_communities"], tuple(state["hidden"]))
            network.load_state_dict(state["state"])
        except (KeyError, TypeError, ValueError, RuntimeError):
            raise ValueError("no modularity network in it") from None
        if (network.num_communities, tuple(network.hidden)) != (self.num_communities, tuple(self.hidden)):
            raise ValueError(
                f"{network.num_communities} outputs and hidden layers {network.hidden}, the configuration has "
                f"{self.num_communities} and {list(self.hidden)}"
            )
        return dataclasses.replace(self, network=network)

    def _assign(
        self, operator: GraphOperator, num_communities: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, float | None]:
        z, weight = operator.z, operator.weight
        collapse_weight = self.collapse_of(operator.graph, operator.quality)
        # nothing made in inference mode can learn
        with torch.inference_mode(False), torch.enable_grad():
            starts = Starts(self._networks(operator, num_communities, generator))
            dtype = starts.weights[0].dtype
            optimiser = Adam(starts, self.refine_learning_rate)
            samples = _samples(len(z), self.refine_nodes, self.refine_steps, generator)
            for step, some in enumerate(samples):
                part, mass = z[some.to(z.device)], weight[some.to(z.device)]
                weight_now = collapse_weight * (1 - step / self.refine_steps)
                loss = sampled_loss(
                    part, mass, starts(part.to(dtype)), operator.graph, weight_now, operator.quality
                )
                optimiser.step(loss.sum())
        best = self._best(starts, operator, num_communities, generator)
        return starts.on_all(z, best)[0], None

    def _best(
        self, starts: Starts, operator: GraphOperator, num_communities: int, generator: torch.Generator
    ) -> int:
        """The start of the highest quality; of a large graph, on a part of it."""
        if len(starts.weights[0]) == 1:
            return 0
        if operator.nodes > _SAMPLE:
            operator = operator.restrict(random_sample(operator.nodes, _SAMPLE, generator, operator.z.device))
        hard = one_hot(starts.on_all(operator.z).argmax(-1), num_communities, operator.z.dtype)
        return int(operator.qualities(hard).argmax())

    def _networks(
        self, operator: GraphOperator, num_communities: int, generator: torch.Generator
    ) -> list[ModularityNetwork]:
        """The networks to refine: the trained one, if any, then such as begin at partitions by k-means.

        Where a hidden layer is too narrow for those, or a single one is asked for, new networks.
        """
        seed = int(torch.randint(2**62, (), generator=generator))
        starts = self.starts
        z, weight, hidden, found = operator.z, operator.weight, tuple(self.hidden), []
        if self.network is not None:
            found = [self._restricted(self.network, z, weight, num_communities)]
            hidden = tuple(self.network.hidden)
        with torch.random.fork_rng(devices=[]):
            # not torch.manual_seed, which seeds GPUs too
            torch.default_generator.manual_seed(seed)
            while len(found) < starts:
                if starts == 1 or min(hidden, default=num_communities) < num_communities:
                    found.append(ModularityNetwork(z.shape[1], num_communities, hidden).to(z.device))
                else:
                    centroids = _kmeans_centroids(z, weight, num_communities, generator)
                    found.append(ModularityNetwork.of_centroids(centroids, hidden))
        return found

    def _restricted(
        self, trained: ModularityNetwork, z: torch.Tensor, weight: torch.Tensor, num_communities: int
    ) -> ModularityNetwork:
        width, dim = trained.num_communities, trained.dim
        if num_communities > width:
            raise ValueError(f"num_communities: expected at most the network's {width}, got {num_communities}")
        if dim != z.shape[1]:
            raise ValueError(f"z: expected embeddings of the network's dimension {dim}, got {z.shape[1]}")
        network = copy.deepcopy(trained).to(z.device)
        if num_communities == width:
            return network
        mass = weight.double() @ Starts([network]).on_all(z)[0].double()
        kept = mass.argsort(descending=True, stable=True)[:num_communities].sort().values
        return network.restricted(kept)


def _samples(nodes: int, size: int, steps: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Indices of ``size`` of the nodes for each step, or of all: the next of a random order, or of a new one."""
    left = torch.arange(0)
    for _ in range(steps):
        if nodes <= size:
            yield torch.arange(nodes)
            continue
        if len(left) < size:
            left = torch.randperm(nodes, generator=generator)
        some, left = left[:size], left[size:]
        yield some


def _kmeans_centroids(
    z: torch.Tensor, weight: torch.Tensor, count: int, generator: torch.Generator
) -> torch.Tensor:
    """Unit-norm centroids ``(count, dim)`` in float32 of one k-means partition of some of the nodes."""
    if len(z) > _SAMPLE:
        some = random_sample(len(z), _SAMPLE, generator, z.device)
        z, weight = z[some], weight[some]
    labels = spherical_kmeans(z, weight, count, generator, _RESTARTS)
    sums = (one_hot(labels, count, z.dtype) * weight.unsqueeze(-1)).T @ z
    return torch.nn.functional.normalize(sums, dim=-1).float()


def draw_nodes(nodes: NodeSet, count: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """``count`` valid nodes of one utterance, drawn with replacement: embeddings and weights."""
    valid = nodes.valid[0].nonzero().squeeze(1)
    chosen = valid[torch.from_numpy(rng.integers(len(valid), size=count)).to(valid.device)]
    return nodes.z[0, chosen], nodes.weight[0, chosen]


def train_network(
    pool: Sequence[tuple[torch.Tensor, torch.Tensor]],
    options: NetworkSolver,
    num_communities: int,
    graph: Graph,
    seed: int,
    quality: Quality = Modularity(),
) -> ModularityNetwork:
    """Train a modularity network over a pool of mixtures.

    Args:
        pool: of each mixture, embeddings ``(train_nodes, dim)`` and weights ``(train_nodes,)``.
        options: of the training.
        num_communities: outputs of the network.
        graph: whose partition it makes.
        seed: of its weights and of the mixtures of each step.
        quality: of the partition, which it maximises.

    Raises:
        ContrasepError: an empty pool, or a loss that is not finite.
    """
    if not pool:
        raise ContrasepError("no training mixture holds anything but silence; look at the dump of stage 2")
    rng = np.random.default_rng(seed)
    z = torch.stack([z for z, _ in pool]).float()
    weight = torch.stack([weight for _, weight in pool]).float()
    with torch.random.fork_rng(devices=[]):
        # not torch.manual_seed, which seeds GPUs too
        torch.default_generator.manual_seed(seed)
        network = ModularityNetwork(z.shape[-1], num_communities, options.hidden).to(z.device)
    optimiser = torch.optim.Adam(network.parameters(), options.learning_rate)
    collapse_weight = options.collapse_of(graph, quality)
    for step in range(options.train_steps):
        some = torch.from_numpy(rng.integers(len(z), size=options.train_mixtures)).to(z.device)
        nodes = NodeSet.from_embeddings(z[some], weight[some])
        loss = modularity_loss(nodes, network(nodes.z), graph, collapse_weight, quality).mean()
        if not torch.isfinite(loss):
            raise ContrasepError(
                f"modularity network: loss {loss.item()} at step {step + 1}; lower modularity.solver.learning_rate"
            )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if (step + 1) % 50 == 0 or step + 1 == options.train_steps:
            print(f"modularity network: step {step + 1} of {options.train_steps}, loss {loss.item():.4f}", flush=True)
    return network
