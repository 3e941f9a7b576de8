"""Threshold graphs relative to their recording, by a quantile and about a centre, against dense references."""

import math

import numpy as np
import pytest
import torch

from contrasep_lib.config import as_key, build, create
from contrasep_lib.counting.evidence import measure
from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity import operator as operator_module
from contrasep_lib.modularity import packing
from contrasep_lib.modularity.diagnostics import diagnose
from contrasep_lib.modularity.graphs import ThresholdGraph
from contrasep_lib.modularity.objective import (
    backend,
    degrees,
    modularity,
    modularity_loss,
    modularity_matvec,
    quantities,
)
from contrasep_lib.modularity.operator import GraphOperator, one_hot
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.modularity.pairs import quantile_of_cosines
from contrasep_lib.modularity.quality import Modularity, NormalisedModularity
from contrasep_lib.modularity.soft import best_of
from contrasep_lib.modularity.solvers.direct import DirectSolver
from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
from contrasep_lib.modularity.solvers.network import NetworkSolver, train_network
from contrasep_lib.modularity.solvers.spectral import SpectralSolver
from contrasep_lib.nodes.nodeset import NodeSet
from tests.modularity.dense_reference import padded_batch, relative, soft, unit

GRAPHS = {
    "quantile": ThresholdGraph(quantile=0.8), "centre": ThresholdGraph(0.2, centre=True),
    "both": ThresholdGraph(quantile=0.6, centre=True),
    "binary": ThresholdGraph(-0.1, binary=True, quantile=0.3, centre=True),
}
every_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
SOLVERS = {
    "spectral": SpectralSolver(), "direct": DirectSolver(), "kmeans": KMeansSolver(),
    "network": NetworkSolver(refine_steps=60, refine_learning_rate=0.05, collapse_weight=0, starts=4),
}
every_solver = pytest.mark.parametrize("name", SOLVERS)


def literal_quantile(s, quantile):
    """Halfway between the cosine at this share of all pairs and the next."""
    cosines = sorted(float(s[i, j]) for i in range(len(s)) for j in range(i))
    at = int(quantile * (len(cosines) - 1))
    return (cosines[at] + cosines[at + 1]) / 2


def dense_relative(z, weight, graph):
    """A of one recording from the definition; differentiable."""
    if graph.centre:
        z = z - (weight[:, None] * z).sum(0) / weight.sum()
        z = z / z.norm(dim=1, keepdim=True)
    s, tau = z @ z.T, graph.tau
    if graph.quantile is not None:
        counted = s.detach()[weight > 0][:, weight > 0]
        tau = max(literal_quantile(counted, graph.quantile), -1.0 if graph.binary else 0.0)
    a = (s > tau).to(s.dtype) if graph.binary else s * (s > tau)
    return a * (1 - torch.eye(len(z), dtype=s.dtype)) * weight[:, None] * weight[None, :]


def dense_modularity(a, assign):
    d, two_m = a.sum(1), a.sum()
    return torch.trace(assign.T @ (a / two_m - torch.outer(d, d) / two_m**2) @ assign)


def crowded(sizes, noise=0.2, seed=0, dim=8):
    """Clouds about orthogonal directions, to all of which a large common direction is added; labels."""
    order = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    z = torch.eye(dim)[labels] + noise * torch.randn(len(labels), dim, generator=order)
    z[:, -1] += 2.0
    return torch.nn.functional.normalize(z, dim=-1), labels


def right(labels, truth):
    """Share of nodes on the right side of a partition into two."""
    share = (labels == truth).double().mean().item()
    return max(share, 1 - share)


