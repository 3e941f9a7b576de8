"""Scale-invariant signal-to-noise ratio as a loss."""

from __future__ import annotations

import dataclasses

import torch

from contrasep_lib.decode.centroids import training_assignments, training_centroids
from contrasep_lib.decode.options import KINDS
from contrasep_lib.embedding.analysis import random_part
from contrasep_lib.modularity.operator import one_hot
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


@accurate
def negative_noise_snr(
    estimate: torch.Tensor,
    noise: torch.Tensor,
    mixture: torch.Tensor,
    lengths: torch.Tensor | None = None,
    clamp_db: float = 30.0,
) -> torch.Tensor:
    """Power of the error of a noise estimate, relative to the mixture's and with a floor.

    ``10 log10( (|estimate - noise|^2 + tau |mixture|^2) / |mixture|^2 )``, ``tau = 10^(-clamp_db/10)``: the logarithmic
    mean square error of Wisdom et al., ICASSP 2021 (FUSS), whose threshold is that of the mixture. The level counts,
    and noise of any level may be absent: silence is an estimate of silence at ``-clamp_db``, where the gradient is 0.

    Args:
        estimate, noise, mixture: ``(batch, samples)``.
        lengths: ``(batch,)`` samples of each mixture; what lies behind is not read.
        clamp_db: floor, dB under the mixture.

    Returns:
        ``(batch,)`` dB, at least ``-clamp_db`` and finite also for silent mixtures.
    """
    if lengths is not None:
        inside = torch.arange(estimate.shape[-1], device=estimate.device) < lengths.unsqueeze(1)
        estimate, noise, mixture = (torch.where(inside, each, 0.0) for each in (estimate, noise, mixture))
    whole = mixture.square().sum(-1) + 1e-12 * estimate.shape[-1]
    return 10 * torch.log10((estimate - noise).square().sum(-1) / whole + 10 ** (-clamp_db / 10))


@dataclasses.dataclass(frozen=True)
class _Decoded:
    """Outputs of some mixtures, with what they should be: ``(rows, max_spk, samples)``, the rest ``(rows, samples)``.

    ``taught (rows, max_spk)`` says which talkers count.
    """

    outputs: torch.Tensor
    signals: torch.Tensor
    rest: torch.Tensor
    lengths: torch.Tensor
    taught: torch.Tensor


class SISNR(Objective):
    """Loss of the decoder over mixtures; 0 for single-speaker recordings.

    Centroids of training (`contrasep_lib.decode.centroids`) have the order of the sources, so there is no permutation
    to find. The statistic is the SI-SNR itself, in dB.

    An output for noise, where the decoder has one, learns what mixtures have beside their sources
    (`negative_noise_snr`), of single-speaker recordings too, and has no part in any permutation. It counts in the mean
    as ``noise_weight`` talkers do; the statistic ``noise_snr`` is the mixture over its error, in dB up to 30.
    """

    def forward(self, step: Step) -> Losses:
        """See `Objective.forward`."""
        decoded, nothing = self._decoded(step), step.analysis.z.new_zeros(())
        if decoded is None:
            if step.model.has_noise:
                return nothing, {"si_snr": (nothing, nothing), "noise_snr": (nothing, nothing)}, nothing
            return nothing, {"si_snr": nothing}, nothing
        values, heard = negative_si_snr(decoded.outputs, decoded.signals, decoded.lengths)
        heard = heard & decoded.taught
        total, count = torch.where(heard, values, 0.0).sum(), heard.sum()
        mean = total / count.clamp_min(1)
        if not step.model.has_noise:
            return mean, {"si_snr": -mean.detach()}, count
        mixture = decoded.signals.sum(1) + decoded.rest
        errors = negative_noise_snr(mixture - decoded.outputs.sum(1), decoded.rest, mixture, decoded.lengths)
        weight, rows = self.options.noise_weight, count.new_tensor(len(errors))
        outputs = count + weight * rows
        stats = {"si_snr": (-mean.detach(), count), "noise_snr": (-errors.detach().mean(), rows)}
        return (total + weight * errors.sum()) / torch.where(outputs > 0, outputs, 1.0), stats, outputs

    def _decoded(self, step: Step) -> _Decoded | None:
        """What the decoder makes of the mixtures that teach it; None where none does."""
        model, analysis, sources, weight = step.model, step.analysis, step.sources, step.nodes.weight
        present = sources.signals.square().sum(-1) > 0
        several = (present.sum(1) > 1).unsqueeze(1)
        if not model.has_noise:
            present &= several
        rows = present.any(1).nonzero().squeeze(1)
        if sources.power is None or len(rows) == 0:
            return None
        analysis, present, several = analysis.rows(rows), present[rows], several[rows]
        signals, lengths, power = sources.signals[rows], sources.lengths[rows], sources.power[rows]
        weight, rest = weight[rows], sources.rest[rows]
        dominant = model.granularity.loudest(power)
        assign = training_assignments(
            analysis.z.float(), dominant, power, weight, model.options.centroids or dict.fromkeys(KINDS, 1.0),
            step.draws.of(rows.tolist()),
        )
        if model.has_noise:
            # nothing is to be partitioned of a single speaker
            assign = torch.where(several.unsqueeze(-1), assign, one_hot(dominant, assign.shape[-1], assign.dtype))
        centroids, found = training_centroids(analysis.z, weight, assign)
        present = taught = present & found
        if model.training and self.options.share < 1:
            tracks = torch.cat([signals, rest.unsqueeze(1)], dim=1)
            analysis, tracks, lengths, loud = random_part(
                analysis, tracks, lengths, self.options.share, model.features, step.draws.common
            )
            signals, rest = tracks[:, :-1], tracks[:, -1]
            taught = present & loud[:, :-1]
            rows = ((present & (lengths > 0).unsqueeze(1)) if model.has_noise else taught).any(1).nonzero().squeeze(1)
            if len(rows) == 0:
                return None
            analysis, centroids, present = analysis.rows(rows), centroids[rows], present[rows]
            signals, lengths, taught = signals[rows], lengths[rows], taught[rows]
            rest, several = rest[rows], several[rows]
        outputs = model.decode(analysis, centroids, signals.shape[-1], present)
        return _Decoded(outputs, signals, rest, lengths, taught & several)
