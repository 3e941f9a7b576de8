"""Options of the section ``score``."""

from __future__ import annotations

import dataclasses
from typing import Any

from contrasep_lib.config.bounds import Steps
from contrasep_lib.config.choices import choices_of
from contrasep_lib.config.schema import Bounded

DEFAULT_METRICS = ("si_snr", "sdr", "si_snri_count_estimated", "si_snri_penalised", "p_si_snr")


@dataclasses.dataclass(frozen=True)
class ScoreOptions(Bounded):
    """How stage 6 scores.

    Attributes:
        metrics: name -> options; see ``contrasep list metrics``.
        oracles: name -> options of the oracles that are printed beside every system; see ``contrasep list oracles``.
        plots: utterances of each set that are plotted.
    """

    metrics: dict[str, Any] = choices_of("metric", DEFAULT_METRICS)
    oracles: dict[str, Any] = choices_of("oracle", ("frame", "ibm", "irm", "psm"))
    plots: Steps = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.metrics:
            raise ValueError("metrics: expected at least one, got none")
