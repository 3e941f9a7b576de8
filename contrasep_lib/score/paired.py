"""Differences of two experiments over the mixtures that both scored."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.score.intervals import mean_over_counts, speaker_interval
from contrasep_lib.score.means import counted_right
from contrasep_lib.score.tables import DECIMALS, SOURCE_PREFIX, Row

# not a column of a metric: 1 where the estimated count is right, else 0
COUNT_ACCURACY = "count_accuracy"
# what is compared unless named, in the order of preference; differences of the last are those of SI-SNRi
PREFERRED = ("si_snri", "si_snri_count_estimated", "si_snr")
# SI-SNR of the unprocessed mixture tells other mixtures of one name apart, dB
FINGERPRINT, TOLERANCE = "si_snr_mix", 0.01

# (set, utterance) -> row
Scores = Mapping[tuple[str, str], Row]


@dataclasses.dataclass(frozen=True)
class Difference:
    """A mean paired difference, b minus a.

    Attributes:
        num_spk: speakers of each mixture; several numbers weigh the same each.
        n, speakers: mixtures, and different people in them.
        a, b: means of the score.
        difference: mean of b - a.
        interval: of 95 %, see `speaker_interval`; None where there is none.
        wins, losses, ties: mixtures in which b is larger, smaller, equal.
    """

    num_spk: tuple[int, ...]
    n: int
    speakers: int
    a: float
    b: float
    difference: float
    interval: tuple[float, float] | None
    wins: int
    losses: int
    ties: int


@dataclasses.dataclass(frozen=True)
class Pairs:
    """A score of both experiments for the same mixtures, ``(mixtures,)`` each, and the mixtures' speakers."""

    a: np.ndarray
    b: np.ndarray
    counts: np.ndarray
    speakers: Sequence[tuple[str, ...]]


def value_of(row: Row, metric: str) -> float | None:
    """A score of an utterance; None where it has none."""
    value = counted_right(row) if metric == COUNT_ACCURACY else row[metric]
    return value if isinstance(value, (int, float)) else None


def metrics_in(scores: Scores) -> list[str]:
    """Scores that some utterance has."""
    rows = list(scores.values())
    names = dict.fromkeys(name for row in rows for name in row.scores if not name.startswith(SOURCE_PREFIX))
    return [name for name in (*names, COUNT_ACCURACY) if any(value_of(row, name) is not None for row in rows)]


def choose_metric(a: Scores, b: Scores) -> str:
    """The first of `PREFERRED` that both have.

    Raises:
        ContrasepError: there is none.
    """
    common = set(metrics_in(a)) & set(metrics_in(b))
    for name in PREFERRED:
        if name in common:
            return name
    raise ContrasepError(f"--metric: expected one of {', '.join(sorted(common)) or 'no scores that both have'}")


def pair_scores(a: Scores, b: Scores, metric: str, names: tuple[str, str] = ("a", "b")) -> Pairs:
    """The values of a metric, utterance by utterance; those without a value in both are left out.

    Args:
        a, b: utterances of both experiments.
        metric: column of the tables, or `COUNT_ACCURACY`.
        names: of the experiments, for messages.

    Raises:
        ContrasepError: the utterances differ, or an utterance has other speakers or another mixture, or the metric in
            one experiment only; or no utterance has it.
    """
    for (one, first), (two, second) in (((a, names[0]), (b, names[1])), ((b, names[1]), (a, names[0]))):
        if missing := [key for key in one if key not in two]:
            raise ContrasepError(
                f"{second}: {missing[0][0]}: no utterance '{missing[0][1]}' ({len(missing)} in all), which {first} "
                "has; expected the same test set"
            )
    values, counts, speakers = [], [], []
    for (name, utt), row in a.items():
        other = b[name, utt]
        _require_same_mixture(row, other, f"{names[1]}: {name}: '{utt}'", names[0])
        pair = value_of(row, metric), value_of(other, metric)
        if pair.count(None) == 1:
            lacks, has = names if pair[0] is None else names[::-1]
            raise ContrasepError(
                f"{lacks}: {name}: '{utt}': no {metric}, which {has} has; try --metric {PREFERRED[-1]}"
            )
        if None not in pair:
            values.append(pair)
            counts.append(row.num_spk)
            # tables of earlier versions cut names at _
            speakers.append(row.speakers if len(row.speakers) == row.num_spk else other.speakers)
    if not values:
        have = [", ".join(metrics_in(scores)) or "none" for scores in (a, b)]
        raise ContrasepError(f"--metric: no '{metric}' in both; {names[0]} has {have[0]}; {names[1]} has {have[1]}")
    columns = np.array(values, dtype=np.float64).T
    return Pairs(columns[0], columns[1], np.array(counts), speakers)


def _require_same_mixture(row: Row, other: Row, where: str, first: str) -> None:
    alike = sorted(row.speakers) == sorted(other.speakers) or "_".join(row.speakers) == "_".join(other.speakers)
    if not alike or row.num_spk != other.num_spk:
        expected, got = " ".join(row.speakers), " ".join(other.speakers)
        raise ContrasepError(f"{where}: expected the speakers of {first}, {expected}, got {got}")
    levels = value_of(row, FINGERPRINT), value_of(other, FINGERPRINT)
    if levels[0] is not None and levels[1] is not None and abs(levels[0] - levels[1]) > TOLERANCE:
        raise ContrasepError(f"{where}: another mixture than that of {first} ({FINGERPRINT} differs)")


def paired_differences(pairs: Pairs, bounds: tuple[float, float] = (-math.inf, math.inf)) -> list[Difference]:
    """The differences for each number of speakers and, of several, jointly.

    Args:
        pairs: from `pair_scores`.
        bounds: least and largest difference that the score can have.
    """
    numbers = [int(count) for count in np.unique(pairs.counts)]
    joint = [tuple(numbers)] if len(numbers) > 1 else []
    return [_difference(pairs, chosen, bounds) for chosen in [*((number,) for number in numbers), *joint]]


def _difference(pairs: Pairs, num_spk: tuple[int, ...], bounds: tuple[float, float]) -> Difference:
    chosen = np.flatnonzero(np.isin(pairs.counts, num_spk))
    speakers, counts = [pairs.speakers[int(index)] for index in chosen], pairs.counts[chosen]
    change = pairs.b[chosen] - pairs.a[chosen]
    a, b, mean = mean_over_counts(np.stack([pairs.a[chosen], pairs.b[chosen], change], axis=1), counts)
    (interval,) = speaker_interval(change, speakers, counts, bounds=bounds)
    # as tables hold so many decimals, what is less is equal
    equal = np.abs(change) < 0.5 * 10.0**-DECIMALS
    wins, losses = np.count_nonzero((change > 0) & ~equal), np.count_nonzero((change < 0) & ~equal)
    return Difference(
        num_spk, len(chosen), len({name for names in speakers for name in names}), float(a), float(b), float(mean),
        interval, int(wins), int(losses), int(np.count_nonzero(equal)),
    )
