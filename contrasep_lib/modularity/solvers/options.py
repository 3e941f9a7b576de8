"""Options of the solvers; nothing here imports torch."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from contrasep_lib.config import choice


def _check(options: object, **least: int) -> None:
    for name, bound in least.items():
        if getattr(options, name) < bound:
            raise ValueError(f"{name}: expected at least {bound}, got {getattr(options, name)}")


@choice("solver", "network", target="contrasep_lib.modularity.solvers.network:NetworkSolver")
@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """MLP from embedding to community, trained over mixtures and refined on each (arXiv 2305.10652).

    Attributes:
        hidden: widths of the hidden layers.
        train_pool: training mixtures that are embedded for its training.
        train_steps: steps of Adam over the mixtures.
        train_mixtures: mixtures in a step.
        train_nodes: nodes drawn from each mixture of the pool.
        learning_rate: of that training.
        collapse_weight: weight of the collapse term in the loss; in refinement it falls linearly to 0, so that the
            last steps maximise the quality itself. null takes 0 for normalised modularity of a kernel graph, or
            regularised, and 0.3 elsewhere.
        refine_steps: steps of Adam on the graph itself; 0 takes the network as it is.
        refine_learning_rate: of the refinement.
        refine_nodes: nodes drawn for each step of it; all of a smaller graph.
        starts: refinements, side by side, of which the best is kept: of the trained network and of such as begin at
            partitions by k-means.
    """

    hidden: tuple[int, ...] = (64,)
    train_pool: int = 60
    train_steps: int = 200
    train_mixtures: int = 4
    train_nodes: int = 1024
    learning_rate: float = 3e-3
    collapse_weight: float | None = None
    refine_steps: int = 20
    refine_learning_rate: float = 0.05
    refine_nodes: int = 1024
    starts: int = 4

    def __post_init__(self) -> None:
        _check(self, train_pool=1, train_steps=0, train_mixtures=1, train_nodes=2)
        _check(self, refine_steps=0, refine_nodes=1, starts=1)
        if any(width < 1 for width in self.hidden):
            raise ValueError(f"hidden: expected widths of at least 1, got {list(self.hidden)}")
        for name in ("learning_rate", "refine_learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected a positive number, got {getattr(self, name)}")
        if self.collapse_weight is not None and not self.collapse_weight >= 0:
            raise ValueError(f"collapse_weight: expected at least 0, got {self.collapse_weight}")


@choice("solver", "kmeans", target="contrasep_lib.modularity.solvers.kmeans:KMeansSolver")
@dataclasses.dataclass(frozen=True)
class KMeansOptions:
    """Weighted spherical k-means on the embeddings, the baseline that does not read the graph.

    Attributes:
        restarts: seedings, the best of which is kept.
        iterations: updates of the centroids at most.
        sample: restarts are compared on at most this many nodes, the best is then run on all.
    """

    restarts: int = 8
    iterations: int = 100
    sample: int = 16384

    def __post_init__(self) -> None:
        _check(self, restarts=1, iterations=1, sample=1)


@choice("solver", "spectral", target="contrasep_lib.modularity.solvers.spectral:SpectralSolver")
@dataclasses.dataclass(frozen=True)
class SpectralOptions:
    """Leading eigenvectors of the modularity matrix, refined by moves of nodes (Newman 2006).

    Attributes:
        restarts: starts in the eigenvector coordinates.
        refined: how many of the best are refined on the exact Q.
        sample: the search runs on at most this many nodes, drawn at random; its partition is extended to all nodes
            and refined on them.
        max_sweeps: refinement sweeps over all nodes at most.
    """

    restarts: int = 16
    refined: int = 3
    sample: int = 4096
    max_sweeps: int = 10

    def __post_init__(self) -> None:
        _check(self, restarts=1, refined=1, sample=1, max_sweeps=1)


@choice("solver", "direct", target="contrasep_lib.modularity.solvers.direct:DirectSolver")
@dataclasses.dataclass(frozen=True)
class DirectOptions:
    """Ascent of Q on soft assignments, a row of logits for each node.

    Attributes:
        restarts: random starts, the best of which is kept.
        steps: products with B at most, per start.
        sample: starts run on at most this many nodes, drawn at random; the best is extended to all nodes and improved
            on them.
        full_steps: products with B over all nodes at most, after an extension.
    """

    restarts: int = 3
    steps: int = 100
    sample: int = 4096
    full_steps: int = 8

    def __post_init__(self) -> None:
        _check(self, restarts=1, steps=1, sample=1, full_steps=1)


@choice("solver", "slots", target="contrasep_lib.modularity.solvers.slots:SlotsSolver")
@dataclasses.dataclass(frozen=True)
class SlotsOptions:
    """Slots that attend to the whole graph, trained over labelled mixtures; their partition is refined on the graph.

    Training reads which source dominates a node, so it needs sets of mixtures with their sources.

    Attributes:
        width: of slots and of the features of nodes.
        layers: of attention.
        train_pool: training mixtures that are embedded for its training.
        train_nodes: nodes kept of each.
        train_steps: steps of Adam over the mixtures.
        train_mixtures: mixtures in a step.
        step_nodes: nodes drawn of each mixture for a step.
        learning_rate: of that training.
        dominance_weight: of the cross entropy with the source that dominates a node.
        quality_weight: of the negative quality.
        existence_weight: of the binary cross entropy of each slot's existence, by which slots are chosen; positive.
        refine_steps: steps of ascent of the quality on the graph itself; 0 takes the slots' partition as it is.
        sample: slots attend to at most this many nodes, drawn at random; all nodes are assigned.
    """

    supervised: ClassVar[bool] = True

    width: int = 64
    layers: int = 3
    train_pool: int = 1500
    train_nodes: int = 4096
    train_steps: int = 1500
    train_mixtures: int = 8
    step_nodes: int = 1024
    learning_rate: float = 2e-3
    dominance_weight: float = 1.0
    quality_weight: float = 1.0
    existence_weight: float = 1.0
    refine_steps: int = 10
    sample: int = 65536

    def __post_init__(self) -> None:
        _check(
            self, width=2, layers=1, train_pool=1, train_nodes=2, train_steps=0, train_mixtures=1, step_nodes=2,
            refine_steps=0, sample=1,
        )
        for name in ("learning_rate", "existence_weight"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: expected a positive number, got {getattr(self, name)}")
        for name in ("dominance_weight", "quality_weight"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")
        if not self.dominance_weight + self.quality_weight > 0:
            raise ValueError("dominance_weight, quality_weight: expected one of them above 0, got 0 for both")
