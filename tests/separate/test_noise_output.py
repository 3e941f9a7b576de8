"""Separation by a model that has an output for noise: no talker, and with the talkers the mixture."""

import json

import numpy as np
import pytest
import soundfile
import torch

from contrasep_lib.config import build
from contrasep_lib.io.dumpset import SeparatedSet
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.separate.api import separate
from contrasep_lib.separate.clustering_state import ClusteringState
from contrasep_lib.separate.files import Request, separate_files
from contrasep_lib.separate.inputs import Input
from contrasep_lib.separate.long import LongSeparation
from contrasep_lib.separate.model_separator import ModelSeparator
from contrasep_lib.separate.options import SeparateOptions
from contrasep_lib.separate.shipped import NamedSeparator
from contrasep_lib.separate.voices import VoiceSpace
from contrasep_lib.separate.writer import Writer, merge_parts

RATE, DIM = 2000, 6
VOICES = VoiceSpace.of(np.full(DIM, 0.2), 0.005 * np.eye(DIM), 0.2 * np.eye(DIM))


def bands(hidden):
    """Embeddings of units by their frequency: two talkers, one above the other."""
    freq = 65
    noise = torch.randn(1, hidden.shape[1], freq, DIM, generator=torch.Generator().manual_seed(2))
    z = torch.eye(DIM)[torch.arange(freq) * 2 // freq] + 0.1 * noise
    return torch.nn.functional.normalize(z, dim=-1)


def named(noise=True, voices=None):
    """A tiny model that tells talkers by their bands, and whose noise takes a quarter of everything and more."""
    torch.manual_seed(0)
    decoder = {"name": "attractor", "width": 8, "band": 8, "noise": noise}
    tree = {
        "backbone": {"name": "dual_path", "layers": 1, "width": 8, "band": 8}, "embedding_dim": DIM,
        "decoder": decoder, "objectives": {"deep_clustering": 1.0, "si_snr": 0.1},
    }
    model = SeparationModel(build(ModelOptions, tree, "model"), FeatureOptions(128, 64)).eval()
    model.units_of = bands
    if noise:
        torch.nn.init.normal_(model.decoder.noise.output.weight, std=0.1)
        with torch.no_grad():
            model.decoder.noise.output.bias.view(-1, 2)[:, 0] = 0.25
    modularity = build(ModularityOptions, {"solver": "spectral"}, "modularity")
    made = ModelSeparator(model, ClusteringState.from_options(modularity), modularity, SeparateOptions("model"), voices)
    return NamedSeparator("tiny", made, RATE)


def recording(seconds, gap=False):
    """Two talkers in turn over noise, ``(samples,)``; with a mean, or with a long silence."""
    rng, samples = np.random.default_rng(0), round(seconds * RATE)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    above = np.arange(len(spectrum)) > len(spectrum) / 2
    low, high = (np.fft.irfft(np.where(which, spectrum, 0), samples) for which in (~above, above))
    first = np.arange(samples) // (2 * RATE) % 2 == 0
    made = 0.1 * np.where(first, low, high) + 0.02 * rng.standard_normal(samples)
    if gap:
        made[RATE : 5 * RATE] *= 1e-5
        return made.astype(np.float32)
    return (made + 0.05).astype(np.float32)


@pytest.mark.parametrize("num_spk", [1, 2, 3])
@pytest.mark.parametrize("gap", [False, True])
def test_it_is_no_talker_and_has_what_talkers_leave(num_spk, gap):
    mixture = recording(6, gap)
    found = named().separator.separate("x", mixture, num_spk)
    assert found.outputs.shape == (num_spk, len(mixture)) == (len(found.sizes), len(mixture))
    assert found.assignment.shape[1] == num_spk == len(found.centroids)
    np.testing.assert_array_equal(found.noise, mixture - found.outputs.sum(0))
    assert 0.1 < np.linalg.norm(found.noise) / np.linalg.norm(mixture) < 0.9
    if gap:
        assert not found.outputs[:, 3 * RATE : 4 * RATE].any()
    plain = named(noise=False).separator.separate("x", mixture, num_spk)
    assert plain.noise is None
    np.testing.assert_allclose(plain.outputs.sum(0), mixture, atol=1e-5)


@pytest.mark.parametrize("voices", [None, VOICES])
@pytest.mark.parametrize("seconds", [4, 20])
def test_outputs_and_rest_are_the_recording(tmp_path, seconds, voices):
    samples = recording(seconds)
    soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT")
    request = Request(str(tmp_path / "out"), num_spk=2, window=6, form="float", rest=True)
    assert not separate_files(named(voices=voices), [Input(tmp_path / "x.wav")], request, lambda line, error: None)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["x.json", "x.rttm", "x_rest.wav", "x_spk1.wav", "x_spk2.wav"]
    content = json.loads((tmp_path / "out" / "x.json").read_text())
    assert content["num_spk"] == 2 == len(content["energy_shares"])
    tracks = {name: soundfile.read(tmp_path / "out" / f"x_{name}.wav")[0] for name in ("spk1", "spk2", "rest")}
    np.testing.assert_allclose(sum(tracks.values()), samples - samples.mean(), atol=1e-5)
    # in every second, whichever windows it lies in
    level = np.square(tracks["rest"]).reshape(seconds, RATE).mean(1) / np.square(samples).reshape(seconds, RATE).mean(1)
    assert (level > 0.01).all() and (level < 0.8).all()


@pytest.mark.parametrize("num_spk, voices", [(1, None), (None, None), (None, VOICES)])
def test_windows_of_long_recordings(num_spk, voices):
    samples = recording(20)
    with LongSeparation(named(voices=voices).separator, "x", samples, RATE, num_spk, 6) as done:
        outputs = np.concatenate(list(done.blocks()), axis=1)
    assert outputs.shape == (done.num_spk, len(samples)) and (num_spk is None or done.num_spk == num_spk)
    rest = samples - outputs.sum(0)
    # of a single talker too
    assert 0.1 < np.linalg.norm(rest) / np.linalg.norm(samples) < 0.9


def test_the_call_from_python():
    samples = recording(3)
    result = separate(samples, RATE, num_spk=2, model=named())
    np.testing.assert_allclose(result.outputs.sum(0) + result.rest, samples - samples.mean(), atol=1e-5)
    assert len(result.outputs) == 2 and np.abs(result.rest).max() > 0.01


def test_stage_5_writes_it_beside_the_talkers(tmp_path):
    found = named().separator.separate("x", recording(2), 2)
    with Writer(tmp_path, 1, RATE) as writer:
        writer.write("x", found, 1.0)
    merge_parts(tmp_path, 1)
    assert (tmp_path / "noise.scp").is_file() and not (tmp_path / "spk3.scp").exists()
    assert SeparatedSet(tmp_path).outputs("x").shape[0] == 2
