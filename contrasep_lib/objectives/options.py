"""Options of the objectives."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar, Literal

from contrasep_lib.config import LATER, Bounded, Range, choice
from contrasep_lib.config.bounds import Layers, PairedNodes, PositiveWeight, Power, Steps, Weight


@dataclasses.dataclass(frozen=True)
class ObjectiveOptions(Bounded):
    """What the options of all objectives share.

    Attributes:
        needs: optional parts of a model (``decoder``, ``counter``) that the objective cannot do without, and teaches.
        shapes: whether it shapes the embeddings, through the projection head where there is one.
        supervised: whether it needs sources or numbers of speakers, which ``labels: none`` does without.
        labelled: whether it reads at all which speaker or source a node belongs to.
        weight: of its loss in the sum.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    shapes: ClassVar[bool] = True
    supervised: ClassVar[bool] = False
    labelled: ClassVar[bool] = True

    weight: PositiveWeight = 1.0


@dataclasses.dataclass(frozen=True)
class ContrastiveOptions(ObjectiveOptions):
    """What the options of contrastive objectives share.

    Attributes:
        temperature: by which cosines are divided.
        sampled_nodes: nodes that are drawn from each utterance, or from each batch where that is where negatives
            come from; costs grow with the square.
    """

    temperature: Annotated[float, Range(1e-3, 100)] = 0.5
    sampled_nodes: Annotated[int, Range(4, 65536)] = 512


@choice("objective", "nt_xent", target="contrasep_lib.objectives.nt_xent:NTXent")
@dataclasses.dataclass(frozen=True)
class NTXentOptions(ContrastiveOptions):
    """Normalised temperature-scaled cross entropy between pairs of nodes (SimCLR).

    Attributes:
        denominator: what an anchor's partner is compared with: ``labelled``, the partner and nodes of other labels;
            ``all``, all nodes but the anchor, so that other nodes of its label are negatives too (Chen et al. 2020).
        positives: which nodes of one label make a pair: ``any``; ``lag``, two of one recording whose frames lie ``lag``
            apart; ``other``, of two recordings of the batch (with negatives of the batch; see ``finetune.repeats``).
        lag: least and most frames between the two with ``positives: lag``. Frames d apart share 1 - d hop / win of
            their samples: with ``win: 256, hop: 64`` 75 % at 1, none from 4 on.
    """

    denominator: Literal["labelled", "all"] = dataclasses.field(default="labelled", metadata=LATER)
    positives: Literal["any", "lag", "other"] = dataclasses.field(default="any", metadata=LATER)
    lag: tuple[Annotated[int, Range(0, 10**6)], ...] = dataclasses.field(default=(1, 4), metadata=LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.lag) != 2 or self.lag[0] > self.lag[1]:
            raise ValueError(f"lag: expected the least and the most frames such as [1, 4], got {list(self.lag)}")


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

    slots: Annotated[int, Range(2, 100)] = 6
    width: Annotated[int, Range(2, 8192)] = 64
    layers: Layers = 3
    sampled_nodes: PairedNodes = 2048
    power: Power = 2
    dominance_weight: Weight = 1.0
    quality_weight: Weight = 1.0
    existence_weight: Weight = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
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

    margin: PositiveWeight = 0.2
    sampled_nodes: PairedNodes = 1024
    moves: Steps = 20
    power: Power = 2


@choice("objective", "si_snr", target="contrasep_lib.objectives.si_snr:SISNR")
@dataclasses.dataclass(frozen=True)
class SISNROptions(ObjectiveOptions):
    """Scale-invariant signal-to-noise ratio of the decoder's outputs, negative and in dB.

    Attributes:
        share: share of the frames of a batch, one random part, that the decoder sees and learns from in a
            training step; centroids and all other objectives take all frames, validation too.
        noise_weight: of an output for noise, where the decoder has one, beside 1 of each talker's in the mean.
    """

    needs: ClassVar[tuple[str, ...]] = ("decoder",)
    shapes: ClassVar[bool] = False
    supervised: ClassVar[bool] = True

    share: Annotated[float, Range(0, 1, "(]")] = 1.0
    noise_weight: Weight = dataclasses.field(default=1.0, metadata=LATER)


@choice("objective", "count", target="contrasep_lib.objectives.count:Count")
@dataclasses.dataclass(frozen=True)
class CountOptions(ObjectiveOptions):
    """Cross entropy of the counter's number of speakers."""

    needs: ClassVar[tuple[str, ...]] = ("counter",)
    shapes: ClassVar[bool] = False
    supervised: ClassVar[bool] = True


@choice("objective", "modularity", target="contrasep_lib.objectives.modularity:ModularityObjective")
@dataclasses.dataclass(frozen=True)
class ModularityObjectiveOptions(ObjectiveOptions):
    """Quality of soft communities that a linear layer makes of embeddings, without labels (deep modularity networks).

    Attributes:
        communities: at most.
        graph: whose communities they are: ``spectra``, the threshold graph of the spectra of frames, which does not
            learn (for frames alone), or ``embeddings``, the kernel graph of the embeddings, which learns too.
        quantile: share of the pairs of frames of a recording that the graph of ``spectra`` leaves out.
        power: of the kernel graph of ``embeddings``.
        normalised: normalised modularity in place of modularity.
        collapse_weight: of the collapse term, which draws communities towards equal sizes; with 1 they became
            alike, each with an equal share of every frame.
        sampled_nodes: nodes that are drawn from each utterance.
    """

    labelled: ClassVar[bool] = False

    communities: Annotated[int, Range(2, 1024)] = 16
    graph: Literal["spectra", "embeddings"] = "spectra"
    quantile: Annotated[float, Range(0, 1, "[)")] = 0.9
    power: Power = 2
    normalised: bool = False
    collapse_weight: Weight = 0.1
    sampled_nodes: PairedNodes = 1024


@choice("objective", "masked", target="contrasep_lib.objectives.masked:Masked")
@dataclasses.dataclass(frozen=True)
class MaskedOptions(ObjectiveOptions):
    """Reconstruction of masked spans of frames, by backbones over spectra, which it runs once more (Mockingjay).

    Attributes:
        share: of the frames that is masked, about.
        span: frames of a span; at most half of an utterance.
    """

    labelled: ClassVar[bool] = False

    share: Annotated[float, Range(0, 1, "()")] = 0.15
    span: Annotated[int, Range(1, 10000)] = 7


@choice("objective", "cpc", target="contrasep_lib.objectives.cpc:CPC")
@dataclasses.dataclass(frozen=True)
class CPCOptions(ObjectiveOptions):
    """Contrastive predictive coding: the embeddings of later frames are predicted, and told from those of others.

    Only for a backbone that sees no later frames, such as ``encoder``, is it a prediction.

    Attributes:
        steps: frames ahead, at most; frames ``win / hop`` apart share no samples.
        width: of the causal GRU over the embeddings.
        negatives: frames that are drawn from each utterance; those of all utterances of a batch are compared.
    """

    labelled: ClassVar[bool] = False

    steps: Annotated[int, Range(1, 1000)] = 12
    width: Annotated[int, Range(1, 8192)] = 64
    negatives: Annotated[int, Range(1, 65536)] = 16
