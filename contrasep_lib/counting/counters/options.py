"""Options of the counters; nothing here imports torch."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

from contrasep_lib.config import choice
from contrasep_lib.modularity.solvers.options import SlotsOptions

ISOTROPIC_THRESHOLD = 7.5
"""The threshold of the isotropic null where none is set, standard deviations."""


@choice("counter", "recursive_split", target="contrasep_lib.counting.counters.recursive_split:RecursiveSplit")
@dataclasses.dataclass(frozen=True)
class RecursiveSplitOptions:
    """Splits communities for as long as one of them holds two speakers by a null.

    Attributes:
        null_model: how the bar for a further speaker is found: ``odds`` (fitted on mixtures of 1 speaker to as many as
            the model has learned from, mixed from single speakers of validation) or ``isotropic`` (against rotated
            surrogates, raised by single speakers).
        utterances: mixtures of each number of speakers, or for ``isotropic`` single speakers; 0 takes the isotropic
            null as it is.
        seconds: of each mixture at most.
        threshold: for ``odds`` the least logarithm of the odds at which a community is split, for ``isotropic`` the
            least score, standard deviations over the null; ``null``: 0 for ``odds``, 7.5 for ``isotropic``.
    """

    null_model: Literal["odds", "isotropic"] = "odds"
    utterances: int = 16
    seconds: float = 6.0
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.utterances < 0:
            raise ValueError(f"utterances: expected at least 0, got {self.utterances}")
        if not self.seconds > 0:
            raise ValueError(f"seconds: expected a positive number, got {self.seconds}")
        if self.threshold is not None and self.threshold <= 0 and not self.by_odds:
            raise ValueError(f"threshold: expected a positive number for the isotropic null, got {self.threshold}")

    @property
    def by_odds(self) -> bool:
        """Whether the null is fitted on mixtures; without any only the isotropic one is known."""
        return self.null_model == "odds" and self.utterances > 0


@choice("counter", "classifier", target="contrasep_lib.counting.counters.classifier:Classifier")
@dataclasses.dataclass(frozen=True)
class ClassifierOptions(RecursiveSplitOptions):
    """The model's own classifier of the number of speakers (objective ``count``).

    Attributes:
        null_model, utterances, seconds, threshold: as for ``recursive_split``, by whose null evidence is measured.
    """


@choice(
    "counter", "effective_number", target="contrasep_lib.counting.counters.effective_number:EffectiveNumber"
)
@dataclasses.dataclass(frozen=True)
class EffectiveNumberOptions:
    """The effective number of communities against that of single-speaker recordings; takes no labels of counts.

    Attributes:
        utterances: single-speaker recordings that are measured; 0 takes the values of a narrow cloud.
        seconds: of each at most.
        level: share of single-speaker recordings that may exceed the bar for one speaker, in (0, 1).
        power: of the cosine, the edges of the graph; above 0.
    """

    utterances: int = 100
    seconds: float = 6.0
    level: float = 0.05
    power: float = 4.0

    def __post_init__(self) -> None:
        if self.utterances < 0:
            raise ValueError(f"utterances: expected at least 0, got {self.utterances}")
        if not 0 < self.level < 1:
            raise ValueError(f"level: expected a value in (0, 1), got {self.level}")
        for name in ("seconds", "power"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected a positive number, got {getattr(self, name)}")


@choice(
    "counter", "largest_modularity", target="contrasep_lib.counting.counters.largest_modularity:LargestModularity"
)
@dataclasses.dataclass(frozen=True)
class LargestModularityOptions:
    """The communities that the largest Q leaves non-empty, the count of arXiv 2305.10652; hardly ever one.

    Attributes:
        outputs: communities that the partition may have.
    """

    outputs: int = 12

    def __post_init__(self) -> None:
        if self.outputs < 1:
            raise ValueError(f"outputs: expected at least 1, got {self.outputs}")


@choice("counter", "slots", target="contrasep_lib.counting.counters.slots:SlotCount")
@dataclasses.dataclass(frozen=True)
class SlotCountOptions(RecursiveSplitOptions):
    """The number of slots that exist, by the probabilities of the solver ``slots``.

    Attributes:
        null_model, utterances, seconds, threshold: as for ``recursive_split``, by whose null evidence is measured.
    """

    needs_solver: ClassVar[type] = SlotsOptions
