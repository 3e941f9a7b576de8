"""Framing and STFT against scipy and against the definition."""

import numpy as np
import pytest
import torch

from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.spectra import log_spectrum, mean_and_std, statistics
from contrasep_lib.nodes.stft import frame, istft, num_frames, overlap_add, pad, stft


@pytest.mark.parametrize("win, hop", [(256, 64), (256, 128), (512, 64), (32, 16)])
@pytest.mark.parametrize("samples", [1, 15, 64, 255, 256, 1000, 8001])
def test_reconstruction_is_exact_to_the_edges(win, hop, samples):
    features = FeatureOptions(win, hop)
    x = torch.randn(2, 3, samples, dtype=torch.double)
    spectrum = stft(x, features)
    assert spectrum.shape == (2, 3, num_frames(samples, features), win // 2 + 1)
    torch.testing.assert_close(istft(spectrum, samples, features), x, rtol=0, atol=1e-12)


def test_stft_by_definition():
    features = FeatureOptions(256, 64)
    x = np.random.default_rng(0).standard_normal(1000)
    spectrum = stft(torch.from_numpy(x), features).numpy()
    index, n = 7, np.arange(256)
    start = index * 64 - 192
    segment = np.array([x[start + k] if 0 <= start + k < 1000 else 0.0 for k in n])
    hann = np.sin(np.pi * n / 256) ** 2
    expected = [(segment * hann * np.exp(-2j * np.pi * f * n / 256)).sum() for f in (0, 5, 128)]
    np.testing.assert_allclose(spectrum[index, [0, 5, 128]], expected, atol=1e-10)


def test_every_sample_lies_in_win_over_hop_frames():
    features = FeatureOptions(256, 64)
    for samples in (1, 64, 333):
        count = overlap_add(torch.ones(num_frames(samples, features), 256), samples, features)
        assert (count == 4).all()


def test_frames_are_those_of_an_encoder_without_padding():
    features = FeatureOptions(256, 64)
    x = torch.randn(1, 1, 700)
    kernel = torch.randn(1, 1, 256)
    by_convolution = torch.nn.functional.conv1d(pad(x, features), kernel, stride=64)
    torch.testing.assert_close(frame(x[0], features) @ kernel[0, 0], by_convolution[0], rtol=1e-4, atol=1e-4)


def test_empty_signal_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        stft(torch.zeros(0), FeatureOptions())


@pytest.mark.parametrize("win, hop", [(255, 64), (256, 100), (256, 256), (0, 1)])
def test_bad_framing_is_refused(win, hop):
    with pytest.raises(ValueError, match="win|hop"):
        FeatureOptions(win, hop)


def test_dumped_spectra_equal_the_transform():
    features = FeatureOptions(256, 64)
    x = np.random.default_rng(1).standard_normal(1234) * 0.1
    expected = stft(torch.from_numpy(x), features).abs().clamp_min(1e-6).log().numpy()
    np.testing.assert_allclose(log_spectrum(x, features), expected, atol=1e-5)


def test_statistics_add_up():
    spectra = np.random.default_rng(2).normal(3.0, 2.0, (50, 5)).astype(np.float32)
    mean, std = mean_and_std(statistics(spectra[:20]) + statistics(spectra[20:]))
    np.testing.assert_allclose(mean, spectra.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(std, spectra.std(axis=0), rtol=1e-5)
    with pytest.raises(ValueError):
        mean_and_std(np.zeros((2, 6)))
