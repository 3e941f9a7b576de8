"""Options of the section ``separate``."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class SeparateOptions:
    """How stage 5 separates.

    Attributes:
        separator: ``model`` (what stages 3 and 4 trained), an oracle, or ``mixture`` (every output
            is the mixture itself).
        count: whether the model is ``given`` the number of talkers, or it is ``estimated``.
        mask: the model's masks: ``hard`` (each node to one output) or ``soft``.
        silence_db: nodes more than this below the loudest node are silent, dB.
    """

    separator: Literal["model", "oracle_frame", "oracle_ibm", "oracle_irm", "oracle_psm", "mixture"] = "oracle_ibm"
    count: Literal["given", "estimated"] = "estimated"
    mask: Literal["hard", "soft"] = "hard"
    silence_db: float = 40.0

    def __post_init__(self) -> None:
        if self.silence_db <= 0:
            raise ValueError(f"silence_db: a positive number of dB wanted, got {self.silence_db}")