@every_graph
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-10), (torch.float32, 2e-5)])
def test_value_and_gradient_of_a_padded_batch(graph, dtype, tolerance, monkeypatch):
    monkeypatch.setattr(packing, "SMALL_GRAPH", 0)
    z, weight, valid, assign = padded_batch((150, 40, 93))
    z, weight, assign = z.to(dtype), weight.to(dtype), assign.to(dtype)
    weight[0, valid[0].nonzero()[0]] = 0
    z.requires_grad_()
    assign.requires_grad_()
    got = -modularity_loss(NodeSet.from_embeddings(z, weight, valid), assign, graph, 0.0)
    got.sum().backward()
    for row in range(3):
        keep = valid[row]
        one, c = (part.detach()[row, keep].double().requires_grad_() for part in (z, assign))
        expected = dense_modularity(dense_relative(one, weight[row, keep].double(), graph), c)
        expected.backward()
        assert abs(got[row].item() - expected.item()) <= 1e-5
        assert relative(assign.grad[row, keep], c.grad) <= tolerance
        if not graph.binary:
            assert relative(z.grad[row, keep], one.grad) <= tolerance
            assert (z.grad[row, ~keep] == 0).all()


@every_graph
def test_sums_degrees_and_products(graph):
    z, assign, weight = unit(1, 60, 5), soft(1, 60, 3), 0.2 + torch.rand(1, 60, dtype=torch.float64)
    nodes, a = NodeSet.from_embeddings(z, weight), dense_relative(z[0], weight[0], graph)
    gram, degree, two_m = quantities(nodes, assign, graph)
    torch.testing.assert_close(gram[0], assign[0].T @ a @ assign[0])
    torch.testing.assert_close(degree[0], a.sum(1))
    torch.testing.assert_close(degrees(nodes, graph), degree)
    assert two_m.item() == pytest.approx(a.sum().item())
    b = a - torch.outer(a.sum(1), a.sum(1)) / a.sum()
    torch.testing.assert_close(modularity_matvec(nodes, assign, graph)[0], b @ assign[0])


@every_graph
@pytest.mark.parametrize("kept", [True, False])
def test_the_operator_and_its_parts_keep_the_recordings_threshold(graph, kept, monkeypatch):
    """Whether A is kept between products or not, and among a part of the nodes."""
    monkeypatch.setattr(operator_module, "DENSE_NODES", 10**6 if kept else 0)
    z, weight, columns = unit(80, 5), 0.2 + torch.rand(80, dtype=torch.float64), soft(80, 3)
    operator, a = GraphOperator(z, weight, graph), dense_relative(z, weight, graph)
    torch.testing.assert_close(operator.matmul(columns), a @ columns)
    hard = one_hot(torch.arange(80) % 2, 2, torch.float64)
    assert float(operator.qualities(hard[None])) == pytest.approx(dense_modularity(a, hard).item(), abs=1e-10)
    part = torch.arange(0, 80, 3)
    small = operator.restrict(part)
    torch.testing.assert_close(small.matmul(columns[part]), a[part][:, part] @ columns[part])
    pull, d = operator.attraction(small, hard[part]), a[:, part] @ torch.ones(len(part), dtype=torch.float64)
    inner = a[part][:, part]
    expected = a[:, part] @ hard[part] - d[:, None] * (inner.sum(1) @ hard[part]) / inner.sum()
    # a node of the sample has an edge to itself there, which the definition leaves out
    outside = torch.ones(80, dtype=torch.bool)
    outside[part] = False
    torch.testing.assert_close((pull * weight[:, None])[outside], expected[outside])


def test_quantiles_are_exact_for_few_pairs_and_close_for_many():
    z = unit(150, 6)
    for share in (0.0, 0.37, 0.5, 0.8, 0.99):
        assert quantile_of_cosines(z, share) == pytest.approx(literal_quantile(z @ z.T, share), abs=1e-12)
    z = unit(1500, 6)
    cosines = (z @ z.T)[tuple(torch.triu_indices(1500, 1500, 1))].numpy()
    for share in (0.2, 0.5, 0.95):
        tau = quantile_of_cosines(z, share)
        assert np.mean(cosines <= tau) == pytest.approx(share, abs=0.012)
        assert quantile_of_cosines(z, share) == tau
    assert quantile_of_cosines(z[:1], 0.5) == quantile_of_cosines(z[:0], 0.5) == 0.0


