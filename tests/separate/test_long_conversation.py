"""A long recording, of a model that knows voices: one output a talker, RTTM, going on after a kill."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile
import torch

from contrasep_lib.config import build
from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.io.rttm import frames_of, read_rttm
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.nodes.granularity import TimeFrequency
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.score.diarisation import diarisation_error
from contrasep_lib.separate.clustering_state import ClusteringState
from contrasep_lib.separate.files import Request, separate_files
from contrasep_lib.separate.inputs import Input
from contrasep_lib.separate.long import LongSeparation
from contrasep_lib.separate.model_separator import ModelSeparator
from contrasep_lib.separate.options import SeparateOptions
from contrasep_lib.separate.shipped import NamedSeparator
from contrasep_lib.separate.voices import VoiceSpace
from contrasep_lib.speakers.base import SpeakerEncoder

FEATURES, RATE, TALKERS, DIM = FeatureOptions(128, 64), 2000, 4, 8


class Voices(torch.nn.Module):
    """Embeds a unit by its frequency: each talker has a band of their own, and a direction."""

    def __init__(self):
        super().__init__()
        self.features, self.granularity, self.decoder = FEATURES, TimeFrequency(FEATURES), None
        self.has_noise = False
        self.directions = torch.nn.Parameter(torch.eye(TALKERS, DIM))
        self.calls, self.longest, self.most = 0, 0, None

    def analyse(self, mixture, lengths=None, hidden=None):
        if hidden is None:
            if self.calls == self.most:
                raise KeyboardInterrupt
            self.calls += 1
        self.longest = max(self.longest, mixture.shape[1])
        nodes = self.granularity.nodes(mixture)
        frames, freq = nodes.shape
        band = (torch.arange(freq) * TALKERS // freq).repeat(frames)[None]
        noise = torch.randn(*band.shape, DIM, generator=torch.Generator().manual_seed(2))
        z = torch.nn.functional.normalize(self.directions[band] + 0.1 * noise, dim=-1)
        seen = Analysis(nodes.spectrum, torch.tensor([frames]), z, hidden=torch.zeros(1, frames, 1, 1))
        return NodeSet(z, nodes.power.sqrt(), nodes.valid, nodes.shape), seen


def named():
    modularity = build(ModularityOptions, {"solver": "spectral"}, "modularity")
    space = VoiceSpace.of(np.full(DIM, 0.2), 0.005 * np.eye(DIM), 0.2 * np.eye(DIM))
    clustering = ClusteringState.from_options(modularity)
    made = ModelSeparator(Voices(), clustering, modularity, SeparateOptions("model"), space)
    return NamedSeparator("voices", made, RATE)


@pytest.fixture(scope="module")
def conversation():
    """Of 60 s: talkers 0 and 1 in turn, 3 from the middle on, overlaps, a pause of 8 s."""
    sources = np.zeros((3, 60 * RATE))
    rng = np.random.default_rng(0)
    turns = [(0, 0, 5), (1, 4.5, 9), (0, 9, 13), (1, 13, 20)]
    turns += [(0, 28, 34), (2, 33, 40), (1, 40, 46), (2, 45, 51), (0, 51, 60)]
    for who, start, stop in turns:
        samples = round((stop - start) * RATE)
        spectrum = np.fft.rfft(rng.standard_normal(samples))
        place = np.linspace(0, TALKERS, len(spectrum)) - (0, 1, 3)[who]
        spectrum[(place < 0.2) | (place > 0.8)] = 0
        part = np.fft.irfft(spectrum, samples)
        sources[who, round(start * RATE) :][:samples] += 0.05 * part / part.std()
    truth = np.zeros((3, 6000), bool)
    for who, start, stop in turns:
        truth[who, round(100 * start) : round(100 * stop)] = True
    return sources.astype(np.float32), truth


def separate(by, out, *files, **options):
    lines = []
    request, inputs = Request(str(out), window=6, **options), [Input(file) for file in files]
    failed = separate_files(by, inputs, request, lambda line, _: lines.append(line))
    return failed, lines


def test_each_talker_has_one_output(conversation, tmp_path):
    sources, truth = conversation
    soundfile.write(tmp_path / "x.wav", sources.sum(axis=0), RATE)
    by = named()
    assert separate(by, tmp_path / "out", tmp_path / "x.wav")[0] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "x.json", "x.rttm", "x_spk1.wav", "x_spk2.wav", "x_spk3.wav"
    ]
    got = np.stack([soundfile.read(tmp_path / "out" / f"x_spk{number}.wav")[0] for number in (1, 2, 3)])
    # talkers in order of appearance, and silence where they are not
    for source, output in zip(sources, got):
        assert 10 * np.log10(np.square(source).sum() / np.square(source - output).sum()) > 10
    assert not got[2, : 20 * RATE].any()
    turns = read_rttm(tmp_path / "out" / "x.rttm")
    assert diarisation_error(truth, frames_of(turns, ["spk1", "spk2", "spk3"], 6000)).rate < 0.1
    content = json.loads((tmp_path / "out" / "x.json").read_text())
    assert content["num_spk"] == 3 and content["windows"][0]["speakers"] == [1, 2]
    assert content["windows"][0]["words"] == "2 of the recording's 3 talkers"
    # neither the network nor the audio holds more than a window
    assert by.separator.model.longest <= 6 * RATE


@pytest.mark.parametrize("voices", [True, False])
def test_memory_does_not_grow_with_the_windows(conversation, voices):
    by = named()
    by.separator.voices = by.separator.voices if voices else None
    with LongSeparation(by.separator, "x", conversation[0].sum(axis=0), RATE, None, 6) as done:
        parts = [part.separation for part in done.parts if part.separation is not None]
        assert len(parts) > 6
        for part in parts:
            arrays = [value for value in vars(part).values() if isinstance(value, np.ndarray)]
            # a view holds the whole array that it is a part of
            held = sum(each.nbytes if each.base is None else each.base.nbytes for each in arrays)
            assert held < (6 * RATE if voices else 200 * 6 * RATE)
            assert part.outputs.size == 0 and part.outputs.base is None


@pytest.mark.parametrize("num_spk", [1, 2, 4])
def test_a_given_number(conversation, num_spk):
    by = named()
    with LongSeparation(by.separator, "x", conversation[0].sum(axis=0), RATE, num_spk, 6) as done:
        assert done.num_spk == num_spk
        np.testing.assert_allclose(
            np.concatenate(list(done.blocks()), axis=1).sum(axis=0), conversation[0].sum(axis=0), atol=1e-4
        )


def test_an_interrupted_run_goes_on(conversation, tmp_path):
    soundfile.write(tmp_path / "x.wav", conversation[0].sum(axis=0), RATE)
    whole = named()
    separate(whole, tmp_path / "whole", tmp_path / "x.wav")
    windows = whole.separator.model.calls
    assert windows > 8
    by, out = named(), tmp_path / "out"
    by.separator.model.most = 5
    with pytest.raises(KeyboardInterrupt):
        separate(by, out, tmp_path / "x.wav")
    assert [path.name for path in out.iterdir()] == [".x.windows"]
    by.separator.model.most = None
    separate(by, out, tmp_path / "x.wav")
    assert by.separator.model.calls == windows
    expected = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    assert {path.name: path.read_bytes() for path in out.iterdir()} == expected
    # what was found for other samples is not used
    by.separator.model.most, by.separator.model.calls = 5, 0
    soundfile.write(tmp_path / "x.wav", 0.5 * conversation[0].sum(axis=0)[::-1], RATE)
    with pytest.raises(KeyboardInterrupt):
        separate(by, out, tmp_path / "x.wav", overwrite=True)
    assert by.separator.model.calls == 5 and (out / "x_spk1.wav").exists()
    other = named()
    with torch.no_grad():
        other.separator.model.directions.mul_(2)
    separate(other, out, tmp_path / "x.wav", overwrite=True)
    assert other.separator.model.calls == windows


def test_time_is_reported_once(conversation):
    seconds = []
    with LongSeparation(named().separator, "x", conversation[0].sum(axis=0), RATE, None, 6, seconds.append) as done:
        parts = done.parts
    assert sum(seconds) == pytest.approx(60) and dataclasses.asdict(parts[0])["start"] == 0


class Bands(SpeakerEncoder):
    """Hears the share of each talker's band."""

    name, rate, seconds, dim = "bands", RATE, 1.0, TALKERS
    calls = 0

    def weights(self):
        return "none"

    def _encode(self, signal, starts, size, power):
        type(self).calls += len(starts)
        parts = np.stack([signal[start : start + size] for start in starts])
        spectrum = np.square(np.abs(np.fft.rfft(parts)))[:, : size // 2 // TALKERS * TALKERS]
        shares = spectrum.reshape(len(parts), TALKERS, -1).sum(axis=2)
        return (shares / np.linalg.norm(shares, axis=1, keepdims=True)).astype(np.float32)


def test_a_speaker_encoder_has_a_say(conversation, tmp_path, monkeypatch):
    sources, truth = conversation
    space = VoiceSpace.of(np.full(TALKERS, 0.3), 0.02 * np.eye(TALKERS), 0.2 * np.eye(TALKERS))
    space.save(tmp_path / "bands.json", "none")
    monkeypatch.setattr(Bands, "space_file", classmethod(lambda cls: tmp_path / "bands.json"))
    soundfile.write(tmp_path / "x.wav", sources.sum(axis=0), RATE)
    by = named()
    by.separator.speakers = Bands()
    assert separate(by, tmp_path / "out", tmp_path / "x.wav")[0] == 0
    said = json.loads((tmp_path / "out/x.json").read_text())
    assert said["num_spk"] == 3 and said["speaker_encoder"] == "bands" and Bands.calls > 40
    got = np.stack([soundfile.read(tmp_path / "out" / name)[0] for name in said["outputs"]])
    for source, output in zip(sources, got):
        assert np.corrcoef(source, output)[0, 1] > 0.95
    # without it the JSON says so; without a voice space it serves no long recording
    assert separate(named(), tmp_path / "own", tmp_path / "x.wav")[0] == 0
    assert json.loads((tmp_path / "own/x.json").read_text())["speaker_encoder"] is None
    by.separator.voices = None
    failed, lines = separate(by, tmp_path / "none", tmp_path / "x.wav")
    assert failed == 1 and "has no voice space" in lines[0]
