"""The binary mask per frame."""

from __future__ import annotations

import dataclasses

from contrasep_lib.config.choices import choice
from contrasep_lib.oracles.base import Dominance, OracleOptions


@choice("oracle", "frame", target="BinaryFrameMask")
@dataclasses.dataclass(frozen=True)
class BinaryFrameOptions(OracleOptions):
    """Binary mask per frame: each frame to its louder source."""

    title = "oracle, binary mask per frame"
    granularity = "frame"


class BinaryFrameMask(Dominance):
    """What a separator whose nodes are frames can reach (the paper's granularity)."""
