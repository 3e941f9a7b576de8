"""Backbones and inputs: shapes, padding, gain, gradients."""

import numpy as np
import pytest
import torch

from contrasep_lib.embedding.backbones import base
from contrasep_lib.embedding.backbones.blstm import BLSTM
from contrasep_lib.embedding.backbones.conv import Conv
from contrasep_lib.embedding.backbones.dual_path import DualPath
from contrasep_lib.embedding.backbones.iterated import Iterated
from contrasep_lib.embedding.heads import Projection, unit_norm
from contrasep_lib.embedding.inputs import SpectrumInput, unit_level
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.spectra import log_spectrum, statistics
from contrasep_lib.nodes.stft import num_frames, stft

FREQ = 33
BACKBONES = {
    "blstm": lambda: BLSTM(FREQ, 5, 2, 6),
    "conv": lambda: Conv(FREQ, 5, 3, 6),
    "rnn": lambda: DualPath(FREQ, 5, 2, 8, band=4),
    "attention": lambda: DualPath(FREQ, 5, 2, 8, path="attention", heads=2, band=5),
    "iterated": lambda: Iterated(FREQ, 5, passes=3, layers=1, width=8, band=4),
    "odd band": lambda: DualPath(FREQ, 5, 1, 8, band=1),
}


@pytest.fixture(params=BACKBONES)
def backbone(request):
    torch.manual_seed(0)
    return BACKBONES[request.param]().double().eval()


def test_padding_does_not_reach_an_utterance(backbone):
    x = torch.randn(3, 20, FREQ, dtype=torch.double)
    frames = torch.tensor([20, 7, 12])
    x = torch.where(torch.arange(20).view(1, -1, 1) < frames.view(-1, 1, 1), x, 0.0)
    together = backbone(x, frames)
    assert together.shape == (3, 20, FREQ, 5)
    for row, count in enumerate(frames.tolist()):
        alone = backbone(x[row : row + 1, :count], frames[row : row + 1])
        assert torch.allclose(together[row, :count], alone[0], atol=1e-9)


def test_frames_are_the_mean_over_their_units(backbone):
    hidden = backbone.hidden(torch.randn(2, 9, FREQ, dtype=torch.double), torch.tensor([9, 6]))
    expected = backbone.units(hidden).mean(2, keepdim=True).float()
    assert torch.allclose(backbone.frames(hidden), expected, atol=1e-6)


def test_every_parameter_learns(backbone):
    x = torch.randn(2, 9, FREQ, dtype=torch.double)
    unit_norm(backbone(x, torch.tensor([9, 6]))).pow(3).sum().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("name", ["blstm", "rnn", "attention", "iterated"])
def test_looks_over_the_whole_utterance(name):
    torch.manual_seed(0)
    backbone = BACKBONES[name]().double()
    x = torch.randn(1, 12, FREQ, dtype=torch.double, requires_grad=True)
    (grad,) = torch.autograd.grad(backbone(x, torch.tensor([12]))[0, 6, 3].sum(), x)
    assert (grad[0, :, :].abs().sum(1) > 0).all()


def test_attention_knows_the_order_of_frames():
    torch.manual_seed(0)
    backbone = BACKBONES["attention"]().double()
    x = torch.randn(1, 12, FREQ, dtype=torch.double)
    swapped = x[:, [0, 1, 2, 3, 4, 5, 6, 7, 11, 9, 10, 8]]
    frames = torch.tensor([12])
    assert not torch.allclose(backbone(x, frames)[0, 3], backbone(swapped, frames)[0, 3], atol=1e-9)


def test_unit_norm_of_anything():
    z = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-30, 0.0], [0.0, -1e15]], requires_grad=True)
    unit = unit_norm(z)
    assert torch.allclose(unit.norm(dim=1), torch.ones(4))
    unit.sum().backward()
    assert z.grad.isfinite().all()
    assert unit_norm(z.detach().bfloat16()).dtype == torch.float32
    assert torch.allclose(Projection(2, 7)(unit).norm(dim=1), torch.ones(4))


