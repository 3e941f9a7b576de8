"""Activity, RTTM and the diarisation error rate: by hand and, where it is installed, against pyannote.metrics."""

import numpy as np
import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.rttm import Turn, frames_of, read_rttm, turns_of, write_rttm
from contrasep_lib.nodes.activity import PowerMeter, active_frames, active_outputs, frame_power, smoothed
from contrasep_lib.score.diarisation import diarisation_error

RATE = 8000


def activity(*turns, speakers=2, seconds=10):
    return frames_of([Turn(a, b, str(who)) for a, b, who in turns], [str(k) for k in range(speakers)], 100 * seconds)


def test_errors_by_hand():
    reference = activity((0, 4, 0), (3, 8, 1))
    same = diarisation_error(reference, reference[::-1])
    assert same.rate == 0 and same.speech == pytest.approx(9) and same.mapping == {0: 1, 1: 0}
    # a second too much, one missed, two of the other speaker
    found = diarisation_error(reference, activity((0, 4, 0), (4, 6, 1), (6, 9, 0)))
    assert (found.missed, found.false_alarm) == pytest.approx((1, 1)) and found.confusion == pytest.approx(2)
    assert found.rate == pytest.approx(4 / 9)
    # one hypothesis for two speakers, none at all, and more than there are
    assert diarisation_error(reference, activity((0, 8, 0), speakers=1)).rate == pytest.approx((1 + 3) / 9)
    assert diarisation_error(reference, np.zeros((0, 1000), bool)).rate == 1
    assert diarisation_error(reference, activity((0, 4, 0), (3, 8, 1), speakers=4)).rate == 0
    assert np.isnan(diarisation_error(activity(), activity((0, 1, 0))).rate)


def test_collar_leaves_edges_out():
    reference, late = activity((1, 4, 0), (5, 8, 1)), activity((1.2, 4.2, 0), (5, 8, 1))
    assert diarisation_error(reference, late).rate == pytest.approx(0.4 / 6)
    within = diarisation_error(reference, late, collar=0.25)
    assert within.rate == 0 and within.speech == pytest.approx(5)


@pytest.mark.parametrize("collar", [0.0, 0.25])
def test_as_pyannote_counts(collar):
    core = pytest.importorskip("pyannote.core", reason="pyannote.metrics is not installed")
    metrics = pytest.importorskip("pyannote.metrics.diarization", reason="pyannote.metrics is not installed")
    rng = np.random.default_rng(0)
    for speakers, others in ((2, 2), (3, 4), (4, 2)):
        parts = []
        for count in (speakers, others):
            turns = []
            for who in range(count):
                edges = np.cumsum(rng.integers(30, 400, 20)) / 100
                turns += [Turn(a, b, f"s{who}") for a, b in zip(edges[::2], edges[1::2])]
            parts.append(turns)
        annotations = []
        for turns in parts:
            annotation = core.Annotation()
            for number, turn in enumerate(turns):
                annotation[core.Segment(turn.start, turn.stop), number] = turn.speaker
            annotations.append(annotation)
        end = max(turn.stop for turns in parts for turn in turns)
        judge = metrics.DiarizationErrorRate(collar=2 * collar, skip_overlap=False)
        expected = judge(*annotations, uem=core.Timeline([core.Segment(0, end)]))
        frames = [
            frames_of(turns, sorted({turn.speaker for turn in turns}), round(100 * end)) for turns in parts
        ]
        assert diarisation_error(*frames, collar=collar).rate == pytest.approx(expected, abs=2e-3)


def test_rttm_there_and_back(tmp_path):
    turns = turns_of(activity((0, 4, 0), (3, 8.25, 1), (9, 9.5, 0)), ["spk1", "spk2"])
    write_rttm(tmp_path / "x.rttm", "my talk", turns)
    lines = (tmp_path / "x.rttm").read_text().splitlines()
    assert lines[1] == "SPEAKER my_talk 1 3.00 5.25 <NA> <NA> spk2 <NA> <NA>"
    read = read_rttm(tmp_path / "x.rttm")
    assert [turn.speaker for turn in read] == ["spk1", "spk2", "spk1"]
    np.testing.assert_allclose([[t.start, t.stop] for t in read], [[t.start, t.stop] for t in turns], atol=1e-9)
    (tmp_path / "bad.rttm").write_text("SPKR-INFO x\nSPEAKER x 1 a 2 <NA> <NA> s <NA> <NA>\n")
    with pytest.raises(ContrasepError, match="bad.rttm:2: expected 'SPEAKER"):
        read_rttm(tmp_path / "bad.rttm")
    with pytest.raises(ContrasepError, match="cannot be read"):
        read_rttm(tmp_path / "none.rttm")


def test_activity_of_sources_and_outputs():
    rng = np.random.default_rng(0)
    sources = 1e-4 * rng.standard_normal((2, 10 * RATE)).astype(np.float32)
    expected = activity((1, 4, 0), (3, 3.2, 1), (6, 9, 1))
    sources += np.repeat(expected, RATE // 100, axis=1) * rng.standard_normal(sources.shape).astype(np.float32)
    power = frame_power(sources, RATE)
    np.testing.assert_array_equal(active_frames(power), expected)
    # levels do not matter, nor do blocks
    np.testing.assert_array_equal(active_frames(1e-6 * power), expected)
    meter = PowerMeter(RATE)
    for start in range(0, sources.shape[1], 12345):
        meter.add(sources[:, start : start + 12345])
    np.testing.assert_allclose(meter.power(), power, rtol=1e-5)
    # what an output has of the other is not heard
    mixed = sources + 0.2 * sources[::-1]
    assert active_frames(frame_power(mixed, RATE)).sum() > 1.5 * expected.sum()
    np.testing.assert_array_equal(active_outputs(frame_power(mixed, RATE)), expected)
    # but may be where nobody else is heard alone
    alone = np.where(expected[0], 1, -1)
    assert not active_outputs(frame_power(mixed, RATE), alone)[0].any()


def test_gaps_and_bursts():
    active = np.zeros(200, bool)
    active[10:50] = active[75:120] = active[160:165] = True
    expected = np.zeros(200, bool)
    expected[10:120] = True
    np.testing.assert_array_equal(smoothed(active), expected)
    assert not smoothed(np.zeros(5, bool)).any() and smoothed(np.ones(50, bool)).all()
