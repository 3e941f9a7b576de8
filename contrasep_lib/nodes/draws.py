"""Random numbers of a training step, the same whatever the number of processes that share its batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class Draws:
    """A generator for each item of a batch.

    What an item draws depends on the seed and on its place in the batch alone, not on the other items; so several
    training processes that share a batch draw what one process would.

    Args:
        seed: of the step, in ``0 .. 2^62 - 1``.
        places: of the items in the whole batch.
    """

    def __init__(self, seed: int, places: Sequence[int]) -> None:
        self.seed = seed
        drawn = torch.randint(2**62, (max(places, default=-1) + 1,), generator=torch.Generator().manual_seed(seed))
        self.each = [torch.Generator().manual_seed(int(drawn[place])) for place in places]

    def __len__(self) -> int:
        """Items."""
        return len(self.each)

    @property
    def common(self) -> torch.Generator:
        """For what is drawn once for all items: a new generator, the same each time."""
        return torch.Generator().manual_seed(self.seed + 1)

    def of(self, rows: Sequence[int]) -> Draws:
        """Those of some items; drawing from them goes on where these are."""
        some = Draws(self.seed, ())
        some.each = [self.each[row] for row in rows]
        return some

    def uniform(self, count: int) -> torch.Tensor:
        """Numbers from 0 to 1, ``(items, count)``."""
        return torch.stack([torch.rand(count, generator=one) for one in self.each])

    def integers(self, high: int, count: int) -> torch.Tensor:
        """Whole numbers in ``0 .. high - 1``, ``(items, count)`` int64."""
        return torch.stack([torch.randint(high, (count,), generator=one) for one in self.each])
