"""Options of the section ``mix``."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from contrasep_lib.config import LATER, Bounded, Range
from contrasep_lib.config.bounds import Rate, Seed
from contrasep_lib.io.ids import Id
from contrasep_lib.mix.noise.options import NoiseOptions
from contrasep_lib.mix.room_options import RoomOptions


@dataclasses.dataclass(frozen=True)
class MixOptions(Bounded):
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
        noise: beside the talkers (docs/howto/noise_and_rooms.md).
        room: around the talkers.
    """

    sets: dict[Id, Annotated[int, Range(1, 10**7)]] = dataclasses.field(
        default_factory=lambda: {"tr": 200, "cv": 50, "tt": 100}
    )
    seed: Seed = 0
    rate: Rate = 8000
    mode: Literal["min", "max"] = "min"
    max_gain_db: Annotated[float, Range(0, 100, "(]")] = 2.5
    active_level: Literal["p56", "rms", "published"] = "p56"
    level_filter: Literal["none", "band"] = "none"
    same_language: tuple[Id, ...] = dataclasses.field(default=(), metadata=LATER)
    noise: NoiseOptions = dataclasses.field(default=NoiseOptions(), metadata=LATER)
    room: RoomOptions = dataclasses.field(default=RoomOptions(), metadata=LATER)
