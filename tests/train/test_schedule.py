"""The learning rate schedule without an end."""

import pytest
import torch

from contrasep_lib.train.espnet import scheduler_classes
from contrasep_lib.train.schedule import WarmupConstantLR


def made(**options):
    optimizer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.4, 1.0)])
    return optimizer, scheduler_classes["warmupconstant"](optimizer, **options)


def rates(optimizer, schedule, steps):
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return found


def test_the_rate_rises_linearly_and_stays():
    found = rates(*made(warmup_steps=4), 40)
    expected = [[0.4 * min(1, n / 4), min(1, n / 4)] for n in range(1, 41)]
    assert found == [pytest.approx(rates) for rates in expected]


@pytest.mark.parametrize("after", [2, 9])
def test_it_goes_on_from_its_state(after):
    whole = rates(*made(warmup_steps=5), 15)
    optimizer, schedule = made(warmup_steps=5)
    first = rates(optimizer, schedule, after)
    again, resumed = made(warmup_steps=5)
    again.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    assert first + rates(again, resumed, 15 - after) == whole
    # plain values alone, which a checkpoint may hold
    assert all(isinstance(value, (int, float, bool, list)) for value in schedule.state_dict().values())


def test_a_warm_up_has_steps():
    with pytest.raises(ValueError, match="warmup_steps: expected at least 1, got 0"):
        WarmupConstantLR(made()[0], warmup_steps=0)
