"""Shared blocks in passes: size, the recurrence, passes at inference, supervision of each pass."""

import dataclasses

import pytest
import torch

from contrasep_lib.config import build
from contrasep_lib.embedding.backbones.iterated import Iterated
from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.checkpoint import load_model, save_model
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.objectives.deep_clustering import deep_clustering_loss
from contrasep_lib.objectives.ranks import Share
from contrasep_lib.train.espnet_model import EspnetModel
from contrasep_lib.train.step import labelled_step

FREQ, FEATURES = 33, FeatureOptions(64, 16)
SIZE = {"layers": 1, "width": 8, "band": 4}


def backbone(passes, supervision=0.5):
    torch.manual_seed(0)
    return Iterated(FREQ, 5, passes=passes, supervision=supervision, **SIZE)


def model(passes=3, supervision=0.5, **values):
    torch.manual_seed(0)
    backbone = {"name": "iterated", **SIZE, "passes": passes, "supervision": supervision}
    tree = {"backbone": backbone, "embedding_dim": 6, **values}
    return EspnetModel(build(ModelOptions, tree, "model"), FEATURES)


def mixtures():
    generator = torch.Generator().manual_seed(0)
    sources = 0.1 * torch.randn(2, 2, 900, generator=generator) * (torch.rand(2, 2, 900, generator=generator) > 0.3)
    return sources.sum(1), torch.tensor([900, 700]), sources, torch.tensor([2, 2])


def test_passes_share_their_weights():
    states = [backbone(passes).state_dict() for passes in (1, 2, 7)]
    for state in states[1:]:
        assert list(state) == list(states[0]) and all(torch.equal(state[name], states[0][name]) for name in state)


def test_each_pass_goes_on_from_the_input_and_the_pass_before():
    x, frames = torch.randn(2, 9, FREQ), torch.tensor([9, 6])
    net = backbone(4).train()
    found = net.passes(x, frames)
    assert len(found) == 4
    first = net.stem(x.unsqueeze(1)) + net.place
    expected = first
    for features in found:
        for index in range(SIZE["layers"]):
            expected = net.walk(index, expected, frames)
        torch.testing.assert_close(features, expected)
        expected = first + torch.nn.functional.layer_norm(expected, (8,))
    torch.testing.assert_close(net.hidden(x, frames), found[-1])
    for passes, features in enumerate(found, 1):
        torch.testing.assert_close(backbone(passes).eval().hidden(x, frames), features)


def test_more_passes_than_in_training_stay_in_range():
    x, frames = torch.randn(1, 12, FREQ), torch.tensor([12])
    few, many = (backbone(passes).eval().hidden(x, frames) for passes in (2, 60))
    assert many.isfinite().all() and many.norm() < 10 * few.norm() and not torch.allclose(few, many)


def test_earlier_passes_exist_in_training_alone():
    mixture, lengths, *_ = mixtures()
    for net, count in ((model(), 2), (model(supervision=0.0), 0), (model(passes=1), 0), (model().eval(), 0)):
        nodes, analysis = net.analyse(mixture, lengths)
        assert len(analysis.passes) == count
        for z in analysis.passes:
            assert z.shape == nodes.z.shape
            torch.testing.assert_close(z.norm(dim=-1), torch.ones(z.shape[:2]))
    assert analysis.rows(torch.tensor([1])).z.shape[0] == 1


@pytest.mark.parametrize("granularity", ["tf", "frame"])
def test_the_loss_is_shared_between_the_passes(granularity):
    net, (mixture, lengths, sources, num_spk) = model(granularity=granularity), mixtures()
    loss, stats, _ = net(mixture, lengths, sources, num_spk)
    step = labelled_step(net, mixture, lengths, sources, num_spk, None, Share.of(2, 900, 2, 0, mixture.device))
    nodes = step.nodes
    first, second, last = (
        deep_clustering_loss(z, nodes.labels, nodes.number, nodes.weight, nodes.valid)
        for z in (*step.analysis.passes, step.analysis.z)
    )
    torch.testing.assert_close(loss, 0.5 * last + 0.25 * (first + second))
    torch.testing.assert_close(stats["deep_clustering"], last)
    assert len({round(value.item(), 6) for value in (first, second, last)}) == 3


def test_gradients_come_from_each_pass():
    net, (mixture, lengths, sources, num_spk) = model(), mixtures()
    kept = []
    passes = net.backbone.passes

    def watched(x, frames):
        # cut apart, so that each gets the gradient of its own loss alone
        kept.extend(features.detach().requires_grad_() for features in passes(x, frames))
        return kept

    net.backbone.passes = watched
    net(mixture, lengths, sources, num_spk)[0].backward()
    assert len(kept) == 3 and all(features.grad.abs().sum() > 0 for features in kept)


def test_a_decoder_learns_beside_supervised_passes():
    objectives = {"deep_clustering": 1.0, "si_snr": {"weight": 0.1, "share": 0.5}, "count": 0.2}
    net = model(decoder={"name": "attractor", "layers": 1, "width": 8}, counter="classifier", objectives=objectives)
    net(*mixtures())[0].backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_a_trained_model_takes_another_number_of_passes(tmp_path):
    net = model().eval()
    save_model(tmp_path / "model.pth", net.state_dict(), FEATURES, net.options, {})
    mixture = mixtures()[0]
    as_trained = load_model(tmp_path / "model.pth")
    torch.testing.assert_close(as_trained.embed(mixture).z, net.embed(mixture).z)
    more = dataclasses.replace(net.options, backbone=dataclasses.replace(net.options.backbone, passes=6))
    found = load_model(tmp_path / "model.pth", features=FEATURES, options=more)
    torch.testing.assert_close(found.embed(mixture).z, model(passes=6).eval().embed(mixture).z)
    wider = dataclasses.replace(more, backbone=dataclasses.replace(more.backbone, width=16))
    with pytest.raises(ContrasepError, match=r"model.backbone.width is 8 there, 16 here"):
        load_model(tmp_path / "model.pth", features=FEATURES, options=wider)


@pytest.mark.parametrize("values, words", [
    ({"passes": 0}, "passes: expected a whole number from 1 to 100, got 0"),
    ({"supervision": 1.0}, "supervision: expected"),
])
def test_options_out_of_range(values, words):
    with pytest.raises(ContrasepError, match=words):
        build(ModelOptions, {"backbone": {"name": "iterated", **SIZE, **values}}, "model")
