"""The modularity network that sees the whole graph, trained over mixtures and refined on each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.graphs import Graph
from contrasep_lib.modularity.operator import GraphOperator
from contrasep_lib.modularity.quality import Modularity, Quality
from contrasep_lib.modularity.solvers.base import Solver, TrainingMixtures, random_sample
from contrasep_lib.modularity.solvers.direct import ascend
from contrasep_lib.modularity.solvers.options import SlotsOptions
from contrasep_lib.modularity.solvers.slot_loss import SlotLoss, restricted
from contrasep_lib.modularity.solvers.slot_network import SlotNetwork, SlotOutput
from contrasep_lib.nodes.nodeset import NodeSet

_WARM_UP = 0.05
_LARGEST_GRADIENT = 1.0


@dataclasses.dataclass(frozen=True)
class DrawnMixture:
    """Some nodes of a training mixture.

    Attributes:
        z: ``(nodes, dim)`` of unit norm; half precision is enough.
        weight: ``(nodes,)``.
        labels: ``(nodes,)``, the source that dominates each.
    """

    z: torch.Tensor
    weight: torch.Tensor
    labels: torch.Tensor


@dataclasses.dataclass(frozen=True)
class SlotsSolver(SlotsOptions, Solver):
    """Slots attend to all nodes and to one another, and give the partition from which the quality is refined.

    Of the K_max + 1 slots those K with the largest probability of existence are kept. See
    :class:`~contrasep_lib.modularity.solvers.slot_network.SlotNetwork` and
    :class:`~contrasep_lib.modularity.solvers.slot_loss.SlotLoss`. Its first arguments are those of
    :class:`~contrasep_lib.modularity.solvers.options.SlotsOptions`.

    Args:
        num_communities: K_max.
        network: the trained network; `trained` and `with_state` give one.

    Raises:
        ValueError: an argument is out of range; in ``solve`` also without a network, when more communities are asked
            for than K_max, or when the network's input does not fit the embeddings.
    """

    state_file: ClassVar[str] = "slots.pth"

    num_communities: int = 5
    network: SlotNetwork | None = None

    @classmethod
    def from_options(cls, options: SlotsOptions, num_communities: int) -> SlotsSolver:
        """See `Solver.from_options`."""
        return cls(**vars(options), num_communities=num_communities)

    def trained(
        self, mixtures: TrainingMixtures, graph: Graph, seed: int, quality: Quality = Modularity()
    ) -> SlotsSolver:
        """See `Solver.trained`."""
        rng = np.random.default_rng(seed)
        pool = [draw_mixture(*known, self.train_nodes, rng) for known in mixtures.labelled(self.train_pool)]
        return self.trained_on(pool, graph, seed, quality)

    def trained_on(
        self, pool: Sequence[DrawnMixture], graph: Graph, seed: int, quality: Quality = Modularity()
    ) -> SlotsSolver:
        """The solver after training over a pool of mixtures.

        Raises:
            ContrasepError: an empty pool, mixtures of more sources than K_max, or a loss that is not finite.
        """
        if not pool:
            raise ContrasepError("no training mixture holds anything but silence; look at the dump of stage 2")
        most = max(len(mixture.labels.unique()) for mixture in pool)
        if most > self.num_communities:
            raise ContrasepError(
                f"modularity.k_max: expected at least {most}, the speakers of a training mixture, "
                f"got {self.num_communities}"
            )
        loss = SlotLoss(graph, quality, self.dominance_weight, self.quality_weight, self.existence_weight)
        return dataclasses.replace(self, network=_train(pool, self, self.num_communities + 1, loss, seed).cpu())

    def state(self) -> dict[str, Any]:
        """See `Solver.state`; empty before training."""
        if self.network is None:
            return {}
        return {
            "dim": self.network.dim, "slots": self.network.slots, "width": self.network.width,
            "layers": len(self.network.layers), "state": self.network.state_dict(),
        }

    def with_state(self, state: Mapping[str, Any]) -> SlotsSolver:
        """See `Solver.with_state`."""
        mine = {"slots": self.num_communities + 1, "width": self.width, "layers": self.layers}
        theirs = {name: state.get(name) for name in mine}
        if all(isinstance(value, int) for value in theirs.values()) and theirs != mine:
            words = [", ".join(f"{name} {value}" for name, value in part.items()) for part in (theirs, mine)]
            raise ValueError(f"expected a network of {words[1]} (slots: modularity.k_max + 1), got {words[0]}")
        try:
            network = _new(state["dim"], self.num_communities + 1, self, 0)
            network.load_state_dict(state["state"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError):
            raise ValueError("no network of slots in it") from None
        return dataclasses.replace(self, network=network.eval())

    def read(self, z: torch.Tensor, weight: torch.Tensor, generator: torch.Generator) -> SlotOutput:
        """What slots say of one graph.

        Args:
            z: ``(nodes, dim)`` of unit norm.
            weight: ``(nodes,)``.
            generator: draws the nodes to which slots attend, where there are more than `sample`.

        Raises:
            ValueError: the solver is not trained, or on embeddings of another dimension.
        """
        if self.network is None:
            raise ValueError("network: expected a trained one; train it with 'contrasep train-modularity' (stage 4)")
        if self.network.dim != z.shape[1]:
            raise ValueError(f"z: expected embeddings of the network's dimension {self.network.dim}, got {z.shape[1]}")
        some: torch.Tensor | slice = slice(None)
        if len(z) > self.sample:
            some = random_sample(len(z), self.sample, generator, z.device)
        return self.network.to(z.device).held(z, weight, some)

    def _assign(
        self, operator: GraphOperator, num_communities: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, None]:
        if num_communities > self.num_communities:
            raise ValueError(
                f"num_communities: expected at most {self.num_communities} (modularity.k_max), got {num_communities}"
            )
        said = self.read(operator.z, operator.weight, generator)
        order = said.existence.argsort(dim=1, descending=True, stable=True)
        assign = restricted(said.logits, order[:, :num_communities].sort(1).values)[0].to(operator.z.dtype)
        if self.refine_steps:
            least = torch.finfo(assign.dtype).tiny
            assign = ascend(operator, assign.clamp_min(least).log(), self.refine_steps + 1)[0]
        return assign, None


def draw_mixture(nodes: NodeSet, labels: torch.Tensor, count: int, rng: np.random.Generator) -> DrawnMixture:
    """At most ``count`` valid nodes of one mixture, drawn without replacement.

    Args:
        nodes: of a batch of 1 with a valid node.
        labels: ``(1, nodes)`` int64, the source that dominates each node.
        count: at least 1.
        rng: draws them.
    """
    valid = nodes.valid[0].nonzero().squeeze(1)
    chosen = torch.from_numpy(np.sort(rng.permutation(len(valid))[:count]))
    index = valid[chosen.to(valid.device)]
    parts = (nodes.z[0, index].half(), nodes.weight[0, index].float(), labels[0, index])
    return DrawnMixture(*(part.cpu() for part in parts))


def _new(dim: int, slots: int, options: SlotsOptions, seed: int) -> SlotNetwork:
    """A new network; the draw leaves torch's own state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return SlotNetwork(dim, slots, options.width, options.layers)


