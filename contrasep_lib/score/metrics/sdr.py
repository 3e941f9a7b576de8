"""Signal-to-distortion ratio."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

from contrasep_lib.config import Bounded, Range, choice
from contrasep_lib.score.metrics.base import Ratio

if TYPE_CHECKING:
    import numpy as np


@choice("metric", "sdr", target="Sdr")
@dataclasses.dataclass(frozen=True)
class SdrOptions(Bounded):
    """SDR of BSS-Eval v3 and, with the count given, its improvement over the mixture (SDRi), dB.

    Attributes:
        filter_length: taps of the distortion filter that is allowed.
    """

    # a system of as many equations is solved for each pair
    filter_length: Annotated[int, Range(1, 8192)] = 512


class Sdr(Ratio):
    """See `contrasep_lib.score.ratios.sdr`."""

    name, title = "sdr", "SDR"

    def ratio(self, estimates: np.ndarray, sources: np.ndarray) -> np.ndarray:
        from contrasep_lib.score.ratios import sdr

        return sdr(estimates, sources, self.options.filter_length)