def test_a_common_direction_fills_the_absolute_graph_and_not_the_relative_one():
    z, truth = crowded([150, 150])
    nodes, hard = NodeSet.from_embeddings(z[None]), torch.nn.functional.one_hot(truth, 2).double()[None]

    def share(graph):
        return float(degrees(nodes, graph).gt(0).float().mean()), float(modularity(nodes, hard, graph))

    pairs = (z @ z.T)[tuple(torch.triu_indices(300, 300, 1))]
    assert (pairs > 0.5).float().mean() > 0.95
    assert float(modularity(nodes, hard, ThresholdGraph(0.5))) < 0.1
    assert share(ThresholdGraph(0.2, centre=True))[1] > 0.45
    assert share(ThresholdGraph(quantile=0.6))[1] > 0.4
    # invariant to how strong the shared direction is, up to the noise
    stronger, _ = crowded([150, 150])
    stronger = torch.nn.functional.normalize(stronger + 2 * torch.eye(8)[-1], dim=-1)
    assert float(modularity(NodeSet.from_embeddings(stronger[None]), hard, ThresholdGraph(quantile=0.6))) > 0.35


@every_solver
@every_graph
@pytest.mark.parametrize("quality", [Modularity(), NormalisedModularity(0.5)], ids=["q", "qn"])
def test_solvers_find_communities_about_a_common_direction(name, graph, quality):
    z, truth = crowded([70, 50])
    nodes = NodeSet.from_embeddings(z[None])
    found = SOLVERS[name].solve(nodes, 2, graph, seed=0, quality=quality)
    assert right(found.labels[0], truth) > 0.97
    hard = torch.nn.functional.one_hot(found.labels, 2).double()
    a = dense_relative(z.double(), torch.ones(120, dtype=torch.float64), graph)
    assert found.modularity.item() == pytest.approx(dense_modularity(a, hard[0]).item(), abs=1e-5)


@pytest.mark.parametrize("name", ["spectral", "direct"])
def test_a_sample_of_the_nodes_is_extended(name):
    z, truth = crowded([300, 200])
    solver = SpectralSolver(sample=100) if name == "spectral" else DirectSolver(sample=100)
    found = solver.solve(NodeSet.from_embeddings(z[None]), 2, GRAPHS["both"], seed=0)
    assert right(found.labels[0], truth) > 0.97


def test_a_network_is_trained_and_refined_on_it():
    pool = [(crowded([60, 40], seed=seed)[0], torch.ones(100)) for seed in range(3)]
    options = NetworkSolver(train_steps=60, train_mixtures=2, learning_rate=0.02, refine_steps=0, num_communities=2)
    solver = NetworkSolver(
        refine_steps=10, num_communities=2, network=train_network(pool, options, 2, GRAPHS["both"], 0)
    )
    z, truth = crowded([60, 40], seed=7)
    found = solver.solve(NodeSet.from_embeddings(z[None]), 2, GRAPHS["both"], seed=0)
    assert right(found.labels[0], truth) > 0.97


def test_the_network_learns_in_inference_mode_too():
    z, truth = crowded([70, 50])
    with torch.inference_mode():
        nodes = NodeSet.from_embeddings(z.clone()[None])
        found = SOLVERS["network"].solve(nodes, 2, GRAPHS["both"], seed=0)
    assert right(found.labels[0], truth) > 0.97


@every_solver
@pytest.mark.parametrize("graph", [ThresholdGraph(quantile=0.6), ThresholdGraph(quantile=0.7, centre=True)], ids=str)
def test_an_isolated_pair_does_not_win_when_regularised(name, graph):
    """Without, (C'AC) / vol = 1 of the pair is more than the true split has."""
    z, truth = crowded([60, 60], noise=0.25)
    pair = torch.nn.functional.normalize(torch.eye(8)[[6, 6]] + 0.01 * torch.eye(8)[[0, 1]], dim=-1)
    nodes = NodeSet.from_embeddings(torch.cat([z, pair])[None])
    truth = torch.cat([truth, truth[:2]])
    alone = torch.zeros(122, dtype=torch.int64)
    alone[-2:] = 1

    def value(labels, share):
        operator = GraphOperator(nodes.z[0].double(), torch.ones(122).double(), graph, NormalisedModularity(share))
        return float(operator.qualities(one_hot(labels, 2, torch.float64)[None]))

    assert value(alone, 0.0) == pytest.approx(1.0) and value(truth, 0.0) < 1
    assert value(truth, 0.5) > value(alone, 0.5) + 0.1
    found = SOLVERS[name].solve(nodes, 2, graph, seed=0, quality=NormalisedModularity(0.5))
    assert right(found.labels[0][:120], truth[:120]) > 0.97


