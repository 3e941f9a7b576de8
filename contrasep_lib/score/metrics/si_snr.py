"""Scale-invariant signal-to-noise ratio."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from contrasep_lib.config.choices import choice
from contrasep_lib.score.metrics.base import Ratio

if TYPE_CHECKING:
    import numpy as np


@choice("metric", "si_snr", target="SiSnr")
@dataclasses.dataclass(frozen=True)
class SiSnrOptions:
    """SI-SNR and, with the count given, its improvement over the mixture (SI-SNRi), dB."""


class SiSnr(Ratio):
    """See `contrasep_lib.score.ratios.si_snr`."""

    name, title = "si_snr", "SI-SNR"

    def ratio(self, estimates: np.ndarray, sources: np.ndarray) -> np.ndarray:
        from contrasep_lib.score.ratios import si_snr

        return si_snr(estimates, sources[:, None])
