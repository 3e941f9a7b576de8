"""Options of the count networks."""

from __future__ import annotations

import dataclasses

from contrasep_lib.config import choice


@choice("count_network", "classifier", target="contrasep_lib.counting.counter:Counter")
@dataclasses.dataclass(frozen=True)
class CountNetworkOptions:
    """A classifier of the number of speakers from the moments of a recording's embeddings.

    Attributes:
        count_max: the largest count that it knows.
        width: of its hidden layers.
    """

    count_max: int = 5
    width: int = 64

    def __post_init__(self) -> None:
        if self.count_max < 2:
            raise ValueError(f"count_max: expected at least 2, got {self.count_max}")
        if self.width < 1:
            raise ValueError(f"width: expected at least 1, got {self.width}")
