"""Intervals over speakers: coverage by simulation, closed forms, a brute-force jackknife, edge cases."""

import itertools

import numpy as np
import pytest
from scipy import stats

from contrasep_lib.score.intervals import mean_over_counts, speaker_interval

SPEAKERS, COUNTS, TRIALS = 8, (2, 3, 4, 5), 2000
# means of separation fall with the number of speakers
TRUTH = {2: 10.0, 3: 7.5, 4: 6.0, 5: 5.0}


def groups_of(speakers, *counts):
    """All sets of so many speakers, for each count."""
    return [group for count in counts for group in itertools.combinations(range(speakers), count)]


def named(groups):
    return [tuple(f"spk_{member}" for member in group) for group in groups]


def simulate(rng, groups, effects, trials=TRIALS, interaction=0.5, noise=0.5):
    """Scores whose truth is `TRUTH`, ``(mixtures, trials)``: each trial draws all speakers anew.

    A mixture has the mean of its speakers' effects, of their pairs' similarity (mean 0), and noise of its own.
    """
    speakers = 1 + max(map(max, groups))
    effect = effects(rng, (speakers, trials))
    place = rng.standard_normal((speakers, 3, trials))
    values = np.empty((len(groups), trials))
    for row, group in enumerate(groups):
        members = list(group)
        pairs = [(place[a] * place[b]).sum(0) / np.sqrt(3) for a, b in itertools.combinations(members, 2)]
        values[row] = TRUTH[len(group)] + effect[members].mean(axis=0) + interaction * np.mean(pairs, axis=0)
    return values + noise * rng.standard_normal(values.shape)


def normal(rng, shape):
    return rng.standard_normal(shape)


def skewed(rng, shape):
    return rng.exponential(1.0, shape) - 1.0


def heavy_tailed(rng, shape):
    return rng.standard_t(4, shape) / np.sqrt(2.0)


def percentile_interval(values, groups, seed=0, resamplings=500):
    """The earlier method: percentiles of the pigeonhole bootstrap (Owen 2007), mixtures of all counts pooled."""
    rng = np.random.default_rng(seed)
    speakers = 1 + max(map(max, groups))
    drawn = rng.multinomial(speakers, np.full(speakers, 1 / speakers), size=4 * resamplings)
    weights = np.stack([drawn[:, list(group)].prod(axis=1) for group in groups], axis=1).astype(float)
    weights = weights[weights.sum(axis=1) > 0][:resamplings]
    return np.quantile(weights @ values / weights.sum(axis=1, keepdims=True), [0.025, 0.975], axis=0)


def coverage(limits, truth):
    low, high = limits
    return np.mean((low <= truth) & (truth <= high))


def ours(values, groups, counts=None):
    return np.array(speaker_interval(values, named(groups), counts)).T


@pytest.mark.parametrize("effects, least", [(normal, 0.93), (skewed, 0.92), (heavy_tailed, 0.93)])
@pytest.mark.parametrize("count", COUNTS)
def test_eight_speakers_cover_as_often_as_they_say(count, effects, least):
    groups = groups_of(SPEAKERS, count)
    values = simulate(np.random.default_rng(count), groups, effects)
    assert least <= coverage(ours(values, groups), TRUTH[count]) <= 0.99


@pytest.mark.parametrize("effects, least", [(normal, 0.93), (skewed, 0.92), (heavy_tailed, 0.93)])
def test_a_joint_interval_covers_as_often_as_it_says(effects, least):
    groups = groups_of(SPEAKERS, *COUNTS)
    values = simulate(np.random.default_rng(0), groups, effects)
    truth = np.mean([TRUTH[count] for count in COUNTS])
    assert least <= coverage(ours(values, groups, [len(group) for group in groups]), truth) <= 0.98


