"""Options of the section ``features``."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class FeatureOptions:
    """Framing, and which nodes count, shared by every granularity.

    Attributes:
        win: frame and window length, samples.
        hop: frame shift, samples; divides ``win`` at least twice over.
        silence_db: a node is silent when it lies more than this under the loudest node of its recording, dB.
    """

    win: int = 256
    hop: int = 64
    silence_db: float = 40.0

    def __post_init__(self) -> None:
        if self.win < 2 or self.win % 2:
            raise ValueError(f"win: expected an even number of samples, got {self.win}")
        if self.hop < 1 or self.win % self.hop or self.win < 2 * self.hop:
            raise ValueError(f"hop: expected a divisor of win ({self.win}) up to half of it, got {self.hop}")
        if self.silence_db <= 0:
            raise ValueError(f"silence_db: expected a positive number of dB, got {self.silence_db}")
