"""tools/bench/signatures.py: rates and curves of failure signatures."""

import importlib
import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve


@pytest.fixture(scope="module")
def bench():
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools/bench"))
    return importlib.import_module("signatures")


def made(bench, count=60, seed=0):
    """Three partitions of each of ``count`` mixtures of two corpora; one in three fails, with larger conductance."""
    rng, values = np.random.default_rng(seed), []
    for number in range(count):
        gain = -1.0 if number % 3 == 0 else 8.0
        for communities in (1, 2, 3):
            fields = rng.normal(0.5 if gain > 3 else 0.8, 0.2, 4).round(1).tolist()
            corpus = ("commonvoice_2mix", "librispeech_2mix")[number // 2 % 2]
            found = gain if communities == 2 else math.nan
            values.append(bench.Values(corpus, f"m{number}", 2, communities, *fields, 80.0, found))
    return values


@pytest.mark.parametrize("large", [True, False])
def test_curves_are_those_of_scikit_learn(bench, large):
    rng = np.random.default_rng(1)
    # with values that stand in both, and one that is not known
    good, fails = rng.normal(0, 1, 50).round(1).tolist(), [*rng.normal(1, 1, 30).round(1), math.nan]
    low, high = bench.curve(good, fails, large)
    truth = np.repeat([0, 1], [50, 30])
    scores = np.array([*good, *fails[:-1]]) * (1 if large else -1)
    false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(low, false, atol=1e-12)
    np.testing.assert_allclose(high, true, atol=1e-12)
    area = roc_auc_score(truth, scores)
    below = np.diff(low) @ (np.array(high[1:]) + high[:-1]) / 2
    assert below == pytest.approx(area) == pytest.approx(bench._area(good, fails, large))


def test_rates_are_of_every_second_mixture(bench):
    values = made(bench)
    judged, others = bench.halves(values)
    assert {each.utterance for each in judged} == {f"m{number}" for number in range(0, 60, 2)}
    assert not {each.utterance for each in judged} & {each.utterance for each in others}
    found = {(each.signature, each.label, each.corpus): each for each in bench.rates(values, 3.0, 0.05)}
    one = found["poor clustering", "in use", "all"]
    assert (one.good, one.fails) == (20, 10)
    good, fails = bench.good_and_failing(judged, "conductance", 0, 3.0)
    assert one.fails_raised == sum(value > one.limit for value in fails) and len(good) == 20
    assert found["over-segmentation", "in use", "all"].fails == 30
    parts = [found["poor clustering", "in use", name] for name in ("commonvoice", "librispeech")]
    assert sum(part.good for part in parts) == 20


def test_the_picture_is_drawn(bench, tmp_path):
    bench.draw(made(bench), 3.0, tmp_path / "roc.png")
    bench.draw(made(bench), 3.0, tmp_path / "again.png")
    assert (tmp_path / "roc.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    # nothing fails, nothing is good
    for least in (-100.0, 100.0):
        bench.draw(made(bench), least, tmp_path / "bare.png")
    assert (tmp_path / "bare.png").stat().st_size > 5000
