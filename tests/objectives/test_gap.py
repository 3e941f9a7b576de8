"""The gap of the criterion against its definition on a dense graph."""

import pytest
import torch

from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.nodes.draws import Draws
from contrasep_lib.nodes.labels import LabelledNodes
from contrasep_lib.objectives.base import Step
from contrasep_lib.objectives.gap import Gap
from contrasep_lib.objectives.options import GapOptions
from tests.modularity.dense_reference import dense_adjacency


class Model:
    """Stands in for a separation model: it projects nothing."""

    @staticmethod
    def project(z):
        return z


def step(z, labels, number, weight=None, valid=None):
    weight = torch.ones(labels.shape) if weight is None else weight
    valid = torch.ones(labels.shape, dtype=torch.bool) if valid is None else valid
    return Step(Model(), LabelledNodes(z, labels, weight, valid, number), None, Draws(1, range(len(z))))


def clouds(labels, seed=0, noise=0.1):
    """Unit embeddings around two orthogonal directions."""
    z = torch.eye(4)[labels] + noise * torch.randn(*labels.shape, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(z, dim=-1)


def value(z, weight, labels):
    a = dense_adjacency(z, weight, KernelGraph(2))
    hard = torch.nn.functional.one_hot(labels).to(a.dtype)
    return ((hard.T @ a @ hard).diagonal() / (hard.T @ a.sum(1))).sum() - 1


def test_nothing_where_the_truth_is_found():
    labels = torch.arange(40)[None] % 2
    loss, stats, _ = Gap(GapOptions())(step(clouds(labels).requires_grad_(), labels, 2))
    assert loss.item() == pytest.approx(0, abs=1e-6) and stats["gap_wrong"].item() == 0


@pytest.mark.parametrize("margin", [0.1, 1.0])
def test_equals_its_definition(margin):
    seen = torch.arange(40)[None] % 2
    z, weight = clouds(seen), 0.5 + torch.rand(1, 40, generator=torch.Generator().manual_seed(3))
    # six nodes sound like the other speaker
    truth = torch.where(torch.arange(40)[None] < 6, 1 - seen, seen)
    loss, stats, _ = Gap(GapOptions(margin=margin))(step(z, truth, 2, weight))
    wrong = float(weight[0, :6].sum() / weight.sum())
    assert stats["gap_wrong"].item() == pytest.approx(wrong, rel=1e-5)
    expected = value(z[0], weight[0], seen[0]) - value(z[0], weight[0], truth[0]) + margin * wrong
    assert expected > 0 and loss.item() == pytest.approx(float(expected), rel=1e-4)


def test_the_gradient_brings_the_speakers_apart():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(1, 60, 4, generator=generator).requires_grad_()
    labels = torch.arange(60)[None] % 3
    objective, optimiser, seen = Gap(GapOptions(margin=0.5)), torch.optim.Adam([z], 0.05), []
    for _ in range(60):
        loss, stats, _ = objective(step(torch.nn.functional.normalize(z, dim=-1), labels, 3))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(float(stats["gap_wrong"]))
    assert seen[0] > 0.4 and seen[-1] < 0.25


def test_collapsed_embeddings_have_a_loss():
    labels = torch.arange(12)[None] % 2
    z = torch.eye(4)[torch.zeros_like(labels)].requires_grad_()
    loss, stats, _ = Gap(GapOptions(margin=0.3))(step(z, labels, 2))
    assert loss.item() > 0 and torch.isfinite(loss) and stats["gap_wrong"] > 0


def test_single_speakers_and_silence_take_no_part():
    labels = torch.arange(12).expand(2, -1) % 2
    z = clouds(labels, noise=0.8)
    one = Gap(GapOptions(sampled_nodes=12))(step(z[:1], labels[:1], 2))[0]
    mixed = torch.where(torch.tensor([[True], [False]]), labels, 0)
    both = Gap(GapOptions(sampled_nodes=12))(step(z, mixed, 2))[0]
    assert both.item() == pytest.approx(one.item(), rel=1e-4, abs=1e-6)
    quiet = z.clone().requires_grad_()
    loss, *_ = Gap(GapOptions())(step(quiet, labels, 2, valid=torch.zeros_like(labels, dtype=torch.bool)))
    loss.backward()
    assert loss.item() == 0 and not quiet.grad.any()


@pytest.mark.parametrize("values, says", [
    ({"margin": 0.0}, "margin: expected a number above 0 and at most 1e6, got 0.0"),
    ({"moves": -1}, "moves: expected a whole number from 0"),
    ({"sampled_nodes": 1}, "sampled_nodes"), ({"weight": -1.0}, "weight"), ({"power": 0}, "power"),
])
def test_bad_options_are_named(values, says):
    with pytest.raises(ValueError, match=says):
        GapOptions(**values)


def test_half_precision_around_it_changes_nothing():
    labels = torch.arange(40)[None] % 2
    truth = torch.where(torch.arange(40)[None] < 6, 1 - labels, labels)
    losses = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss, stats, _ = Gap(GapOptions())(step(clouds(labels), truth, 2))
        assert loss.dtype == stats["gap_wrong"].dtype == torch.float32
        losses.append(loss)
    assert torch.equal(*losses)


def test_embeddings_that_are_not_finite_have_no_finite_loss():
    labels = torch.arange(40)[None] % 2
    z = clouds(labels)
    z[0, 3] = torch.nan
    assert Gap(GapOptions())(step(z, labels, 2))[0].isnan()
