"""Outputs of recordings: level, mean and name do not matter, outputs and rest add up, formats and rates."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import resample_audio
from contrasep_lib.io.recording import ArraySource, read_recording
from contrasep_lib.separate.outputs import Levels, gains_of
from contrasep_lib.separate.recorded import RecordedSeparation, level_gain, side_by_side
from tests.separate.test_files import RATE, outputs, run, separator, snr, voice


def whole(samples, rate=RATE, original=False, window=30, **options):
    """Outputs and the rest, ``(num_spk + 1, samples)``."""
    recording = read_recording(ArraySource(samples, rate), RATE)
    with RecordedSeparation(separator(), recording, window=window, **options) as done:
        return np.concatenate(list(done.blocks(original)), axis=1)


@pytest.fixture(scope="module")
def mixture():
    return voice(0, 3) + voice(2, 3)


def test_the_level_does_not_matter(mixture):
    expected = whole(mixture)
    for power in (-12,):
        np.testing.assert_array_equal(whole(mixture * 2.0**power) / 2.0**power, expected)
    for factor in (1e-3, 300):
        got = whole(mixture * factor) / factor
        assert len(got) == len(expected) == 3 and snr(expected[:2], got[:2]) > 80
    assert level_gain(np.zeros(10)) == level_gain(np.zeros(0)) == 1
    assert 0.07 < np.sqrt(np.mean((mixture * level_gain(mixture)) ** 2)) < 0.15


def test_the_mean_does_not_matter(mixture):
    expected, got = whole(mixture - mixture.mean()), whole(mixture + 0.5)
    assert snr(expected[:2], got[:2]) > 80


@pytest.mark.parametrize("window, num_spk, words", [
    (0.05, None, "window: expected a number from 1"), (float("inf"), 2, "window: expected a number from 1"),
    (30, 0, "num_spk: expected a whole number from 1"), (30, 1.0, "num_spk: expected a whole number from 1"),
])
def test_a_window_too_short_and_no_speaker_are_refused(mixture, window, num_spk, words):
    with pytest.raises(ContrasepError, match=words):
        whole(mixture, window=window, num_spk=num_spk)


@pytest.mark.filterwarnings("ignore:overflow")
def test_samples_beyond_32_bit_floats_are_one_line(mixture, tmp_path):
    soundfile.write(tmp_path / "x.wav", mixture * 1e39, RATE, subtype="DOUBLE")
    _, [error], failed = run([tmp_path / "x.wav"], tmp_path / "out")
    assert failed == 1 and error.startswith(f"{tmp_path}/x.wav: expected 1 for full scale")


def test_neither_the_name_nor_the_time_matters(mixture, tmp_path):
    soundfile.write(tmp_path / "x.wav", mixture, RATE)
    shutil.copy(tmp_path / "x.wav", tmp_path / "another name.wav")
    run([tmp_path / "x.wav", tmp_path / "another name.wav"], tmp_path / "out", rest=True)
    for end in ("spk1", "spk2", "rest"):
        first, second = (tmp_path / "out" / f"{name}_{end}.wav" for name in ("x", "another name"))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("rate, window", [(RATE, 1.5), (4410, 30), (1500, 30)])
def test_outputs_and_the_rest_add_up_to_the_recording_without_its_mean(rate, window):
    seconds = 3.123
    samples = resample_audio(voice(0, seconds) + voice(2, seconds), RATE, rate)
    # what the model does not see, and a pause of which nobody is the talker
    samples += 0.05 * np.random.default_rng(0).standard_normal(len(samples)) + 0.2
    both = np.stack([samples, 0.5 * samples], axis=1)
    expected = 0.75 * (samples - samples.mean())
    got = whole(both, rate, original=True, window=window)
    assert got.shape[1] == len(samples)
    np.testing.assert_allclose(got.sum(0), expected, atol=1e-6)
    at_model = whole(both, rate, window=window)
    np.testing.assert_allclose(at_model.sum(0), resample_audio(expected, rate, RATE), atol=1e-6)


def test_where_nobody_is_heard_everything_is_rest():
    noise = 1e-5 * np.random.default_rng(0).standard_normal(12 * RATE)
    samples = noise.copy()
    for start in (0, 10):
        samples[start * RATE : (start + 2) * RATE] += voice(0, 2) + voice(2, 2)
    for window in (30, 2):
        got = whole(samples, window=window)
        silence = slice(5 * RATE, 6 * RATE)
        assert not got[:-1, silence].any()
        np.testing.assert_allclose(got[-1, silence], noise[silence] - samples.mean(), atol=1e-7)


def test_formats_and_rates(mixture, tmp_path):
    samples = resample_audio(mixture, RATE, 8000)
    soundfile.write(tmp_path / "x.wav", samples, 8000, subtype="FLOAT")
    run([tmp_path / "x.wav"], tmp_path / "float", form="float", original=True, rest=True)
    got, content = outputs(tmp_path / "float", "x")
    rest, rate = soundfile.read(tmp_path / "float" / content["rest"])
    assert rate == content["rate"] == 8000 and content["model_rate"] == RATE and content["gains"] == [1, 1, 1]
    np.testing.assert_allclose(got.sum(0) + rest, samples - samples.mean(), atol=1e-6)
    assert soundfile.info(tmp_path / "float" / "x_spk1.wav").subtype == "FLOAT" and content["format"] == "float"
    run([tmp_path / "x.wav"], tmp_path / "flac", form="flac", original=True)
    flac, content = outputs(tmp_path / "flac", "x")
    assert content["outputs"] == ["x_spk1.flac", "x_spk2.flac"] and content["rest"] is None
    np.testing.assert_allclose(flac, got, atol=0.6 / 32768)
    # one format takes the place of another
    run([tmp_path / "x.wav"], tmp_path / "flac", overwrite=True, normalize=True)
    loud, content = outputs(tmp_path / "flac", "x")
    there = sorted(path.name for path in (tmp_path / "flac").iterdir())
    assert there == ["x.json", "x.rttm", "x_spk1.wav", "x_spk2.wav"]
    np.testing.assert_allclose(np.abs(loud).max(axis=1), 0.9, atol=1e-4)
    assert content["rate"] == RATE and len(set(content["gains"])) == 2


def test_a_quiet_recording_is_not_lost_in_16_bits(mixture, tmp_path):
    for name, factor in (("x", 1.0), ("quiet", 1e-3)):
        soundfile.write(tmp_path / f"{name}.wav", factor * mixture, RATE, subtype="FLOAT")
        run([tmp_path / f"{name}.wav"], tmp_path / "out")
    (expected, plain), (got, content) = outputs(tmp_path / "out", "x"), outputs(tmp_path / "out", "quiet")
    assert plain["gain"] == 1 and np.log2(content["gain"]) % 1 == 0 and 0.25 <= np.abs(got).max() < 0.5
    assert snr(expected, got / content["gain"] * 1e3) > 60


def test_gains():
    levels = Levels.of([np.array([[0.5, -0.2], [0.0, 0.0], [1.5, 0]])])
    assert levels.peaks.tolist() == [0.5, 0, 1.5] and levels.shares == [1, 0]
    assert gains_of(levels, "wav", False, False).tolist() == [1, 1, 1]
    assert gains_of(levels, "wav", False, True) == pytest.approx([0.666] * 3)
    assert gains_of(levels, "float", False, True).tolist() == [1, 1, 1]
    assert gains_of(levels, "flac", True, True) == pytest.approx([1.8, 0.666, 0.666])
    silent = Levels.of([np.zeros((3, 4))])
    assert gains_of(silent, "wav", True, True).tolist() == [1, 1, 1] and silent.shares == [0, 0]


def test_signals_in_blocks_of_other_lengths():
    first, second = np.arange(10).reshape(1, 10), np.arange(12)
    pairs = list(side_by_side([first[:, :3], first[:, :0], first[:, :0], first[:, 3:]], [second[:5], second[5:]]))
    assert [a.shape[-1] for a, _ in pairs] == [3, 2, 5]
    np.testing.assert_array_equal(np.concatenate([a for a, _ in pairs], 1)[0], first[0])
    np.testing.assert_array_equal(np.concatenate([b for _, b in pairs]), second[:10])


def test_a_file_that_changes_between_two_readings(mixture, tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, mixture, RATE)
    recording = read_recording(path, RATE)
    soundfile.write(path, mixture[:-5], RATE)
    with pytest.raises(ContrasepError, match="changed while it was read"):
        list(recording.original())


def test_probabilities_and_warnings_stand_in_the_json(mixture, tmp_path):
    soundfile.write(tmp_path / "x.wav", np.clip(20 * mixture, -1, 1), RATE)
    run([tmp_path / "x.wav"], tmp_path / "out")
    content = json.loads((tmp_path / "out" / "x.json").read_text())
    kinds = [warning["kind"] for warning in content["warnings"]]
    assert "clipped" in kinds and content["probabilities"] == []
    assert run.warnings == [f"{tmp_path}/x.wav: {warning['words']}" for warning in content["warnings"]]
