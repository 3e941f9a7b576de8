"""Backbones without weights: spectra and cepstra against scipy, padding, gain, silence."""

import numpy as np
import pytest
import scipy.fft
import torch

from contrasep_lib.config import build
from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.stft import num_frames, stft

FEATURES = FeatureOptions()
DIMS = {"spectrum": 129, "mfcc": 13}


def model(name, **values):
    tree = {"granularity": "frame", "backbone": {"name": name}, "embedding_dim": DIMS.get(name), **values}
    return SeparationModel(build(ModelOptions, tree, "model"), FEATURES).eval()


def signal(samples=8000, seed=0):
    noise = np.random.default_rng(seed).standard_normal(samples)
    return torch.tensor(noise * (1 + np.sin(np.arange(samples) / 700)), dtype=torch.float32)[None] * 0.1


def standard(values):
    return (values - values.mean(0)) / values.std(0)


def unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_spectra_are_those_of_the_recording():
    z = model("spectrum").embed(signal()).z[0].numpy()
    # far from the floor, what level and statistics of a corpus take off is constant over frames
    log = np.log(np.abs(stft(signal().double(), FEATURES)[0].numpy()))
    inner = slice(4, -4)
    expected = unit(standard(log))
    assert z.shape == (num_frames(8000, FEATURES), 129)
    assert np.abs((z[inner] * expected[inner]).sum(1) - 1).max() < 0.02


def test_cepstra_are_those_of_mel_bands():
    z = model("mfcc").embed(signal()).z[0].numpy()
    librosa = pytest.importorskip("librosa", reason="librosa's mel bands are the reference of this test")
    level = signal().double() / signal().double().square().mean().sqrt()
    power = stft(level, FEATURES)[0].abs().square().numpy()
    bands = power @ librosa.filters.mel(sr=8000, n_fft=256, n_mels=40, fmax=4000, htk=True, norm=None).T
    expected = unit(standard(scipy.fft.dct(np.log(np.maximum(bands, 1e-3)), norm="ortho", axis=1)[:, 1:14]))
    assert z.shape == (num_frames(8000, FEATURES), 13) and np.abs(z - expected).max() < 1e-2


@pytest.mark.parametrize("name", DIMS)
def test_gain_padding_and_other_recordings_change_nothing(name):
    net, short = model(name), signal(3000, 1)
    alone = net.embed(short).z[0]
    assert torch.allclose(net.embed(5 * short).z[0], alone, atol=1e-3)
    both = torch.cat([signal(), torch.nn.functional.pad(short, (0, 5000))])
    together = net.embed(both, torch.tensor([8000, 3000])).z[1, : len(alone)]
    assert torch.allclose(together, alone, atol=1e-3)


@pytest.mark.parametrize("name", DIMS)
def test_nothing_learns_and_silence_is_finite(name):
    net = model(name)
    assert not list(net.parameters())
    for given in (torch.zeros(1, 900), signal(1), torch.full((1, 900), 0.1)):
        nodes = net.embed(given)
        assert nodes.z.isfinite().all()
        assert torch.allclose(nodes.z.norm(dim=-1), torch.ones(nodes.z.shape[:2]), atol=1e-4)


def test_dimensions_that_do_not_fit_are_reported():
    with pytest.raises(ValueError, match="embedding_dim: expected 129 with backbone 'spectrum', its .*, got 20"):
        model("spectrum", embedding_dim=20)
    with pytest.raises(ValueError, match=r"embedding_dim: expected less than 40, the bands of backbone 'mfcc', got 40"):
        model("mfcc", embedding_dim=40)
    with pytest.raises(ContrasepError, match=r"granularity: backbone 'mfcc' embeds nodes of frame, got 'tf'"):
        model("mfcc", granularity="tf")
