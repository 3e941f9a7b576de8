"""Generated conversations: turns lie where the truth says, nobody talks twice at once, a seed gives the same."""

import numpy as np
import pytest

from contrasep_lib.mix.conversation import converse

RATE = 1000


def talkers(count, utterances=4):
    def load(who, which):
        rng = np.random.default_rng([who, which])
        return lambda: rng.standard_normal(round(RATE * (3 + which))).astype(np.float32) + 0.01

    return [[load(who, which) for which in range(utterances)] for who in range(count)]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_turns_are_where_the_truth_says(count):
    made = converse(talkers(count), 300, RATE, np.random.default_rng(count))
    assert made.sources.shape == (count, 300 * RATE) and made.sources.dtype == np.float32
    spoken = np.zeros(made.sources.shape, bool)
    for start, stop, talker in made.turns:
        assert 0 <= start < stop <= 300 * RATE and not spoken[talker, start:stop].any()
        spoken[talker, start:stop] = True
        assert (made.sources[talker, start:stop] != 0).mean() > 0.95
    assert not made.sources[~spoken].any()
    heard = spoken.sum(axis=0)
    assert 0.02 < (heard > 1).sum() / (heard > 0).sum() < 0.5 and (heard == 0).mean() > 0.05
    assert all(share > 0.02 for share in spoken.mean(axis=1))
    level = [np.sqrt(np.mean(np.square(source[where]))) for source, where in zip(made.sources, spoken)]
    assert max(level) / min(level) < 10 ** (9 / 20)


def test_the_seed_decides():
    one, same, other = (converse(talkers(2), 30, RATE, np.random.default_rng(seed)).sources for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_one_talker():
    made = converse(talkers(1, 1), 30, RATE, np.random.default_rng(0))
    assert made.turns and {talker for _, _, talker in made.turns} == {0}
