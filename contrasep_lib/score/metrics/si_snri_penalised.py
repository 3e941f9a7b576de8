"""SI-SNR improvement with a penalty for a wrong number of outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from contrasep_lib.config.choices import choice
from contrasep_lib.score.metrics.base import Column, Metric, Mixture, Value


@choice("metric", "si_snri_penalised", target="Penalised")
@dataclasses.dataclass(frozen=True)
class PenalisedOptions:
    """SI-SNRi with the count estimated: each missing or extra output counts as 0 dB, dB."""


class Penalised(Metric):
    """Sum of the improvements of the sources, divided by the larger of both counts."""

    columns = (Column("si_snri_penalised", "SI-SNRi, penalised", improvement=True),)

    def score(self, mixture: Mixture) -> Mapping[str, Value]:
        if mixture.count_given or mixture.single_speaker:
            return {"si_snri_penalised": None}
        return {"si_snri_penalised": float(mixture.si_snri.sum() / max(len(mixture.sources), len(mixture.outputs)))}
