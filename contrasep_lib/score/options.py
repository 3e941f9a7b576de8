"""Options of the section ``score``."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class ScoreOptions:
    """How stage 6 scores.

    Attributes:
        sdr_filter: taps of the distortion filter that BSS-Eval v3 allows.
        bootstrap: resamplings behind a 95 % interval.
        seed: draws the resamplings.
        plots: utterances of each set that are plotted.
    """

    sdr_filter: int = 512
    bootstrap: int = 2000
    seed: int = 0
    plots: int = 3

    def __post_init__(self) -> None:
        if self.sdr_filter < 1:
            raise ValueError(f"sdr_filter: at least 1 tap wanted, got {self.sdr_filter}")
        if self.bootstrap < 100:
            raise ValueError(f"bootstrap: at least 100 resamplings wanted, got {self.bootstrap}")
        if self.plots < 0:
            raise ValueError(f"plots: 0 or more wanted, got {self.plots}")
