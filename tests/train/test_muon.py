"""Muon and Adam as one optimiser, against torch's own and against singular values."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from contrasep_lib.train.muon import MuonAdam


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.recurrent = torch.nn.LSTM(6, 5, bidirectional=True)
        self.stem = torch.nn.Conv2d(1, 3, 3)
        self.place = torch.nn.Parameter(torch.randn(4, 6))
        self.norm = torch.nn.LayerNorm(10)
        self.output = torch.nn.Linear(10, 12)


def _model(seed: int = 0) -> Small:
    torch.manual_seed(seed)
    return Small()


def _gradients(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def _matrices(model: torch.nn.Module) -> set[str]:
    return {name for name, value in model.named_parameters() if value.ndim == 2 and name != "place"}


def test_each_kind_moves_as_under_its_own_optimiser() -> None:
    model, reference = _model(), _model()
    joint = MuonAdam(model.named_parameters(), lr=0.01, momentum=0.9, betas=(0.8, 0.99))
    matrices = _matrices(reference)
    named = dict(reference.named_parameters())
    muon = torch.optim.Muon(
        [named[name] for name in named if name in matrices], 0.01, weight_decay=0.0, momentum=0.9,
        adjust_lr_fn="match_rms_adamw",
    )
    adam = torch.optim.Adam([named[name] for name in named if name not in matrices], 0.01, (0.8, 0.99))
    for step in range(4):
        for one in (model, reference):
            _gradients(one, step)
        joint.step()
        muon.step()
        adam.step()
    for name, value in model.named_parameters():
        assert torch.equal(value, named[name]), name


def test_a_matrix_moves_by_the_same_length_in_every_direction() -> None:
    layer = torch.nn.Linear(48, 32, bias=False)
    before = layer.weight.detach().clone()
    generator = torch.Generator().manual_seed(1)
    # directions of very different strength
    scales = torch.logspace(0, -1.5, 48)
    layer.weight.grad = torch.randn(32, 48, generator=generator) * scales
    MuonAdam(layer.named_parameters(), lr=0.1).step()
    moved = torch.linalg.svdvals((layer.weight - before).detach()) / (0.1 * 0.2 * math.sqrt(48))
    # five steps of Newton and Schulz bring them near one
    assert 0.5 < float(moved.min()) and float(moved.max()) < 1.3


def test_goes_on_from_its_state_bit_for_bit() -> None:
    model = _model()
    optimiser = MuonAdam(model.named_parameters(), lr=0.01)
    for step in range(3):
        _gradients(model, step)
        optimiser.step()
    other = copy.deepcopy(model)
    resumed = MuonAdam(other.named_parameters(), lr=0.5)
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for step in range(3, 6):
        for one, its in ((model, optimiser), (other, resumed)):
            _gradients(one, step)
            its.step()
    for mine, theirs in zip(model.parameters(), other.parameters()):
        assert torch.equal(mine, theirs)


def test_schedulers_reach_both_kinds() -> None:
    model = _model()
    before = copy.deepcopy(model.state_dict())
    optimiser = MuonAdam(model.named_parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.0)
    _gradients(model, 0)
    optimiser.step()
    scheduler.step()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kept", ["matrices", "others"])
def test_a_model_of_one_kind_alone(kept: str) -> None:
    model = _model()
    some = [(name, p) for name, p in model.named_parameters() if (name in _matrices(model)) == (kept == "matrices")]
    before = [parameter.detach().clone() for _, parameter in some]
    optimiser = MuonAdam(some, lr=0.01)
    _gradients(model, 0)
    optimiser.step()
    assert all(not torch.equal(old, new) for old, (_, new) in zip(before, some))


def test_parameters_without_gradient_stay() -> None:
    model = _model()
    optimiser = MuonAdam(model.named_parameters(), lr=0.01)
    _gradients(model, 0)
    model.output.weight.grad = model.place.grad = None
    before = model.output.weight.detach().clone(), model.place.detach().clone()
    optimiser.step()
    assert torch.equal(model.output.weight, before[0]) and torch.equal(model.place, before[1])


@pytest.mark.parametrize("wrong", [{"lr": -1.0}, {"momentum": -0.1}, {"betas": (1.0, 0.9)}])
def test_values_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError):
        MuonAdam(_model().named_parameters(), **wrong)
