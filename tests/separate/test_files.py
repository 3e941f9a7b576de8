"""Separation of recordings: the same as of samples, any rate and length, one line for each error."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from contrasep_lib.config import build
from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import resample_audio, resample_blocks
from contrasep_lib.io.recording import read_recording
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.nodes.granularity import TimeFrequency
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.separate import shipped
from contrasep_lib.separate.clustering_state import ClusteringState
from contrasep_lib.separate.files import Request, seconds_in, separate_files
from contrasep_lib.separate.inputs import Input, inputs_of
from contrasep_lib.separate.long import LongSeparation, spans_of
from contrasep_lib.separate.model_separator import ModelSeparator
from contrasep_lib.separate.options import SeparateOptions
from contrasep_lib.separate.shipped import NamedSeparator

ROOT = Path(__file__).resolve().parents[2]
FEATURES = FeatureOptions(128, 64)
RATE = 2000


class Voices(torch.nn.Module):
    """Embeds a unit by its frequency: each talker has a band of their own, and a direction."""

    def __init__(self, talkers=4, spread=0.2):
        super().__init__()
        self.features, self.granularity = FEATURES, TimeFrequency(FEATURES)
        self.decoder, self.has_noise = None, False
        self.directions = torch.nn.Parameter(torch.eye(talkers, 8))
        self.talkers, self.spread, self.longest = talkers, spread, 0

    def analyse(self, mixture):
        self.longest = max(self.longest, mixture.shape[1])
        nodes = self.granularity.nodes(mixture)
        frames, freq = nodes.shape
        band = (torch.arange(freq) * self.talkers // freq).repeat(frames)[None]
        noise = torch.randn(*band.shape, 8, generator=torch.Generator().manual_seed(2))
        z = torch.nn.functional.normalize(self.directions[band] + self.spread * noise, dim=-1)
        return NodeSet(z, nodes.power.sqrt(), nodes.valid, nodes.shape), Analysis(
            nodes.spectrum, torch.tensor([frames]), z
        )


def voice(number, seconds, seed=0, talkers=4):
    """Noise in the middle of the band of talker ``number``, ``(samples,)``."""
    samples = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng([seed, number]).standard_normal(samples))
    place = np.linspace(0, talkers, len(spectrum)) - number
    spectrum[(place < 0.2) | (place > 0.8)] = 0
    out = np.fft.irfft(spectrum, samples)
    return 0.1 * out / out.std()


def separator(**null):
    modularity = build(ModularityOptions, {"solver": "spectral"}, "modularity")
    clustering = ClusteringState.from_options(modularity)
    if null:
        clustering.counter.null = dataclasses.replace(clustering.counter.null, **null)
    return NamedSeparator("voices", ModelSeparator(Voices(), clustering, modularity, SeparateOptions("model")), RATE)


def run(files, out, by=None, **options):
    """Lines and errors reported, and how many failed."""
    lines, warnings = ([], []), []
    inputs = [file if isinstance(file, Input) else Input(Path(file), label=str(file)) for file in files]
    failed = separate_files(
        by or separator(), inputs, Request(str(out), **options),
        lambda line, error: lines[error].append(line), warn=warnings.append,
    )
    run.warnings = warnings
    return *lines, failed


def outputs(out, name):
    content = json.loads((out / f"{name}.json").read_text())
    return np.stack([soundfile.read(out / each)[0] for each in content["outputs"]]), content


def snr(expected, got):
    with np.errstate(divide="ignore"):  # the same to the bit
        return 10 * np.log10(np.square(expected).sum() / np.square(expected - got).sum())


def test_a_file_is_separated_as_its_samples_are(tmp_path):
    sources = np.stack([voice(0, 3), voice(2, 3)])
    soundfile.write(tmp_path / "x.wav", sources.sum(0), RATE, subtype="FLOAT")
    reported, errors, failed = run([tmp_path / "x.wav"], tmp_path / "out")
    assert not failed and not errors and "2 speakers" in reported[0]
    got, content = outputs(tmp_path / "out", "x")
    whole = separator().separator.separate("x", sources.sum(0).astype(np.float32), None, with_evidence=True)
    np.testing.assert_allclose(got, whole.outputs, atol=0.51 / 32768)
    assert max(snr(sources[0], each) for each in got) > 10

    assert content["num_spk"] == 2 and content["count"] == "estimated" and content["model"] == "voices"
    assert content["rate"] == content["file_rate"] == RATE and content["seconds"] == 3 and content["gain"] == 1
    assert sum(content["energy_shares"]) == pytest.approx(1, abs=1e-5)
    [window] = content["windows"]
    assert window["speakers"] == [1, 2] and (window["start"], window["stop"]) == (0, 3)
    assert window["modularity"] == pytest.approx(whole.modularity, abs=1e-5)
    assert window["conductance"] == pytest.approx(whole.conductance, abs=1e-5)
    assert window["sizes"] == pytest.approx(list(whole.sizes), abs=1e-5) and "2 speakers" in window["words"]
    assert window["normalised_modularity"] == pytest.approx(whole.normalised_modularity, abs=1e-5)
    assert (window["solver"], window["fallback"]) == ("spectral", None)
    evidence = {entry["num_communities"]: entry for entry in window["evidence"]}
    assert evidence[1]["normalised_modularity"] == pytest.approx(0, abs=1e-6)
    assert evidence[2]["normalised_modularity"] > 0.1
    assert sorted(evidence) == [1, 2, 3, 4, 5] and evidence[1]["mean_conductance"] is None
    assert evidence[2]["joint_score"] > evidence[2]["threshold"] > evidence[2]["split_score"]
    assert evidence[2]["excess"] == pytest.approx(evidence[2]["quality"] - evidence[2]["null_mean"], abs=2e-6)

    # again: the same bytes, but only when asked to replace them
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(before) == ["x.json", "x.rttm", "x_spk1.wav", "x_spk2.wav"]
    reported, errors, failed = run([tmp_path / "x.wav"], tmp_path / "out")
    assert failed == 1 and "already there" in errors[0]
    # a talker too many of an earlier run does not stay
    (tmp_path / "out" / "x_spk3.wav").write_bytes(b"old")
    run([tmp_path / "x.wav"], tmp_path / "out", overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_another_solver_in_place_of_the_configured_one_is_reported(tmp_path):
    made = separator()
    alone = types.SimpleNamespace(solve=lambda nodes, *_: types.SimpleNamespace(labels=torch.where(nodes.valid, 0, -1)))
    made.separator.clustering = dataclasses.replace(made.separator.clustering, solver=alone)
    soundfile.write(tmp_path / "x.wav", voice(0, 2) + voice(2, 2), RATE)
    reported, _, _ = run([tmp_path / "x.wav"], tmp_path / "out", by=made, num_spk=2)
    assert "2 speakers (kmeans in place of spectral, which found too few communities):" in reported[0]
    [window] = outputs(tmp_path / "out", "x")[1]["windows"]
    assert (window["solver"], window["fallback"]) == ("spectral", "kmeans")


def test_a_given_count_is_kept(tmp_path):
    soundfile.write(tmp_path / "x.wav", voice(0, 2) + voice(1, 2) + voice(3, 2), RATE)
    run([tmp_path / "x.wav"], tmp_path / "out", num_spk=2)
    got, content = outputs(tmp_path / "out", "x")
    assert len(got) == 2 and content["count"] == "given" and content["windows"][0]["evidence"] == []
    _, errors, failed = run([tmp_path / "x.wav"], tmp_path / "more", num_spk=6)
    assert failed == 1 and "'voices' separates at most 5 speakers" in errors[0]


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_any_format_rate_and_channels(tmp_path, suffix):
    sources = np.stack([voice(0, 3), voice(2, 3)])
    left = resample_audio(sources.sum(0), RATE, 44100)
    stereo = np.stack([1.2 * left, 0.8 * left], axis=1)
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, stereo, 44100)
    assert not run([path], tmp_path / "out")[2]
    got, content = outputs(tmp_path / "out", "x")
    assert content["file_rate"] == 44100 and content["file_channels"] == 2 and content["channel"] == "mean"
    assert content["rate"] == RATE and abs(got.shape[1] - 3 * RATE) <= (RATE * 2500 // 44100 if suffix == "mp3" else 0)
    if suffix in ("wav", "flac"):
        assert snr(sources.sum(0), got.sum(0)) > 30
    assert not run([path], tmp_path / "second", channel=2)[2]
    second, content = outputs(tmp_path / "second", "x")
    assert content["channel"] == 2 and snr(0.8 * got.sum(0), second.sum(0)) > 15
    assert "no channel 3" in run([path], tmp_path / "third", channel=3)[1][0]


@pytest.mark.parametrize("rate", [44100, 48000, 11025, 8000, 1500])
@pytest.mark.parametrize("samples", [1, 700, 30011])
def test_resampling_by_blocks_is_that_of_the_whole(rate, samples):
    signal = np.random.default_rng(0).standard_normal(samples)
    blocks = [signal[at : at + 4001] for at in range(0, samples, 4001)]
    joined = np.concatenate(list(resample_blocks(blocks, rate, 8000)))
    np.testing.assert_allclose(joined, resample_audio(signal, rate, 8000), atol=1e-12)


def test_windows_cover_a_recording():
    assert spans_of(100, 100, 8) == [(0, 100)]
    for samples in (101, 205, 333, 1000):
        spans = spans_of(samples, 100, 8)
        assert spans[0][0] == 0 and spans[-1][1] == samples
        for (start, stop), (after, end) in zip(spans, spans[1:]):
            assert start < after < stop < end and after % 8 == 0 and end - after <= 100


@pytest.fixture(scope="module")
def conversation():
    """Half a minute: 0 and 1 all the time but for talker 1's absence in the middle, 3 from then on."""
    seconds, fade = 36, np.zeros(36 * RATE)
    sources = np.stack([voice(0, seconds), voice(1, seconds), voice(3, seconds)])
    sources[1, 14 * RATE : 24 * RATE] = fade[: 10 * RATE]
    sources[2, : 15 * RATE] = 0
    return sources


