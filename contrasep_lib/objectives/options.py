"""Options of the objectives."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

from contrasep_lib.config import LATER, choice


@dataclasses.dataclass(frozen=True)
class ObjectiveOptions:
    """What the options of all objectives share.

    Attributes:
        needs: optional parts of a model (``decoder``, ``counter``) that the objective cannot do without, and teaches.
        shapes: whether it shapes the embeddings, through the projection head where there is one.
        supervised: whether it needs sources or numbers of speakers, which ``labels: none`` does without.
        weight: of its loss in the sum.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    shapes: ClassVar[bool] = True
    supervised: ClassVar[bool] = False

    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"weight: expected a positive number, got {self.weight}")


@dataclasses.dataclass(frozen=True)
class ContrastiveOptions(ObjectiveOptions):
    """What the options of contrastive objectives share.

    Attributes:
        temperature: by which cosines are divided.
        sampled_nodes: nodes that are drawn from each utterance, or from each batch where that is where negatives
            come from; costs grow with the square.
    """

    temperature: float = 0.5
    sampled_nodes: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1e-3 <= self.temperature <= 100:
            raise ValueError(f"temperature: expected between 0.001 and 100, got {self.temperature}")
        if self.sampled_nodes < 4:
            raise ValueError(f"sampled_nodes: expected at least 4, got {self.sampled_nodes}")


@choice("objective", "nt_xent", target="contrasep_lib.objectives.nt_xent:NTXent")
@dataclasses.dataclass(frozen=True)
class NTXentOptions(ContrastiveOptions):
    """Normalised temperature-scaled cross entropy between pairs of nodes (SimCLR).

    Attributes:
        denominator: what an anchor's partner is compared with: ``labelled``, the partner and nodes of other labels;
            ``all``, all nodes but the anchor, so that other nodes of its label are negatives too (Chen et al. 2020).
    """

    denominator: Literal["labelled", "all"] = dataclasses.field(default="labelled", metadata=LATER)


@choice("objective", "supcon", target="contrasep_lib.objectives.supcon:SupCon")
@dataclasses.dataclass(frozen=True)
class SupConOptions(ContrastiveOptions):
    """Supervised contrastive learning between drawn nodes."""


@choice("objective", "deep_clustering", target="contrasep_lib.objectives.deep_clustering:DeepClustering")
@dataclasses.dataclass(frozen=True)
class DeepClusteringOptions(ObjectiveOptions):
    """Distance between the affinities of embeddings and those of labels, over all pairs of nodes."""


@choice(
    "objective", "whitened_deep_clustering",
    target="contrasep_lib.objectives.whitened_deep_clustering:WhitenedDeepClustering",
)
@dataclasses.dataclass(frozen=True)
class WhitenedDeepClusteringOptions(ObjectiveOptions):
    """Share of the labels that no linear function of the embeddings explains."""


@choice("objective", "slots", target="contrasep_lib.objectives.slots:Slots")
@dataclasses.dataclass(frozen=True)
class SlotsObjectiveOptions(ObjectiveOptions):
    """Slots that attend to the graph find the sources of a mixture, and the embedding learns from their partition.

    Attributes:
        slots: at least as many as a mixture has speakers.
        width: of slots and of the features of nodes.
        layers: of attention.
        sampled_nodes: nodes that are drawn from each mixture.
        power: of the kernel graph.
        dominance_weight: of the cross entropy with the source that dominates a node.
        quality_weight: of the negative normalised modularity.
        existence_weight: of the binary cross entropy of each slot's existence.
    """

    supervised: ClassVar[bool] = True

    slots: int = 6
    width: int = 64
    layers: int = 3
    sampled_nodes: int = 2048
    power: int = 2
    dominance_weight: float = 1.0
    quality_weight: float = 1.0
    existence_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("slots", 2), ("width", 2), ("layers", 1), ("sampled_nodes", 2), ("power", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}")
        for name in ("dominance_weight", "quality_weight", "existence_weight"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")
        if not self.dominance_weight + self.quality_weight > 0:
            raise ValueError("dominance_weight, quality_weight: expected one of them above 0, got 0 for both")


@choice("objective", "gap", target="contrasep_lib.objectives.gap:Gap")
@dataclasses.dataclass(frozen=True)
class GapOptions(ObjectiveOptions):
    """By how much a wrong partition is worth more than the true one, in normalised modularity, with a margin.

    Attributes:
        margin: of the value for each unit of weight on a wrong speaker; without it collapsed embeddings have no loss.
        sampled_nodes: nodes that are drawn from each mixture.
        moves: sweeps of moves that raise the value of the partition of k-means; 0 takes that partition.
        power: of the kernel graph.
    """

    supervised: ClassVar[bool] = True

    margin: float = 0.2
    sampled_nodes: int = 1024
    moves: int = 20
    power: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("sampled_nodes", 2), ("moves", 0), ("power", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}")
        if not 0 < self.margin < float("inf"):
            raise ValueError(f"margin: expected a positive number, got {self.margin}")


@choice("objective", "si_snr", target="contrasep_lib.objectives.si_snr:SISNR")
@dataclasses.dataclass(frozen=True)
class SISNROptions(ObjectiveOptions):
    """Scale-invariant signal-to-noise ratio of the decoder's outputs, negative and in dB.

    Attributes:
        share: share of the frames of a batch, one random part, that the decoder sees and learns from in a
            training step; centroids and all other objectives take all frames, validation too.
    """

    needs: ClassVar[tuple[str, ...]] = ("decoder",)
    shapes: ClassVar[bool] = False
    supervised: ClassVar[bool] = True

    share: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise ValueError(f"share: expected more than 0 and at most 1, got {self.share}")


@choice("objective", "count", target="contrasep_lib.objectives.count:Count")
@dataclasses.dataclass(frozen=True)
class CountOptions(ObjectiveOptions):
    """Cross entropy of the counter's number of speakers."""

    needs: ClassVar[tuple[str, ...]] = ("counter",)
    shapes: ClassVar[bool] = False
    supervised: ClassVar[bool] = True
