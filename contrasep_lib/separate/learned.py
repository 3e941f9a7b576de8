"""Separation by a trained model: embed, count, maximise modularity, mask."""

from __future__ import annotations

import dataclasses
import math
import typing
import zlib
from pathlib import Path

import numpy as np
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.decode.attractor import centroids_of
from contrasep_lib.counting.evidence import Evidence
from contrasep_lib.counting.null import Null
from contrasep_lib.counting.recursive import CountDecision, count_communities
from contrasep_lib.modularity.diagnostics import diagnose
from contrasep_lib.modularity.graphs import Graph, KernelGraph, ThresholdGraph
from contrasep_lib.modularity.solvers.base import Solver
from contrasep_lib.modularity.solvers.direct import DirectSolver
from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
from contrasep_lib.modularity.solvers.network import ModularityNetwork, NetworkSolver
from contrasep_lib.modularity.solvers.spectral import SpectralSolver
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.nodes.granularity import apply_mask
from contrasep_lib.separate.options import ModularityOptions, SeparateOptions
from contrasep_lib.separate.separation import Separation

if typing.TYPE_CHECKING:
    from contrasep_lib.embedding.analysis import Analysis
    from contrasep_lib.models.espnet_model import ContrastiveModel

NETWORK, NULL = "network.pth", "null.json"


def build_graph(options: ModularityOptions) -> Graph:
    """The graph that the options name."""
    if options.graph == "kernel":
        return KernelGraph(options.power)
    return ThresholdGraph(options.tau, options.binary)


def build_solver(options: ModularityOptions, network: ModularityNetwork | None) -> Solver:
    """The solver that the options name.

    Args:
        network: the trained network, for ``solver: network``; None draws a new one per mixture.
    """
    if options.solver == "network":
        return NetworkSolver(network, options.refine_steps, collapse_weight=options.collapse_weight)
    return {"direct": DirectSolver, "spectral": SpectralSolver, "kmeans": KMeansSolver}[options.solver]()


@dataclasses.dataclass(frozen=True)
class Communities:
    """What stage 4 trained for the modularity engine.

    Attributes:
        network: the modularity network; None for solvers that have none.
        null: the null of the count, calibrated on single speakers.
    """

    network: ModularityNetwork | None
    null: Null

    @classmethod
    def load(cls, folder: str | Path, options: ModularityOptions) -> "Communities":
        """Read ``exp/<tag>/modularity``.

        Raises:
            ContrasepError: a file is missing, damaged, or of another configuration.
        """
        from contrasep_lib.models.checkpoint import read_states

        folder = Path(folder)
        try:
            null = Null.load(folder / NULL)
        except FileNotFoundError:
            raise ContrasepError(f"{folder / NULL}: not there; run stage 4 first") from None
        except ValueError as error:
            raise ContrasepError(f"{folder / NULL}: {error}; run stage 4 again") from None
        if options.solver != "network":
            return cls(None, null)
        content = read_states(folder / NETWORK)
        try:
            network = ModularityNetwork(content["dim"], content["num_communities"], tuple(content["hidden"]))
            network.load_state_dict(content["state"])
        except (KeyError, TypeError, ValueError, RuntimeError):
            raise ContrasepError(f"{folder / NETWORK}: no modularity network in it; run stage 4 again") from None
        if (network.num_communities, tuple(content["hidden"])) != (options.k_max, options.hidden):
            raise ContrasepError(
                f"{folder / NETWORK}: {network.num_communities} outputs and hidden layers {content['hidden']}, the "
                f"configuration has {options.k_max} and {list(options.hidden)}; run stage 4 again"
            )
        return cls(network, null)

    def save(self, folder: str | Path) -> None:
        """Write ``exp/<tag>/modularity``."""
        from contrasep_lib.models.checkpoint import write_states

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.network is not None:
            widths = [layer.out_features for layer in self.network.layers if isinstance(layer, torch.nn.Linear)]
            write_states(folder / NETWORK, {
                "dim": self.network.dim, "num_communities": self.network.num_communities, "hidden": widths[:-1],
                "state": self.network.state_dict(),
            })
        self.null.save(folder / NULL)


@dataclasses.dataclass(frozen=True)
class _Count:
    """The number of talkers, and what speaks for it."""

    number: int
    words: str = ""
    decision: CountDecision | None = None
    evidence: tuple[Evidence, ...] = ()
    probabilities: tuple[float, ...] = ()