def test_diagnostics_see_the_graph_of_the_recording():
    z, truth = crowded([60, 40])
    for graph in GRAPHS.values():
        [got] = diagnose(NodeSet.from_embeddings(z[None].double()), truth[None], graph)
        a = dense_relative(z.double(), torch.ones(100, dtype=torch.float64), graph)
        hard = torch.nn.functional.one_hot(truth, 2).double()
        assert got.modularity == pytest.approx(dense_modularity(a, hard).item(), abs=1e-9)
        cut = (hard[:, 0] @ a @ hard[:, 1]).item()
        volume = min((a.sum(1) @ hard).tolist())
        assert got.mean_conductance == pytest.approx(cut / volume, abs=1e-9)


def test_evidence_compares_each_cloud_by_its_own_threshold():
    """The null's clouds are fitted too: two speakers are an excess, one is none."""
    two, one = crowded([100, 80])[0].double().numpy(), crowded([180], noise=0.4)[0].double().numpy()
    excess = []
    for z in (two, one):
        rng, weight = np.random.default_rng(0), np.ones(180)
        fits = [best_of(z, weight, k, [], 2, rng) for k in (1, 2)]
        rows = measure(z, weight, GRAPHS["quantile"], fits, [(math.nan,) * 3] * 2, 0)
        assert rows[0].modularity == pytest.approx(0, abs=1e-6)
        excess.append(rows[1].excess)
    assert excess[0] > 0.15 and excess[0] > 3 * abs(excess[1])


@every_solver
@every_graph
@pytest.mark.parametrize("case", ["empty", "one", "duplicates", "antipodal", "two pairs", "weightless"])
def test_edge_cases(name, graph, case):
    z = {
        "empty": torch.zeros(0, 3), "one": torch.eye(3)[:1], "duplicates": torch.eye(3)[[0] * 6],
        "antipodal": torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]]), "two pairs": torch.eye(3)[[0, 0, 1, 1]],
        "weightless": torch.eye(3),
    }[case]
    nodes = NodeSet.from_embeddings(z[None], torch.zeros(1, 3) if case == "weightless" else None)
    solver = NetworkSolver(refine_steps=3) if name == "network" else SOLVERS[name]
    found = solver.solve(nodes, 3, graph, seed=0)
    assert torch.isfinite(found.assign).all() and torch.isfinite(found.modularity).all()
    if case == "two pairs":
        # tight clouds stay joined although their cosine, 1, is the quantile itself
        assert degrees(nodes, graph).gt(0).all()


def test_a_graph_that_is_not_fitted_is_refused_by_the_sums():
    with pytest.raises(ValueError, match="graph: expected one that is fitted to a recording"):
        backend(GRAPHS["quantile"])
    plain = ThresholdGraph(0.3)
    z = unit(20, 4)
    assert plain.fitted(z, torch.ones(20)) is plain and not plain.relative
    fitted = GRAPHS["both"].fitted(z, torch.ones(20).double())
    assert not fitted.relative and fitted.fitted(z[:3], torch.ones(3)) is fitted


def test_options():
    options = build(ModularityOptions, {"graph": {"name": "threshold", "quantile": 0.9, "centre": True}}, "modularity")
    assert create(options.graph) == ThresholdGraph(quantile=0.9, centre=True)
    former = as_key(build(ModularityOptions, {"graph": "threshold"}, "modularity"))
    assert set(former["graph"]) == {"name", "tau", "binary"}
    for value in (1.0, -0.1):
        with pytest.raises(ContrasepError, match="quantile: expected null or a number of at least 0 .*, got"):
            build(ModularityOptions, {"graph": {"name": "threshold", "quantile": value}}, "modularity")
