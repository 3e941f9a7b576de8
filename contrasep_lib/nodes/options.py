"""Options of the section ``features``."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class FeatureOptions:
    """Framing, shared by every granularity.

    Attributes:
        win: frame and window length, samples.
        hop: frame shift, samples; divides ``win`` at least twice over.
    """

    win: int = 256
    hop: int = 64

    def __post_init__(self) -> None:
        if self.win < 2 or self.win % 2:
            raise ValueError(f"win: an even number of samples wanted, got {self.win}")
        if self.hop < 1 or self.win % self.hop or self.win < 2 * self.hop:
            raise ValueError(f"hop: a divisor of win ({self.win}) up to half of it wanted, got {self.hop}")
