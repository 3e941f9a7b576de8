"""SI-SNR with a penalty for a wrong number of outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from contrasep_lib.config import Bounded, choice
from contrasep_lib.config.bounds import Decibels
from contrasep_lib.score.metrics.base import SINGLE_SPEAKER_CAP_DB, Column, Metric, Mixture, Value

# of the paper
PAPER_PENALTY_DB = 30.0


@choice("metric", "p_si_snr", target="PSiSnr")
@dataclasses.dataclass(frozen=True)
class PSiSnrOptions(Bounded):
    """P-SI-SNR with the count estimated: each missing or extra output counts as -30 dB of SI-SNR, dB.

    Attributes:
        penalty: what a missing or extra output counts as, below 0 dB.
    """

    penalty: Decibels = PAPER_PENALTY_DB


class PSiSnr(Metric):
    """P-SI-SNR of Zhu, Yeh and Hasegawa-Johnson, "Multi-Decoder DPRNN", ICASSP 2021.

    For K sources and M outputs

        (max over matchings of the sum of min(K, M) SI-SNRs - penalty |K - M|) / max(K, M)

    with the paper's penalty of 30 dB. SI-SNR is that of the outputs, not its improvement over the mixture, and the
    matching is the best by SI-SNR. A single-speaker mixture is its own source; its SI-SNR is capped at
    `SINGLE_SPEAKER_CAP_DB`.
    """

    @property
    def columns(self) -> Sequence[Column]:  # type: ignore[override]
        other = "" if self.options.penalty == PAPER_PENALTY_DB else f", penalty {self.options.penalty:g} dB"
        return (Column("p_si_snr", f"P-SI-SNR{other}", cap=SINGLE_SPEAKER_CAP_DB),)

    def score(self, mixture: Mixture) -> Mapping[str, Value]:
        if mixture.count_given:
            return {"p_si_snr": None}
        from contrasep_lib.score.ratios import best_matching, pairwise_si_snr

        pairs = pairwise_si_snr(mixture.outputs, mixture.sources)
        matched = [pairs[source, output] for source, output in enumerate(best_matching(pairs)) if output is not None]
        if mixture.single_speaker:
            matched = [min(ratio, SINGLE_SPEAKER_CAP_DB) for ratio in matched]
        num_spk, outputs = len(mixture.sources), len(mixture.outputs)
        lost = self.options.penalty * abs(num_spk - outputs)
        return {"p_si_snr": float((sum(matched) - lost) / max(num_spk, outputs))}
