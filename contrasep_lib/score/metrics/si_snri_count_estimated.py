"""SI-SNR improvement where the number of speakers was estimated."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from contrasep_lib.config.choices import choice
from contrasep_lib.score.metrics.base import Column, Metric, Mixture, Value


@choice("metric", "si_snri_count_estimated", target="CountEstimated")
@dataclasses.dataclass(frozen=True)
class CountEstimatedOptions:
    """SI-SNRi with the count estimated: a missing output scores as the mixture, extra ones are dropped, dB."""


class CountEstimated(Metric):
    """Mean over the sources; a source without an output counts as 0 dB. Outputs without a source do not count."""

    columns = (Column("si_snri_count_estimated", "SI-SNRi, count estimated", improvement=True),)

    def score(self, mixture: Mixture) -> Mapping[str, Value]:
        absent = mixture.count_given or mixture.single_speaker
        return {"si_snri_count_estimated": None if absent else float(mixture.si_snri.mean())}
