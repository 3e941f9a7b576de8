"""Options of the solvers; nothing here imports torch."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

from contrasep_lib.config import Bounded, Range, choice
from contrasep_lib.config.bounds import (
    Count,
    Items,
    Layers,
    LearningRate,
    Nodes,
    PositiveWeight,
    Restarts,
    Steps,
    Weight,
    Width,
)

# nodes that a search runs on; all of them where there are fewer
Sample = Annotated[int, Range(1, 2**24)]


@choice("solver", "network", target="contrasep_lib.modularity.solvers.network:NetworkSolver")
@dataclasses.dataclass(frozen=True)
class NetworkOptions(Bounded):
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

    hidden: tuple[Width, ...] = (64,)
    train_pool: Items = 60
    train_steps: Steps = 200
    train_mixtures: Items = 4
    train_nodes: Nodes = 1024
    learning_rate: LearningRate = 3e-3
    collapse_weight: Weight | None = None
    refine_steps: Steps = 20
    refine_learning_rate: LearningRate = 0.05
    refine_nodes: Sample = 1024
    starts: Restarts = 4


@choice("solver", "kmeans", target="contrasep_lib.modularity.solvers.kmeans:KMeansSolver")
@dataclasses.dataclass(frozen=True)
class KMeansOptions(Bounded):
    """Weighted spherical k-means on the embeddings, the baseline that does not read the graph.

    Attributes:
        restarts: seedings, the best of which is kept.
        iterations: updates of the centroids at most.
        sample: restarts are compared on at most this many nodes, the best is then run on all.
    """

    restarts: Restarts = 8
    iterations: Count = 100
    sample: Sample = 16384


@choice("solver", "spectral", target="contrasep_lib.modularity.solvers.spectral:SpectralSolver")
@dataclasses.dataclass(frozen=True)
class SpectralOptions(Bounded):
    """Leading eigenvectors of the modularity matrix, refined by moves of nodes (Newman 2006).

    Attributes:
        restarts: starts in the eigenvector coordinates.
        refined: how many of the best are refined on the exact Q.
        sample: the search runs on at most this many nodes, drawn at random; its partition is extended to all nodes
            and refined on them.
        max_sweeps: refinement sweeps over all nodes at most.
    """

    restarts: Restarts = 16
    refined: Restarts = 3
    sample: Sample = 4096
    max_sweeps: Count = 10


@choice("solver", "direct", target="contrasep_lib.modularity.solvers.direct:DirectSolver")
@dataclasses.dataclass(frozen=True)
class DirectOptions(Bounded):
    """Ascent of Q on soft assignments, a row of logits for each node.

    Attributes:
        restarts: random starts, the best of which is kept.
        steps: products with B at most, per start.
        sample: starts run on at most this many nodes, drawn at random; the best is extended to all nodes and improved
            on them.
        full_steps: products with B over all nodes at most, after an extension.
    """

    restarts: Restarts = 3
    steps: Count = 100
    sample: Sample = 4096
    full_steps: Count = 8


@choice("solver", "slots", target="contrasep_lib.modularity.solvers.slots:SlotsSolver")
@dataclasses.dataclass(frozen=True)
class SlotsOptions(Bounded):
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

    width: Annotated[int, Range(2, 8192)] = 64
    layers: Layers = 3
    train_pool: Items = 1500
    train_nodes: Nodes = 4096
    train_steps: Steps = 1500
    train_mixtures: Items = 8
    step_nodes: Nodes = 1024
    learning_rate: LearningRate = 2e-3
    dominance_weight: Weight = 1.0
    quality_weight: Weight = 1.0
    existence_weight: PositiveWeight = 1.0
    refine_steps: Steps = 10
    sample: Sample = 65536

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.dominance_weight + self.quality_weight > 0:
            raise ValueError("dominance_weight, quality_weight: expected one of them above 0, got 0 for both")
