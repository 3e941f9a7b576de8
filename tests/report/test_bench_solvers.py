"""The bench of solvers: its table, of speakers whose ids hold ``_``."""

import importlib.util
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bench():
    """``tools/bench/solvers.py``."""
    spec = importlib.util.spec_from_file_location("bench_solvers", ROOT / "tools/bench/solvers.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def lines(bench, names, sign):
    """Scores of all pairs of speakers, a better row and the baseline."""
    effects = dict(zip(names, np.random.default_rng(0).normal(1, 1, len(names))))
    for pair in itertools.combinations(names, 2):
        for row, gain in ((bench.BASE, 0.0), ("spectral, Qn", np.mean([effects[name] for name in pair]))):
            yield bench.Score("x_2mix", "+".join(pair), sign.join(pair), row, 8 + gain, *[1.0] * 6)
    yield stats.ttest_1samp(list(effects.values()), 0).confidence_interval(0.95)


@pytest.mark.parametrize("names, sign", [
    ([f"spk_{number}" for number in range(6)], ","),
    # tables of earlier versions
    ([f"spk{number}" for number in range(6)], "_"),
], ids=["ids with the joining sign", "an earlier table"])
def test_intervals_of_differences_are_over_speakers(bench, capsys, names, sign):
    *scores, expected = lines(bench, names, sign)
    bench.report(scores, [bench.BASE, "spectral, Qn"])
    shown = capsys.readouterr().out.splitlines()[3]
    assert f"[{expected.low:+.2f}, {expected.high:+.2f}]" in shown


def test_speakers_of_single_recordings_are_whole(bench):
    assert bench.names_of("spk_1", 1) == ["spk_1"] and bench.names_of("a_b,c", 2) == ["a_b", "c"]
