"""Options of the counters; nothing here imports torch."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar, Literal

from contrasep_lib.config import Bounded, Range, choice
from contrasep_lib.config.bounds import Part, Seconds, Speakers
from contrasep_lib.modularity.solvers.options import SlotsOptions

ISOTROPIC_THRESHOLD = 7.5
"""The threshold of the isotropic null where none is set, standard deviations."""

# recordings that are separated for calibration
Utterances = Annotated[int, Range(0, 10**6)]


@choice("counter", "recursive_split", target="contrasep_lib.counting.counters.recursive_split:RecursiveSplit")
@dataclasses.dataclass(frozen=True)
class RecursiveSplitOptions(Bounded):
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
    utterances: Utterances = 16
    seconds: Seconds = 6.0
    threshold: Annotated[float, Range(-1e6, 1e6)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
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
class EffectiveNumberOptions(Bounded):
    """The effective number of communities against that of single-speaker recordings; takes no labels of counts.

    Attributes:
        utterances: single-speaker recordings that are measured; 0 takes the values of a narrow cloud.
        seconds: of each at most.
        level: share of single-speaker recordings that may exceed the bar for one speaker, in (0, 1).
        power: of the cosine, the edges of the graph; above 0.
    """

    utterances: Utterances = 100
    seconds: Seconds = 6.0
    level: Part = 0.05
    power: Annotated[float, Range(0, 100, "(]")] = 4.0


@choice(
    "counter", "largest_modularity", target="contrasep_lib.counting.counters.largest_modularity:LargestModularity"
)
@dataclasses.dataclass(frozen=True)
class LargestModularityOptions(Bounded):
    """The communities that the largest Q leaves non-empty, the count of arXiv 2305.10652; hardly ever one.

    Attributes:
        outputs: communities that the partition may have.
    """

    outputs: Speakers = 12


@choice("counter", "slots", target="contrasep_lib.counting.counters.slots:SlotCount")
@dataclasses.dataclass(frozen=True)
class SlotCountOptions(RecursiveSplitOptions):
    """The number of slots that exist, by the probabilities of the solver ``slots``.

    Attributes:
        null_model, utterances, seconds, threshold: as for ``recursive_split``, by whose null evidence is measured.
    """

    needs_solver: ClassVar[type] = SlotsOptions
