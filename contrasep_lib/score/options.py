"""Options of the section ``score``."""

from __future__ import annotations

import dataclasses
from typing import Any

from contrasep_lib.config.choices import choices_of

DEFAULT_METRICS = ("si_snr", "sdr", "si_snri_count_estimated", "si_snri_penalised", "p_si_snr")


@dataclasses.dataclass(frozen=True)
class ScoreOptions:
    """How stage 6 scores.

    Attributes:
        metrics: name -> options; see ``contrasep list metrics``.
        oracles: name -> options of the oracles that are printed beside every system; see ``contrasep list oracles``.
        plots: utterances of each set that are plotted.
    """

    metrics: dict[str, Any] = choices_of("metric", DEFAULT_METRICS)
    oracles: dict[str, Any] = choices_of("oracle", ("frame", "ibm", "irm", "psm"))
    plots: int = 3

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError("metrics: expected at least one, got none")
        if self.plots < 0:
            raise ValueError(f"plots: expected 0 or more, got {self.plots}")
