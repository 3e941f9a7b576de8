"""Options of the section ``separate``."""

from __future__ import annotations

import dataclasses
from typing import Literal

from contrasep_lib.oracles.base import oracle_options


@dataclasses.dataclass(frozen=True)
class SeparateOptions:
    """How stage 5 separates.

    Attributes:
        separator: ``model`` (what stages 3 and 4 trained), ``oracle_<name>`` (see ``contrasep list oracles``), or
            ``mixture`` (every output is the mixture itself).
        count: whether the model is ``given`` the number of speakers, or it is ``estimated``.
        mask: the model's masks: ``hard`` (each node to one output) or ``soft`` (each node to all outputs, by how much
            of its embedding lies along their centroids).
    """

    separator: str = "oracle_ibm"
    count: Literal["given", "estimated"] = "estimated"
    mask: Literal["hard", "soft"] = "hard"

    def __post_init__(self) -> None:
        if self.separator != "model":
            oracle_options(self.separator)
