"""Options of the count networks."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from contrasep_lib.config import Bounded, Range, choice
from contrasep_lib.config.bounds import Width


@choice("count_network", "classifier", target="contrasep_lib.counting.counter:Counter")
@dataclasses.dataclass(frozen=True)
class CountNetworkOptions(Bounded):
    """A classifier of the number of speakers from the moments of a recording's embeddings.

    Attributes:
        count_max: the largest count that it knows.
        width: of its hidden layers.
    """

    count_max: Annotated[int, Range(2, 100)] = 5
    width: Width = 64
