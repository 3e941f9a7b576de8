"""Separation by a trained model: embed, count, maximise modularity, mask."""

from __future__ import annotations

import dataclasses
import math
import typing
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from contrasep_lib.decode.attractor import centroids_of, shares_of
from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.diagnostics import diagnose
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
from contrasep_lib.modularity.solvers.options import KMeansOptions
from contrasep_lib.nodes.granularity import apply_mask
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.nodes.stft import num_frames
from contrasep_lib.separate.clustering_state import ClusteringState
from contrasep_lib.separate.excerpt import Excerpt
from contrasep_lib.separate.options import SeparateOptions
from contrasep_lib.separate.separation import Separation

if typing.TYPE_CHECKING:
    from contrasep_lib.embedding.analysis import Analysis
    from contrasep_lib.models.separation import SeparationModel
    from contrasep_lib.separate.voices import VoiceSpace
    from contrasep_lib.speakers.base import SpeakerEncoder

# of a node's own community, so that a node that turns away from all centroids stays there
_TRACE = 1e-9
# frames times outputs that the decoder sees at once in windows of long recordings, for the sake of memory
_AT_ONCE = 2000


@dataclasses.dataclass(frozen=True)
class View:
    """A signal by one framing.

    Attributes:
        nodes, seen: of the signal behind so many zeros.
        shift: their number, samples.
    """

    nodes: NodeSet
    seen: Analysis
    shift: int