@pytest.mark.parametrize("effects", [normal, skewed])
def test_percentiles_of_a_bootstrap_do_not(effects):
    for count in (2, 3):
        groups = groups_of(SPEAKERS, count)
        values = simulate(np.random.default_rng(count), groups, effects)
        assert coverage(percentile_interval(values, groups), TRUTH[count]) < 0.91
    # pooled over counts, resamples favour mixtures of few speakers, whose means are higher
    groups = groups_of(SPEAKERS, *COUNTS)
    values = simulate(np.random.default_rng(0), groups, effects)
    low, high = percentile_interval(values, groups)
    assert coverage((low, high), np.mean([TRUTH[len(group)] for group in groups])) < 0.6
    # so the mean itself lies near or below the lower limit
    assert np.mean(values.mean(axis=0) - low) < 0.1 * np.mean(high - low)


def test_mixtures_drawn_at_random_among_more_speakers():
    rng = np.random.default_rng(4)
    groups = [tuple(rng.choice(18, count, replace=False)) for count in (2, 3) for _ in range(300)]
    values = simulate(rng, groups, normal, trials=1000)
    assert 0.93 <= coverage(ours(values, groups, [len(group) for group in groups]), 8.75) <= 0.975


def brute_force(values, speakers, counts):
    """The jackknife of the docstring, one speaker and one count after another."""
    found, fewest = {}, 10**9
    for count in set(counts):
        rows = [row for row in range(len(values)) if counts[row] == count]
        people = {name for row in rows for name in speakers[row]}
        fewest = min(fewest, len(people))
        for name in people:
            without = np.mean([values[row] for row in rows if name not in speakers[row]])
            change = np.mean([values[row] for row in rows]) - without
            scale = np.sqrt((len(people) - 1) / len(people)) / len(set(counts))
            found[name] = found.get(name, 0.0) + scale * change
    mean = np.mean([np.mean([v for v, c in zip(values, counts) if c == count]) for count in set(counts)])
    half = stats.t.ppf(0.975, fewest - 1) * np.sqrt(sum(change**2 for change in found.values()))
    return mean - half, mean + half


def test_sets_of_different_speakers_and_sizes_against_brute_force():
    rng = np.random.default_rng(5)
    groups = [tuple(rng.choice(9, 2, replace=False)) for _ in range(40)]
    groups += [tuple(5 + rng.choice(7, 3, replace=False)) for _ in range(15)] + [(member,) for member in range(4)] * 2
    values, counts = rng.standard_normal(len(groups)), [len(group) for group in groups]
    expected = brute_force(values, named(groups), counts)
    assert speaker_interval(values, named(groups), counts)[0] == pytest.approx(expected, abs=1e-12)


def test_single_speakers_have_students_interval():
    values = np.random.default_rng(2).standard_normal(30)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert speaker_interval(values, [(str(index),) for index in range(30)], level=0.9)[0] == pytest.approx(expected)


@pytest.mark.parametrize("count", COUNTS)
def test_effects_of_speakers_alone_have_students_interval_of_the_effects(count):
    effects = np.random.default_rng(6).standard_normal(SPEAKERS)
    groups = groups_of(SPEAKERS, count)
    values = np.array([effects[list(group)].mean() for group in groups])
    expected = stats.ttest_1samp(effects, 0.0).confidence_interval(0.95)
    assert speaker_interval(values, named(groups))[0] == pytest.approx(expected)


def test_each_count_weighs_the_same_whatever_its_number_of_mixtures():
    values = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [4.0, 2.0]])
    assert mean_over_counts(values, [2, 2, 2, 3]).tolist() == [2.5, 1.0]
    # repeating the mixtures of one count adds no speaker, so the interval stays
    groups = groups_of(5, 2, 3)
    values = np.random.default_rng(7).standard_normal(len(groups))
    again = [index for index, group in enumerate(groups) for _ in range(3 if len(group) == 2 else 1)]
    once = speaker_interval(values, named(groups), [len(group) for group in groups])
    assert speaker_interval(values[again], named(groups[i] for i in again), [len(groups[i]) for i in again])[
        0
    ] == pytest.approx(once[0])