def _batch(
    pool: Sequence[DrawnMixture], count: int, rng: np.random.Generator
) -> tuple[NodeSet, torch.Tensor, int]:
    """Node sets of mixtures and their labels, padded to the largest; at most ``count`` nodes of each."""
    drawn = [
        (mixture, torch.from_numpy(rng.permutation(len(mixture.weight))[:count])) for mixture in pool
    ]
    most = max(len(index) for _, index in drawn)
    z = torch.zeros(len(pool), most, pool[0].z.shape[1])
    weight, valid = torch.zeros(z.shape[:2]), torch.zeros(z.shape[:2], dtype=torch.bool)
    labels = torch.zeros(z.shape[:2], dtype=torch.int64)
    for row, (mixture, index) in enumerate(drawn):
        place = slice(len(index))
        z[row, place], weight[row, place] = mixture.z[index].float(), mixture.weight[index]
        labels[row, place], valid[row, place] = mixture.labels[index].long(), True
    z = torch.nn.functional.normalize(z, dim=-1)
    return NodeSet.from_embeddings(z, weight, valid), labels, int(labels.max()) + 1


def _train(
    pool: Sequence[DrawnMixture], options: SlotsOptions, slots: int, loss_of: SlotLoss, seed: int
) -> SlotNetwork:
    """Train slots over a pool of mixtures: Adam, a linear warm-up, then a linear fall of the rate to 0."""
    rng = np.random.default_rng(seed)
    network = _new(pool[0].z.shape[1], slots, options, seed)
    optimiser = torch.optim.Adam(network.parameters(), options.learning_rate)
    steps, warm = options.train_steps, max(round(_WARM_UP * options.train_steps), 1)
    for step in range(steps):
        rate = options.learning_rate * min((step + 1) / warm, (steps - step) / max(steps - warm, 1))
        for group in optimiser.param_groups:
            group["lr"] = rate
        some = [pool[index] for index in rng.integers(len(pool), size=options.train_mixtures)]
        nodes, labels, number = _batch(some, options.step_nodes, rng)
        loss, terms = loss_of(network(nodes.z, nodes.weight, nodes.valid), nodes, labels, number)
        if not torch.isfinite(loss):
            raise ContrasepError(
                f"slots: loss {loss.item()} at step {step + 1}; lower modularity.solver.learning_rate"
            )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
        optimiser.step()
        if (step + 1) % 100 == 0 or step + 1 == steps:
            words = ", ".join(f"{name} {float(value):.4f}" for name, value in terms.items())
            print(f"slots: step {step + 1} of {steps}, loss {loss.item():.4f} ({words})", flush=True)
    return network.eval()
