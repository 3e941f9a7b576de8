"""The encoder's frames: receptive field and hop measured, edges, bad settings."""

import math

import pytest
import torch

from contrasep_lib.embedding.backbones.encoder import ConvEncoder, encoder_shape
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.stft import num_frames, pad


def test_the_papers_encoder():
    assert encoder_shape(6, 256, 64) == ((8, 5, 5, 5, 5, 5), (2,) * 6)


@pytest.mark.parametrize("layers", [1, 2, 3, 6, 9])
@pytest.mark.parametrize("win, hop", [(256, 64), (512, 128), (1024, 256), (256, 128), (200, 40), (64, 1)])
def test_receptive_field_and_hop_by_the_formula(layers, win, hop):
    kernels, strides = encoder_shape(layers, win, hop)
    assert len(kernels) == len(strides) == layers and math.prod(strides) == hop
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides):
        assert kernel >= stride  # no sample falls between two steps
        field, step = field + (kernel - 1) * step, step * stride
    assert field == win


@pytest.mark.parametrize("layers, win, hop", [(6, 256, 64), (3, 256, 64), (9, 512, 128), (6, 1024, 256)])
def test_receptive_field_and_hop_by_impulse(layers, win, hop):
    torch.manual_seed(0)
    encoder = ConvEncoder(win, hop, layers, 4, 3).double().eval()
    assert (encoder.receptive_field, encoder.stride) == (win, hop)
    signal = torch.randn(1, win + 5 * hop, dtype=torch.double, requires_grad=True)
    for frame in range(6):
        (grad,) = torch.autograd.grad(encoder(signal)[0, frame].square().sum(), signal)
        touched = grad[0].nonzero().squeeze(1)
        assert (touched[0].item(), touched[-1].item()) == (frame * hop, frame * hop + win - 1)
        assert len(touched) == win


@pytest.mark.parametrize("samples", [1, 63, 64, 1000])
@pytest.mark.parametrize("layers, win, hop", [(6, 256, 64), (3, 512, 128)])
def test_frames_are_those_of_the_stft(samples, layers, win, hop):
    features = FeatureOptions(win, hop)
    encoder = ConvEncoder(win, hop, layers, 4, 3)
    assert encoder(pad(torch.randn(2, samples), features)).shape == (2, num_frames(samples, features), 3)


def test_convolutions_are_those_over_channels_and_steps():
    torch.manual_seed(0)
    encoder = ConvEncoder(64, 16, 3, 5, 4).double().eval()
    signal = torch.randn(2, 400, dtype=torch.double)
    hidden = signal.unsqueeze(1)
    state = encoder.state_dict()
    for layer in range(3):
        weight, bias = (state[f"layers.{4 * layer}.{name}"] for name in ("weight", "bias"))
        hidden = torch.nn.functional.conv1d(hidden, weight, bias, encoder_shape(3, 64, 16)[1][layer])
        mean, variance = hidden.mean(1, keepdim=True), hidden.var(1, unbiased=False, keepdim=True)
        scale, shift = (state[f"layers.{4 * layer + 1}.{name}"][:, None] for name in ("weight", "bias"))
        hidden = torch.nn.functional.gelu((hidden - mean) / (variance + 1e-5).sqrt() * scale + shift)
    expected = hidden.transpose(1, 2) @ state["output.weight"].T + state["output.bias"]
    assert torch.allclose(encoder(signal), expected, atol=1e-12)


def test_settings_that_cannot_be_are_reported():
    with pytest.raises(ValueError, match="layers: expected at least 1, got 0"):
        encoder_shape(0, 256, 64)
    with pytest.raises(ValueError, match=r"win: expected a multiple of hop \(60\)"):
        encoder_shape(6, 256, 60)
    with pytest.raises(ValueError, match=r"win: expected a multiple of hop \(512\)"):
        encoder_shape(6, 256, 512)
