"""What perceptual scores share: a library judges each output, and the unprocessed mixture beside it."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from contrasep_lib.score.metrics.base import Column, Metric, Mixture, Value

if TYPE_CHECKING:
    import numpy as np

# of full scale; recordings below it hold no PCM16 sample
SILENT = 0.5 / 32768


class Perceptual(Metric):
    """A score of one signal, beside its source where it has a use for it; a member sets ``name`` and ``title``.

    Three columns: ``<name>_mix`` of the unprocessed mixture, ``<name>`` of the outputs, ``<name>_improvement``, means
    over the sources. A source without an output scores as the mixture. Single-speaker mixtures have no improvement. A
    mixture whose score does not exist for one of its signals has none; results count the others.
    """

    name: str
    title: str

    @property
    def columns(self) -> Sequence[Column]:  # type: ignore[override]
        return (
            Column(f"{self.name}_mix", partial=True),
            Column(self.name, self.title, partial=True),
            Column(f"{self.name}_improvement", f"{self.title} improvement", improvement=True, partial=True),
        )

    @abc.abstractmethod
    def judge(self, signal: np.ndarray, source: np.ndarray, rate: int) -> float | None:
        """The score of a signal.

        Args:
            signal: ``(samples,)``.
            source: what it should be, ``(samples,)``.
            rate: Hz.

        Returns:
            the score; None where it does not exist.
        """

    def means(self, signals: Sequence[np.ndarray], mixture: Mixture) -> float | None:
        """The mean score of the signal of each source; None where one of them has none."""
        values = [self.judge(*pair, mixture.rate) for pair in zip(signals, mixture.sources)]
        return None if any(value is None for value in values) else float(sum(values) / len(values))  # type: ignore

    def score(self, mixture: Mixture) -> Mapping[str, Value]:
        after = self.means(list(mixture.estimates), mixture)
        if mixture.single_speaker:
            return {f"{self.name}_mix": None, self.name: after, f"{self.name}_improvement": None}
        before = self.means([mixture.mixture] * len(mixture.sources), mixture)
        gain = None if after is None or before is None else after - before
        return {f"{self.name}_mix": before, self.name: after, f"{self.name}_improvement": gain}


def is_silent(signal: np.ndarray) -> bool:
    """Whether a signal holds nothing that PCM16 holds."""
    import numpy as np

    return float(np.abs(signal).max(initial=0.0)) < SILENT
