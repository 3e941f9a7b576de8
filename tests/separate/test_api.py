"""Separation from Python: what the command writes, in one call."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from contrasep_lib import separate
from contrasep_lib.errors import ContrasepError
from contrasep_lib.separate.api import Separated
from contrasep_lib.separate.shipped import FOLDER
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
        ((np.ones(9000), 1), "rate: expected a whole number from 1000 to 768000, got 1"),
        ((tmp_path / "nowhere.wav",), "nowhere.wav: no such audio file"),
        (("x.wav", 8000), "a file knows its own rate"),
    ):
        with pytest.raises(ContrasepError, match=words):
            separate(*arguments, model=model)
    with pytest.raises(ContrasepError, match="at most 5 speakers"):
        separate(voice(0, 1), RATE, model=model, num_spk=6)


@pytest.mark.parametrize("options, words", [
    ({"num_spk": 0}, "num_spk: expected a whole number from 1 to 100, got 0"),
    ({"num_spk": -1}, "num_spk: expected a whole number from 1 to 100, got -1"),
    ({"num_spk": 2.0}, "num_spk: expected a whole number from 1 to 100, got 2.0"),
    ({"num_spk": True}, "num_spk: expected a whole number from 1 to 100, got True"),
    ({"channel": 0}, "channel: expected a whole number from 1 to 1024, got 0"),
    ({"channel": "left"}, "channel: expected a whole number from 1 to 1024, got 'left'"),
    ({"window": 0.05}, "window: expected a number from 1 to 86400, got 0.05"),
    ({"window": 0.999}, "window: expected a number from 1 to 86400, got 0.999"),
    ({"window": float("nan")}, "window: expected a number from 1 to 86400, got nan"),
    ({"window": None}, "window: expected a number from 1 to 86400, got None"),
    ({"threads": 0}, "threads: expected a whole number from 1 to 1024, got 0"),
    ({"threads": None}, "threads: expected a whole number from 1 to 1024, got None"),
    ({"rate": 2000.0}, "rate: expected a whole number from 1000 to 768000, got 2000.0"),
    ({"rate": "2000"}, "rate: expected a whole number from 1000 to 768000, got '2000'"),
    ({"original_rate": "no"}, "original_rate: expected True or False, got 'no'"),
    ({"model": None}, "model: expected a name, a folder or what load_separator returned, got None"),
    ({"model": ""}, "model: expected a name, a folder or what load_separator returned, got ''"),
    ({"model": Path("small")}, "--model ./small: no such folder, nor a model of the package"),
    ({"model": "small", "device": "gpu"}, "device 'gpu': not usable here"),
    ({"model": "small", "device": ["cpu"]}, "device '['cpu']': not usable here"),
    ({"model": "small", "speakers": ["a"]}, "speakers: expected text or None, got ['a']"),
])
def test_arguments_out_of_their_bounds_are_one_line(model, options, words):
    with pytest.raises(ContrasepError) as error:
        separate(voice(0, 0.5), **{"rate": RATE, "model": model} | options)
    assert str(error.value).startswith(words) and "\n" not in str(error.value)


@pytest.mark.parametrize("samples, words", [
    ([[0.1, 0.2], [0.3]], "got list ("), (None, "got object ()"), (np.float64(1), "got float64 ()"),
    (np.zeros((RATE, 0)), f"got ({RATE}, 0)"), (np.zeros((1, RATE)), f"1 to 1024 of them, got (1, {RATE})"),
    (torch.ones(RATE, requires_grad=True), "got Tensor ("), (np.full(RATE, np.inf), "NaN or infinite samples"),
    (np.full(RATE, 1e39), "1 for full scale, got 1e+39"), (np.full(RATE, -1e300), "1 for full scale, got 1e+300"),
    ("x\0.wav", "recording: expected a path"), ("", "recording: expected a path, got ''"),
])
def test_what_is_no_recording_is_one_line(model, samples, words):
    with pytest.raises(ContrasepError) as error:
        separate(samples, None if isinstance(samples, str) else RATE, model=model)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_numbers_of_any_library_are_taken(model, tmp_path):
    samples = np.stack([voice(0, 1), voice(2, 1)], axis=1)
    whole, bounds = np.int64, {"window": np.float32(1), "threads": np.int32(1), "original_rate": np.bool_(True)}
    result = separate(samples, whole(RATE), model=model, num_spk=whole(1), channel=whole(1), **bounds)
    expected = separate(samples, RATE, model=model, num_spk=1, channel=1, window=1, original_rate=True)
    np.testing.assert_array_equal(result.outputs, expected.outputs)
    result.save(tmp_path / "a")
    expected.save(tmp_path / "b")
    assert (tmp_path / "a/recording.json").read_bytes() == (tmp_path / "b/recording.json").read_bytes()
    # the shortest window, many of them
    result = separate(voice(0, 4) + voice(2, 4), RATE, model=model, num_spk=2, window=1)
    assert len(result.details["windows"]) > 3 and result.outputs.shape == (2, 4 * RATE)


def test_a_path_is_the_folder_of_a_model():
    found = separate(0.1 * np.random.default_rng(0).standard_normal(2000), 8000, num_spk=1, model=FOLDER / "small")
    assert found.details["model"] == "small" and found.count == 1


@pytest.mark.parametrize("options, words", [
    ({"form": "mp3"}, "form: expected one of wav, flac, float, got 'mp3'"),
    ({"form": None}, "form: expected one of wav, flac, float, got None"),
    ({"form": ["wav"]}, "form: expected one of wav, flac, float, got ['wav']"),
    ({"rest": 2}, "rest: expected True or False, got 2"),
    ({"normalize": "no"}, "normalize: expected True or False, got 'no'"),
    ({"overwrite": "no"}, "overwrite: expected True or False, got 'no'"),
    ({"name": 3}, "name: expected a name without folders"), ({"name": ""}, "name: expected a name without folders"),
    ({"name": ".."}, "name: expected a name without folders"), ({"name": "a\0"}, "name: expected a name without"),
    ({"name": "caf\udce9"}, "name: expected a name without folders, in UTF-8, got 'caf\\udce9'"),
    ({"folder": None}, "folder: expected a path, got None"), ({"folder": b"x"}, "folder: expected a path, got b'x'"),
])
def test_arguments_of_save_are_one_line_and_nothing_is_written(saved, tmp_path, options, words):
    with pytest.raises(ContrasepError) as error:
        saved.save(**{"folder": tmp_path / "out"} | options)
    assert str(error.value).startswith(words) and "\n" not in str(error.value) and not list(tmp_path.iterdir())
    str(error.value).encode()


@pytest.fixture(scope="module")
def saved(model):
    return separate(voice(0, 1), RATE, model=model, num_spk=1)
