"""Signal-to-distortion ratio."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from contrasep_lib.config.choices import choice
from contrasep_lib.score.metrics.base import Ratio

if TYPE_CHECKING:
    import numpy as np


@choice("metric", "sdr", target="Sdr")
@dataclasses.dataclass(frozen=True)
class SdrOptions:
    """SDR of BSS-Eval v3 and, with the count given, its improvement over the mixture (SDRi), dB.

    Attributes:
        filter_length: taps of the distortion filter that is allowed.
    """

    filter_length: int = 512

    def __post_init__(self) -> None:
        if self.filter_length < 1:
            raise ValueError(f"filter_length: expected at least 1 tap, got {self.filter_length}")


class Sdr(Ratio):
    """See `contrasep_lib.score.ratios.sdr`."""

    name, title = "sdr", "SDR"

    def ratio(self, estimates: np.ndarray, sources: np.ndarray) -> np.ndarray:
        from contrasep_lib.score.ratios import sdr

        return sdr(estimates, sources, self.options.filter_length)