@pytest.mark.parametrize("num_spk", [None, 3])
def test_a_speaker_keeps_the_output_through_a_long_recording(conversation, tmp_path, num_spk):
    soundfile.write(tmp_path / "x.wav", conversation.sum(0), RATE)
    by, seconds = separator(), []
    mixture = read_recording(tmp_path / "x.wav", RATE).samples
    with LongSeparation(by.separator, "x", mixture, RATE, num_spk, 6, seconds.append) as done:
        blocks = list(done.blocks())
    got = np.concatenate(blocks, axis=1)
    assert done.num_spk == 3 and len(done.parts) > 6 and sum(seconds) == pytest.approx(36)
    # neither the network nor the audio ever holds more than a window
    assert by.separator.model.longest <= 6 * RATE and max(block.shape[1] for block in blocks) <= 6 * RATE
    np.testing.assert_allclose(got.sum(0), mixture, atol=1e-4)
    order = [int(np.argmax([snr(source, each) for each in got])) for source in conversation]
    assert sorted(order) == [0, 1, 2]
    for source, number in zip(conversation, order):
        assert snr(source, got[number]) > 10
        for second in range(36):
            part = slice(second * RATE, (second + 1) * RATE)
            if source[part].any():
                assert snr(source[part], got[number][part]) > 5, (number, second)
    # who is not heard for long is silent there
    assert np.abs(got[order[1]][17 * RATE : 21 * RATE]).max() < 0.02
    assert [part.speakers for part in done.parts][0] == (0, 1)
    # the file's outputs are these
    run([tmp_path / "x.wav"], tmp_path / "out", by, window=6, num_spk=num_spk)
    written, content = outputs(tmp_path / "out", "x")
    np.testing.assert_allclose(written, got, atol=0.51 / 32768)
    assert [window["speakers"] for window in content["windows"]] == [
        [s + 1 for s in part.speakers] for part in done.parts
    ]


