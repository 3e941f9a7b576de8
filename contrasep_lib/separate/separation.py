"""What every separator returns."""

from __future__ import annotations

import dataclasses
import typing

import numpy as np

if typing.TYPE_CHECKING:
    from contrasep_lib.counting.evidence import Evidence


@dataclasses.dataclass(frozen=True)
class Separation:
    """The separation of one mixture.

    Attributes:
        outputs: ``(K, samples)`` float32.
        assignment: share of each node that goes to each output, ``(nodes, K)``; silent nodes
            are rows of zeros.
        shape: shape of the nodes.
        num_spk_given: whether the count was given.
        modularity: Q of the assignment; None where no graph was built.
        conductance: mean conductance; None where no graph was built or it is undefined.
        sizes: share of the weight in each community.
        words: why this count, and which failure signatures were raised; empty for oracles.
        centroids: mean embedding of each output, ``(K, dim)`` of unit norm; None where nothing was embedded.
        evidence: what speaks for each number of speakers; empty if not asked for.
        probabilities: of 1, 2, .. speakers by the counter; empty where it knows none or was not asked.
        normalised_modularity: Qn of the assignment; None where no graph was built.
        solver: what was asked for communities; None where nothing was to be partitioned.
        fallback: what partitioned in its place, as it found fewer communities than there are outputs; None where it
            found them.
        signatures: failure signatures that were raised, in words.
        noise: what belongs to no talker, ``(samples,)`` float32; None where the separator knows none.
    """

    outputs: np.ndarray
    assignment: np.ndarray
    shape: tuple[int, ...]
    num_spk_given: bool
    modularity: float | None = None
    conductance: float | None = None
    sizes: tuple[float, ...] = ()
    words: str = ""
    centroids: np.ndarray | None = None
    evidence: tuple[Evidence, ...] = ()
    probabilities: tuple[float, ...] = ()
    normalised_modularity: float | None = None
    solver: str | None = None
    fallback: str | None = None
    signatures: tuple[str, ...] = ()
    noise: np.ndarray | None = None
