"""The bootstrap over speakers against models of known variance."""

import itertools

import numpy as np
import pytest

from contrasep_lib.score.bootstrap import speaker_interval


def pairs(speakers):
    return [(f"s{a}", f"s{b}") for a, b in itertools.combinations(range(speakers), 2)]


def simulate(rng, speakers, of_speaker, of_pair):
    """Pair (a, b) scores effect a + effect b + its own; the true mean is 0."""
    effect = of_speaker * rng.standard_normal(speakers)
    return np.array([effect[a] + effect[b] for a, b in itertools.combinations(range(speakers), 2)]) + (
        of_pair * rng.standard_normal(speakers * (speakers - 1) // 2)
    )


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    speakers, trials = 20, 150
    covered, width, naive = 0, [], 0
    for seed in range(trials):
        values = simulate(rng, speakers, 1.0, 0.5)
        low, high = speaker_interval(values, pairs(speakers), 300, seed)[0]
        covered += low <= 0 <= high
        width.append(high - low)
        half = 1.96 * values.std() / np.sqrt(len(values))
        naive += abs(values.mean()) <= half
    assert 0.86 <= covered / trials <= 0.99
    # the variance of the mean is 4 / speakers + 0.25 / pairs
    assert np.mean(width) == pytest.approx(2 * 1.96 * np.sqrt(4 / 20 + 0.25 / 190), rel=0.12)
    # as if the pairs were independent: far too sure
    assert naive / trials < 0.7


def test_single_speakers_reduce_to_the_plain_bootstrap():
    rng = np.random.default_rng(2)
    values = rng.standard_normal(400)
    low, high = speaker_interval(values, [(str(index),) for index in range(400)], 2000)[0]
    assert (high - low) == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert low < values.mean() < high


def test_weights_are_products_of_multiplicities():
    # two speakers, mixtures (a, a') of each alone and of both: enumerate the resamples aa, ab, ba, bb
    values = np.array([0.0, 1.0, 5.0])
    speakers = [("a",), ("b",), ("a", "b")]
    low, high = speaker_interval(values, speakers, 4000, level=0.9)[0]
    # aa: 0; bb: 1; ab and ba: (0 + 1 + 5) / 3
    assert low == 0.0 and high == 2.0


def test_same_seed_same_interval_and_columns_share_resamples():
    rng = np.random.default_rng(3)
    values = simulate(rng, 8, 1.0, 0.2)
    once = speaker_interval(np.stack([values, values + 1], axis=1), pairs(8), 500, seed=7)
    assert once == speaker_interval(np.stack([values, values + 1], axis=1), pairs(8), 500, seed=7)
    assert once[0] == pytest.approx(speaker_interval(values, pairs(8), 500, seed=7)[0])
    assert once[1] == pytest.approx(np.array(once[0]) + 1)
    assert once[0] != speaker_interval(values, pairs(8), 500, seed=8)[0]


@pytest.mark.parametrize("speakers", [[("a",)] * 5, [("a", "b")] * 5, [("a", "b"), ("b", "a")]])
def test_no_interval_where_all_mixtures_have_the_same_speakers(speakers):
    values = np.arange(len(speakers) * 2.0).reshape(-1, 2)
    assert speaker_interval(values, speakers) == [None, None]


def test_resamples_without_a_whole_mixture_are_drawn_again():
    # most resamples of 6 speakers hold no group of 5
    groups = [tuple(f"s{index}" for index in group) for group in itertools.combinations(range(6), 5)]
    low, high = speaker_interval(np.arange(6.0), groups, 200)[0]
    assert 0 <= low < high <= 5


def test_bad_input():
    with pytest.raises(ValueError, match="2 values for 1 mixtures"):
        speaker_interval(np.zeros(2), [("a",)])
    with pytest.raises(ValueError, match="0 values"):
        speaker_interval(np.zeros(0), [])