def test_pauses_of_minutes_and_counts_that_windows_miss(tmp_path):
    quiet = 1e-5 * np.random.default_rng(0).standard_normal(20 * RATE)
    mixture = quiet.copy()
    for start in (0, 14):
        mixture[start * RATE : (start + 6) * RATE] += voice(0, 6) + voice(2, 6)
    soundfile.write(tmp_path / "x.wav", mixture, RATE)
    run([tmp_path / "x.wav"], tmp_path / "out", window=4)
    got, content = outputs(tmp_path / "out", "x")
    assert content["num_spk"] == 2 and all(window["speakers"] for window in content["windows"])
    # where windows are shorter than what is left of the pause, nobody is heard in some of them
    run([tmp_path / "x.wav"], tmp_path / "short", window=1)
    empty = [window for window in outputs(tmp_path / "short", "x")[1]["windows"] if not window["speakers"]]
    assert empty and all(window["words"] == "silence" and 6 < window["start"] < 14 for window in empty)
    # each window counts fewer, so the number of all is given to them
    run([tmp_path / "x.wav"], tmp_path / "given", separator(threshold=1.0), window=4, num_spk=4)
    assert outputs(tmp_path / "given", "x")[1]["num_spk"] == 4
    for number, speakers in ((1, 1), (2, 2)):
        run([tmp_path / "x.wav"], tmp_path / f"{number}", window=4, num_spk=number)
        assert outputs(tmp_path / f"{number}", "x")[1]["num_spk"] == speakers


