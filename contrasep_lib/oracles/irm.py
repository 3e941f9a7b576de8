"""The ideal ratio mask."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from contrasep_lib.config.choices import choice
from contrasep_lib.oracles.base import OracleOptions, Shares

if TYPE_CHECKING:
    import torch


@choice("oracle", "irm", target="IdealRatioMask")
@dataclasses.dataclass(frozen=True)
class IdealRatioOptions(OracleOptions):
    """Ideal ratio mask (IRM): each source's share of the magnitudes."""

    title = "oracle, ratio mask (IRM)"


class IdealRatioMask(Shares):
    """``|S_k| / sum_j |S_j|``; equal shares where all sources are zero."""

    @staticmethod
    def shares(sources: torch.Tensor, mixture: torch.Tensor) -> torch.Tensor:
        import torch

        magnitude = sources.abs()
        total = magnitude.sum(dim=1, keepdim=True)
        return torch.where(total > 0, magnitude / total.clamp_min(1e-30), 1.0 / sources.shape[1])
