"""Options of simulated rooms: ``mix.room`` of lists, ``finetune.room`` of training."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from contrasep_lib.config import Bounded, Range

Metres = Annotated[float, Range(2, 50)]
Reverberation = Annotated[float, Range(0.1, 3)]


@dataclasses.dataclass(frozen=True)
class RoomOptions(Bounded):
    """A shoebox room around the talkers and one microphone; by default none.

    Attributes:
        rt60: range of the time in which the sound falls by 60 dB, seconds; ``null``: no room.
        length, width, height: ranges, metres.
        reference: what of a talker counts as source: ``early``, the direct path and 50 ms after it; ``direct``,
            2.5 ms after it alone; ``reverberant``, everything.
    """

    rt60: tuple[Reverberation, ...] | None = None
    length: tuple[Metres, ...] = (5.0, 8.0)
    width: tuple[Metres, ...] = (4.0, 6.0)
    height: tuple[Metres, ...] = (2.5, 3.5)
    reference: Literal["early", "direct", "reverberant"] = "early"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rt60", "length", "width", "height"):
            value = getattr(self, name)
            if value is not None and (len(value) != 2 or value[0] > value[1]):
                raise ValueError(f"{name}: expected a range such as [2.5, 3.5], got {list(value)}")
        if self.rt60 is None and self.changed():
            raise ValueError("rt60: expected a range of seconds such as [0.2, 0.6] for a room, got null")

    def changed(self) -> bool:
        """Whether any option has another value than its default."""
        return any(getattr(self, field.name) != field.default for field in dataclasses.fields(self))
