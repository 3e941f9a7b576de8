"""Short-time objective intelligibility."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from contrasep_lib.config.choices import choice
from contrasep_lib.score.metrics.perceptual import Perceptual, is_silent

if TYPE_CHECKING:
    import numpy as np


@choice("metric", "stoi", target="Stoi")
@dataclasses.dataclass(frozen=True)
class StoiOptions:
    """STOI and its improvement over the mixture, by pystoi (pip install 'contrasep[stoi]')."""


class Stoi(Perceptual):
    """STOI of Taal, Hendriks, Heusdens, Jensen, IEEE TASLP 19(7), 2011; about 0 to 1, larger is better.

    The library resamples to 10 kHz, drops frames 40 dB under the source's loudest, and needs 30 frames (0.4 s) of
    what is left: shorter speech has no score, nor has that of a silent source. A silent output scores 0.
    """

    name, title, extended = "stoi", "STOI", False

    def judge(self, signal: np.ndarray, source: np.ndarray, rate: int) -> float | None:
        return short_time(signal, source, rate, self.extended)


def short_time(signal: np.ndarray, source: np.ndarray, rate: int, extended: bool) -> float | None:
    """STOI, or extended STOI; see `Stoi.judge`."""
    import math
    import warnings

    from pystoi import stoi

    if is_silent(source):
        return None
    if is_silent(signal):
        return 0.0
    with warnings.catch_warnings():
        # the library returns 1e-5 with this warning where too few frames are left
        warnings.simplefilter("error", RuntimeWarning)
        try:
            value = float(stoi(source, signal, rate, extended=extended))
        except (RuntimeWarning, ValueError, IndexError):
            # signals shorter than one frame make it trip over empty arrays
            return None
    return value if math.isfinite(value) else None
