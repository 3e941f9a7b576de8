"""The ESPnet model of pretraining and finetuning: backbone, granularity, weighted objectives."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import torch
from espnet2.train.abs_espnet_model import AbsESPnetModel

from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.spectra import FLOOR
from contrasep_lib.nodes.stft import istft, num_frames, pad, stft
from contrasep_lib.embedding.analysis import Analysis, random_part
from contrasep_lib.decode.centroids import training_assignments, training_centroids
from contrasep_lib.embedding.backbones.spectral import BLSTM, Conv, DualPath
from contrasep_lib.counting.counter import Counter
from contrasep_lib.decode.attractor import AttractorDecoder
from contrasep_lib.embedding.backbones.encoder import ConvEncoder
from contrasep_lib.embedding.heads import Projection, unit_norm
from contrasep_lib.embedding.inputs import SpectrumInput, frame_mask, unit_level
from contrasep_lib.models.options import CENTROIDS, ModelOptions
from contrasep_lib.nodes.labels import LabelledNodes, remix, similarity
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.objectives import (
    affinity_loss,
    nt_xent_loss,
    pair_nodes,
    sample_nodes,
    si_snr_loss,
    supcon_loss,
    take,
    whitened_loss,
)
from contrasep_lib.objectives.common import distributed
from contrasep_lib.nodes.granularity import GRANULARITIES, Nodes

BACKBONES: dict[str, type[torch.nn.Module]] = {
    "encoder": ConvEncoder, "conv": Conv, "blstm": BLSTM, "dual_path": DualPath,
}
# their cost grows with the nodes and not with its square, so none is left out
_OF_ALL_NODES = {"affinity": affinity_loss, "whitened": whitened_loss}
# what an objective teaches beside the backbone; the others teach the projection
_TAUGHT = {"si_snr": "decoder", "count": "counter"}


class ContrastiveModel(AbsESPnetModel):
    """Embeds the nodes of recordings so that nodes of one talker lie together.

    Batches of single recordings (``sources`` of one speaker) are pretraining: a node's class is
    the speaker, over the whole batch and, for ``supcon`` and ``nt_xent``, that of all ranks.
    Batches of mixtures are finetuning: a node's class is the source that dominates it, and
    negatives come from the same mixture, or by option from the batch. With ``labels: none``
    sources and speakers are never read (see `contrasep_lib.nodes.labels`).

    With granularity ``attractor`` a decoder learns from mixtures too (``si_snr``); single recordings
    have nothing to be parted and pass it by.

    Args:
        options: section ``model``.
        features: framing.
        silence_db: a node is silent when it lies more than this under the loudest node, dB.
        stats: Kaldi CMVN statistics of log-magnitude spectra ``(2, freq + 1)``, or None.

    Attributes:
        granularity: `contrasep_lib.nodes.granularity.Granularity` of the nodes.

    Raises:
        ValueError: statistics or encoder do not fit the framing.
    """

    def __init__(
        self,
        options: ModelOptions,
        features: FeatureOptions,
        silence_db: float,
        stats: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.options, self.features = options, features
        self.granularity = GRANULARITIES[options.granularity](features, silence_db)
        dim = options.embedding_dim
        arguments = dict(dim=dim, layers=options.layers, width=options.width, dropout=options.dropout)
        backbone = BACKBONES[options.backbone]
        self.inputs: SpectrumInput | None = None
        if backbone is ConvEncoder:
            arguments.update(win=features.win, hop=features.hop)
        else:
            self.inputs = SpectrumInput(features, stats)
            arguments.update(freq=features.win // 2 + 1)
        if backbone is DualPath:
            arguments.update(path=options.path, heads=options.heads, band=options.band)
        self.backbone = backbone(**arguments)
        self.projection = Projection(dim, options.projection) if options.projection else None
        self.decoder: AttractorDecoder | None = None
        if options.decodes:
            self.decoder = AttractorDecoder(
                features.win // 2 + 1, dim, self.backbone.places, self.backbone.channels, options.decoder_layers,
                options.decoder_width, options.band, options.dropout, options.path, options.heads,
            )
        self.counter: Counter | None = None
        if options.counts:
            self.counter = Counter(dim, 0 if self.inputs is None else self.backbone.channels, options.count_max)

    def forward(
        self,
        mixture: torch.Tensor,
        mixture_lengths: torch.Tensor,
        sources: torch.Tensor | None = None,
        num_spk: torch.Tensor | None = None,
        speaker: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Loss of a batch.

        Args:
            mixture: ``(batch, samples)`` float32.
            mixture_lengths: ``(batch,)`` samples of each.
            sources: ``(batch, max_spk, samples)``; not read with ``labels: none``.
            num_spk: ``(batch,)`` talkers of each mixture; all ``max_spk`` when None.
            speaker: ``(batch, max_spk)`` speaker ids of the training set, -1 for unknown or absent
                ones; unknown speakers count as different from all others.
            kwargs: other entries of an ESPnet batch, ignored.

        Returns:
            Loss (scalar), statistics (scalars: ``loss``, each objective that has a part to teach, and the mean
            cosine ``within`` and ``between`` classes), weight (scalar: utterances in the batch).

        Raises:
            ValueError: sources are missing with ``labels: dominance``.
        """
        generator = self._generator()
        mixture, frames = self._inside(mixture, mixture_lengths)
        if self.options.labels == "none":
            nodes, pairs = self._remixed(mixture, mixture_lengths, frames, generator)
        else:
            if sources is None:
                raise ValueError("sources: wanted with 'labels: dominance'; 'labels: none' does without")
            heard = self._heard(sources, mixture_lengths, num_spk)
            seen = self._analyse(mixture, mixture_lengths, stft(mixture, self.features), frames)
            power = self._power(heard) if heard.shape[1] > 1 else None
            nodes, pairs = self._dominated(seen, power, num_spk, speaker), None
        with torch.no_grad(), torch.autocast(mixture.device.type, enabled=False):
            stats = similarity(self._pools(nodes))
        gather = self._gathers(nodes)
        loss = nodes.z.new_zeros(())
        for name, weight in self.options.objectives.items():
            if not self.teaches(name):
                continue
            if name in _OF_ALL_NODES:
                value = self._clustering(_OF_ALL_NODES[name], nodes)
            elif name == "supcon":
                value = self._supcon(nodes, generator, gather)
            elif name == "count":
                value, stats["counted"] = self._count_loss(seen, nodes.weight, num_spk, sources.shape[1])
            elif name == "si_snr":
                value = self._si_snr(seen, heard, power, nodes.weight, mixture_lengths, generator)
            else:
                value = self._nt_xent(nodes, pairs, generator, gather)
            stats[name] = value.detach()
            loss = loss + weight * value
        stats["loss"] = loss.detach()
        if "si_snr" in stats:
            # a loss in dB; as a statistic it is what it says
            stats["si_snr"] = -stats["si_snr"]
        return loss, stats, loss.new_tensor(float(len(mixture)))

    def collect_feats(
        self, mixture: torch.Tensor, mixture_lengths: torch.Tensor, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """Log-magnitude spectra ``(batch, frames, freq)`` and their frames ``(batch,)``."""
        mixture, frames = self._inside(mixture, mixture_lengths)
        feats = stft(mixture, self.features).abs().clamp_min(FLOOR).log()
        return {"feats": feats, "feats_lengths": frames}

    def embed(self, mixture: torch.Tensor, lengths: torch.Tensor | None = None) -> NodeSet:
        """Node sets of mixtures, as the modularity engine takes them; see `analyse`."""
        return self.analyse(mixture, lengths)[0]

    def analyse(self, mixture: torch.Tensor, lengths: torch.Tensor | None = None) -> tuple[NodeSet, Analysis]:
        """Node sets of mixtures, and what a decoder goes on from.

        Args:
            mixture: ``(batch, samples)`` float32.
            lengths: ``(batch,)`` samples of each; all by default.

        Returns:
            Embeddings of unit norm ``(batch, nodes, dim)`` float32, weights, and valid nodes: neither silent
            nor padding; and the analysis.
        """
        if lengths is None:
            lengths = torch.full((len(mixture),), mixture.shape[1], device=mixture.device)
        mixture, frames = self._inside(mixture, lengths)
        seen = self._analyse(mixture, lengths, stft(mixture, self.features), frames)
        nodes, valid = self._nodes(seen.spectrum, frames)
        return NodeSet(seen.z, self._weight(nodes, valid), valid, nodes.shape), seen

    def decode(
        self, seen: Analysis, centroids: torch.Tensor, samples: int, present: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Sources of mixtures whose communities have these centroids (granularity ``attractor``).

        Args:
            seen: of `analyse`.
            centroids: ``(batch, K, dim)`` of unit norm.
            samples: length of the mixtures.
            present: ``(batch, K)`` bool, which centroids there are; all by default.

        Returns:
            ``(batch, K, samples)``, silence for absent ones; they add up to the mixture.
        """
        if present is None:
            present = torch.ones(centroids.shape[:2], dtype=torch.bool, device=centroids.device)
        masks = self.decoder(seen.hidden, seen.spectrum, seen.level, seen.frames, seen.z, centroids, present)
        with torch.autocast(masks.device.type, enabled=False):
            return istft(masks * seen.spectrum.unsqueeze(1), samples, self.features)

    def count(self, nodes: NodeSet, seen: Analysis) -> torch.Tensor:
        """Logarithms of the probabilities of 1, 2, .. ``count_max`` talkers, ``(batch, count_max)`` (objective ``count``).

        Args:
            nodes, seen: of `analyse`.
        """
        scores = self.counter(nodes.z, nodes.weight * nodes.valid, seen.hidden, seen.frames)
        return scores.log_softmax(-1)

    def teaches(self, objective: str) -> bool:
        """Whether any part that an objective reaches may change."""
        parts = (self.backbone, getattr(self, _TAUGHT.get(objective, "projection")))
        return any(weight.requires_grad for part in parts if part is not None for weight in part.parameters())

    def _generator(self) -> torch.Generator:
        # in training the draw follows torch's own state, which a seed per epoch fixes;
        # validation draws the same nodes every epoch, so that its losses compare
        seed = int(torch.randint(2**62, ())) if self.training else self.options.seed
        return torch.Generator().manual_seed(seed)

    def _inside(self, mixture: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mixtures with zeros behind their ends, and their numbers of frames ``(batch,)``."""
        inside = torch.arange(mixture.shape[1], device=mixture.device) < lengths.unsqueeze(1)
        return torch.where(inside, mixture, 0.0), num_frames(lengths, self.features)

    def _nodes(self, spectrum: torch.Tensor, frames: torch.Tensor) -> tuple[Nodes, torch.Tensor]:
        """Nodes and which of them are neither silent nor padding."""
        nodes = self.granularity.nodes_of(spectrum)
        inside = frame_mask(frames, spectrum.shape[1])
        per_frame = nodes.power.shape[1] // spectrum.shape[1]
        return nodes, nodes.valid & inside.repeat_interleave(per_frame, dim=1)

    def _weight(self, nodes: Nodes, valid: torch.Tensor) -> torch.Tensor:
        """Weights of nodes, ``(batch, nodes)``: of mean 1 over valid nodes, 0 elsewhere."""
        if self.options.node_weight == "uniform":
            return valid.to(nodes.power.dtype)
        magnitude = torch.where(valid, nodes.power, 0.0).sqrt()
        mean = magnitude.sum(1, keepdim=True) / valid.sum(1, keepdim=True).clamp_min(1)
        return magnitude / torch.where(mean > 0, mean, 1.0)

    def _analyse(
        self, mixture: torch.Tensor, lengths: torch.Tensor, spectrum: torch.Tensor, frames: torch.Tensor
    ) -> Analysis:
        """Embeddings of mixtures whose spectra are known."""
        if self.inputs is None:
            z = unit_norm(self.backbone(pad(unit_level(mixture, lengths), self.features)))
            return Analysis(spectrum, frames, z)
        level = self.inputs(spectrum, frames)
        hidden = self.backbone.hidden(level, frames)
        units = self.backbone.units(hidden)
        if self.options.granularity == "frame":
            return Analysis(spectrum, frames, unit_norm(units.float().mean(2)), level, hidden)
        return Analysis(spectrum, frames, unit_norm(units.flatten(1, 2)), level, hidden)

    @staticmethod
    def _heard(sources: torch.Tensor, lengths: torch.Tensor, num_spk: torch.Tensor | None) -> torch.Tensor:
        """Sources with zeros behind their ends and in place of absent ones."""
        most = sources.shape[1]
        present = torch.arange(most, device=sources.device) < (most if num_spk is None else num_spk.unsqueeze(1))
        inside = torch.arange(sources.shape[2], device=sources.device) < lengths.unsqueeze(1)
        return torch.where(present.unsqueeze(-1) & inside.unsqueeze(1), sources, 0.0)

    @torch.no_grad()
    def _power(self, heard: torch.Tensor) -> torch.Tensor:
        """Power of the sources in each node, ``(batch, max_spk, nodes)``."""
        return self.granularity.pool(stft(heard, self.features).abs().square())

    def _dominated(
        self, seen: Analysis, power: torch.Tensor | None, num_spk: torch.Tensor | None, speaker: torch.Tensor | None
    ) -> LabelledNodes:
        """Nodes of mixtures, labelled by the source that dominates them; ``power`` is None for lone talkers."""
        nodes, valid = self._nodes(seen.spectrum, seen.frames)
        weight, device = self._weight(nodes, valid), valid.device
        batch, most = len(valid), 1 if power is None else power.shape[1]
        if power is None:
            dominant = torch.zeros_like(valid, dtype=torch.int64)
        else:
            dominant = self.granularity.loudest(power)
            # more than any sum of the sources: noise, which is nobody's
            valid = valid & (nodes.power <= 2 * most * power.sum(1))
        if most > 1 and num_spk is not None and self.options.counts:
            # a lone talker among mixtures teaches the count; as one label it would draw all directions together
            valid = valid & (num_spk > 1).unsqueeze(1)
        if most > 1 and self.options.negatives == "utterance":
            return LabelledNodes(seen.z, dominant, weight, valid, most)
        # no two unknown speakers are taken for one, on whatever rank
        rank = torch.distributed.get_rank() if distributed() else 0
        unknown = -1 - torch.arange(batch * most, device=device).view(batch, most) - rank * 2**32
        names = unknown if speaker is None else torch.where(speaker >= 0, speaker.long(), unknown)
        if num_spk is not None:
            # absent ones dominate nothing and need no label of their own
            absent = torch.arange(most, device=device) >= num_spk.unsqueeze(1)
            names = torch.where(absent, names[:, :1], names)
        names, numbers = names.unique(return_inverse=True)
        return LabelledNodes(seen.z, numbers.gather(1, dominant), weight, valid, len(names), names)

    def _si_snr(
        self,
        seen: Analysis,
        heard: torch.Tensor,
        power: torch.Tensor | None,
        weight: torch.Tensor,
        lengths: torch.Tensor,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Loss of the decoder over mixtures, in dB; 0 for single recordings."""
        present = heard.square().sum(-1) > 0
        present &= (present.sum(1) > 1).unsqueeze(1)
        rows = present.any(1).nonzero().squeeze(1)
        if power is None or len(rows) == 0:
            return seen.z.new_zeros(())
        seen, heard, lengths, present = seen.rows(rows), heard[rows], lengths[rows], present[rows]
        power, weight = power[rows], weight[rows]
        assign = training_assignments(
            seen.z.float(), self.granularity.loudest(power), power, weight,
            self.options.centroids or dict.fromkeys(CENTROIDS, 1.0), generator,
        )
        centroids, found = training_centroids(seen.z, weight, assign)
        present = present & found
        taught = present
        if self.training and self.options.decoder_share < 1:
            share = self.options.decoder_share
            seen, heard, lengths, loud = random_part(seen, heard, lengths, share, self.features, generator)
            taught = present & loud
            rows = taught.any(1).nonzero().squeeze(1)
            if len(rows) == 0:
                return seen.z.new_zeros(())
            seen, heard, lengths, taught = seen.rows(rows), heard[rows], lengths[rows], taught[rows]
            centroids, present = centroids[rows], present[rows]
        outputs = self.decode(seen, centroids, heard.shape[-1], present)
        return si_snr_loss(outputs, heard, lengths, taught)

    def _count_loss(
        self, seen: Analysis, weight: torch.Tensor, num_spk: torch.Tensor | None, most: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross entropy of the number of talkers, and the share of recordings that are counted rightly."""
        scores = self.counter(seen.z, weight, seen.hidden, seen.frames)
        truth = torch.full((len(scores),), most, device=scores.device) if num_spk is None else num_spk.long()
        if int(truth.max()) > self.options.count_max:
            raise ValueError(f"num_spk: at most model.count_max ({self.options.count_max}) talkers wanted, got {int(truth.max())}")
        right = (scores.argmax(1) + 1 == truth).float().mean()
        return torch.nn.functional.cross_entropy(scores + self.counter.prior, truth - 1), right.detach()

    def _remixed(
        self, mixture: torch.Tensor, lengths: torch.Tensor, frames: torch.Tensor, generator: torch.Generator
    ) -> tuple[LabelledNodes, tuple[torch.Tensor, ...] | None]:
        """Nodes of remixes, labelled by recording, and pairs for NT-Xent where wanted."""
        options = self.options
        intruder, other = remix(mixture, lengths, options.remix_db, generator)
        spectra = stft(torch.stack([mixture, intruder], dim=1), self.features)
        spectrum = spectra.sum(1)
        nodes, valid = self._nodes(spectrum, frames)
        z = self._analyse(mixture + intruder, lengths, spectrum, frames).z
        which = self.granularity.targets_of(spectra)
        itself = torch.arange(len(mixture), device=mixture.device)
        recording = torch.stack([itself, other], dim=1).gather(1, which)
        labels, number = (which, 2) if options.negatives == "utterance" else (recording, len(mixture) + 1)
        labelled = LabelledNodes(z, labels, self._weight(nodes, valid), valid, number)
        if "nt_xent" not in options.objectives:
            return labelled, None

        _, valid_alone = self._nodes(spectra[:, 0], frames)
        alone = self._analyse(mixture, lengths, spectra[:, 0], frames).z
        count = options.sampled_nodes // 2
        if options.negatives == "batch":
            count = max(-(-count // len(mixture)), 2)
        index, drawn = sample_nodes(valid, count, generator)
        span = 2 * options.neighbours + 1
        shift = torch.randint(span, index.shape, generator=generator).to(index) - options.neighbours
        per_frame = valid.shape[1] // spectrum.shape[1]
        near = index + shift * per_frame
        drawn = drawn & (near >= 0) & (near < valid.shape[1])
        near = near.clamp(0, valid.shape[1] - 1)
        # a reversed intruder has no view of its own
        drawn = drawn & (recording.gather(1, index) < len(mixture))
        row = recording.gather(1, index).clamp_max(len(mixture) - 1)
        drawn = drawn & valid_alone[row, near]
        return labelled, (take(z, index), alone[row, near], labels.gather(1, index), drawn)

    def _gathers(self, nodes: LabelledNodes) -> bool:
        """Whether nodes of all ranks are compared: only where all ranks have labels that allow it.

        With mixtures of several counts one rank may hold single recordings alone, and a rank
        that waits for nodes of one that sends none would wait forever.
        """
        if not distributed() or set(self.options.objectives) <= set(_OF_ALL_NODES):
            return False
        agreed = torch.tensor(int(nodes.names is not None), device=nodes.z.device)
        torch.distributed.all_reduce(agreed, torch.distributed.ReduceOp.MIN)
        return bool(agreed)

    def _pools(self, nodes: LabelledNodes) -> LabelledNodes:
        return nodes.pooled() if self._one_pool(nodes) else nodes

    def _one_pool(self, nodes: LabelledNodes) -> bool:
        """Whether negatives come from the whole batch."""
        return nodes.names is not None or self.options.negatives == "batch"

    def _project(self, z: torch.Tensor) -> torch.Tensor:
        return z if self.projection is None else self.projection(z)

    def _draw(self, nodes: LabelledNodes, generator: torch.Generator) -> LabelledNodes:
        """Some nodes of each utterance, in their pools, labelled by names where there are any."""
        count = self.options.sampled_nodes
        if self._one_pool(nodes):
            # at least two of each recording, or it would have no positives of its own
            count = max(-(-count // len(nodes.z)), 2)
        index, drawn = sample_nodes(nodes.valid, count, generator)
        z = self._project(take(nodes.z, index))
        labels, weight = take(nodes.labels, index), take(nodes.weight, index)
        if nodes.names is not None:
            labels = nodes.names[labels]
        return self._pools(LabelledNodes(z, labels, weight, drawn, nodes.number, nodes.names))

    def _clustering(self, objective: Callable[..., torch.Tensor], nodes: LabelledNodes) -> torch.Tensor:
        nodes = self._pools(nodes)
        z = self._project(nodes.z)
        return objective(z, nodes.labels, nodes.number, nodes.weight, nodes.valid)

    def _supcon(self, nodes: LabelledNodes, generator: torch.Generator, gather: bool) -> torch.Tensor:
        nodes = self._draw(nodes, generator)
        return supcon_loss(nodes.z, nodes.labels, nodes.weight, nodes.valid, self.options.temperature, gather)

    def _nt_xent(
        self,
        nodes: LabelledNodes,
        pairs: tuple[torch.Tensor, ...] | None,
        generator: torch.Generator,
        gather: bool,
    ) -> torch.Tensor:
        if pairs is None:
            nodes = self._draw(nodes, generator)
            first, second, valid = pair_nodes(nodes.labels, nodes.valid)
            labels = take(nodes.labels, first)
            ends = take(nodes.z, first), take(nodes.z, second)
        else:
            *ends, labels, valid = pairs
            ends = tuple(map(self._project, ends))
            if self.options.negatives == "batch":
                ends = tuple(end.flatten(0, 1).unsqueeze(0) for end in ends)
                labels, valid = labels.reshape(1, -1), valid.reshape(1, -1)
        return nt_xent_loss(*ends, labels, valid, self.options.temperature, gather)