class ModelSeparator:
    """A separator made of a trained model and the modularity engine.

    Args:
        model: trained, in evaluation mode.
        clustering: graph, solver and counter, as stage 4 left them.
        modularity: section ``modularity``.
        options: section ``separate``.
        voices: where the model puts talkers, by which long recordings tell them apart; None where it is not known.
        speakers: tells talkers of long recordings apart beside the model; None: by the model's embeddings alone.

    Attributes:
        precision: of backbone and decoder in `analyse` and `of_communities`, ``float32`` or ``bfloat16``.
    """

    precision: str = "float32"

    def __init__(
        self,
        model: SeparationModel,
        clustering: ClusteringState,
        modularity: ModularityOptions,
        options: SeparateOptions,
        voices: VoiceSpace | None = None,
        speakers: SpeakerEncoder | None = None,
    ) -> None:
        self.model, self.clustering, self.modularity, self.options = model, clustering, modularity, options
        self.voices, self.speakers = voices, speakers

    def analyse(self, samples: np.ndarray, hidden: torch.Tensor | None = None) -> tuple[NodeSet, Analysis]:
        """Node set and analysis of a window of a recording.

        Args:
            samples: ``(samples,)`` float32.
            hidden: the backbone's features, where they are known.
        """
        signal = self._signal(samples)
        with self._precision(signal.device):
            nodes, seen = self.model.analyse(signal, hidden=None if hidden is None else hidden.to(signal.device))
        return dataclasses.replace(nodes, z=nodes.z.float()), seen

    def _signal(self, samples: np.ndarray) -> torch.Tensor:
        """``(1, samples)`` where the model is."""
        device = next(self.model.parameters()).device
        return torch.from_numpy(np.ascontiguousarray(samples, np.float32))[None].to(device)

    def _precision(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _further(
        self, samples: np.ndarray, analyse: Callable[[np.ndarray], tuple[NodeSet, Analysis]]
    ) -> Iterator[View]:
        """The signal ``(samples,)`` by the further framings of ``separate.shifts``, analysed as the first one was."""
        for part in range(1, self.options.shifts):
            shift = round(part * self.model.features.hop / self.options.shifts)
            yield View(*analyse(np.pad(samples, (shift, 0))), shift)

    def of_communities(
        self, nodes: NodeSet, seen: Analysis, labels: torch.Tensor, centroids: torch.Tensor, samples: np.ndarray,
        words: str, num_spk_given: bool,
    ) -> Separation:
        """Separate a window whose communities are known.

        Args:
            nodes, seen: see `analyse`.
            labels: ``(1, nodes)`` int64, -1 on invalid nodes.
            centroids: of the communities, ``(1, K, dim)``.
            samples: of the window, ``(samples,)`` float32.
            words: about the count.
            num_spk_given: whether it was given.
        """
        hard = hard_shares(nodes, labels, centroids.shape[1])
        assign = assignment_of(nodes, hard, self.options)[0]
        at_once = max(_AT_ONCE // centroids.shape[1], 1)
        with self._precision(centroids.device):
            audio = self._audio(seen, assign, centroids, len(samples), at_once).float()
        if self._decodes(centroids.shape[1]):
            for view in self._further(samples, self.analyse):
                own = (view.nodes.z @ centroids.transpose(1, 2)).argmax(-1)
                shares = assignment_of(view.nodes, hard_shares(view.nodes, own, centroids.shape[1]), self.options)[0]
                with self._precision(centroids.device):
                    audio = audio + self._shifted_audio(view, shares, centroids, len(samples), at_once).float()
            audio = audio / self.options.shifts
        [diagnosis] = diagnose(nodes, labels, self.clustering.graph)
        conductance = diagnosis.mean_conductance
        return Separation(
            outputs=audio[0].cpu().numpy(), assignment=np.zeros((0, centroids.shape[1]), np.float32),
            shape=nodes.shape, num_spk_given=num_spk_given, modularity=diagnosis.modularity,
            normalised_modularity=diagnosis.normalised_modularity,
            conductance=None if math.isnan(conductance) else conductance, sizes=diagnosis.sizes, words=words,
            centroids=centroids[0].cpu().numpy(),
        )

    @torch.no_grad()
    def separate(
        self,
        key: str,
        mixture: np.ndarray,
        num_spk: int | None,
        most: int | None = None,
        with_evidence: bool = False,
        draw: int | None = None,
    ) -> Separation:
        """Separate one mixture.

        Args:
            key: utterance id; see ``draw``.
            mixture: ``(samples,)`` float32.
            num_spk: the number of speakers, or None to estimate it.
            most: the largest estimate; ``modularity.k_max`` when None.
            with_evidence: whether to fill the evidence of an estimate, which takes as long as the estimate.
            draw: seeds counting and refinement, with ``modularity.seed``; by default that of the key, so that the
                result does not depend on what else is separated.

        Raises:
            ContrasepError: a mixture of silence, or one that solver or counter cannot partition.
        """
        def analyse(samples: np.ndarray) -> tuple[NodeSet, Analysis]:
            return self.model.analyse(self._signal(samples))

        excerpt = Excerpt.of(np.ascontiguousarray(mixture, np.float32), self.model.granularity)
        nodes, seen = analyse(excerpt.signal)
        if not nodes.valid.any():
            raise ContrasepError(f"'{key}': nothing but silence; there is no speaker to separate")
        seed = ((zlib.crc32(key.encode()) if draw is None else draw) + self.modularity.seed) % 2**31
        decision = None
        try:
            if num_spk is None:
                most = most or self.modularity.k_max
                decision = self.clustering.counter.count(nodes, seen, most, seed, with_evidence)
            count = num_spk or decision.number
            views = [View(nodes, seen, 0), *(self._further(excerpt.signal, analyse) if self._decodes(count) else ())]
            joint = _joint(views)
            labels, solver, fallback = self._labels(joint, count, seed)
        except ValueError as error:
            # more speakers than a trained solver has outputs, or embeddings of another model
            raise ContrasepError(f"'{key}': {error}") from None
        shares, centroids = assignment_of(joint, hard_shares(joint, labels, count), self.options)
        parts = shares.split([view.nodes.z.shape[1] for view in views], dim=1)
        audio = torch.stack([
            self._shifted_audio(view, part, centroids, len(excerpt.signal)) for view, part in zip(views, parts)
        ]).mean(0)
        labels, assign = labels[:, : nodes.z.shape[1]], parts[0]
        # long silences are the noise's, where it has an output
        restored = excerpt.restored([audio[0].cpu().numpy().astype(np.float32)], shared=not self.model.has_noise)
        outputs = np.concatenate([*restored], axis=1)
        further = [decision.further] if decision else None
        [diagnosis] = diagnose(nodes, labels, self.clustering.graph, further=further)
        conductance = diagnosis.mean_conductance
        return Separation(
            outputs=outputs,
            assignment=excerpt.nodes_restored(assign[0].cpu().numpy().astype(np.float32)),
            shape=self.model.granularity.shape(num_frames(len(mixture), self.model.features)),
            num_spk_given=decision is None,
            modularity=diagnosis.modularity,
            normalised_modularity=diagnosis.normalised_modularity,
            conductance=None if math.isnan(conductance) else conductance,
            sizes=diagnosis.sizes,
            words=f"{decision.words}; {diagnosis.words}" if decision else diagnosis.words,
            centroids=centroids[0].cpu().numpy(),
            solver=solver,
            fallback=fallback,
            signatures=tuple(f"{each.name}: {each.words}" for each in diagnosis.signatures if each.raised),
            evidence=decision.evidence if decision else (),
            probabilities=(decision.probabilities or ()) if decision else (),
            noise=excerpt.mixture - outputs.sum(axis=0) if self.model.has_noise else None,
        )

    def _labels(self, nodes: NodeSet, count: int, seed: int) -> tuple[torch.Tensor, str | None, str | None]:
        """Communities of nodes, ``(1, nodes)`` int64, -1 on invalid ones; the solver; what took its place, or None."""
        if count == 1:
            return torch.where(nodes.valid, 0, -1), None, None
        graph, quality = self.clustering.graph, self.clustering.quality
        solver = self.modularity.solver.name
        labels = self.clustering.solver.solve(nodes, count, graph, seed, quality).labels
        if len(labels[nodes.valid].unique()) == count or self.clustering.solver == KMeansSolver():
            return labels, solver, None
        # the solver found fewer communities than there are speakers; a silent output would help nobody
        return KMeansSolver().solve(nodes, count, graph, seed).labels, solver, KMeansOptions.name

    def _decodes(self, count: int) -> bool:
        """Whether outputs depend on the model."""
        return count > 1 or self.model.has_noise

    def _shifted_audio(
        self, view: View, assign: torch.Tensor, centroids: torch.Tensor, samples: int, at_once: int | None = None
    ) -> torch.Tensor:
        """Audio of the communities by one framing, ``(1, K, samples)``, without its shift."""
        return self._audio(view.seen, assign, centroids, view.shift + samples, at_once)[..., view.shift :]

    def _audio(
        self, seen: Analysis, assign: torch.Tensor, centroids: torch.Tensor, samples: int, at_once: int | None = None
    ) -> torch.Tensor:
        """Audio of the communities, ``(1, K, samples)``."""
        # a single talker is the mixture, but for noise that has an output of its own
        if self.model.decoder is not None and self._decodes(assign.shape[-1]):
            return self.model.decode(seen, centroids, samples, at_once=at_once)
        granularity = self.model.granularity
        mask = granularity.mask(assign, granularity.nodes_of(seen.spectrum))
        return apply_mask(mask, seen.spectrum, samples, self.model.features)


def _joint(views: Sequence[View]) -> NodeSet:
    """The nodes of all framings."""
    if len(views) == 1:
        return views[0].nodes
    z, weight, valid = zip(*((view.nodes.z, view.nodes.weight, view.nodes.valid) for view in views))
    z = torch.cat(z, 1)
    return NodeSet(z, torch.cat(weight, 1), torch.cat(valid, 1), (z.shape[1],))


def hard_shares(nodes: NodeSet, labels: torch.Tensor, count: int) -> torch.Tensor:
    """Each valid node to its community: ``(batch, nodes, count)`` of ones and zeros.

    Args:
        nodes: node sets.
        labels: ``(batch, nodes)`` int64, -1 on invalid nodes.
        count: communities.
    """
    hard = torch.nn.functional.one_hot(labels.clamp_min(0), count).to(nodes.z.dtype)
    return hard * nodes.valid.unsqueeze(-1)


def assignment_of(nodes: NodeSet, hard: torch.Tensor, options: SeparateOptions) -> tuple[torch.Tensor, torch.Tensor]:
    """Shares of nodes in communities as ``separate.mask`` has them, and the communities' centroids.

    Args:
        nodes: node sets.
        hard: see `hard_shares`.
        options: section ``separate``.

    Returns:
        ``(batch, nodes, count)`` and ``(batch, count, dim)``.
    """
    centroids = centroids_of(nodes.z, hard, nodes.weight * nodes.valid)
    if options.mask == "soft":
        return soft_shares(nodes, hard, centroids), centroids
    if options.mask == "posterior":
        return posterior_shares(nodes, hard, centroids, options.temperature), centroids
    return hard, centroids


def posterior_shares(nodes: NodeSet, hard: torch.Tensor, centroids: torch.Tensor, temperature: float) -> torch.Tensor:
    """Each valid node to all communities, by the softmax of its cosines with their centroids over a temperature.

    NT-Xent and SupCon take the softmax of cosines over their temperature for the chance that nodes have one
    speaker. Where embeddings are unsure, masks move towards equal shares, whose outputs are the mixture.

    Args:
        nodes: node sets.
        hard: see `hard_shares`.
        centroids: of its communities, ``(batch, count, dim)``; those without nodes get nothing.
        temperature: of the loss.

    Returns:
        ``(batch, nodes, count)``, rows of valid nodes add up to one.
    """
    logits = nodes.z @ centroids.to(nodes.z).transpose(1, 2) / temperature
    logits = logits.masked_fill(~(hard > 0).any(1, keepdim=True), -torch.inf)
    return torch.where(nodes.valid.unsqueeze(-1), logits.softmax(-1), 0.0)


def soft_shares(nodes: NodeSet, hard: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    """Each valid node to all communities, see `contrasep_lib.decode.attractor.shares_of`.

    The deep clustering objective draws ``z_i . z_j`` towards the chance that two nodes have one speaker, and
    centroids of speakers towards right angles. The squared cosines of a node with the centroids then
    add up to about one and say how the node divides.

    Args:
        nodes: node sets.
        hard: see `hard_shares`.
        centroids: of its communities, ``(batch, count, dim)``.

    Returns:
        ``(batch, nodes, count)``, rows of valid nodes add up to one. A node that turns away from all centroids stays
        with its community.
    """
    own = hard.transpose(1, 2)
    shares, _ = shares_of(nodes.z, centroids, own.any(-1), _TRACE * own)
    return shares.transpose(1, 2) * nodes.valid.unsqueeze(-1)
