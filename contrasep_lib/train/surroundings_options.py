"""Options of noise and rooms in training."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from contrasep_lib.config import Range
from contrasep_lib.config.bounds import Probability, Seed
from contrasep_lib.mix.noise.options import NoiseOptions
from contrasep_lib.mix.room_options import RoomOptions


@dataclasses.dataclass(frozen=True)
class TrainNoiseOptions(NoiseOptions):
    """As ``mix.noise``, in a part of the mixtures.

    Attributes:
        probability: of noise in a mixture; recordings are those for training.
    """

    probability: Probability = 1.0


@dataclasses.dataclass(frozen=True)
class TrainRoomOptions(RoomOptions):
    """As ``mix.room``, in a part of the mixtures, of a bank of rooms.

    Attributes:
        probability: of a room around a mixture.
        bank: rooms that are made once, with places for the talkers of the largest mixture.
        seed: draws the rooms of the bank.
    """

    probability: Probability = 1.0
    bank: Annotated[int, Range(1, 10**5)] = 200
    seed: Seed = 0
