"""tools/bench/count_study.py: recordings of any duration, calibration, fits on one corpus judged on the other."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from contrasep_lib.errors import ContrasepError

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "tools" / name) for name in ("bench", "")]
import count_study  # noqa: E402


class Singles:
    """Single speakers: a constant of its own each, so that a mixture says who is in it."""

    rate = 100
    keys = ["a1", "a2", "b1", "c1"]
    speakers = {key: (key[0],) for key in keys}

    def mixture(self, key):
        return np.full(300, {"a": 1.0, "b": 2.0, "c": 4.0}[key[0]], dtype=np.float32)


def test_a_mixture_has_its_duration_speakers_and_silence():
    talk = count_study.Talk(Singles())
    samples, names = talk.mixture(2, 8.0, trial=0)
    assert samples.shape == (800,) and len(set(names)) == 2 and np.abs(samples).max() == pytest.approx(0.3)
    assert np.array_equal(samples, talk.mixture(2, 8.0, trial=0)[0]) and (samples > 0).all()
    quiet, same = talk.mixture(2, 8.0, trial=0, silence=0.25)
    assert same == names and (quiet == 0).sum() == 200
    noisy, _ = talk.mixture(2, 8.0, trial=0, snr=10.0)
    # the speech is constant: what varies is noise, 10 dB below it
    assert 10 * np.log10(noisy.mean() ** 2 / noisy.var()) == pytest.approx(10, abs=1)
    assert len({tuple(talk.mixture(2, 8.0, trial)[1]) for trial in range(20)}) > 1


def test_the_temperature_of_scores_is_found(rng):
    scores = log_softmax(rng.standard_normal((4000, 5)) * 2, axis=1)
    truth = np.array([rng.choice(5, p=chance) for chance in softmax(scores, axis=1)]) + 1
    assert count_study.temperature(scores, truth) == pytest.approx(1, abs=0.1)
    assert count_study.temperature(3 * scores, truth) == pytest.approx(3, abs=0.3)


def test_calibration_error_is_that_of_confidence():
    chance = np.array([[0.95, 0.05]] * 10)
    truth = np.array([1] * 7 + [2] * 3)
    assert count_study.calibration_error(chance, truth) == pytest.approx(0.25)
    assert count_study.reliability(chance, truth) == [(1.0, pytest.approx(0.95), pytest.approx(0.7))]
    assert count_study.calibration_error(np.array([[1.0, 0.0]]), np.array([1])) == 0


def rows(corpora, rng):
    """Recordings whose classifier is right where it is certain, and whose effective number is the count."""
    for corpus in corpora:
        for trial in range(12):
            for seconds in count_study.DURATIONS:
                for count in count_study.COUNTS:
                    scores = log_softmax(np.where(np.arange(5) == count - 1, 2.0, 0.0) + 1.5 * rng.standard_normal(5))
                    yield {
                        "corpus": corpus, "condition": "speech", "seconds": str(seconds), "trial": str(trial),
                        "speakers": f"{trial},{trial + 1}", "num_spk": str(count), "by_effective": str(count),
                        "effective": f"{count + 0.1 * rng.random():.4f}",
                        **dict(zip(count_study.SCORES, map(str, scores))),
                    }  # fmt: skip


def test_what_is_fitted_on_one_corpus_is_judged_on_the_other(rng, tmp_path):
    table = tmp_path / "counts.tsv"
    lines = list(rows(("x", "y"), rng))
    text = ["\t".join(count_study.COLUMNS), *("\t".join(line[name] for name in count_study.COLUMNS) for line in lines)]
    table.write_text("\n".join(text) + "\n")
    found = count_study.Lines(count_study.read(table))
    right = {name: values.mean() for name, values in found.right().items()}
    assert right["effective number"] == 1 and right["both"] > 0.9 > right["classifier"] > 0.5
    printed = "\n".join(count_study.tables(found))
    assert "| x | speech | 8 | effective number | 100 | 100 | 100 | 100 | 100 | 100.0 |" in printed
    assert "| y | effective number | +" in printed
    count_study.draw(found, tmp_path / "counts.png")
    assert (tmp_path / "counts.png").stat().st_size > 10000


def test_tables_that_do_not_serve_are_one_line(rng, tmp_path):
    with pytest.raises(ContrasepError, match="recordings of two corpora, got 'x' alone"):
        count_study.Lines(list(rows(("x",), rng)))
    with pytest.raises(ContrasepError, match="count_study.py measure makes it"):
        count_study.read(tmp_path / "none.tsv")
    (tmp_path / "other.tsv").write_text("a\tb\n")
    with pytest.raises(ContrasepError, match="expected the columns"):
        count_study.read(tmp_path / "other.tsv")
