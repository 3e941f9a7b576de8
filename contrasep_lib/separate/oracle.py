"""Oracle masks: the bound of any separator that masks the same units.

``oracle_frame`` and ``oracle_ibm`` assign each frame or time-frequency unit to its louder
source, through the same `Granularity` that a model uses. ``oracle_irm`` is the ratio mask
``|S_k| / sum_j |S_j|`` and ``oracle_psm`` the phase-sensitive mask
``|S_k| cos(arg S_k - arg X) / |X|`` held within [0, 1] (Erdogan et al., ICASSP 2015, eq. 7).
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.features.options import FeatureOptions
from contrasep_lib.features.stft import stft
from contrasep_lib.separate.granularity import Frame, Granularity, TimeFrequency, apply_mask

ORACLES = ("oracle_frame", "oracle_ibm", "oracle_irm", "oracle_psm")


@dataclasses.dataclass(frozen=True)
class Separation:
    """What a separator returns for one mixture.

    Attributes:
        outputs: ``(K, samples)`` float32.
        assignment: share of each node that goes to each output, ``(nodes, K)``; silent nodes
            are rows of zeros.
        shape: shape of the nodes.
        num_spk_given: whether the count was given.
        modularity: Q of the assignment; None where no graph was built.
        conductance: mean conductance; None where no graph was built.
    """

    outputs: np.ndarray
    assignment: np.ndarray
    shape: tuple[int, ...]
    num_spk_given: bool
    modularity: float | None = None
    conductance: float | None = None


def granularity_of(name: str, features: FeatureOptions, silence_db: float) -> Granularity:
    """The granularity that a separator works at."""
    return (Frame if name == "oracle_frame" else TimeFrequency)(features, silence_db)


def ratio_shares(name: str, sources: torch.Tensor, mixture: torch.Tensor) -> torch.Tensor:
    """Values of the ratio (``oracle_irm``) or phase-sensitive (``oracle_psm``) mask.

    Args:
        sources: spectra ``(batch, num_spk, frames, freq)``, complex.
        mixture: spectrum ``(batch, frames, freq)``, complex.

    Returns:
        ``(batch, num_spk, frames, freq)`` in [0, 1]; equal shares where nothing is there.
    """
    if name == "oracle_irm":
        magnitude = sources.abs()
        total = magnitude.sum(dim=1, keepdim=True)
        return torch.where(total > 0, magnitude / total.clamp_min(1e-30), 1.0 / sources.shape[1])
    power = mixture.abs().square().unsqueeze(1)
    aligned = (sources * mixture.conj().unsqueeze(1)).real
    return torch.where(power > 0, aligned / power.clamp_min(1e-30), 0.0).clamp(0, 1)


def separate_oracle(
    name: str, mixture: np.ndarray, sources: np.ndarray, features: FeatureOptions, silence_db: float
) -> Separation:
    """Separate one mixture with knowledge of its sources.

    Args:
        name: one of `ORACLES`, or ``mixture`` (every output is the mixture: no separation).
        mixture: ``(samples,)`` float32.
        sources: ``(num_spk, samples)`` float32.
        features: framing.
        silence_db: see `Granularity`.

    Raises:
        ContrasepError: unknown name, or sources and mixture of different length.
    """
    if sources.shape[-1] != len(mixture):
        raise ContrasepError(f"sources have {sources.shape[-1]} samples, the mixture {len(mixture)}")
    # double precision: the bound must not depend on how sums are ordered
    x = torch.from_numpy(np.ascontiguousarray(mixture, np.float64))[None]
    s = torch.from_numpy(np.ascontiguousarray(sources, np.float64))[None]
    granularity = granularity_of(name, features, silence_db)
    nodes = granularity.nodes(x)
    if name in ("oracle_frame", "oracle_ibm"):
        labels = granularity.targets(s)
        assignment = torch.nn.functional.one_hot(labels, s.shape[1]).to(x.dtype)
    elif name in ("oracle_irm", "oracle_psm"):
        assignment = ratio_shares(name, stft(s, features), nodes.spectrum).flatten(2).transpose(1, 2)
    elif name == "mixture":
        assignment = torch.ones(1, nodes.power.shape[1], s.shape[1], dtype=x.dtype)
    else:
        raise ContrasepError(f"unknown separator '{name}'; known: {', '.join((*ORACLES, 'mixture'))}")
    if name == "mixture":
        outputs = x[:, None].expand_as(s)
    else:
        outputs = apply_mask(granularity.mask(assignment, nodes), nodes.spectrum, len(mixture), features)
    return Separation(
        outputs=outputs[0].numpy().astype(np.float32),
        assignment=torch.where(nodes.valid[0, :, None], assignment[0], 0.0).numpy().astype(np.float32),
        shape=nodes.shape,
        num_spk_given=True,
    )


def oracle_outputs(
    name: str, mixture: np.ndarray, sources: np.ndarray, features: FeatureOptions, silence_db: float
) -> np.ndarray:
    """Outputs of `separate_oracle` alone, ``(num_spk, samples)`` float32."""
    return separate_oracle(name, mixture, sources, features, silence_db).outputs
