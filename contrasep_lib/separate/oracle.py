"""Oracle masks: the bound of any separator that masks the same units.

``oracle_frame`` and ``oracle_ibm`` assign each frame or time-frequency unit to its louder
source, through the same `Granularity` that a model uses. ``oracle_irm`` is the ratio mask
``|S_k| / sum_j |S_j|`` and ``oracle_psm`` the phase-sensitive mask
``|S_k| cos(arg S_k - arg X) / |X|`` held within [0, 1] (Erdogan et al., ICASSP 2015, eq. 7).
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.stft import stft
from contrasep_lib.nodes.granularity import Frame, TimeFrequency, apply_mask
from contrasep_lib.separate.separation import Separation

ORACLES = ("oracle_frame", "oracle_ibm", "oracle_irm", "oracle_psm")


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


class Oracle:
    """Separators that know the sources of one mixture; spectra are computed once for all of them.

    Args:
        mixture: ``(samples,)`` float32.
        sources: ``(num_spk, samples)`` float32.
        features: framing.
        silence_db: see `Granularity`.

    Raises:
        ContrasepError: sources and mixture of different length.
    """

    def __init__(self, mixture: np.ndarray, sources: np.ndarray, features: FeatureOptions, silence_db: float) -> None:
        if sources.shape[-1] != len(mixture):
            raise ContrasepError(f"sources have {sources.shape[-1]} samples, the mixture {len(mixture)}")
        self.features, self.silence_db = features, silence_db
        # double precision: the bound must not depend on how sums are ordered
        self.mixture = torch.from_numpy(np.ascontiguousarray(mixture, np.float64))[None]
        self.sources = torch.from_numpy(np.ascontiguousarray(sources, np.float64))[None]

    @functools.cached_property
    def _mixture_spectrum(self) -> torch.Tensor:
        return stft(self.mixture, self.features)

    @functools.cached_property
    def _source_spectra(self) -> torch.Tensor:
        return stft(self.sources, self.features)

    def separate(self, name: str) -> Separation:
        """Separate the mixture.

        Args:
            name: one of `ORACLES`, or ``mixture`` (every output is the mixture: no separation).

        Raises:
            ContrasepError: unknown name.
        """
        if name not in (*ORACLES, "mixture"):
            raise ContrasepError(f"unknown separator '{name}'; known: {', '.join((*ORACLES, 'mixture'))}")
        granularity = (Frame if name == "oracle_frame" else TimeFrequency)(self.features, self.silence_db)
        nodes = granularity.nodes_of(self._mixture_spectrum)
        num_spk, samples = self.sources.shape[1:]
        if name == "mixture":
            assignment = torch.ones(1, nodes.power.shape[1], num_spk, dtype=torch.double)
            outputs = self.mixture[:, None].expand_as(self.sources)
        else:
            if name in ("oracle_irm", "oracle_psm"):
                shares = ratio_shares(name, self._source_spectra, nodes.spectrum)
                assignment = shares.flatten(2).transpose(1, 2)
            else:
                labels = granularity.targets_of(self._source_spectra)
                assignment = torch.nn.functional.one_hot(labels, num_spk).double()
            outputs = apply_mask(granularity.mask(assignment, nodes), nodes.spectrum, samples, self.features)
        return Separation(
            outputs=outputs[0].numpy().astype(np.float32),
            assignment=torch.where(nodes.valid[0, :, None], assignment[0], 0.0).numpy().astype(np.float32),
            shape=nodes.shape,
            num_spk_given=True,
        )
