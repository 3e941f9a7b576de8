"""Options of the section ``model``."""

from __future__ import annotations

import dataclasses
import typing
from typing import Literal

from contrasep_lib.config import LATER
from contrasep_lib.nodes.options import FeatureOptions

if typing.TYPE_CHECKING:
    import numpy as np

    from contrasep_lib.models.espnet_model import ContrastiveModel

OBJECTIVES = ("affinity", "whitened", "supcon", "nt_xent", "si_snr", "count")
CENTROIDS = ("dominance", "noise", "soft", "solver", "found")
# how a model learns, which a trained one has behind it
_TRAINING = (
    "objectives", "temperature", "labels", "negatives", "sampled_nodes", "neighbours", "remix_db", "seed", "dropout", "centroids",
    "decoder_share",
)


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """What embeds nodes, and what it learns from.

    Attributes:
        granularity: what a node is, a ``frame`` or a time-frequency unit (``tf``); with ``attractor`` a
            time-frequency unit, and the clusters' centroids condition a decoder.
        backbone: ``encoder`` (strided convolutions over the waveform, frames only: the paper),
            ``conv`` (dilated, over spectra), ``blstm`` (as deep clustering) or ``dual_path``
            (alternating over frequency and time). Backbones over spectra serve both
            granularities; a frame's embedding is then the mean over its units.
        layers: layers (``encoder``, ``blstm``) or blocks (``conv``, ``dual_path``).
        width: channels, or cells of the recurrent layers in each direction; 300 is for ``blstm``,
            ``conv`` and ``dual_path`` run over every unit or band and cost as much at 32 to 48.
        dropout: between layers.
        path: what ``dual_path`` runs over frequency and time: ``rnn`` or ``attention``.
        heads: attention heads of ``dual_path``; divide ``width``.
        band: neighbouring frequencies that ``dual_path`` takes as one step.
        embedding_dim: dimension of the embeddings.
        projection: outputs of the projection head (an MLP with a hidden layer as wide as the
            embedding), which only the loss sees; 0 for none.
        objectives: weight of each objective: ``affinity``, ``whitened``, ``supcon``, ``nt_xent``, and
            of a decoder ``si_snr``, negative and in dB (see `contrasep_lib.objectives`); ``count``, the cross entropy
            of the number of talkers, makes a counter (`contrasep_lib.counting.counter`).
        temperature: of ``supcon`` and ``nt_xent``.
        labels: ``dominance`` (a node belongs to the source, or in single-speaker batches to the
            speaker, that dominates it) or ``none`` (sources and speakers are not used; see
            `contrasep_lib.nodes.labels`).
        negatives: where mixtures find their negatives: in the same ``utterance``, or in the
            whole ``batch`` (a speaker then is one class in all of its mixtures). Batches of
            single-speaker recordings always use the batch, and that of all ranks.
        sampled_nodes: nodes that ``supcon`` and ``nt_xent`` draw from each utterance, or from
            each batch where that is where negatives come from; costs grow with the square.
        node_weight: ``magnitude`` (of a node over the mean of its utterance; Wang et al.,
            ICASSP 2018) or ``uniform``.
        neighbours: ``labels: none`` takes nodes up to so many frames apart as a positive pair.
        remix_db: ``labels: none`` remixes recordings at levels drawn from +- remix_db, dB.
        seed: draws nodes in validation; training draws from torch's generator.
        decoder_layers: blocks of the decoder, over bands of ``band`` frequencies; each runs once for
            each talker.
        decoder_width: its channels, and cells of its LSTMs in each direction.
        centroids: relative frequency of each kind of centroids in training, ``dominance``, ``noise``,
            ``soft``, ``solver``, ``found`` (see `contrasep_lib.decode.centroids`); ``null``: all alike.
        decoder_share: share of the frames of a batch, one random part, that the decoder sees and learns from in a
            training step; centroids and all other objectives take all frames, validation too.
        count_max: the largest count that a counter knows.
    """

    granularity: Literal["frame", "tf", "attractor"] = "tf"
    backbone: Literal["encoder", "conv", "blstm", "dual_path"] = "blstm"
    layers: int = 2
    width: int = 300
    dropout: float = 0.0
    path: Literal["rnn", "attention"] = "rnn"
    heads: int = 4
    band: int = 4
    embedding_dim: int = 20
    projection: int = 0
    objectives: dict[str, float] = dataclasses.field(default_factory=lambda: {"affinity": 1.0})
    temperature: float = 0.5
    labels: Literal["dominance", "none"] = "dominance"
    negatives: Literal["utterance", "batch"] = "utterance"
    sampled_nodes: int = 512
    node_weight: Literal["magnitude", "uniform"] = "magnitude"
    neighbours: int = 3
    remix_db: float = 5.0
    seed: int = 0
    decoder_layers: int = dataclasses.field(default=2, metadata=LATER)
    decoder_width: int = dataclasses.field(default=64, metadata=LATER)
    centroids: dict[str, float] | None = dataclasses.field(default=None, metadata=LATER)
    count_max: int = dataclasses.field(default=5, metadata=LATER)
    decoder_share: float = dataclasses.field(default=1.0, metadata=LATER)

    def __post_init__(self) -> None:
        if self.backbone == "encoder" and self.granularity != "frame":
            raise ValueError(f"granularity: the encoder embeds frames, so 'frame' wanted with it, got '{self.granularity}'")
        for name, least in (
            ("layers", 1),
            ("width", 1),
            ("heads", 1),
            ("band", 1),
            ("embedding_dim", 2),
            ("projection", 0),
            ("sampled_nodes", 4),
            ("neighbours", 0),
            ("decoder_layers", 0),
            ("decoder_width", 1),
            ("count_max", 2),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: at least {least} wanted, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: at least 0 and under 1 wanted, got {self.dropout}")
        if self.backbone == "dual_path" and self.path == "attention" and self.width % (2 * self.heads):
            raise ValueError(f"heads: {self.heads} heads of even width wanted, got a width of {self.width}")
        if not self.objectives:
            raise ValueError(f"objectives: at least one of {', '.join(OBJECTIVES)} wanted, got none")
        for name, value in self.objectives.items():
            if name not in OBJECTIVES:
                raise ValueError(f"objectives: names among {', '.join(OBJECTIVES)} wanted, got '{name}'")
            if not 0 < value < float("inf"):
                raise ValueError(f"objectives.{name}: a positive weight wanted, got {value}")
        self._check_decoder()
        if not 0 < self.decoder_share <= 1:
            raise ValueError(f"decoder_share: expected a share over 0 up to 1, got {self.decoder_share}")
        if not 1e-3 <= self.temperature <= 100:
            raise ValueError(f"temperature: between 0.001 and 100 wanted, got {self.temperature}")
        if not 0 <= self.remix_db <= 30:
            raise ValueError(f"remix_db: between 0 and 30 dB wanted, got {self.remix_db}")

    def trained(self) -> dict[str, object]:
        """What a trained model is: its options without those that tell how it learns, and whether it counts."""
        kept = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**{name: value for name, value in kept.items() if name not in _TRAINING}, "counter": self.counts}

    @property
    def counts(self) -> bool:
        """Whether there is a counter."""
        return "count" in self.objectives

    @property
    def decodes(self) -> bool:
        """Whether there is a decoder."""
        return self.granularity == "attractor"

    def _check_decoder(self) -> None:
        if ("si_snr" in self.objectives) != self.decodes:
            raise ValueError(
                "objectives: si_snr is what the decoder of granularity 'attractor' learns from, and wanted there and "
                f"nowhere else, got '{self.granularity}' and {', '.join(self.objectives)}"
            )
        if self.decodes and self.labels == "none":
            raise ValueError("labels: the decoder learns from sources, so 'dominance' wanted with 'attractor', got 'none'")
        if self.counts and self.labels == "none":
            raise ValueError("labels: the counter learns from known talkers, so 'dominance' wanted with count, got 'none'")
        if set(self.objectives) == {"count"}:
            raise ValueError("objectives: one that shapes the embeddings wanted beside count, e.g. affinity")
        if self.decodes and not set(self.objectives) - {"si_snr", "count"}:
            raise ValueError("objectives: one that shapes the embeddings wanted beside si_snr, e.g. affinity")
        if self.decodes and self.path == "attention" and self.decoder_width % (2 * self.heads):
            raise ValueError(f"heads: {self.heads} heads of even width wanted, got a decoder_width of {self.decoder_width}")
        for name, value in (self.centroids or {}).items():
            if name not in CENTROIDS:
                raise ValueError(f"centroids: names among {', '.join(CENTROIDS)} wanted, got '{name}'")
            if not 0 < value < float("inf"):
                raise ValueError(f"centroids.{name}: a positive frequency wanted, got {value}")
        if self.centroids is not None and not self.centroids:
            raise ValueError(f"centroids: null or at least one of {', '.join(CENTROIDS)} wanted, got none")


def build_model(
    options: ModelOptions,
    features: FeatureOptions,
    silence_db: float,
    stats: "np.ndarray | None" = None,
) -> "ContrastiveModel":
    """The model of a configuration.

    Args:
        options: section ``model``.
        features: section ``features``.
        silence_db: a node is silent when it lies more than this under the loudest one, dB.
        stats: Kaldi CMVN statistics of log-magnitude spectra, ``(2, freq + 1)``, as in
            ``global_cmvn.ark``; None leaves the normalisation to a checkpoint's.

    Raises:
        ValueError: statistics of another frame length, or over no frame.
    """
    from contrasep_lib.models.espnet_model import ContrastiveModel

    return ContrastiveModel(options, features, silence_db, stats)
