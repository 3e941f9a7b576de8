"""Contrastive predictive coding (van den Oord, Li and Vinyals 2018, arXiv 1807.03748)."""

from __future__ import annotations

import typing

import torch

from contrasep_lib.embedding.inputs import frame_mask
from contrasep_lib.nodes.silence import gather_frames
from contrasep_lib.objectives.base import Losses, Objective, Step
from contrasep_lib.objectives.common import NOTHING, accurate, check_embeddings, masked_mean
from contrasep_lib.objectives.options import CPCOptions
from contrasep_lib.objectives.sampling import sample_nodes, take

if typing.TYPE_CHECKING:
    from contrasep_lib.models.separation import SeparationModel


@accurate
def info_nce(
    predicted: torch.Tensor, z: torch.Tensor, valid: torch.Tensor, negatives: torch.Tensor, drawn: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """InfoNCE of predictions of later frames (van den Oord et al. 2018, eq. 4).

    ``-log exp(p_tk.z_(t+k)) / (exp(p_tk.z_(t+k)) + sum_n exp(p_tk.z_n))`` with ``p_tk = W_k c_t``, n over the negatives
    of all utterances but frame t + k of the own one. Mean over k, then over frames, then over utterances.

    Costs ``O(batch * frames * steps * batch * negatives)``.

    Args:
        predicted: ``(batch, frames, steps, dim)``, of the frames 1, 2, .. behind each.
        z: ``(batch, frames, dim)``.
        valid: ``(batch, frames)`` bool; both ends of a pair have to be.
        negatives: ``(batch, n)`` int64, frames of each utterance.
        drawn: ``(batch, n)`` bool, which of them there are.

    Returns:
        Loss, a scalar, 0 without any pair; the share of predictions that are nearest to their own frame; of how many
        utterances these are means.
    """
    check_embeddings("z", z)
    batch, count, steps, _ = predicted.shape
    place = torch.arange(count, device=z.device).unsqueeze(1) + torch.arange(1, steps + 1, device=z.device)
    later = place.clamp_max(count - 1)
    paired = valid.unsqueeze(2) & valid[:, later] & (place < count)
    own = torch.stack([(predicted[:, :, step] * z[:, later[:, step]]).sum(-1) for step in range(steps)], dim=2)
    others = torch.einsum("atkd,bnd->atkbn", predicted, take(z, negatives))
    same = torch.eye(batch, dtype=torch.bool, device=z.device)[:, None, None, :, None]
    left_out = (same & (negatives == place[None, :, :, None, None])) | ~drawn
    others = others.masked_fill(left_out, NOTHING).flatten(3)
    losses = torch.cat([own.unsqueeze(3), others], dim=3).logsumexp(3) - own
    some = paired.sum(2)
    weight = (some > 0).to(z.dtype)

    def mean(values: torch.Tensor) -> torch.Tensor:
        return masked_mean((values * paired).sum(2) / some.clamp_min(1), weight)

    return mean(losses), mean((own > others.amax(3)).to(z.dtype)).detach(), (weight.sum(1) > 0).sum()


class CPC(Objective):
    """See `info_nce`; contexts are those of a causal GRU over the embeddings of frames.

    A frame of time-frequency units is the mean over them. Linear layers predict each number of frames ahead. GRU and
    layers are no part of the trained model. Negatives come from all utterances of the batch (of one process).

    A backbone that looks over the whole utterance tells the context of the frames to come; nothing is predicted then.

    Args:
        options: of the objective.
        dim: of the embeddings that it sees.
    """

    def __init__(self, options: CPCOptions, dim: int) -> None:
        super().__init__(options)
        self.context = torch.nn.GRU(dim, options.width, batch_first=True)
        self.ahead = torch.nn.Linear(options.width, options.steps * dim, bias=False)

    @classmethod
    def from_options(cls, options: CPCOptions, model: SeparationModel) -> CPC:
        """See `Objective.from_options`."""
        return cls(options, model.options.projection or model.options.embedding_dim)

    def forward(self, step: Step) -> Losses:
        """See `Objective.forward`; the statistic ``cpc_accuracy`` is the share of right choices."""
        analysis = step.analysis
        spectrum, z = analysis.shown_part()
        z = step.model.project(z).unflatten(1, (spectrum.shape[1], -1)).mean(2)
        valid = step.nodes.valid.unflatten(1, (analysis.spectrum.shape[1], -1)).any(2)
        valid = gather_frames(valid, analysis.shown) & frame_mask(analysis.frames, spectrum.shape[1])
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            predicted = self.ahead(self.context(z)[0]).unflatten(2, (self.options.steps, -1))
            negatives, drawn = sample_nodes(valid, self.options.negatives, step.draws)
            loss, right, counted = info_nce(predicted, z, valid, negatives, drawn)
        return loss, {"cpc_accuracy": right}, counted