def test_loud_outputs_are_scaled_by_one_gain(tmp_path):
    mixture = 6 * (voice(0, 2) + voice(2, 2))
    soundfile.write(tmp_path / "x.wav", mixture, RATE, subtype="FLOAT")
    run([tmp_path / "x.wav"], tmp_path / "out")
    got, content = outputs(tmp_path / "out", "x")
    assert 0.2 < content["gain"] < 1 and 0.99 < np.abs(got).max() < 1
    np.testing.assert_allclose(got.sum(0), content["gain"] * mixture, atol=1e-3)


def test_errors_are_one_line_each_and_the_others_go_on(tmp_path):
    good = tmp_path / "a" / "x.wav"
    for folder in "abc":
        (tmp_path / folder).mkdir()
    soundfile.write(good, voice(0, 1) + voice(2, 1), RATE)
    shutil.copy(good, tmp_path / "b" / "x.wav")
    soundfile.write(tmp_path / "silence.wav", np.zeros(2000), RATE)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    soundfile.write(tmp_path / "nan.wav", np.full(2000, np.nan), RATE, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("no audio\n")
    (tmp_path / "cut.wav").write_bytes(good.read_bytes()[:2000])
    (tmp_path / "nothing.wav").write_bytes(b"")
    names = ["silence", "empty", "nan", "text", "nothing", "absent"]
    files = [tmp_path / f"{name}.wav" for name in names]
    reported, errors, failed = run([*files, tmp_path / "b" / "x.wav", good, tmp_path / "cut.wav"], tmp_path / "out")
    assert failed == len(errors) == 7 and len(reported) == 2
    expected = ["silence", "no samples", "NaN", "cannot be read", "empty file", "no such"]
    for file, words, error in zip(files, expected, errors):
        assert error.startswith(f"{file}: ") and words in error and "\n" not in error
    assert str(good) in errors[-1] and str(tmp_path / "b" / "x.wav") in errors[-1]
    there = sorted(path.name for path in (tmp_path / "out").glob("x*"))
    assert there == ["x.json", "x.rttm", "x_spk1.wav", "x_spk2.wav"]
    # of a file that was cut off, what is there is separated, and said
    assert [line for line in run.warnings if "cut.wav: read 0.489 of the 1 s that its header says" in line]
    assert seconds_in([Input(good), Input(files[3])]) == 1
    inputs, skipped = inputs_of([str(tmp_path / "a"), str(good)], tmp_path / "out")
    assert [each.path for each in inputs] == [good, good] and not skipped
    with pytest.raises(ContrasepError, match="no audio in this folder"):
        inputs_of([str(tmp_path / "c")], tmp_path / "out")


def test_a_name_that_is_no_text(tmp_path):
    file = tmp_path / os.fsdecode(b"caf\xe9.wav")
    try:
        soundfile.write(tmp_path / "x.wav", voice(0, 1), RATE)
        shutil.copy(tmp_path / "x.wav", file)
    except OSError:
        pytest.skip("this file system has names of text alone")
    reported, errors, failed = run([file], tmp_path / "out")
    assert failed == 1 and reported == [] and errors == [f"{tmp_path}/caf\\udce9.wav: its name is not UTF-8; rename it"]
    assert seconds_in([Input(file), Input(tmp_path / "x.wav")]) == 2


def test_a_recording_is_never_replaced(tmp_path):
    for name in ("x", "x_spk1"):
        soundfile.write(tmp_path / f"{name}.wav", voice(0, 1) + voice(2, 1), RATE)
    before = (tmp_path / "x_spk1.wav").read_bytes()
    _, errors, failed = run([tmp_path / "x.wav", tmp_path / "x_spk1.wav"], tmp_path, overwrite=True)
    assert failed == 1 and "is not replaced" in errors[0] and (tmp_path / "x_spk1.wav").read_bytes() == before
    assert (tmp_path / "x_spk1_spk2.wav").is_file()


def test_the_command_and_the_models_of_the_package(contrasep, tmp_path):
    assert shipped.names()[0] == shipped.DEFAULT
    listed = contrasep("separate", "--list-models", check=True).stdout.splitlines()
    assert [line.split()[0] for line in listed] == shipped.names()
    rng = np.random.default_rng(0)
    soundfile.write("x.wav", np.cumsum(0.02 * rng.standard_normal(24000)) % 0.2, 16000)
    done = contrasep("separate", "x.wav", "y.wav", "--out", "out", "--num_spk", 2, "--model", shipped.names()[-1])
    assert done.returncode == 1 and "x_spk2.wav" in done.stdout and "y.wav: no such audio file" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("1 of 2 recordings not separated, see above")
    content = json.loads(Path("out/x.json").read_text())
    assert content["rate"] == 8000 and content["file_rate"] == 16000
    assert soundfile.info("out/x_spk1.wav").samplerate == 8000
    # the folder of an experiment, with and without its configuration
    shutil.copytree(shipped.FOLDER / shipped.DEFAULT, "exp/tf")
    contrasep("separate", "x.wav", "--out", "own", "--num-spk", 1, "--model", "exp/tf", check=True)
    assert json.loads(Path("own/x.json").read_text())["model"] == "tf"
    Path("exp/tf/config.yaml").rename("tf.yaml")
    done = contrasep("separate", "x.wav", "--out", "own2", "--model", "exp/tf")
    assert done.returncode == 1 and "by --config" in done.stderr
    contrasep(
        "separate", "x.wav", "--out", "own2", "--num-spk", 1, "--model", "exp/tf", "--config", "tf.yaml", check=True
    )
    for model in ("nosuch", "exp"):
        done = contrasep("separate", "x.wav", "--out", "none", "--model", model)
        assert done.returncode == 1 and f"--model {model}: no " in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x.wav"],
        ["x.wav", "--dump", "d", "--out", "o"],
        ["--dump", "d", "--out", "o"],
        ["x.wav", "--out", "o", "--num-spk", "0"],
    ],
)
def test_wrong_calls(contrasep, arguments):
    done = contrasep("separate", *arguments)
    assert done.returncode == 2 and done.stderr.endswith("; see contrasep separate --help\n")
    assert done.stderr.startswith("contrasep separate: ") and done.stderr.count("\n") == 1


