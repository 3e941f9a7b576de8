"""Options of the section ``separate``."""

from __future__ import annotations

import dataclasses
from typing import Literal

SEPARATORS = ("oracle_frame", "oracle_ibm", "oracle_irm", "oracle_psm", "mixture")


@dataclasses.dataclass(frozen=True)
class SeparateOptions:
    """How stage 5 separates.

    Attributes:
        separator: an oracle, or ``mixture`` (every output is the mixture itself).
        silence_db: nodes more than this below the loudest node are silent, dB.
    """

    separator: Literal["oracle_frame", "oracle_ibm", "oracle_irm", "oracle_psm", "mixture"] = "oracle_ibm"
    silence_db: float = 40.0

    def __post_init__(self) -> None:
        if self.silence_db <= 0:
            raise ValueError(f"silence_db: a positive number of dB wanted, got {self.silence_db}")
