"""Contrastive predictive coding against sums written out, what learns, and the edges."""

import math

import pytest
import torch

from contrasep_lib.objectives.cpc import CPC, info_nce
from contrasep_lib.objectives.options import CPCOptions
from tests.objectives.self_supervised import model, step


def drawn(*rows):
    index = torch.tensor(rows)
    return index, torch.ones_like(index, dtype=torch.bool)


def test_a_known_case():
    z = torch.eye(2)[None]
    predicted = torch.tensor([[[[0.5, 2.0]], [[7.0, 7.0]]]])
    valid = torch.ones(1, 2, dtype=torch.bool)
    # frame 0 predicts frame 1 (logit 2) against frame 0 (logit 0.5); frame 1 has none behind it
    loss, right, counted = info_nce(predicted, z, valid, *drawn([0]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1.5))) and right == 1 and counted == 1
    # its own frame is no negative
    assert info_nce(predicted, z, valid, *drawn([1]))[0].item() == pytest.approx(0, abs=1e-6)
    # of no use where nothing is drawn, or no pair is whole
    assert info_nce(predicted, z, valid, torch.tensor([[0]]), torch.tensor([[False]]))[0] == 0
    assert info_nce(predicted, z, torch.tensor([[True, False]]), *drawn([0]))[0] == 0


def reference(predicted, z, valid, negatives, there):
    batch, count, steps, _ = predicted.shape
    utterances = []
    for a in range(batch):
        frames = []
        for t in range(count):
            losses = []
            for k in range(steps):
                later = t + k + 1
                if later < count and valid[a, t] and valid[a, later]:
                    own = predicted[a, t, k] @ z[a, later]
                    others = [
                        predicted[a, t, k] @ z[b, n]
                        for b in range(batch) for n, real in zip(negatives[b].tolist(), there[b].tolist())
                        if real and (a, later) != (b, n)
                    ]
                    losses.append(torch.stack([own, *others]).logsumexp(0) - own)
            if losses:
                frames.append(torch.stack(losses).mean())
        if frames:
            utterances.append(torch.stack(frames).mean())
    return torch.stack(utterances).mean()


def test_equals_the_sums_written_out():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(3, 6, 4, dtype=torch.double, generator=generator)
    predicted = torch.randn(3, 6, 2, 4, dtype=torch.double, generator=generator)
    valid = torch.tensor([[True] * 6, [True, True, False, True, True, False], [True] + [False] * 5])
    negatives = torch.tensor([[0, 3, 5], [1, 4, 0], [0, 1, 2]])
    there = torch.tensor([[True] * 3, [True] * 3, [True, False, False]])
    loss, _, counted = info_nce(predicted, z, valid, negatives, there)
    assert loss.item() == pytest.approx(float(reference(predicted, z, valid, negatives, there)), rel=1e-9)
    assert counted == 2
    inputs = (predicted.requires_grad_(), z.requires_grad_())
    assert torch.autograd.gradcheck(lambda p, x: info_nce(p, x, valid, negatives, there)[0], inputs)


@pytest.mark.parametrize("granularity, backbone", [
    ("frame", {"name": "encoder", "layers": 2, "width": 8}), ("tf", {"name": "conv", "layers": 1, "width": 6}),
])
def test_every_weight_learns_and_chance_is_known(granularity, backbone):
    net = model(granularity, backbone, projection=0)
    objective = CPC.from_options(CPCOptions(steps=3, width=8, negatives=8), net)
    loss, stats, counted = objective(step(net, [1600, 700]))
    # contexts that know nothing yet choose among 17 at about chance
    assert abs(loss.item() - math.log(17)) < 0.7 and 0 <= stats["cpc_accuracy"] < 0.5 and counted == 2
    loss.backward()
    for name, parameter in [*net.backbone.named_parameters(), *objective.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_contexts_see_nothing_of_the_future():
    net = model(backbone={"name": "encoder", "layers": 2, "width": 8})
    objective = CPC.from_options(CPCOptions(steps=2, width=8), net)
    z = torch.randn(1, 10, 6, requires_grad=True)
    (grad,) = torch.autograd.grad(objective.context(z)[0][0, 4].sum(), z)
    assert (grad[0, :5].abs().sum(1) > 0).all() and not grad[0, 5:].any()


def test_learns_what_follows():
    generator = torch.Generator().manual_seed(0)
    objective = CPC(CPCOptions(steps=1, width=16, negatives=8), 4)
    # a cycle of four frames: each tells the next
    z = torch.eye(4)[torch.arange(40) % 4].expand(2, -1, -1)
    valid, optimiser = torch.ones(2, 40, dtype=torch.bool), torch.optim.Adam(objective.parameters(), 0.02)
    for _ in range(80):
        index = torch.randint(40, (2, 8), generator=generator)
        predicted = objective.ahead(objective.context(z)[0]).unflatten(2, (1, -1))
        loss, *_ = info_nce(predicted, z, valid, index, torch.ones_like(index, dtype=torch.bool))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    # a quarter of the negatives sound like the right one
    assert loss.item() < 0.7 * math.log(17)


@pytest.mark.parametrize("lengths, zeros", [([1], False), ([900], False), ([400, 400], True), ([1, 900], False)])
def test_short_utterances_silence_and_a_batch_of_one(lengths, zeros):
    net = model(backbone={"name": "encoder", "layers": 2, "width": 8})
    objective = CPC.from_options(CPCOptions(), net)
    loss, _, counted = objective(step(net, lengths, zeros=zeros))
    loss.backward()
    assert loss.isfinite() and all(part.grad is None or part.grad.isfinite().all() for part in net.parameters())
    # a sample lies in four frames, of which three have one behind them
    assert (loss > 0) == (not zeros) and counted == (0 if zeros else len(lengths))


def test_bad_options_are_named():
    for values in ({"steps": 0}, {"width": 0}, {"negatives": 0}):
        with pytest.raises(ValueError, match=next(iter(values))):
            CPCOptions(**values)
