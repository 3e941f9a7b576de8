"""Stated shares of several corpora in what a phase learns from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from contrasep_lib.errors import ContrasepError

# shares are kept to a thousandth
PERIOD = 1000


class Balance:
    """Which corpus each item of training comes from, and which item of that corpus it is.

    Items come in blocks: within each, every corpus has its share exactly, in an order drawn from
    (seed, block). The block is the shortest for which shares, rounded to thousandths, are whole
    numbers: two items for halves, ten for 0.7 and 0.3. Any item is found without those before.

    Args:
        shares: of each corpus, positive; their sum is brought to 1.
        seed: words of the seed of the order of each block.
    """

    def __init__(self, shares: Sequence[float], seed: Sequence[int]) -> None:
        self.shares = np.array(shares, dtype=np.float64) / sum(shares)
        self.seed = list(seed)
        slots = _apportion(self.shares, PERIOD)
        self.slots = slots // math.gcd(*slots.tolist())

    def draw(self, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Items ``start`` to ``start + count - 1`` of the endless sequence.

        Returns:
            corpus of each, ``(count,)``, and its number among all items of that corpus, from 0,
            ``(count,)``.
        """
        period = int(self.slots.sum())
        first, last = start // period, (start + count - 1) // period
        order = np.concatenate([self._block(block) for block in range(first, last + 1)])
        numbers = np.empty(len(order), np.int64)
        for corpus, slots in enumerate(self.slots):
            mine = order == corpus
            numbers[mine] = first * slots + np.arange(mine.sum())
        inside = slice(start - first * period, start - first * period + count)
        return order[inside], numbers[inside]

    def interleave(self, sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """All items of corpora of these sizes, once each: by shares as long as none is at its end.

        Returns:
            corpus of each, ``(sum(sizes),)``, and its number within the corpus, ``(sum(sizes),)``.
        """
        corpora = np.repeat(np.arange(len(sizes)), sizes)
        numbers = np.concatenate([np.arange(size) for size in sizes])
        order = np.lexsort((corpora, (numbers + 0.5) / self.shares[corpora]))
        return corpora[order], numbers[order]

    def _block(self, number: int) -> np.ndarray:
        rng = np.random.default_rng([*self.seed, number])
        return rng.permutation(np.repeat(np.arange(len(self.slots)), self.slots))


def _apportion(shares: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers in proportion to the shares, at least 1 each, that add up to ``total``."""
    exact = shares * total
    slots = np.maximum(1, np.floor(exact + 1e-9).astype(np.int64))
    # what is left goes to the largest remainders; what is too much comes from the largest shares
    while slots.sum() < total:
        slots[np.argmax(exact - slots)] += 1
    while slots.sum() > total:
        slots[np.argmax(slots)] -= 1
    return slots


def corpora_in_order(
    balance: Mapping[str, float], corpora: Sequence[str | None], folders: Sequence[object]
) -> list[str]:
    """Names of the corpora of a balance, checked against the sets that are there.

    Args:
        balance: corpus -> share.
        corpora: corpus of each set, None where it is not known.
        folders: of each set, for the message.

    Raises:
        ContrasepError: a corpus without a set, or a set of no corpus of the balance.
    """
    names = sorted(balance)
    for name in names:
        if name not in corpora:
            raise ContrasepError(
                f"balance: names the corpus '{name}', of which no set is given; say {name}=SET for one"
            )
    for name, folder in zip(corpora, folders):
        if name not in balance:
            corpus = f"of the corpus '{name}'" if name else "of an unknown corpus"
            raise ContrasepError(f"{folder}: a set {corpus}; balance has {', '.join(names)}")
    return names
