"""Babble: other speakers at once, each of active level 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contrasep_lib.mix.noise.folder import cut


def babble(utterances: Sequence[np.ndarray], samples: int, offset: int, rate: int) -> np.ndarray:
    """A sum of utterances, each looped from a sample of its own.

    Args:
        utterances: signals ``(own samples,)`` of active level 1.
        samples: of the babble.
        offset: of the first; those of the others follow from it.

    Returns:
        ``(samples,)``.
    """
    starts = np.random.default_rng(offset).integers(2**31, size=len(utterances))
    parts = [cut(utterance, samples, int(start), rate)[0] for utterance, start in zip(utterances, starts)]
    return np.sum(parts, axis=0)
