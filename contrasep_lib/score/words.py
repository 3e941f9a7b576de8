"""Errors in words: alignment, error rates, the best permutation over talkers.

Alignments are Levenshtein's, by rapidfuzz.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Hashable, Sequence

import numpy as np

Words = Sequence[Hashable]


@dataclasses.dataclass(frozen=True)
class Errors:
    """Edits that turn what was said into what was heard.

    Attributes:
        words: that were said.
        substitutions, deletions, insertions: of a shortest sequence of edits.
    """

    words: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def total(self) -> int:
        """All edits."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Edits by words that were said; may exceed 1; NaN where none were said."""
        return self.total / self.words if self.words else float("nan")

    def __add__(self, other: Errors) -> Errors:
        return Errors(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other))))


def errors_of(said: Words, heard: Words) -> Errors:
    """The edits of one pair.

    Example:
        >>> errors_of("the cat sat".split(), "cat sat down".split())
        Errors(words=3, substitutions=0, deletions=1, insertions=1)
    """
    from rapidfuzz.distance import Levenshtein

    kinds = [edit.tag for edit in Levenshtein.editops(list(said), list(heard))]
    return Errors(len(said), *(kinds.count(kind) for kind in ("replace", "delete", "insert")))


def error_rate(said: Sequence[Words], heard: Sequence[Words]) -> float:
    """Edits of all pairs by the words that were said in all; NaN without any.

    Raises:
        ValueError: another number of transcripts than of references.
    """
    if len(said) != len(heard):
        raise ValueError(f"{len(heard)} transcripts for {len(said)} references")
    return sum((errors_of(*pair) for pair in zip(said, heard)), Errors()).rate


def best_permutation(said: Sequence[Words], heard: Sequence[Words]) -> tuple[Errors, tuple[int | None, ...]]:
    """Errors under the assignment of outputs to talkers with the fewest of them.

    The concatenated minimum-permutation word error rate (cpWER) of Watanabe et al., "CHiME-6 challenge", 2020, for one
    recording: ``rate`` of the errors. The words of talkers without an output count as deletions, those of outputs
    without a talker as insertions.

    Args:
        said: words of each talker.
        heard: words of each output, of any number.

    Returns:
        the errors, and for each talker the index of its output; None where it has none.
    """
    from rapidfuzz.distance import Levenshtein
    from scipy.optimize import linear_sum_assignment

    size = max(len(said), len(heard))
    references = [list(words) for words in said] + [[]] * (size - len(said))
    outputs = [list(words) for words in heard] + [[]] * (size - len(heard))
    costs = np.array([Levenshtein.distance(*pair) for pair in itertools.product(references, outputs)], dtype=float)
    costs = costs.reshape(size, size)
    errors, matching = Errors(), [None] * len(said)  # type: tuple[Errors, list[int | None]]
    for talker, output in zip(*linear_sum_assignment(costs)):
        errors += errors_of(references[talker], outputs[output])
        if talker < len(said) and output < len(heard):
            matching[talker] = int(output)
    return errors, tuple(matching)
