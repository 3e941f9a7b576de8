"""Options of the section ``features``."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from contrasep_lib.config import Bounded, Range
from contrasep_lib.config.bounds import PositiveDecibels

# 8 s at 8 kHz, far more than a frame
Win = Annotated[int, Range(2, 65536)]
Hop = Annotated[int, Range(1, 32768)]


@dataclasses.dataclass(frozen=True)
class FeatureOptions(Bounded):
    """Framing, and which nodes count, shared by every granularity.

    Attributes:
        win: frame and window length, samples.
        hop: frame shift, samples; divides ``win`` at least twice over.
        silence_db: a node is silent when it lies more than this under the loudest node of its recording, dB.
    """

    win: Win = 256
    hop: Hop = 64
    silence_db: PositiveDecibels = 40.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.win % 2:
            raise ValueError(f"win: expected an even number of samples, got {self.win}")
        if self.win % self.hop or self.win < 2 * self.hop:
            raise ValueError(f"hop: expected a divisor of win ({self.win}) up to half of it, got {self.hop}")
