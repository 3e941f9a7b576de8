"""Scale-invariant signal-to-noise ratio as a loss."""

from __future__ import annotations

import torch

from contrasep_lib.decode.centroids import training_assignments, training_centroids
from contrasep_lib.decode.options import KINDS
from contrasep_lib.embedding.analysis import random_part
from contrasep_lib.objectives.base import Losses, Objective, Step
from contrasep_lib.objectives.common import accurate


@accurate
def negative_si_snr(
    estimate: torch.Tensor,
    source: torch.Tensor,
    lengths: torch.Tensor | None = None,
    clamp_db: float = 30.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative SI-SNR of each pair of signals, with a soft ceiling.

    Both signals are made zero-mean; the target is ``(<e,s>/|s|^2) s`` (Le Roux et al., ICASSP
    2019, eq. 2), the error ``e`` minus it. The value is
    ``10 log10( (|error|^2 + tau |target|^2) / |target|^2 )``, ``tau = 10^(-clamp_db/10)``
    (the soft threshold of Wisdom et al., NeurIPS 2020, eq. 2), so that nearly perfect
    estimates do not drown out the others. An estimate without a trace of the source gives
    60 dB, not infinity.

    Args:
        estimate, source: ``(batch, num_spk, samples)``, matched.
        lengths: ``(batch,)`` samples of each mixture; what lies behind is not read.
        clamp_db: ceiling, dB.

    Returns:
        ``(batch, num_spk)`` dB, 0 where the source is silent, and which sources are not silent.

    Raises:
        ValueError: shapes differ, or ``clamp_db`` is not positive.
    """
    if estimate.shape != source.shape or estimate.dim() != 3:
        raise ValueError(
            "estimate, source: expected one shape (batch, num_spk, samples), "
            f"got {tuple(estimate.shape)} and {tuple(source.shape)}"
        )
    if not clamp_db > 0:
        raise ValueError(f"clamp_db: expected a positive number of dB, got {clamp_db}")
    samples = estimate.shape[-1]
    if lengths is None:
        lengths = torch.full((len(estimate),), samples, device=estimate.device)
    inside = (torch.arange(samples, device=estimate.device) < lengths.unsqueeze(1)).unsqueeze(1)
    count = lengths.clamp_min(1).view(-1, 1, 1)

    def centred(signal: torch.Tensor) -> torch.Tensor:
        signal = torch.where(inside, signal, 0.0)
        return torch.where(inside, signal - signal.sum(-1, keepdim=True) / count, 0.0)

    estimate, source = centred(estimate), centred(source)
    power = source.square().sum(-1, keepdim=True)
    heard = power > 1e-10 * count
    scale = (estimate * source).sum(-1, keepdim=True) / torch.where(heard, power, 1.0)
    target = scale * source
    error = (estimate - target).square().sum(-1)
    signal = target.square().sum(-1)
    ceiling = 10 ** (-clamp_db / 10)
    # relative floors keep logarithm and gradient finite for estimates orthogonal to the source
    # and for silent ones, whatever the scale of the signals
    floor = 1e-6 * error + 1e-12 * count.squeeze(-1)
    value = 10 * torch.log10((error + ceiling * signal + floor) / (signal + floor))
    heard = heard.squeeze(-1)
    return torch.where(heard, value, 0.0), heard


def si_snr_loss(
    estimate: torch.Tensor,
    source: torch.Tensor,
    lengths: torch.Tensor | None = None,
    valid: torch.Tensor | None = None,
    clamp_db: float = 30.0,
) -> torch.Tensor:
    """Mean of `negative_si_snr` over the sources that are present and not silent, in dB.

    Args:
        estimate, source: ``(batch, num_spk, samples)``, matched.
        lengths: ``(batch,)`` samples of each mixture.
        valid: ``(batch, num_spk)`` bool, False for absent sources.
        clamp_db: soft ceiling, dB.

    Returns:
        Scalar, 0 where no source counts.

    Raises:
        ValueError: see `negative_si_snr`.
    """
    values, heard = negative_si_snr(estimate, source, lengths, clamp_db)
    heard = heard if valid is None else heard & valid
    return torch.where(heard, values, 0.0).sum() / heard.sum().clamp_min(1)


class SISNR(Objective):
    """Loss of the decoder over mixtures; 0 for single-speaker recordings.

    Centroids of training (`contrasep_lib.decode.centroids`) have the order of the sources, so there is no permutation
    to find. The statistic is the SI-SNR itself, in dB.
    """

    def forward(self, step: Step) -> Losses:
        """See `Objective.forward`."""
        value, heard = self._loss(step)
        return value, {"si_snr": -value.detach()}, heard

    def _loss(self, step: Step) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean over sources, and of how many."""
        model, analysis, sources, weight = step.model, step.analysis, step.sources, step.nodes.weight
        present = sources.signals.square().sum(-1) > 0
        present &= (present.sum(1) > 1).unsqueeze(1)
        rows = present.any(1).nonzero().squeeze(1)
        nothing = analysis.z.new_zeros(())
        if sources.power is None or len(rows) == 0:
            return nothing, nothing
        analysis, present = analysis.rows(rows), present[rows]
        signals, lengths, power = sources.signals[rows], sources.lengths[rows], sources.power[rows]
        weight = weight[rows]
        assign = training_assignments(
            analysis.z.float(), model.granularity.loudest(power), power, weight,
            model.options.centroids or dict.fromkeys(KINDS, 1.0), step.draws.of(rows.tolist()),
        )
        centroids, found = training_centroids(analysis.z, weight, assign)
        present = taught = present & found
        if model.training and self.options.share < 1:
            analysis, signals, lengths, loud = random_part(
                analysis, signals, lengths, self.options.share, model.features, step.draws.common
            )
            taught = present & loud
            rows = taught.any(1).nonzero().squeeze(1)
            if len(rows) == 0:
                return nothing, nothing
            analysis, centroids, present = analysis.rows(rows), centroids[rows], present[rows]
            signals, lengths, taught = signals[rows], lengths[rows], taught[rows]
        outputs = model.decode(analysis, centroids, signals.shape[-1], present)
        values, heard = negative_si_snr(outputs, signals, lengths)
        heard = heard & taught
        return torch.where(heard, values, 0.0).sum() / heard.sum().clamp_min(1), heard.sum()
