"""Statistics of Gaussian samples of known parameters, and against other computations of the same."""

import math

import numpy as np
import pytest
import scipy.stats

from contrasep_lib.prosody.statistics import (
    divergences,
    gaussian_kl,
    jackknife,
    mean_over_speakers,
    one_way,
    pair_correlations,
)


def groups(rng, sizes, icc, columns=1):
    """Units of unit variance, a share ``icc`` of which lies between groups."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    own = rng.standard_normal((len(sizes), columns))[group]
    return math.sqrt(icc) * own + math.sqrt(1 - icc) * rng.standard_normal((len(group), columns)), group


def test_f_ratio_is_that_of_scipy(rng):
    values, group = groups(rng, [3, 7, 2, 9, 5], 0.3)
    f, _ = scipy.stats.f_oneway(*(values[group == number, 0] for number in range(5)))
    found = one_way(5 + 100 * values, group)
    assert found.f.value == pytest.approx(f) and (found.speakers, found.units) == (5, 26)


def test_icc_of_equal_groups_is_the_textbook_formula(rng):
    values, group = groups(rng, [4] * 6, 0.5)
    rows = values.reshape(6, 4)
    between = 4 * rows.mean(1).var(ddof=1)
    within = rows.var(1, ddof=1).mean()
    assert one_way(values, group).icc.value == pytest.approx((between - within) / (between + 3 * within))


@pytest.mark.parametrize("icc", [0.0, 0.2, 0.8])
def test_intervals_hold_the_known_icc(rng, icc):
    held, values = 0, []
    for _ in range(150):
        sample, group = groups(rng, rng.integers(2, 12, 25), icc)
        found = one_way(sample, group).icc
        values.append(found.value)
        held += found.interval[0] <= icc <= found.interval[1]
    assert np.mean(values) == pytest.approx(icc, abs=0.03)
    assert 0.88 <= held / 150 <= 0.99


def test_several_columns_are_added_up_in_their_own_units(rng):
    values, group = groups(rng, [30] * 60, 0.4, columns=3)
    found = one_way(values * [1, 100, 0.01], group)
    assert found.icc.value == pytest.approx(0.4, abs=0.06)
    # columns of one kind give what one of them gives
    alone = one_way(values[:, :1], group)
    twice = one_way(values[:, [0, 0]], group)
    assert twice.icc.value == pytest.approx(alone.icc.value) and twice.f.interval == pytest.approx(alone.f.interval)


def test_leaving_out_is_leaving_out(rng):
    values, group = groups(rng, [3, 7, 2, 9, 5, 4], 0.3)
    whole = one_way(values, group)
    logs = [math.log(one_way(values[group != number], group[group != number]).f.value) for number in range(6)]
    expected = jackknife(math.log(whole.f.value), np.array(logs))
    assert np.log(whole.f.interval) == pytest.approx(expected.interval)


def test_correlations_are_those_of_the_pairs(rng):
    """Against all pairs one by one."""
    speaker = np.array([0, 0, 1, 1, 1, 2, 3])
    utterance = np.repeat(np.arange(7), [4, 3, 2, 5, 3, 6, 4])
    values = rng.standard_normal((len(utterance), 2)) + speaker[utterance][:, None]
    own = speaker[utterance]
    weight = 1 / np.bincount(own)[own] / 4
    mean = (weight[:, None] * values).sum(0)
    x = (values - mean) / np.sqrt((weight[:, None] * (values - mean) ** 2).sum(0))
    kinds = {name: {} for name in ("same_utterance", "other_utterance", "other_speaker")}
    for i in range(len(x)):
        for j in range(len(x)):
            product = float(x[i] @ x[j] / 2)
            if i == j:
                continue
            if own[i] != own[j]:
                kinds["other_speaker"].setdefault((own[i], own[j]), []).append(product)
            else:
                same = "same_utterance" if utterance[i] == utterance[j] else "other_utterance"
                kinds[same].setdefault(own[i], []).append(product)
    found = pair_correlations(values, utterance, speaker)
    for name, products in kinds.items():
        assert found[name].value == pytest.approx(np.mean([np.mean(one) for one in products.values()])), name


def test_correlations_of_known_components(rng):
    """Shares of the variance of speaker, utterance and frame: 0.5, 0.2, 0.3."""
    speaker = np.repeat(np.arange(200), 4)
    utterance = np.repeat(np.arange(800), 50)
    own, session = rng.standard_normal(200)[speaker][utterance], rng.standard_normal(800)[utterance]
    parts = (own, session, rng.standard_normal(40000))
    values = sum(math.sqrt(share) * part for share, part in zip((0.5, 0.2, 0.3), parts))[:, None]
    found = pair_correlations(3 + 7 * values, utterance, speaker)
    assert found["same_utterance"].value == pytest.approx(0.7, abs=0.05)
    assert found["other_utterance"].value == pytest.approx(0.5, abs=0.06)
    assert found["other_speaker"].value == pytest.approx(0.0, abs=0.01)
    assert found["other_utterance"].interval[0] < 0.5 < found["other_utterance"].interval[1]


def test_divergence_of_normal_distributions(rng):
    known = gaussian_kl(np.zeros(1), np.eye(1), np.array([1.0]), 4 * np.eye(1))
    assert known == pytest.approx(math.log(2) + (1 + 1) / 8 - 0.5)
    assert gaussian_kl(np.ones(3), np.eye(3), np.ones(3), np.eye(3)) == pytest.approx(0, abs=1e-12)
    # against the mean of the log ratio of densities
    a = rng.standard_normal((3, 3))
    cov, other, shift = a @ a.T + np.eye(3), np.diag([1.0, 2.0, 3.0]), np.array([1.0, -1.0, 0.5])
    first, second = scipy.stats.multivariate_normal(np.zeros(3), cov), scipy.stats.multivariate_normal(shift, other)
    drawn = first.rvs(200000, random_state=1)
    assert gaussian_kl(np.zeros(3), cov, shift, other) == pytest.approx(
        np.mean(first.logpdf(drawn) - second.logpdf(drawn)), rel=0.02
    )


def test_divergences_within_and_between_speakers(rng):
    """Speakers at N(+-1, 1), alternately: half of the other speakers are 2 away (2 nats), half nowhere."""
    speaker = np.repeat(np.arange(60), 2)
    utterance = np.repeat(np.arange(120), 400)
    values = (2.0 * (speaker % 2) - 1)[utterance] + rng.standard_normal(len(utterance))
    found = divergences(values[:, None], utterance, speaker, rng)
    assert 0 <= found["within"].value < 0.01
    assert found["between"].value == pytest.approx(1.0, abs=0.35)
    one_each = divergences(values[:, None], utterance, np.arange(120), rng)
    assert math.isnan(one_each["within"].value) and one_each["within"].interval is None


def test_few_speakers_have_no_interval(rng):
    values, group = groups(rng, [5, 5], 0.2)
    assert one_way(values, group).icc.interval is None
    assert mean_over_speakers(np.array([1.0, math.nan])).interval is None
    assert math.isnan(mean_over_speakers(np.array([math.nan])).value)
    assert mean_over_speakers(np.array([1.0])).tree() == {"value": 1.0, "interval": None}
    with pytest.raises(ValueError, match="expected two speakers"):
        one_way(values[:5], group[:5])
    with pytest.raises(ValueError, match="2 speakers and 2 units"):
        one_way(values[[0, 5]], group[[0, 5]])
