"""Separation from Python: what the command writes, in one call."""

import json

import numpy as np
import pytest
import soundfile

from contrasep_lib import separate
from contrasep_lib.errors import ContrasepError
from contrasep_lib.separate.api import Separated
from tests.separate.test_files import RATE, outputs, run, separator, voice


@pytest.fixture(scope="module")
def model():
    return separator()


def test_it_is_what_the_command_writes(model, tmp_path):
    samples = voice(0, 3) + voice(2, 3) + 0.1
    soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT")
    run([tmp_path / "x.wav"], tmp_path / "command", rest=True)
    result = separate(tmp_path / "x.wav", model=model)
    assert isinstance(result, Separated) and (result.count, result.rate, result.name) == (2, RATE, "x")
    assert result.outputs.shape == (2, len(samples)) and result.outputs.dtype == np.float32
    assert result.probabilities == () and [each.kind for each in result.warnings] == ["content"]
    paths = result.save(tmp_path / "python", rest=True)
    assert [path.name for path in paths] == ["x_spk1.wav", "x_spk2.wav", "x_rest.wav"]
    for path in (tmp_path / "command").iterdir():
        assert (tmp_path / "python" / path.name).read_bytes() == path.read_bytes(), path.name
    got, content = outputs(tmp_path / "python", "x")
    np.testing.assert_allclose(got, result.outputs, atol=0.51 / 32768)
    assert content["probabilities"] == [] and content["file"] == "x.wav"
    with pytest.raises(ContrasepError, match="x.json is already there; use overwrite=True"):
        result.save(tmp_path / "python")
    result.save(tmp_path / "python", form="float", overwrite=True, name="y")
    assert (tmp_path / "python" / "y_spk2.wav").is_file()
    with pytest.raises(ContrasepError, match="expected a name without folders"):
        result.save(tmp_path / "python", name="../y")


def test_a_recording_is_never_replaced_by_its_own_outputs(model, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "x_spk1.wav", voice(0, 1) + voice(2, 1), RATE)
    before = (tmp_path / "x_spk1.wav").read_bytes()
    monkeypatch.chdir(tmp_path)
    result = separate("x_spk1.wav", model=model, num_spk=2)
    assert result.file == tmp_path / "x_spk1.wav" and separate(voice(0, 1), RATE, model=model, num_spk=1).file is None
    for overwrite in (False, True):
        with pytest.raises(ContrasepError, match="is the recording, and is not replaced; use another folder"):
            result.save(tmp_path, name="x", overwrite=overwrite)
    assert (tmp_path / "x_spk1.wav").read_bytes() == before
    assert [path.name for path in result.save(tmp_path)] == ["x_spk1_spk1.wav", "x_spk1_spk2.wav"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, np.int32])
def test_samples_of_any_type_and_number_of_channels(model, dtype):
    samples = np.stack([voice(0, 2), voice(2, 2)], axis=1)
    scale = 1 if np.dtype(dtype).kind == "f" else -float(np.iinfo(dtype).min)
    result = separate((samples * scale).astype(dtype), RATE, model=model, num_spk=2, original_rate=True)
    assert result.details["count"] == "given" and result.details["file_channels"] == 2
    expected = samples.mean(1) - samples.mean()
    np.testing.assert_allclose(result.outputs.sum(0) + result.rest, expected, atol=1e-4)
    assert json.dumps(result.details["windows"][0]["speakers"]) == "[1, 2]"


def test_wrong_calls(model, tmp_path):
    for arguments, words in (
        ((np.zeros(9),), "their rate is needed"),
        ((np.zeros((2, 2, 2)), 8000), r"expected numbers \(samples,\)"),
        ((np.array(["a"]), 8000), "expected numbers"),
        ((np.zeros(9000), 8000), "samples: nothing but silence"),
        ((np.zeros(0), 8000), "samples: no samples in it"),
        ((np.ones(9000), 1), "expected a rate from 1000"),
        ((tmp_path / "nowhere.wav",), "nowhere.wav: no such audio file"),
        (("x.wav", 8000), "a file knows its own rate"),
    ):
        with pytest.raises(ContrasepError, match=words):
            separate(*arguments, model=model)
    with pytest.raises(ContrasepError, match="at most 5 speakers"):
        separate(voice(0, 1), RATE, model=model, num_spk=6)
