"""Options of the section ``mix``."""

from __future__ import annotations

import dataclasses
from typing import Literal

from contrasep_lib.config import LATER
from contrasep_lib.io.ids import RULE, is_id


@dataclasses.dataclass(frozen=True)
class MixOptions:
    """How mixtures are drawn and made (the rule of WSJ0-mix).

    Attributes:
        sets: number of mixtures of each set; the name of a set is also the name of the
            single-speaker set that it draws from. Of a list that comes with the corpus, as many
            lines at most, the first ones.
        seed: draws speakers, utterances and gains.
        rate: sampling rate of the mixtures, Hz; sources are resampled to it.
        mode: ``min`` cuts all sources to the shortest, ``max`` pads them to the longest.
        max_gain_db: gains are drawn from (0, max_gain_db].
        active_level: ``p56`` scales each source by its ITU-T P.56 active level at 8 kHz (or at
            ``rate``, if lower), ``rms`` by its root mean square, ``published`` by the levels that
            come with the corpus's lists (``utt2level``; mixing on the fly in training measures
            by P.56 then, because it cuts and speeds up).
        level_filter: filter before the level is measured: ``none``, or ``band`` (the 200 to
            5500 Hz band that P.56 names, high-pass alone where the rate leaves no more).
        same_language: sets whose mixtures have talkers of one language (by ``utt2lang``).
    """

    sets: dict[str, int] = dataclasses.field(default_factory=lambda: {"tr": 200, "cv": 50, "tt": 100})
    seed: int = 0
    rate: int = 8000
    mode: Literal["min", "max"] = "min"
    max_gain_db: float = 2.5
    active_level: Literal["p56", "rms", "published"] = "p56"
    level_filter: Literal["none", "band"] = "none"
    same_language: tuple[str, ...] = dataclasses.field(default=(), metadata=LATER)

    def __post_init__(self) -> None:
        for name, count in self.sets.items():
            if not is_id(name):
                raise ValueError(f"sets: expected names of {RULE}, got '{name}'")
            if count < 1:
                raise ValueError(f"sets.{name}: expected at least 1 mixture, got {count}")
        if self.rate < 4000:
            raise ValueError(f"rate: expected at least 4000 Hz, got {self.rate}")
        if self.max_gain_db <= 0:
            raise ValueError(f"max_gain_db: expected a positive number of dB, got {self.max_gain_db}")
