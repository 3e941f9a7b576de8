"""Losses of systems whose outputs come in no order."""

from __future__ import annotations

import torch

from contrasep_lib.objectives.si_snr import negative_si_snr
from contrasep_lib.score.ratios import best_matching


def pit_si_snr_loss(estimates: torch.Tensor, sources: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Negative SI-SNR in dB under the best permutation of each mixture (Yu et al., ICASSP 2017).

    Clamped softly at 30 dB as all losses here. The permutation is found by the Hungarian method, so its
    cost does not grow with the factorial of the talkers.

    Args:
        estimates, sources: ``(batch, num_spk, samples)``.
        lengths: ``(batch,)`` samples of each mixture; what lies behind is not read.

    Returns:
        Scalar: mean over the sources that are not silent.

    Raises:
        ValueError: shapes differ.
    """
    if estimates.shape != sources.shape:
        raise ValueError(
            f"estimates, sources: expected one shape, got {tuple(estimates.shape)} and {tuple(sources.shape)}"
        )
    count = sources.shape[1]
    # row k holds source k against every estimate
    values, heard = negative_si_snr(
        estimates.repeat(1, count, 1), sources.repeat_interleave(count, dim=1), lengths
    )
    values, heard = values.unflatten(1, (count, count)), heard[:, ::count]
    costs = values.detach().cpu().numpy()
    matched = torch.tensor([best_matching(-cost) for cost in costs], device=values.device)
    chosen = values.gather(2, matched.unsqueeze(2)).squeeze(2)
    return torch.where(heard, chosen, 0.0).sum() / heard.sum().clamp_min(1)
