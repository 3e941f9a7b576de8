"""What a metric is.

A metric declares its columns of ``scores.tsv`` and fills them for one mixture:

    @choice("metric", "correlation", target="Correlation")
    @dataclasses.dataclass(frozen=True)
    class CorrelationOptions:
        "Correlation of each output with its source."

    class Correlation(Metric):
        columns = (Column("correlation", title="correlation"),)

        def score(self, mixture):
            pairs = zip(mixture.estimates, mixture.sources)
            return {"correlation": float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]))}

A configuration lists it: ``score: {metrics: [si_snr, correlation]}``. Metrics that compare an output with its source in
decibels derive from `Ratio` and write one method, `Ratio.ratio`.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

SINGLE_SPEAKER_CAP_DB = 30.0

# what tables and results have beside the scores, so no column of a metric
RESERVED = frozenset((
    "utt", "speakers", "num_spk", "outputs", "count_given", "permutation", "num_spk_est", "modularity",
    "normalised_modularity", "conductance", "fallback", "n", "mean_over", "interval", "columns", "count_accuracy",
    "confusion", "mean_modularity", "mean_normalised_modularity", "mean_conductance", "fallbacks", "oracle",
    "frame_binary", "ibm", "irm", "psm",
))
# a number, numbers of the sources in order, or None where a score does not exist
Value = float | Sequence[float] | None


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of ``scores.tsv``.

    Attributes:
        name: of the column. Columns that hold a number of each source begin with ``source_``.
        title: heading in result pages, which then hold the column's mean; None for columns of ``scores.tsv`` alone.
        improvement: whether the score is an improvement over the mixture. Single-speaker mixtures have none, so
            the mean is over the others.
        fallback: shown in result pages only where no other score exists.
        partial: whether the score may not exist for some mixtures (too short, silent); the mean is over those that have
            it, and results count them under ``<name>_n``.
        cap: largest value of a single-speaker mixture, at which intervals of such sets end; None without one.
    """

    name: str
    title: str | None = None
    improvement: bool = False
    fallback: bool = False
    cap: float | None = None
    partial: bool = False

    def __post_init__(self) -> None:
        if self.name in RESERVED or self.name.startswith("oracle_"):
            raise ValueError(f"column '{self.name}': tables have one of that name already")
        if not re.fullmatch(r"[A-Za-z0-9_]+", self.name):
            raise ValueError(f"column '{self.name}': expected letters, digits and _")


@dataclasses.dataclass(frozen=True)
class Mixture:
    """A mixture, its sources, and what a separator made of it, all in double precision.

    Attributes:
        mixture: ``(samples,)``.
        sources: ``(K, samples)``.
        outputs: ``(M, samples)``.
        permutation: for each source the index of its output; None where it has none.
        count_given: whether the separator was given K.
        rate: sampling rate, Hz.
    """

    mixture: np.ndarray
    sources: np.ndarray
    outputs: np.ndarray
    permutation: tuple[int | None, ...]
    count_given: bool
    rate: int = 8000

    @property
    def single_speaker(self) -> bool:
        """Whether the mixture is its own source, so that no improvement exists."""
        return len(self.sources) == 1

    @functools.cached_property
    def estimates(self) -> np.ndarray:
        """The output of each source, ``(K, samples)``; the mixture for sources without one."""
        import numpy as np

        return np.stack([self.mixture if index is None else self.outputs[index] for index in self.permutation])

    @functools.cached_property
    def both(self) -> np.ndarray:
        """The estimate of each source and, beside it, the mixture: ``(K, 2, samples)``."""
        import numpy as np

        return np.stack([self.estimates, np.broadcast_to(self.mixture, self.sources.shape)], axis=1)

    @functools.cached_property
    def si_snri(self) -> np.ndarray:
        """SI-SNR improvement of each source's estimate over the mixture, dB, ``(K,)``."""
        from contrasep_lib.score.ratios import si_snr

        ratios = si_snr(self.both, self.sources[:, None])
        return ratios[:, 0] - ratios[:, 1]


class Metric(abc.ABC):
    """Scores one mixture.

    Args:
        options: of the member.
    """

    columns: Sequence[Column]

    def __init__(self, options: Any) -> None:
        self.options = options

    @classmethod
    def from_options(cls, options: Any) -> Metric:
        """Build the metric."""
        return cls(options)

    @abc.abstractmethod
    def score(self, mixture: Mixture) -> Mapping[str, Value]:
        """The values of the columns."""


class Ratio(Metric):
    """A ratio in dB between an output and its source, larger is better; a member sets ``name`` and ``title``.

    Four columns: ``<name>_mix`` of the unprocessed mixture, ``<name>`` of the outputs, ``<name>i`` the improvement
    where the count was given, ``source_<name>i`` the improvement of each source. A source without an output scores as
    the mixture. Single-speaker mixtures have ``<name>`` alone, capped at `SINGLE_SPEAKER_CAP_DB`.
    """

    name: str
    title: str

    @property
    def columns(self) -> Sequence[Column]:  # type: ignore[override]
        return (
            Column(f"{self.name}_mix"),
            Column(self.name, f"output {self.title}", fallback=True, cap=SINGLE_SPEAKER_CAP_DB),
            Column(f"{self.name}i", f"{self.title}i", improvement=True),
            Column(f"source_{self.name}i"),
        )

    @abc.abstractmethod
    def ratio(self, estimates: np.ndarray, sources: np.ndarray) -> np.ndarray:
        """The ratio of several estimates of each source.

        Args:
            estimates: ``(K, E, samples)``.
            sources: ``(K, samples)``.

        Returns:
            dB, ``(K, E)``.
        """

    def score(self, mixture: Mixture) -> Mapping[str, Value]:
        import numpy as np

        after, before = self.ratio(mixture.both, mixture.sources).T
        if mixture.single_speaker:
            made = {column.name: None for column in self.columns}
            return {**made, self.name: float(np.minimum(after, SINGLE_SPEAKER_CAP_DB).mean())}
        gains = after - before
        return {
            f"{self.name}_mix": float(before.mean()),
            self.name: float(after.mean()),
            f"{self.name}i": float(gains.mean()) if mixture.count_given else None,
            f"source_{self.name}i": tuple(gains.tolist()),
        }