def test_input_matches_the_statistics_of_the_dump(rng):
    features = FeatureOptions(64, 16)
    signals = [rng.standard_normal(4000) * 0.1 for _ in range(3)]
    stats = sum(statistics(log_spectrum(signal, features)) for signal in signals)
    inputs = SpectrumInput(features, stats)
    batch = torch.tensor(np.stack(signals), dtype=torch.float32)
    spectrum = stft(batch, features)
    x = inputs(spectrum, torch.full((3,), num_frames(4000, features)))
    # edge frames apart, all units are loud in noise, so the level is the mean
    assert x.mean().abs() < 0.1 and abs(x.std().item() - 1) < 0.1
    assert torch.equal(SpectrumInput(features, None).state_dict()["mean"], torch.zeros(33))


def test_input_does_not_depend_on_gain_or_padding(rng):
    features = FeatureOptions(64, 16)
    signal = torch.tensor(rng.standard_normal((1, 1000)) * np.hanning(1000), dtype=torch.float32)
    inputs = SpectrumInput(features, None)
    frames = torch.tensor([num_frames(1000, features)])
    x = inputs(stft(signal, features), frames)
    assert torch.allclose(inputs(stft(0.02 * signal, features), frames), x, atol=1e-4)
    longer = torch.nn.functional.pad(signal, (0, 700))
    padded = inputs(stft(longer, features), frames)
    assert torch.allclose(padded[:, : frames[0]], x, atol=1e-5) and (padded[:, frames[0] :] == 0).all()
    assert inputs(torch.zeros_like(stft(signal, features)), frames).isfinite().all()
    level = unit_level(longer, torch.tensor([1000]))
    assert torch.allclose(unit_level(5 * longer, torch.tensor([1000])), level)
    assert level[0, :1000].square().mean().item() == pytest.approx(1, rel=1e-5)
    assert unit_level(torch.zeros(1, 9), torch.tensor([9])).isfinite().all()


def test_statistics_that_do_not_fit_are_reported():
    with pytest.raises(
        ValueError, match=r"stats: expected shape \(2, 34\) for frames of 64 samples, got \(2, 130\)"
    ):
        SpectrumInput(FeatureOptions(64, 16), np.zeros((2, 130)))
    with pytest.raises(ValueError, match="statistics over no frame"):
        SpectrumInput(FeatureOptions(64, 16), np.zeros((2, 34)))


def test_a_recurrence_in_parts_is_the_same(monkeypatch):
    torch.manual_seed(0)
    layer = torch.nn.LSTM(6, 5, batch_first=True, bidirectional=True).double()
    x = torch.randn(2 * base.SEQUENCES + 3, 4, 6, dtype=torch.double, requires_grad=True)
    calls, found = [], []
    layer.register_forward_hook(lambda module, arguments, output: calls.append(len(arguments[0])))
    for most in (base.SEQUENCES, len(x)):
        monkeypatch.setattr(base, "SEQUENCES", most)
        y = base.run_recurrent(layer, x, None)
        found.append((y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])))
    assert calls == [512, 512, 3, len(x)]
    for parts, whole in zip(*found):
        assert torch.allclose(parts, whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_recurrence_over_padded_sequences_is_that_over_each_alone(monkeypatch, layers):
    torch.manual_seed(0)
    monkeypatch.setattr(base, "SEQUENCES", 3)
    layer = torch.nn.LSTM(6, 5, layers, batch_first=True, bidirectional=True).double()
    lengths = torch.tensor([7, 1, 4, 9, 9])
    x = torch.randn(5, 9, 6, dtype=torch.double, requires_grad=True)
    y = base.run_recurrent(layer, x, lengths)
    weights = torch.randn_like(y)
    found = torch.autograd.grad((y * weights).sum(), [x, *layer.parameters()])
    alone = [layer(x[i : i + 1, :end])[0] for i, end in enumerate(lengths)]
    total = sum((part * weights[i, :end]).sum() for i, (part, end) in enumerate(zip(alone, lengths)))
    expected = torch.autograd.grad(total, [x, *layer.parameters()])
    for i, end in enumerate(lengths):
        assert torch.allclose(y[i, :end], alone[i][0], rtol=1e-9, atol=1e-9) and not y[i, end:].any()
    for a, b in zip(found, expected):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9)


def test_dropout_between_layers_of_a_recurrence_over_padded_sequences():
    layer = torch.nn.LSTM(4, 8, 2, batch_first=True, bidirectional=True, dropout=0.5)
    x, lengths = torch.randn(2, 6, 4), torch.tensor([6, 3])
    assert not torch.equal(*(base.run_recurrent(layer, x, lengths) for _ in range(2)))
    layer.eval()
    assert torch.equal(*(base.run_recurrent(layer, x, lengths) for _ in range(2)))
