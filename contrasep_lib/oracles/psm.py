"""The phase-sensitive mask."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from contrasep_lib.config.choices import choice
from contrasep_lib.oracles.base import OracleOptions, Shares

if TYPE_CHECKING:
    import torch


@choice("oracle", "psm", target="PhaseSensitiveMask")
@dataclasses.dataclass(frozen=True)
class PhaseSensitiveOptions(OracleOptions):
    """Phase-sensitive mask (PSM), clipped to [0, 1]."""

    title = "oracle, phase-sensitive mask (PSM)"


class PhaseSensitiveMask(Shares):
    """``|S_k| cos(arg S_k - arg X) / |X|`` within [0, 1], 0 where X is 0 (Erdogan et al., ICASSP 2015, eq. 7)."""

    @staticmethod
    def shares(sources: torch.Tensor, mixture: torch.Tensor) -> torch.Tensor:
        import torch

        power = mixture.abs().square().unsqueeze(1)
        aligned = (sources * mixture.conj().unsqueeze(1)).real
        return torch.where(power > 0, aligned / power.clamp_min(1e-30), 0.0).clamp(0, 1)
