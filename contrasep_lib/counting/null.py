"""The null of counting: what a cut through ONE speaker's cloud looks like.

A cut of a community into shares p and 1 - p has, in the graph with edges linear in the
cosine, a modularity that grows with the square of

    G(p) = sqrt(p (1 - p)) |mean of one side - mean of the other|.

Even the best cut of one isotropic cloud has G(p) > 0, so G is only worth its excess over the
null. The isotropic null rotates every node about the community's centre: it keeps its angle to
the centre and gets a random bearing. These surrogates are exact for each cloud that is isotropic
about its centre, whatever its spread: von Mises-Fisher, heavy-tailed, or mixed with outliers that
are uniform on the sphere. No distribution has to be guessed, and the sizes are those of
the cut in question, so that a speaker of 5 % is not measured against cuts in halves.

A real speaker's cloud is not quite isotropic. :func:`~.calibration.fit_null` measures on
single-speaker speech by how much its cuts exceed the isotropic null, and raises the bar by that.

Learned embeddings of real speech are far from isotropic: the best cut of one speaker exceeds the
isotropic null two- to threefold, and so does that of two. Such a null takes the odds instead: how wide a
community is, how much of that its best cut explains and how far the halves lie apart say how likely it
holds more than one speaker, with weights fitted on mixtures of known speakers under the same model
(:mod:`.calibration`); they do not carry over to another one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

FEATURES = 4
"""Number of :attr:`.cuts.Cut.features`."""


@dataclasses.dataclass(frozen=True)
class Null:
    """How far a cut must stand out before it is taken for a second speaker.

    The score of a cut is ``(G / (factor * G0) - 1) / sqrt(s0^2 + spread^2)`` where ``G0``
    and ``s0`` are mean and relative standard deviation over the rotated surrogates.

    Args:
        threshold: least score of a split, standard deviations; above 0.
        factor: G of one speaker's best cut over the isotropic null's, mean; at least 1.
        spread: its standard deviation over speakers; at least 0.
        ceiling: the largest ratio seen on one speaker; a split must exceed it; at least 1.
        antipode: the largest antipode score seen on one speaker; a split must exceed it
            too; at least 0.
        talkers: number of single-speaker recordings it was fitted on; 0: the isotropic null.
        odds: weights of the features of a cut (:attr:`.cuts.Cut.features`), a row for the cut of a whole recording
            and a row for that of a part; without the second, the first serves both. Where there are
            any, the score of a community is the logarithm of the odds that it holds more than one
            speaker, the threshold may be any number, and no surrogates are made.
        known: with odds, the largest number of speakers that they were fitted on: no more are counted.

    Raises:
        ValueError: a value is outside its range.
    """

    threshold: float = 7.5
    factor: float = 1.0
    spread: float = 0.0
    ceiling: float = 1.0
    antipode: float = 0.0
    talkers: int = 0
    odds: tuple[tuple[float, ...], ...] = ()
    known: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "odds", tuple(map(tuple, self.odds)))
        if len(self.odds) > 2 or any(len(row) != FEATURES or not all(map(math.isfinite, row)) for row in self.odds):
            raise ValueError(f"odds: expected up to two rows of {FEATURES} finite weights, got {self.odds}")
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if name == "odds" or (name == "threshold" and self.odds and math.isfinite(value)):
                continue
            low = 1.0 if name in ("factor", "ceiling") else 0.0
            if not (math.isfinite(value) and value >= low) or (name == "threshold" and value <= 0):
                kind = "above" if name == "threshold" else "of at least"
                raise ValueError(f"{name}: expected a finite value {kind} {low:g}, got {value}")

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Null:
        """The null of what `dataclasses.asdict` made of one.

        Raises:
            ValueError: unknown or missing fields, or a value outside its range.
        """
        expected = {field.name for field in dataclasses.fields(cls)}
        if set(fields) != expected:
            got = ", ".join(map(str, fields)) or "none"
            raise ValueError(f"expected the fields {', '.join(sorted(expected))}, got {got}")
        return cls(**fields)
