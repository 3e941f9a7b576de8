"""Options of the section ``model``."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from contrasep_lib.config import LATER, Bounded, Range, as_tree, choice_of, choices_of, names
from contrasep_lib.config.bounds import PositiveWeight, Seed, Steps
from contrasep_lib.decode.decoders.options import DecoderOptions
from contrasep_lib.decode.options import KINDS
from contrasep_lib.embedding.backbones.options import BackboneOptions
from contrasep_lib.errors import ContrasepError
from contrasep_lib.objectives.options import ObjectiveOptions

# how a model learns; a trained one is the same whatever it was
_TRAINING = (
    "objectives", "pretrain_objectives", "labels", "negatives", "neighbours", "remix_db", "centroids", "noise_db",
    "seed",
)


@dataclasses.dataclass(frozen=True)
class ModelOptions(Bounded):
    """What embeds nodes, separates and counts, and what it learns from.

    Attributes:
        granularity: what a node is, a ``frame`` or a time-frequency unit (``tf``).
        backbone: what embeds; see ``contrasep list backbones``. Backbones over spectra serve both granularities; the
            embedding of a frame is then the mean over its units.
        embedding_dim: dimension of the embeddings.
        projection: outputs of the projection head (an MLP with a hidden layer as wide as the
            embedding), where contrastive losses compare; 0 for none.
        nodes: what the graph and all after it read: the ``embedding``, so that the projection head serves the loss
            alone (Chen et al. 2020), or its ``projection``, the vector that the loss sees.
        decoder: what maps centroids of communities to masks; ``null``: masks are the communities themselves. It
            learns by objective ``si_snr``.
        counter: a network that scores numbers of speakers, by which `modularity.counting: classifier` counts; ``null``:
            none. It learns by objective ``count``.
        objectives: what is learned, with weights; see ``contrasep list objectives``.
        pretrain_objectives: what pretraining learns in place of ``objectives``; none (``{}``): the same. Decoder and
            counter need none here: finetuning teaches them.
        labels: ``dominance`` (a node belongs to the source, or in single-speaker batches to the
            speaker, that dominates it) or ``none`` (sources and speakers are not used; see
            `contrasep_lib.nodes.labels`).
        negatives: where mixtures find their negatives: in the same ``utterance``, or in the
            whole ``batch`` (a speaker then is one class in all of its mixtures). Batches of
            single-speaker recordings always use the batch, and that of all ranks.
        node_weight: ``magnitude`` (of a node over the mean of its utterance; Wang et al.,
            ICASSP 2018) or ``uniform``.
        neighbours: ``labels: none`` takes nodes up to so many frames apart as a positive pair.
        remix_db: ``labels: none`` remixes recordings at levels drawn from +- remix_db, dB.
        centroids: relative frequency of each kind of centroids that a decoder learns from, ``dominance``,
            ``label_noise``, ``soft``, ``refined_oracle``, ``kmeans`` (see `contrasep_lib.decode.centroids`);
            ``null``: all alike.
        noise_db: a node belongs to nobody, as silence does, where what the mixture has beside its sources (noise, late
            reverberation) lies more than this over the loudest source, dB; the objectives of the embedding leave it
            out. ``null``: 0 with a decoder that has an output for noise; without, nodes alone that are louder than any
            sum of their sources. Mixtures without noise have no such nodes.
        seed: draws nodes in validation; training draws from torch's generator.
    """

    granularity: Literal["frame", "tf"] = "tf"
    backbone: Any = choice_of("backbone", "blstm")
    embedding_dim: Annotated[int, Range(2, 4096)] = 20
    projection: Annotated[int, Range(0, 4096)] = 0
    nodes: Literal["embedding", "projection"] = dataclasses.field(default="embedding", metadata=LATER)
    decoder: Any = choice_of("decoder", None, later=True)
    counter: Any = choice_of("count_network", None, later=True)
    objectives: dict[str, Any] = choices_of("objective", ["deep_clustering"])
    pretrain_objectives: dict[str, Any] = choices_of("objective", [], later=True)
    labels: Literal["dominance", "none"] = "dominance"
    negatives: Literal["utterance", "batch"] = "utterance"
    node_weight: Literal["magnitude", "uniform"] = "magnitude"
    neighbours: Steps = 3
    remix_db: Annotated[float, Range(0, 30)] = 5.0
    centroids: dict[str, PositiveWeight] | None = dataclasses.field(default=None, metadata=LATER)
    noise_db: Annotated[float, Range(-100, 100)] | None = dataclasses.field(default=None, metadata=LATER)
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nodes == "projection" and not self.projection:
            raise ValueError("nodes: expected 'embedding' without a projection head (projection: 0), got 'projection'")
        self._check_parts()
        served = getattr(self.backbone, "granularities", BackboneOptions.granularities)
        if self.granularity not in served:
            raise ValueError(
                f"granularity: backbone '{self.backbone.name}' embeds nodes of {' or '.join(served)}, "
                f"got '{self.granularity}'"
            )
        self._check_objectives()
        self._check_centroids()

    def require_count(self, most: int, where: str) -> None:
        """Refuse mixtures that the counter does not know.

        Args:
            most: talkers of the largest mixture.
            where: the mixtures, as messages have them.

        Raises:
            ContrasepError: more talkers than the counter's ``count_max``.
        """
        known = getattr(self.counter, "count_max", most)
        if "count" in self.objectives and most > known:
            raise ContrasepError(
                f"{where}: expected at most {known} talkers (model.counter.count_max), got {most}; "
                f"--set model.counter.count_max={most}"
            )

    def _check_parts(self) -> None:
        if not isinstance(self.decoder, (DecoderOptions, type(None))):
            raise ValueError(f"decoder: the options of '{self.decoder.name}' do not inherit from DecoderOptions")
        if self.decoder is not None and self.granularity != "tf":
            raise ValueError(f"decoder: it needs granularity 'tf', got '{self.granularity}'")
        try:
            self.full_decoder()
        except ValueError as error:
            raise ValueError(f"decoder.{error}") from None

    def _check_objectives(self) -> None:
        if not self.objectives:
            raise ValueError(f"objectives: expected at least one of {', '.join(names('objective'))}, got none")
        for key in ("objectives", "pretrain_objectives"):
            self._check_each(key)
        chosen = ", ".join(self.objectives)
        for part in ("decoder", "counter"):
            taught = any(part in objective.needs for objective in self.objectives.values())
            if getattr(self, part) is not None and not taught:
                raise ValueError(f"{part}: none of the objectives {chosen} teaches it; add one that does")

    def _check_each(self, key: str) -> None:
        objectives = getattr(self, key)
        for name, objective in objectives.items():
            if not isinstance(objective, ObjectiveOptions):
                raise ValueError(f"{key}: the options of '{name}' do not inherit from ObjectiveOptions")
            for part in objective.needs:
                if getattr(self, part) is None:
                    raise ValueError(
                        f"{key}: {name} teaches a {part}; choose one with model.{part}, or leave {name} out"
                    )
            if objective.supervised and self.labels == "none":
                raise ValueError(f"labels: objective {name} learns from sources; expected 'dominance', got 'none'")
            self._check_positives(f"{key}.{name}", getattr(objective, "positives", "any"))
        if objectives and not any(objective.shapes for objective in objectives.values()):
            raise ValueError(
                f"{key}: expected one that shapes the embeddings in addition to "
                f"{', '.join(objectives)}, e.g. deep_clustering"
            )

    def _check_positives(self, where: str, positives: str) -> None:
        if positives != "any" and self.labels == "none":
            raise ValueError(
                f"{where}.positives: expected 'any' with labels: none, whose pairs are views, got '{positives}'"
            )
        # batches of single speakers, as pretraining has them, are one pool in any case
        if positives == "other" and self.negatives == "utterance" and where.startswith("objectives"):
            raise ValueError(
                f"{where}.positives: 'other' pairs recordings of a batch; expected negatives: batch with it"
            )

    def _check_centroids(self) -> None:
        for name in self.centroids or ():
            if name not in KINDS:
                raise ValueError(f"centroids: expected names among {', '.join(KINDS)}, got '{name}'")
        if self.centroids is not None and not self.centroids:
            raise ValueError(f"centroids: expected null or at least one of {', '.join(KINDS)}, got none")

    @property
    def node_dim(self) -> int:
        """Dimension of what the graph reads."""
        return self.projection if self.nodes == "projection" else self.embedding_dim

    @property
    def noise_nodes_db(self) -> float | None:
        """`noise_db`, with what it leaves to the decoder filled in; None: nodes louder than any sum of sources."""
        if self.noise_db is None and getattr(self.decoder, "noise", False):
            return 0.0
        return self.noise_db

    def objectives_of(self, phase: str) -> dict[str, Any]:
        """What ``pretrain`` or ``finetune`` learns."""
        return (self.pretrain_objectives if phase == "pretrain" else {}) or self.objectives

    def full_decoder(self) -> Any:
        """Options of the decoder, with what they leave to the backbone filled in; None without a decoder.

        Raises:
            ValueError: they do not fit the backbone's.
        """
        return None if self.decoder is None else self.decoder.beside(self.backbone)

    def trained(self) -> dict[str, Any]:
        """What a trained model is, as plain values: the options without those that say how it learns."""
        tree = as_tree(dataclasses.replace(self, decoder=self.full_decoder()))
        kept = {name: value for name, value in tree.items() if name not in _TRAINING}
        free = {"backbone": getattr(self.backbone, "free", BackboneOptions.free), "decoder": ("dropout",)}
        for part, names_of_free in free.items():
            if kept[part] is not None:
                kept[part] = {name: value for name, value in kept[part].items() if name not in names_of_free}
        return kept