class Learned:
    """A separator made of a trained model and the modularity engine.

    Args:
        model: trained, in evaluation mode.
        communities: what stage 4 trained beside it.
        modularity: section ``modularity``.
        options: section ``separate``.

    Raises:
        ContrasepError: the counter is wanted of a model that has none.
    """

    def __init__(
        self, model: "ContrastiveModel", communities: Communities, modularity: ModularityOptions, options: SeparateOptions
    ) -> None:
        if modularity.counting == "counter" and model.counter is None:
            raise ContrasepError("modularity.counting: 'counter' wants a model that learned with objective count; use 'cuts'")
        self.model, self.communities, self.modularity, self.options = model, communities, modularity, options
        self.graph = build_graph(modularity)
        self.solver = build_solver(modularity, communities.network)

    @torch.no_grad()
    def separate(
        self, key: str, mixture: np.ndarray, num_spk: int | None, most: int | None = None, with_evidence: bool = False
    ) -> Separation:
        """Separate one mixture.

        Args:
            key: utterance id; seeds counting and refinement, so that the result does not depend on
                what else is separated.
            mixture: ``(samples,)`` float32.
            num_spk: the number of talkers, or None to estimate it.
            most: the largest estimate; ``modularity.k_max`` when None.
            with_evidence: whether to fill the evidence of an estimate, which takes as long as the estimate.

        Raises:
            ContrasepError: a mixture of silence.
        """
        device = next(self.model.parameters()).device
        signal = torch.from_numpy(np.ascontiguousarray(mixture, np.float32))[None].to(device)
        nodes, seen = self.model.analyse(signal)
        if not nodes.valid.any():
            raise ContrasepError(f"'{key}': nothing but silence; there is nobody to separate")
        seed = (zlib.crc32(key.encode()) + self.modularity.seed) % 2**31
        if num_spk is not None:
            count = _Count(num_spk)
        else:
            count = self._count(nodes, seen, most or self.modularity.k_max, seed, with_evidence)
        assign, labels = self._assign(nodes, count.number, seed)
        centroids = centroids_of(nodes.z, hard_shares(nodes, labels, assign.shape[-1]), nodes.weight * nodes.valid)
        audio = self._audio(seen, assign, centroids, signal.shape[-1])
        [diagnosis] = diagnose(nodes, labels, self.graph, decisions=[count.decision] if count.decision else None)
        conductance = diagnosis.mean_conductance
        return Separation(
            outputs=audio[0].cpu().numpy().astype(np.float32),
            assignment=assign[0].cpu().numpy().astype(np.float32),
            shape=nodes.shape,
            num_spk_given=num_spk is not None,
            modularity=diagnosis.modularity,
            conductance=None if math.isnan(conductance) else conductance,
            sizes=diagnosis.sizes,
            words=f"{count.words}; {diagnosis.words}" if count.words else diagnosis.words,
            centroids=centroids[0].cpu().numpy(),
            evidence=count.evidence,
            probabilities=count.probabilities,
        )

    def _count(self, nodes: NodeSet, seen: "Analysis", most: int, seed: int, with_evidence: bool) -> _Count:
        """How many talkers there are, at most ``most``."""
        counted = None
        if with_evidence or self.modularity.counting == "cuts":
            [counted] = count_communities(
                nodes, most, self.graph, None, seed, self.communities.null, with_evidence=with_evidence
            )
        evidence = counted.evidence if counted else ()
        if self.modularity.counting == "cuts":
            return _Count(counted.count, counted.reason, counted, evidence)
        chance = self.model.count(nodes, seen)[0, :most].softmax(-1).cpu().numpy()
        number = int(chance.argmax()) + 1
        words = ", ".join(f"{k} {share:.0%}" for k, share in enumerate(chance, 1))
        words = f"{number} speaker{'s' if number > 1 else ''} by the counter ({words})"
        return _Count(number, words, None, evidence, tuple(chance.tolist()))

    def _assign(self, nodes: NodeSet, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Shares ``(1, nodes, K)``, zero on silent nodes, and labels ``(1, nodes)``."""
        if count == 1:
            return nodes.valid.unsqueeze(-1).float(), torch.where(nodes.valid, 0, -1)
        labels = self.solver.solve(nodes, count, self.graph, seed).labels
        if len(labels[nodes.valid].unique()) < count:
            # the graph has fewer communities than there are talkers; an output of silence would help nobody
            labels = KMeansSolver().solve(nodes, count, self.graph, seed).labels
        if self.options.mask == "soft":
            return soft_shares(nodes, labels, count), labels
        return hard_shares(nodes, labels, count), labels

    def _audio(self, seen: "Analysis", assign: torch.Tensor, centroids: torch.Tensor, samples: int) -> torch.Tensor:
        """Audio of the communities, ``(1, K, samples)``."""
        if self.model.options.decodes and assign.shape[-1] > 1:
            return self.model.decode(seen, centroids, samples)
        granularity = self.model.granularity
        mask = granularity.mask(assign, granularity.nodes_of(seen.spectrum))
        return apply_mask(mask, seen.spectrum, samples, self.model.features)


def hard_shares(nodes: NodeSet, labels: torch.Tensor, count: int) -> torch.Tensor:
    """Each valid node to its community: ``(batch, nodes, count)`` of ones and zeros.

    Args:
        nodes: node sets.
        labels: ``(batch, nodes)`` int64, -1 on invalid nodes.
        count: communities.
    """
    hard = torch.nn.functional.one_hot(labels.clamp_min(0), count).to(nodes.z.dtype)
    return hard * nodes.valid.unsqueeze(-1)


def soft_shares(nodes: NodeSet, labels: torch.Tensor, count: int) -> torch.Tensor:
    """Each valid node to all communities, by how much of its embedding lies along their centroids.

    The affinity objective draws ``z_i . z_j`` towards the chance that two nodes have one talker, and
    centroids of talkers towards right angles. The squared cosines of a node with the centroids then
    add up to about one and say how the node divides; cosines below zero count as none.

    Args:
        nodes, labels, count: as for `hard_shares`.

    Returns:
        ``(batch, nodes, count)``, rows of valid nodes add up to one.
    """
    hard = hard_shares(nodes, labels, count)
    centroids = (hard * nodes.weight.to(hard.dtype).unsqueeze(-1)).transpose(1, 2) @ nodes.z
    length = torch.linalg.vector_norm(centroids, dim=-1, keepdim=True)
    centroids = centroids / torch.where(length > 0, length, 1.0)
    along = (nodes.z @ centroids.transpose(1, 2)).clamp_min(0).square()
    total = along.sum(-1, keepdim=True)
    # a node that turns away from all centroids stays with its community
    shares = torch.where(total > 1e-6, along / torch.where(total > 1e-6, total, 1.0), hard)
    return shares * nodes.valid.unsqueeze(-1)
