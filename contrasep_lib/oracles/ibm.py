"""The ideal binary mask."""

from __future__ import annotations

import dataclasses

from contrasep_lib.config.choices import choice
from contrasep_lib.oracles.base import Dominance, OracleOptions


@choice("oracle", "ibm", target="IdealBinaryMask")
@dataclasses.dataclass(frozen=True)
class IdealBinaryOptions(OracleOptions):
    """Ideal binary mask (IBM): each time-frequency unit to its louder source."""

    title = "oracle, binary mask per T-F unit (IBM)"


class IdealBinaryMask(Dominance):
    """What a separator whose nodes are time-frequency units can reach with binary masks."""