def test_what_is_built_holds_the_models(tmp_path):
    for name in ("setup.py", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "contrasep_lib", tmp_path / "contrasep_lib", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build", "--build-lib", "built"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for folder in map(shipped.folder_of, shipped.names()):
        files = [path.relative_to(shipped.FOLDER.parent) for path in folder.rglob("*") if path.is_file()]
        assert len(files) >= 5
        for path in files:
            built = tmp_path / "built" / "contrasep_lib" / path
            assert built.read_bytes() == (shipped.FOLDER.parent / path).read_bytes()


@pytest.mark.parametrize("before, behind", [(60, 0), (0, 60), (60, 60), (33.3335, 0)])
def test_minutes_of_zeros_around_a_recording_change_nothing(tmp_path, before, behind):
    mixture = voice(0, 6) + voice(2, 6)
    quiet = np.zeros(round(before * RATE)), np.zeros(round(behind * RATE))
    for name, signal in (("plain", mixture), ("x", np.concatenate([quiet[0], mixture, quiet[1]]))):
        soundfile.write(tmp_path / f"{name}.wav", signal, RATE)
        by = separator()
        run([tmp_path / f"{name}.wav"], tmp_path / "out", by, window=30)
    expected, (got, content) = outputs(tmp_path / "out", "plain")[0], outputs(tmp_path / "out", "x")
    assert content["num_spk"] == 2 and content["seconds"] == pytest.approx(got.shape[1] / RATE, abs=1e-6)
    heard = got[:, len(quiet[0]) : len(quiet[0]) + len(mixture)]
    order = [int(np.argmax([snr(each, other) for other in heard])) for each in expected]
    assert sorted(order) == [0, 1] and min(snr(each, heard[number]) for each, number in zip(expected, order)) > 10
    assert by.separator.model.longest < 20 * RATE
