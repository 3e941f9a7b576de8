"""The ESPnet model of pretraining and finetuning: the separation model and its weighted objectives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from espnet2.train.abs_espnet_model import AbsESPnetModel

from contrasep_lib.config import create
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.nodes.labels import similarity
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.spectra import FLOOR
from contrasep_lib.nodes.stft import stft
from contrasep_lib.objectives.base import Objective, Step
from contrasep_lib.objectives.ranks import Share
from contrasep_lib.train.step import labelled_step, remixed_step


class EspnetModel(SeparationModel, AbsESPnetModel):
    """A separation model that learns.

    Batches of single recordings (``sources`` of one speaker) are pretraining: a node's class is
    the speaker, over the whole batch and, for contrastive objectives, that of all ranks.
    Batches of mixtures are finetuning: a node's class is the source that dominates it, and
    negatives come from the same mixture, or by option from the batch. With ``labels: none``
    sources and speakers are never read (see `contrasep_lib.nodes.labels`).

    Args:
        options, features, stats: see `contrasep_lib.models.separation.SeparationModel`.
        phase: ``pretrain`` or ``finetune``, whose objectives it learns by.
    """

    def __init__(
        self, options: ModelOptions, features: FeatureOptions, stats: np.ndarray | None = None, phase: str = "finetune"
    ) -> None:
        super().__init__(options, features, stats)
        made = {name: create(part, model=self) for name, part in options.objectives_of(phase).items()}
        self.objectives = torch.nn.ModuleDict(made)

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
            num_spk: ``(batch,)`` speakers of each mixture; all ``max_spk`` when None.
            speaker: ``(batch, max_spk)`` speaker ids of the training set, -1 for unknown or absent
                ones; unknown speakers count as different from all others.
            kwargs: other entries of an ESPnet batch, ignored.

        Returns:
            Loss (scalar), statistics (scalars: ``loss``, those of each objective that has a part to teach, and the mean
            cosine ``within`` and ``between`` classes), weight (scalar: utterances in the batch).

        Raises:
            ValueError: sources are missing with ``labels: dominance``.
        """
        most = 1 if sources is None else sources.shape[1]
        share = Share.of(len(mixture), mixture.shape[1], most, self._seed(), mixture.device)
        if share.world > 1:
            mixture, sources, num_spk, speaker = _widened(share, mixture, sources, num_spk, speaker)
        if self.options.labels == "none":
            step = remixed_step(self, mixture, mixture_lengths, share)
        elif sources is None:
            raise ValueError("sources: expected with 'labels: dominance', got none; 'labels: none' does without")
        else:
            step = labelled_step(self, mixture, mixture_lengths, sources, num_spk, speaker, share)
        taught = {name: part for name, part in self.objectives.items() if part.teaches(self)}
        # ranks have one kind of labels, for they know the largest number of speakers in the batch
        gather = share.world > 1 and step.batch_negatives and step.nodes.names is not None
        step = dataclasses.replace(step, gather=gather)
        loss, stats = self._learned(step, taught)
        if self.training and not loss.requires_grad:
            # a batch that teaches nothing; all ranks still go backward
            loss = loss + 0 * next(part for part in self.parameters() if part.requires_grad).sum()
        stats["loss"] = loss.detach()
        return loss, stats, loss.new_tensor(float(len(mixture)))

    def collect_feats(
        self, mixture: torch.Tensor, mixture_lengths: torch.Tensor, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """Log-magnitude spectra ``(batch, frames, freq)`` and their frames ``(batch,)``."""
        mixture, frames = self.trimmed(mixture, mixture_lengths)
        feats = stft(mixture, self.features).abs().clamp_min(FLOOR).log()
        return {"feats": feats, "feats_lengths": frames}

    def _learned(self, step: Step, taught: Mapping[str, Objective]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss and statistics of the objectives; over ranks, weighted by items, their mean is that over the batch."""
        pools = step.pools  # made here, for what is made without gradient stays so
        with torch.no_grad(), torch.autocast(pools.z.device.type, enabled=False):
            similar, of_pools = similarity(pools)
        values, stats, counts, others = [], [similar], [of_pools], []
        for name, objective in taught.items():
            value, extra, *of = objective(step)
            values.append(objective.options.weight * self._over_passes(objective, step, value))
            own = {key: mean for key, mean in extra.items() if not isinstance(mean, tuple)}
            stats.append({name: value.detach(), **own})
            counts += of or [value.new_tensor(float(len(step.nodes.z)))]
            others += [(key, *mean) for key, mean in extra.items() if isinstance(mean, tuple)]
        stats += [{key: mean} for key, mean, _ in others]
        counts += [number for *_, number in others]
        first, *factors = step.share.weights(counts).to(pools.z.dtype)
        loss = pools.z.new_zeros(())
        for value, factor in zip(values, factors):
            loss = loss + factor * value
        scaled = {
            name: factor * value for part, factor in zip(stats, [first, *factors]) for name, value in part.items()
        }
        return loss, scaled

    def _over_passes(self, objective: Objective, step: Step, last: torch.Tensor) -> torch.Tensor:
        """Loss of an objective, which is ``last`` after the last pass of the backbone, over all passes."""
        if not (objective.options.shapes and step.analysis.passes):
            return last
        earlier = torch.stack([objective(part)[0] for part in step.passes]).mean()
        return torch.lerp(last, earlier, self.backbone.supervision)

    def _seed(self) -> int:
        # in training the draw follows torch's own state, which a seed per epoch fixes;
        # validation draws the same nodes every epoch, so that its losses compare
        return int(torch.randint(2**62, ())) if self.training else self.options.seed


def _widened(
    share: Share,
    mixture: torch.Tensor,
    sources: torch.Tensor | None,
    num_spk: torch.Tensor | None,
    speaker: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
    """A share of a batch, padded as the whole batch is: to its longest item and its largest number of speakers."""
    longer = share.samples - mixture.shape[1]
    mixture = torch.nn.functional.pad(mixture, (0, longer))
    if sources is not None:
        more = share.speakers - sources.shape[1]
        if num_spk is None:
            num_spk = torch.full((len(sources),), sources.shape[1], device=sources.device)
        sources = torch.nn.functional.pad(sources, (0, longer, 0, more))
        speaker = None if speaker is None else torch.nn.functional.pad(speaker, (0, more), value=-1)
    return mixture, sources, num_spk, speaker
