"""The objective of slots: which mixtures take part, labels of a batch, and a gradient for embedding and slots."""

import pytest
import torch

from contrasep_lib.config import build
from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.modularity.quality import NormalisedModularity
from contrasep_lib.modularity.solvers.slot_loss import SlotLoss
from contrasep_lib.nodes.draws import Draws
from contrasep_lib.nodes.labels import LabelledNodes
from contrasep_lib.objectives.base import Step
from contrasep_lib.objectives.options import SlotsObjectiveOptions
from contrasep_lib.objectives.sampling import own_labels
from contrasep_lib.objectives.slots import Slots


class Model:
    """Stands in for a separation model: it projects nothing."""

    @staticmethod
    def project(z):
        return z


def made(**values):
    torch.manual_seed(0)
    return Slots(SlotsObjectiveOptions(width=8, layers=1, **values), 5)


def step(labels, number, seed=0, valid=None):
    generator = torch.Generator().manual_seed(seed)
    z = torch.nn.functional.normalize(torch.randn(*labels.shape, 5, generator=generator), dim=-1).requires_grad_()
    weight = 0.2 + torch.rand(labels.shape, generator=generator)
    valid = torch.ones(labels.shape, dtype=torch.bool) if valid is None else valid
    return Step(Model(), LabelledNodes(z, labels, weight, valid, number), None, Draws(1, range(len(z))))


LABELS = torch.arange(24).view(2, 12) % 3


def test_labels_of_a_batch_are_each_mixture_s_own():
    labels, valid = torch.tensor([[7, 3, 7, 9], [5, 5, 1, 5]]), torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    own, number, counts = own_labels(labels, valid)
    assert own.tolist() == [[1, 0, 1, 2], [0, 0, 0, 0]] and number == 3 and counts.tolist() == [3, 1]
    own, number, counts = own_labels(torch.ones(1, 2, dtype=torch.int64), torch.zeros(1, 2, dtype=torch.bool))
    assert own.tolist() == [[0, 0]] and number == 1 and counts.tolist() == [0]


def test_names_of_labels_change_nothing():
    objective = made()
    one = objective(step(LABELS, 3))[0]
    assert torch.equal(one, objective(step(LABELS + torch.tensor([[10], [40]]), 60))[0])
    assert not torch.equal(one, objective(step(LABELS.flip(1) // 2, 3))[0])


def test_the_gradient_reaches_embeddings_and_slots():
    objective, given = made(), step(LABELS, 3)
    loss, terms, _ = objective(given)
    loss.backward()
    assert given.nodes.z.grad.abs().sum() > 0 and set(terms) == {"slots_dominance", "slots_existence", "slots_quality"}
    assert all(part.grad is not None and part.grad.isfinite().all() for part in objective.parameters())


def test_single_speakers_and_silence_take_no_part():
    objective = made()
    both = step(LABELS, 3)
    alone = step(torch.where(torch.tensor([[True], [False]]), LABELS, 2), 3)
    first = Step(
        Model(), LabelledNodes(both.nodes.z[:1], LABELS[:1], both.nodes.weight[:1], both.nodes.valid[:1], 3), None,
        Draws(1, range(1)),
    )
    objective.options = objective.options.__class__(width=8, layers=1, sampled_nodes=12)
    assert objective(alone)[0].item() == pytest.approx(objective(first)[0].item(), rel=1e-5)
    for quiet in (step(torch.zeros_like(LABELS), 1), step(LABELS, 3, valid=torch.zeros_like(LABELS, dtype=torch.bool))):
        loss, _, count = objective(quiet)
        loss.backward()
        assert loss.item() == 0 == count and not quiet.nodes.z.grad.any()


def test_embeddings_that_are_not_finite_have_no_finite_loss():
    """The training then stops in one line, as with every objective."""
    given = step(LABELS, 3)
    with torch.no_grad():
        given.nodes.z[1, 4] = torch.inf
    assert made()(given)[0].isnan()
    spoilt = made()
    with torch.no_grad():
        spoilt.network.straight.weight[0, 0] = torch.nan
    for weights in ({}, {"dominance_weight": 0.0}):
        spoilt.loss = SlotLoss(KernelGraph(), NormalisedModularity(), **weights)
        assert spoilt(step(LABELS, 3))[0].isnan()
    # not what is left out
    given = step(LABELS, 3, valid=torch.arange(12).expand(2, -1) != 4)
    with torch.no_grad():
        given.nodes.z[1, 4] = torch.inf
    loss, *_ = made()(given)
    loss.backward()
    assert loss.isfinite() and given.nodes.z.grad[:, :4].isfinite().all()


def test_slots_and_embeddings_learn_together():
    objective, given = made(sampled_nodes=12), step(LABELS, 3)
    z = given.nodes.z.detach().clone().requires_grad_()
    optimiser, losses = torch.optim.Adam([z, *objective.parameters()], 0.03), []
    for _ in range(60):
        unit = torch.nn.functional.normalize(z, dim=-1)
        nodes = LabelledNodes(unit, LABELS, given.nodes.weight, given.nodes.valid, 3)
        loss, terms, _ = objective(Step(Model(), nodes, None, Draws(1, range(len(z)))))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(terms)
    assert losses[-1]["slots_dominance"] < 0.2 < losses[0]["slots_dominance"]
    assert losses[-1]["slots_quality"] > losses[0]["slots_quality"] + 0.2


def test_more_speakers_than_slots_and_bad_options_are_reported():
    says = "model.objectives.slots.slots: expected at least 3, the speakers of a mixture, got 2"
    with pytest.raises(ContrasepError, match=says):
        made(slots=2)(step(LABELS, 3))
    for values, says in (
        ({"slots": 1}, "slots: expected a whole number from 2 to 100, got 1"),
        ({"weight": 0}, "weight: expected a number above 0"),
        ({"quality_weight": -1}, "quality_weight: expected a number from 0"), ({"layers": 0}, "layers"),
        ({"quality_weight": 0, "dominance_weight": 0}, "expected one of them above 0"),
    ):
        with pytest.raises(ValueError, match=says):
            SlotsObjectiveOptions(**values)
    with pytest.raises(Exception, match="labels: objective slots learns from sources; expected 'dominance'"):
        build(ModelOptions, {"objectives": ["slots"], "labels": "none"}, "model")
