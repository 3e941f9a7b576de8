"""The embedder: recordings to embeddings of their nodes."""

from __future__ import annotations

import numpy as np
import torch

from contrasep_lib.config import create
from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.embedding.backbones.base import Backbone
from contrasep_lib.embedding.backbones.options import BackboneOptions
from contrasep_lib.embedding.heads import Projection, unit_norm
from contrasep_lib.embedding.inputs import SpectrumInput, frame_mask, unit_level
from contrasep_lib.nodes.granularity import GRANULARITIES, Granularity, Nodes
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.silence import gather_frames, shown_frames, shown_samples, spread_frames
from contrasep_lib.nodes.stft import num_frames, pad, stft


class Embedder(torch.nn.Module):
    """Embeds the nodes of recordings so that nodes of one speaker lie together.

    Args:
        features: framing.
        granularity: name of what a node is, see `contrasep_lib.nodes.granularity`.
        backbone: options of the backbone.
        dim: dimension of the embeddings.
        projection: outputs of the projection head; 0 for none.
        node_weight: ``magnitude`` or ``uniform``.
        stats: Kaldi CMVN statistics of log-magnitude spectra ``(2, freq + 1)``, or None.
        of_nodes: what the embeddings of nodes are, ``embedding`` (the projection head serves losses alone) or
            ``projection`` (its outputs, which losses then compare as they are).

    Raises:
        ValueError: statistics or backbone do not fit the framing.
    """

    inputs: SpectrumInput | None
    backbone: Backbone
    projection: Projection | None

    def __init__(
        self,
        features: FeatureOptions,
        granularity: str,
        backbone: BackboneOptions,
        dim: int,
        projection: int = 0,
        node_weight: str = "magnitude",
        stats: np.ndarray | None = None,
        of_nodes: str = "embedding",
    ) -> None:
        super().__init__()
        self.features, self.node_weight = features, node_weight
        self.granularity: Granularity = GRANULARITIES[granularity](features)
        made = create(backbone, features=features, dim=dim)
        self.inputs = None if made.reads_samples else SpectrumInput(features, stats)
        self.backbone = made
        self.projection = Projection(dim, projection) if projection else None
        self.projects_nodes = of_nodes == "projection"

    def embed(self, mixture: torch.Tensor, lengths: torch.Tensor | None = None) -> NodeSet:
        """Node sets of mixtures, as the modularity engine takes them; see `analyse`."""
        return self.analyse(mixture, lengths)[0]

    def analyse(
        self, mixture: torch.Tensor, lengths: torch.Tensor | None = None, hidden: torch.Tensor | None = None
    ) -> tuple[NodeSet, Analysis]:
        """Node sets of mixtures, and what a decoder goes on from.

        Args:
            mixture: ``(batch, samples)`` float32.
            lengths: ``(batch,)`` samples of each; all by default.
            hidden: the backbone's features of these mixtures, where they are known; it then does not run.

        Returns:
            Embeddings of unit norm ``(batch, nodes, dim)`` float32, weights, and valid nodes: neither silent
            nor padding; and the analysis.
        """
        if lengths is None:
            lengths = torch.full((len(mixture),), mixture.shape[1], device=mixture.device)
        mixture, frames = self.trimmed(mixture, lengths)
        analysis = self.analyse_spectrum(mixture, lengths, stft(mixture, self.features), frames, hidden)
        nodes, valid = self.nodes_of(analysis.spectrum, frames)
        return NodeSet(analysis.z, self.weights_of(nodes, valid), valid, nodes.shape), analysis

    def trimmed(self, mixture: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mixtures with zeros behind their ends, and their numbers of frames ``(batch,)``."""
        inside = torch.arange(mixture.shape[1], device=mixture.device) < lengths.unsqueeze(1)
        return torch.where(inside, mixture, 0.0), num_frames(lengths, self.features)

    def nodes_of(self, spectrum: torch.Tensor, frames: torch.Tensor) -> tuple[Nodes, torch.Tensor]:
        """Nodes, and which of them are neither silent nor padding."""
        nodes = self.granularity.nodes_of(spectrum)
        inside = frame_mask(frames, spectrum.shape[1])
        per_frame = nodes.power.shape[1] // spectrum.shape[1]
        return nodes, nodes.valid & inside.repeat_interleave(per_frame, dim=1)

    def weights_of(self, nodes: Nodes, valid: torch.Tensor) -> torch.Tensor:
        """Weights of nodes, ``(batch, nodes)``: of mean 1 over valid nodes, 0 elsewhere."""
        if self.node_weight == "uniform":
            return valid.to(nodes.power.dtype)
        magnitude = torch.where(valid, nodes.power, 0.0).sqrt()
        mean = magnitude.sum(1, keepdim=True) / valid.sum(1, keepdim=True).clamp_min(1)
        return magnitude / torch.where(mean > 0, mean, 1.0)

    def analyse_spectrum(
        self, mixture: torch.Tensor, lengths: torch.Tensor, spectrum: torch.Tensor, frames: torch.Tensor,
        hidden: torch.Tensor | None = None,
    ) -> Analysis:
        """Embeddings of mixtures, as `trimmed` gives them, whose spectra are known, and perhaps the features too.

        Long silences are not shown to the backbone, so they change nothing elsewhere.
        """
        count = spectrum.shape[1]
        power = self.granularity.pool(spectrum.detach().abs().square())
        shown = shown_frames(power.unflatten(1, (count, -1)).amax(2), frames, self.features)
        if self.inputs is None:
            # frames do not see one another, only the level is of all
            samples = None if shown is None else shown_samples(shown, mixture.shape[1], self.features)
            z = self.backbone(pad(unit_level(mixture, lengths, samples), self.features))
            return Analysis(spectrum, frames, self._of_nodes(unit_norm(z)))
        frames = frames if shown is None else shown.sum(1)
        level = self.inputs(gather_frames(spectrum, shown), frames)
        earlier: list[torch.Tensor] = []
        if hidden is None:
            *earlier, hidden = self.backbone.passes(level, frames)
        passes = tuple(self._nodes(features, shown) for features in earlier)
        return Analysis(spectrum, frames, self._nodes(hidden, shown), level, hidden, passes, shown)

    def units_of(self, hidden: torch.Tensor) -> torch.Tensor:
        """Embeddings of nodes from features of the backbone, by frame.

        Args:
            hidden: ``(batch, shown frames, places, channels)``.

        Returns:
            ``(batch, shown frames, nodes of a frame, dim)`` of unit norm; a frame's own is the mean over its units.
        """
        made = self.backbone.frames if self.granularity.name == "frame" else self.backbone.units
        return self._of_nodes(unit_norm(made(hidden)))

    def _nodes(self, hidden: torch.Tensor, shown: torch.Tensor | None) -> torch.Tensor:
        """Embeddings of nodes, ``(batch, nodes, dim)`` of unit norm, from features of the backbone."""
        return spread_frames(self.units_of(hidden), shown).flatten(1, 2)

    def _of_nodes(self, z: torch.Tensor) -> torch.Tensor:
        return self.projection(z) if self.projection is not None and self.projects_nodes else z

    def project(self, z: torch.Tensor) -> torch.Tensor:
        """Embeddings of nodes as contrastive losses see them: behind the projection head, where there is one."""
        return z if self.projection is None or self.projects_nodes else self.projection(z)
