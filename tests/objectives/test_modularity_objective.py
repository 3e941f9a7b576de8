"""The objective of deep modularity networks against dense graphs, what learns, and the edges."""

import math

import pytest
import torch

from contrasep_lib.embedding.inputs import SpectrumInput
from contrasep_lib.errors import ContrasepError
from contrasep_lib.objectives.modularity import ModularityObjective
from contrasep_lib.objectives.options import ModularityObjectiveOptions
from tests.objectives.self_supervised import FEATURES, model, step

GCN = {"name": "gcn", "layers": 2, "width": 8, "neighbours": 4}


def made(net, **values):
    return ModularityObjective.from_options(ModularityObjectiveOptions(communities=3, **values), net)


def value(adjacency, assign, normalised):
    degree, two_m = adjacency.sum(1), adjacency.sum()
    if normalised:
        return ((assign.T @ adjacency @ assign).diagonal() / (assign.T @ degree)).sum() - 1
    return torch.trace(assign.T @ (adjacency - torch.outer(degree, degree) / two_m) @ assign) / two_m


@pytest.mark.parametrize("normalised", [False, True])
def test_equals_its_definition_on_the_graph_of_embeddings(normalised):
    net = model(node_weight="uniform")
    objective = made(net, graph="embeddings", normalised=normalised, collapse_weight=0.3)
    given = step(net, [900])
    loss, stats, counted = objective(given)
    z = given.nodes.z[0, given.nodes.valid[0]].double()
    assign = objective.head(z.float()).softmax(-1).double()
    adjacency = (((1 + z @ z.T) / 2) ** 2).fill_diagonal_(0)
    quality = value(adjacency, assign, normalised)
    even = math.sqrt(3) / len(z) * assign.sum(0).norm() - 1
    assert stats["modularity_quality"].item() == pytest.approx(quality.item(), rel=1e-4, abs=1e-6) and counted == 1
    assert loss.item() == pytest.approx((0.3 * even - quality).item(), rel=1e-4)


def test_equals_its_definition_on_the_graph_of_spectra():
    net = model(backbone=GCN, node_weight="uniform")
    objective = made(net, quantile=0.6)
    given = step(net, [900])
    _, stats, _ = objective(given)
    valid = given.nodes.valid[0]
    level = SpectrumInput(FEATURES, None)(given.analysis.spectrum, given.analysis.frames)[0, valid].double()
    points = torch.nn.functional.normalize(level, dim=-1)
    points = torch.nn.functional.normalize(points - points.mean(0), dim=-1)
    cosine = (points @ points.T).fill_diagonal_(-2)
    limit = max(float(cosine[~torch.eye(len(cosine), dtype=torch.bool)].quantile(0.6)), 0.0)
    adjacency = torch.where(cosine > limit, cosine, 0.0)
    assign = objective.head(given.nodes.z[0, valid]).softmax(-1).double()
    expected = float(value(adjacency, assign, False))
    # the threshold is estimated
    assert stats["modularity_quality"].item() == pytest.approx(expected, rel=0.05, abs=1e-3)


@pytest.mark.parametrize("values", [{}, {"graph": "embeddings", "normalised": True}, {"sampled_nodes": 20}])
def test_every_weight_learns(values):
    net = model(backbone=GCN)
    objective = made(net, **values)
    objective(step(net, [1600, 700]))[0].backward()
    for name, parameter in [*net.backbone.named_parameters(), *objective.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_the_quality_rises():
    net = model(backbone=GCN)
    objective = made(net, collapse_weight=0.1)
    optimiser = torch.optim.Adam([*net.parameters(), *objective.parameters()], 0.01)
    seen = []
    for _ in range(50):
        loss, stats, _ = objective(step(net, [1600, 1600]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(stats["modularity_quality"].item())
    assert seen[-1] > seen[0] + 0.1


def test_labels_are_not_read():
    net = model(backbone=GCN)
    given, objective = step(net, [900, 900]), made(net)
    other = step(net, [900, 900])
    other.nodes.labels.fill_(0)
    assert torch.equal(objective(given)[0], objective(other)[0])


@pytest.mark.parametrize("lengths, zeros", [([1], False), ([400, 400], True), ([1, 900], False)])
def test_short_utterances_and_silence(lengths, zeros):
    for graph in ("spectra", "embeddings"):
        net = model(backbone=GCN)
        loss, _, _ = made(net, graph=graph)(step(net, lengths, zeros=zeros))
        loss.backward()
        assert loss.isfinite() and all(part.grad is None or part.grad.isfinite().all() for part in net.parameters())


def test_embeddings_that_are_not_finite_end_in_nan():
    net = model(backbone=GCN)
    torch.nn.init.constant_(net.backbone.output.bias, math.nan)
    assert made(net)(step(net, [900]))[0].isnan()


def test_units_have_no_graph_of_spectra():
    with pytest.raises(ContrasepError, match=r"modularity.graph: expected 'embeddings' with .* 'tf', got 'spectra'"):
        made(model("tf"))
    for values in ({"communities": 1}, {"quantile": 1.0}, {"power": 0}, {"collapse_weight": -1.0}):
        with pytest.raises(ValueError, match=next(iter(values))):
            ModularityObjectiveOptions(**values)