@pytest.mark.parametrize("speakers", [
    [("a",)] * 5,
    [("a", "b")] * 5,
    [("a", "b"), ("b", "a")],
    [("a", "b"), ("a", "c"), ("a", "d")],
], ids=["one speaker", "one pair", "one pair in any order", "one speaker in all"])
def test_no_interval_where_a_speaker_is_in_all_mixtures(speakers):
    values = np.arange(len(speakers) * 2.0).reshape(-1, 2)
    assert speaker_interval(values, speakers) == [None, None]
    # nor of a joint set in which one count has none
    further = [("a",), ("b",), ("c",)]
    counts = [len(set(names)) for names in [*speakers, *further]]
    if 2 in counts:
        assert speaker_interval(np.arange(len(counts)), [*speakers, *further], counts) == [None]


def test_no_interval_where_names_are_not_as_many_as_speakers():
    # tables of earlier versions cut "spk_1 spk_2" into four, of which one is in all mixtures or, worse, in some
    cut = [("f", "1", "m", "2"), ("f", "2", "m", "1"), ("f", "3", "f", "1"), ("m", "1", "m", "3"), ("m", "4", "x", "5")]
    assert speaker_interval(np.arange(5), cut, [2] * 5) == [None]
    assert speaker_interval(np.arange(5), cut)[0] is not None
    with_joint = [*cut, ("a",), ("b",), ("c",)]
    assert speaker_interval(np.zeros((8, 2)), with_joint, [2] * 5 + [1] * 3) == [None, None]


@pytest.mark.parametrize("groups, least, most", [
    # one speaker in most mixtures: too narrow
    ([(0, other) for other in range(1, 12) for _ in range(3)] + [(1, 2), (3, 4), (5, 6)], 0.90, 0.96),
    # two mixtures of five speakers who never meet: too narrow
    ([tuple(range(5)), tuple(range(5, 10))], 0.88, 0.92),
    # every speaker once: too wide
    ([(2 * pair, 2 * pair + 1) for pair in range(30)], 0.98, 1.0),
], ids=["one in most", "two mixtures", "every speaker once"])
def test_how_often_uneven_draws_cover(groups, least, most):
    for effects in (normal, skewed):
        values = simulate(np.random.default_rng(8), groups, effects) - TRUTH[len(groups[0])]
        assert least <= coverage(ours(values, groups), 0.0) <= most


def test_few_mixtures_give_a_wide_interval():
    low, high = speaker_interval(np.array([1.0, 2.0]), [("a",), ("b",)])[0]
    # one degree of freedom: t is 12.7
    assert (low, high) == pytest.approx((1.5 - 12.706 / 2, 1.5 + 12.706 / 2), abs=1e-3)


def test_limits_stay_within_the_bounds_of_the_score():
    values, speakers = np.array([0.0, 1.0, 1.0, 1.0]), [("a",), ("b",), ("c",), ("d",)]
    low, high = speaker_interval(values, speakers, bounds=(0.0, 1.0))[0]
    assert (low, high) == (0.0, 1.0)
    assert speaker_interval(values, speakers)[0][1] > 1.0
    # equal values have an interval of no width
    assert speaker_interval(np.full(4, 30.0), speakers, bounds=(-60.0, 30.0))[0] == (30.0, 30.0)


def test_columns_are_independent_of_one_another():
    values = np.random.default_rng(3).standard_normal((28, 2))
    speakers = named(groups_of(SPEAKERS, 2))
    both = speaker_interval(values, speakers)
    assert np.allclose(both, [speaker_interval(column, speakers)[0] for column in values.T], rtol=1e-12)


def test_bad_input():
    with pytest.raises(ValueError, match="2 values for 1 mixtures"):
        speaker_interval(np.zeros(2), [("a",)])
    with pytest.raises(ValueError, match="0 values"):
        speaker_interval(np.zeros(0), [])
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="expected finite values, got NaN or infinity"):
            speaker_interval(np.array([1.0, bad]), [("a",), ("b",)])
