"""The bench of noise and rooms: what is given, what is counted, who takes part."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools/bench")]
import degradation  # noqa: E402

rng = np.random.default_rng(0)
SOURCES = rng.standard_normal((2, 8000))
MIXTURE = SOURCES.sum(0)


@pytest.mark.parametrize("heard, counts, right", [(2, True, 1.0), (3, True, 0.0), (3, False, math.nan)])
def test_improvement_is_that_of_the_true_number(heard, counts, right):
    asked = []

    def separate(key, mixture, number):
        asked.append(number)
        noise = rng.standard_normal((number or heard, 8000))
        return 0.1 * noise + np.concatenate([SOURCES, SOURCES])[: number or heard]

    gained, reached, found = degradation.measure(separate, "a", MIXTURE, SOURCES, counts)
    # a hundredth of the power
    assert reached == pytest.approx(20.0, abs=0.5) and gained == pytest.approx(20.0, abs=0.7)
    assert found == pytest.approx(right, nan_ok=True)
    assert asked == ([None] if right == 1 else [None, 2] if counts else [2])


def test_a_mixture_keeps_its_talkers_and_meets_each_ratio():
    points = list(degradation.noisy_points("a", 0.1 * SOURCES, "white", 8000))
    clean = points[0][3]
    for axis, value, mixture, sources in points[:6]:
        assert axis == "snr"
        rest = mixture - sources.sum(0)
        # of one scale: none is clipped
        scale = np.vdot(sources, clean) / np.vdot(clean, clean)
        assert np.abs(sources - scale * clean).max() < 1e-3
        if math.isfinite(value):
            ratio = 10 * math.log10(np.square(sources).sum() / np.square(rest).sum())
            assert ratio == pytest.approx(value, abs=0.5)
        else:
            assert np.abs(rest).max() < 1e-3
