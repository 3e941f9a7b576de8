"""Confidence intervals when mixtures share speakers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CHUNK = 256
MAX_ROUNDS = 1000


def speaker_interval(
    values: np.ndarray,
    speakers: Sequence[Sequence[str]],
    resamplings: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> list[tuple[float, float] | None]:
    """Percentile intervals of means by the pigeonhole bootstrap over speakers.

    Speakers, not mixtures, are drawn with replacement, and a mixture weighs the product of how
    often its speakers were drawn (Owen, "The pigeonhole bootstrap", 2007): 8 speakers make 28
    pairs, which are not 28 independent draws. A resample in which no mixture has all of its
    speakers weighs nothing and is drawn again. With few speakers the interval is somewhat narrow,
    as percentile intervals of small samples are.

    Args:
        values: ``(mixtures,)`` or ``(mixtures, columns)``; the columns share the resamples.
        speakers: the speakers of each mixture.
        resamplings: resamples behind the interval.
        seed: the same seed gives the same interval.
        level: coverage aimed at.

    Returns:
        ``(low, high)`` for each column, or None for all where resampling says nothing: every
        mixture has the same speakers, or next to no resample holds a whole mixture.

    Raises:
        ValueError: no mixtures, or as many speaker entries as values not given.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if len(values) == 0 or len(values) != len(speakers):
        raise ValueError(f"{len(values)} values for {len(speakers)} mixtures")
    members = [sorted(set(names)) for names in speakers]
    names = sorted({name for group in members for name in group})
    if all(group == members[0] for group in members):
        return [None] * values.shape[1]

    # shorter groups are padded with a column that is always drawn exactly once
    number = {name: index for index, name in enumerate(names)}
    index = np.full((len(members), max(map(len, members))), len(names))
    for row, group in enumerate(members):
        index[row, : len(group)] = [number[name] for name in group]

    generator = np.random.default_rng(seed)
    means: list[np.ndarray] = []
    found = 0
    for _ in range(MAX_ROUNDS):
        counts = generator.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=CHUNK)
        counts = np.concatenate([counts, np.ones((CHUNK, 1), dtype=counts.dtype)], axis=1)
        weights = np.ones((CHUNK, len(members)))
        for column in index.T:
            weights *= counts[:, column]
        total = weights.sum(axis=1)
        kept = total > 0
        means.append(weights[kept] @ values / total[kept, None])
        found += int(kept.sum())
        if found >= resamplings:
            break
    else:
        return [None] * values.shape[1]
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(np.concatenate(means)[:resamplings], [tail, 1.0 - tail], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high)]
