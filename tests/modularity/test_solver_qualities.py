"""Solvers on normalised modularity and resolutions; several starts of the network."""

import dataclasses
import itertools

import pytest
import torch

from contrasep_lib.modularity.graphs import KernelGraph, ThresholdGraph
from contrasep_lib.modularity.objective import collapse, modularity, partition_quality, sampled_loss, starts_loss
from contrasep_lib.modularity.operator import GraphOperator, one_hot
from contrasep_lib.modularity.quality import Modularity, NormalisedModularity
from contrasep_lib.modularity.solvers import network as network_module
from contrasep_lib.modularity.solvers.direct import DirectSolver
from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
from contrasep_lib.modularity.solvers.network import ModularityNetwork, NetworkSolver
from contrasep_lib.modularity.solvers.refine import merge, sweep
from contrasep_lib.modularity.solvers.spectral import SpectralSolver
from contrasep_lib.nodes.nodeset import NodeSet
from tests.modularity.dense_reference import dense_adjacency, unit

SOLVERS = {
    "spectral": SpectralSolver(),
    "direct": DirectSolver(),
    "kmeans": KMeansSolver(),
    "network": NetworkSolver(refine_steps=60, refine_learning_rate=0.05, collapse_weight=0, starts=4),
}
every_solver = pytest.mark.parametrize("name", SOLVERS)
both_graphs = pytest.mark.parametrize("graph", [ThresholdGraph(0.3), KernelGraph(2)], ids=["threshold", "kernel"])
QUALITIES = [Modularity(0.7), Modularity(1.6), NormalisedModularity(), NormalisedModularity(0.5)]
every_quality = pytest.mark.parametrize("quality", QUALITIES, ids=["gamma-0.7", "gamma-1.6", "qn", "qn-0.5"])


def clouds(sizes, angle, noise, seed=0):
    """Clouds around centres of which the first two are at an angle (degrees), all others orthogonal; labels."""
    order = torch.Generator().manual_seed(seed)
    centres = torch.eye(6)[: len(sizes)].clone()
    turn = torch.deg2rad(torch.tensor(float(angle)))
    centres[1, :2] = torch.stack([turn.cos(), turn.sin()])
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    z = centres[labels] + noise * torch.randn(len(labels), 6, generator=order)
    return torch.nn.functional.normalize(z, dim=-1), labels


def agree(labels, truth):
    pairs = set(zip(labels.tolist(), truth.tolist()))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def check(solution, nodes, count, graph, quality):
    hard = torch.nn.functional.one_hot(solution.labels, count).double()
    assert torch.isfinite(solution.assign).all()
    expected = partition_quality(nodes, hard, graph, quality)
    torch.testing.assert_close(solution.quality.double(), expected.double(), rtol=0, atol=1e-6)
    expected = modularity(nodes, hard, graph)
    torch.testing.assert_close(solution.modularity.double(), expected.double(), rtol=0, atol=1e-6)


def operator_of(graph, quality, nodes=14):
    weight = 0.5 + torch.rand(nodes, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    z = unit(nodes, 4, seed=4)
    a = dense_adjacency(z, weight, graph)
    share = quality.regularise * a.sum() / weight.sum() ** 2
    return GraphOperator(z, weight, graph, quality), a + share * torch.outer(weight, weight)


def dense_value(a, labels, count, quality):
    hard = one_hot(labels, count, a.dtype)
    inside, volume = (hard.T @ a @ hard).diagonal(), hard.T @ a.sum(1)
    if isinstance(quality, Modularity):
        return float(inside.sum() / a.sum() - quality.gamma * (volume / a.sum()).square().sum())
    return float((inside / volume)[volume > 0].sum() - 1)


@both_graphs
@every_quality
def test_scores_are_exact_for_single_moves(graph, quality):
    operator, a = operator_of(graph, quality)
    torch.testing.assert_close(operator.degrees, a.sum(1))
    labels = torch.tensor([0] * 7 + [1] * 6 + [2])  # a community of one node, and an empty one
    edges, inside, volume = operator.sums(one_hot(labels, 4, a.dtype))
    scores = operator.quality.scores(
        edges, operator.degrees, operator.loops, labels, inside, volume, operator.two_m
    )
    before = dense_value(a, labels, 4, quality)
    assert operator.value(inside, volume) == pytest.approx(before, abs=1e-12)
    for node, to in itertools.product(range(14), range(4)):
        moved = labels.clone()
        moved[node] = to
        gain = float(scores[node, to] - scores[node, labels[node]]) * 2 / operator.two_m
        assert gain == pytest.approx(dense_value(a, moved, 4, quality) - before, abs=1e-12)


@both_graphs
@every_quality
def test_gains_of_merging(graph, quality):
    operator, a = operator_of(graph, quality)
    labels = torch.arange(14) % 4
    hard = one_hot(labels, 5, a.dtype)
    gains = operator.quality.merge_gains(hard.T @ a @ hard, hard.T @ a.sum(1), operator.two_m) * 2 / operator.two_m
    before = dense_value(a, labels, 5, quality)
    for one, two in itertools.combinations(range(5), 2):
        merged = dense_value(a, torch.where(labels == one, two, labels), 5, quality)
        assert float(gains[one, two]) == pytest.approx(merged - before, abs=1e-12)


@both_graphs
@every_quality
def test_slopes_are_derivatives(graph, quality):
    operator, a = operator_of(graph, quality)
    assign = torch.randn(14, 3, generator=torch.Generator().manual_seed(0), dtype=a.dtype).softmax(-1)
    slope = operator.slope(*operator.sums(assign))
    assign.requires_grad_()
    operator.quality.value((assign * (a @ assign)).sum(0), a.sum(1) @ assign, a.sum()).backward()
    torch.testing.assert_close(slope * 2 / operator.two_m, assign.grad)


@both_graphs
@every_quality
def test_sweeps_end_where_no_move_helps(graph, quality):
    z, _ = clouds([20, 15, 15], 90, 0.5)
    operator = GraphOperator(z.double(), torch.ones(50, dtype=torch.float64), graph, quality)
    labels = torch.randint(3, (50,), generator=torch.Generator().manual_seed(0))
    before = float(operator.qualities(one_hot(labels, 3, torch.float64)[None]))
    labels, quality_reached = sweep(operator, labels, 3, max_sweeps=200, min_gain=0.0)
    assert quality_reached > before
    for node, to in itertools.product(range(50), range(3)):
        moved = labels.clone()
        moved[node] = to
        assert float(operator.qualities(one_hot(moved, 3, torch.float64)[None])) <= quality_reached + 1e-12


@every_solver
@both_graphs
@pytest.mark.parametrize("quality", [NormalisedModularity(), NormalisedModularity(0.3), Modularity(1.3)], ids=str)
def test_planted_communities_are_found(name, graph, quality):
    z, truth = clouds([90, 60, 40], 90, 0.15)
    nodes = NodeSet.from_embeddings(z[None])
    solution = SOLVERS[name].solve(nodes, 3, graph, seed=4, quality=quality)
    check(solution, nodes, 3, graph, quality)
    assert agree(solution.labels[0], truth)


@pytest.mark.parametrize("name", ["spectral", "direct", "network"])
def test_two_talkers_on_one_side_are_kept_apart(name):
    """The resolution limit of Q: it merges them, and Qn does not."""
    z, truth = clouds([60, 60, 60], 40, 0.1)
    nodes, graph = NodeSet.from_embeddings(z[None]), KernelGraph(2)
    # a start at the three of k-means would stay there
    one = dataclasses.replace(SOLVERS[name], starts=1) if name == "network" else SOLVERS[name]
    merged = one.solve(nodes, 3, graph, seed=0).labels[0]
    assert len(merged.unique()) == 2
    solution = SOLVERS[name].solve(nodes, 3, graph, seed=0, quality=NormalisedModularity())
    assert len(solution.labels[0].unique()) == 3
    assert (torch.stack([solution.labels[0][truth == k].bincount(minlength=3).max() for k in range(3)]) > 57).all()


@pytest.mark.parametrize("name", ["spectral", "direct", "kmeans"])
@both_graphs
def test_graphs_larger_than_the_sample(name, graph):
    z, truth = clouds([400, 300, 200], 90, 0.12)
    kinds = {"spectral": SpectralSolver, "direct": DirectSolver, "kmeans": KMeansSolver}
    nodes, quality = NodeSet.from_embeddings(z[None]), NormalisedModularity(0.2)
    solution = kinds[name](sample=200).solve(nodes, 3, graph, seed=1, quality=quality)
    check(solution, nodes, 3, graph, quality)
    assert agree(solution.labels[0], truth)


@pytest.mark.parametrize("name", ["spectral", "direct"])
@both_graphs
@every_quality
def test_close_to_the_best_of_all_partitions(name, graph, quality):
    """Nine nodes without structure: all 3^8 partitions are tried."""
    z = unit(1, 9, 3, seed=1)
    nodes = NodeSet.from_embeddings(z)
    a = dense_adjacency(z[0], torch.ones(9).double(), graph)
    a = a + quality.regularise * a.sum() / 81
    labels = torch.tensor([(0, *rest) for rest in itertools.product(range(3), repeat=8)])
    hard = torch.nn.functional.one_hot(labels, 3).double()
    inside, volume = torch.einsum("pik,ij,pjk->pk", hard, a, hard), a.sum(1) @ hard
    if isinstance(quality, Modularity):
        values = inside.sum(1) / a.sum() - quality.gamma * (volume / a.sum()).square().sum(1)
    else:
        values = torch.where(volume > 0, inside / volume, 0.0).sum(1) - 1
    best = values.max().item()
    got = SOLVERS[name].solve(nodes, 3, graph, seed=0, quality=quality).quality.item()
    assert best - 0.1 * abs(best) - 1e-9 <= got <= best + 1e-9


@every_solver
@pytest.mark.parametrize("graph", [ThresholdGraph(0.5), KernelGraph(2)], ids=["threshold", "kernel"])
@pytest.mark.parametrize("case", ["empty", "one", "edgeless", "duplicates", "antipodal", "weightless", "two"])
def test_edge_cases_and_more_communities_than_nodes(name, graph, case):
    z = {
        "empty": torch.zeros(0, 3), "one": torch.eye(3)[:1], "edgeless": torch.eye(3),
        "duplicates": torch.eye(3)[[0] * 6], "weightless": torch.eye(3),
        "antipodal": torch.eye(3)[[0, 0, 0, 0]] * torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]),
        "two": torch.nn.functional.normalize(torch.tensor([[1.0, 0, 0], [1.0, 0.2, 0]]), dim=-1),
    }[case]
    nodes = NodeSet.from_embeddings(z[None], torch.zeros(1, 3) if case == "weightless" else None)
    for quality in (NormalisedModularity(), NormalisedModularity(1.0), Modularity(2.0)):
        solver = NetworkSolver(refine_steps=3) if name == "network" else SOLVERS[name]
        check(solver.solve(nodes, 8, graph, seed=0, quality=quality), nodes, 8, graph, quality)


def test_an_isolated_pair_is_not_a_community_when_regularised():
    z, truth = clouds([60, 60], 63, 0.15)
    z = torch.cat([z, torch.eye(6)[[5, 5]]])
    nodes, graph = NodeSet.from_embeddings(z[None]), ThresholdGraph(0.6)
    alone = SpectralSolver().solve(nodes, 2, graph, seed=0, quality=NormalisedModularity())
    assert alone.labels[0].bincount().tolist() == [120, 2] and alone.quality.item() == pytest.approx(1.0)
    for name in ("spectral", "direct"):
        kept = SOLVERS[name].solve(nodes, 2, graph, seed=0, quality=NormalisedModularity(0.5))
        assert agree(kept.labels[0][:120], truth)


def test_merging_keeps_what_normalised_modularity_keeps():
    z, truth = clouds([40, 40, 40], 40, 0.1)
    operator = GraphOperator(z, torch.ones(120), KernelGraph(), NormalisedModularity())
    assert merge(operator, truth, 3)[1] is False
    operator = GraphOperator(z, torch.ones(120), KernelGraph())
    assert merge(operator, truth, 3)[1] is True


# ------------------------------------------------------------------ starts of the network


def test_the_best_of_several_starts_is_kept():
    spread, kept = [], set()
    for seed in range(8):
        z, _ = clouds([50, 40, 30, 20], 60, 0.6, seed=seed)
        nodes, quality = NodeSet.from_embeddings(z[None]), NormalisedModularity()
        solver = NetworkSolver(refine_steps=0, network=ModularityNetwork(6, 4) if seed % 2 else None)
        solution = solver.solve(nodes, 4, KernelGraph(), seed=seed, quality=quality)
        check(solution, nodes, 4, KernelGraph(), quality)
        operator = GraphOperator(z, torch.ones(140), KernelGraph(), quality)
        networks = solver._networks(operator, 4, torch.Generator().manual_seed(seed))
        hard = torch.stack([one_hot(network(z).argmax(-1), 4, z.dtype) for network in networks])
        qualities = operator.qualities(hard)
        assert float(solution.quality) == pytest.approx(float(qualities.max()), abs=1e-6)
        spread.append(float(qualities.max() - qualities.min()))
        kept.add(int(qualities.argmax()))
    assert max(spread) > 1e-3 and len(kept) > 1


def test_a_trained_network_is_the_first_start():
    network = ModularityNetwork(6, 5, (7,))
    solver = NetworkSolver(network=network, starts=3)
    z, _ = clouds([30, 20], 90, 0.2)
    operator = GraphOperator(z, torch.ones(50), KernelGraph())
    first, *others = solver._networks(operator, 5, torch.Generator().manual_seed(0))
    assert torch.equal(first(z), network(z)) and [other.hidden for other in others] == [[7], [7]]
    assert not torch.equal(others[0](z), others[1](z))


@pytest.mark.parametrize("hidden", [(), (3,), (16,), (8, 5)], ids=str)
def test_a_network_of_centroids_is_their_partition(hidden):
    z, centroids = unit(1, 200, 4)[0].float(), unit(1, 3, 4, seed=9)[0].float()
    assign = ModularityNetwork.of_centroids(centroids, hidden)(z)
    cosine = z @ centroids.T
    assert torch.equal(assign.argmax(-1), cosine.argmax(-1))
    torch.testing.assert_close(assign, (5 * cosine).softmax(-1))


@pytest.mark.parametrize("hidden, begun", [((8,), True), ((2,), False)], ids=["wide", "narrower than communities"])
def test_of_several_starts_those_without_training_begin_at_k_means(hidden, begun):
    z, truth = clouds([40, 30, 20], 90, 0.1)
    weight = torch.linspace(0.5, 2, 90)
    operator = GraphOperator(z, weight, KernelGraph(), NormalisedModularity())
    networks = NetworkSolver(hidden=hidden)._networks(operator, 3, torch.Generator().manual_seed(0))
    assert [agree(network(z).argmax(-1), truth) for network in networks] == [begun] * 4
    [alone] = NetworkSolver(hidden=hidden, starts=1)._networks(operator, 3, torch.Generator().manual_seed(0))
    assert not agree(alone(z).argmax(-1), truth)


@pytest.mark.parametrize(
    "given, graph, quality, weight",
    [
        (None, KernelGraph(), NormalisedModularity(), 0.0),
        (None, ThresholdGraph(0.5), NormalisedModularity(0.1), 0.0),
        (None, ThresholdGraph(0.5), NormalisedModularity(), 0.3),
        (None, KernelGraph(), Modularity(), 0.3),
        (0.7, KernelGraph(), NormalisedModularity(), 0.7),
        (0.0, KernelGraph(), Modularity(), 0.0),
    ],
)
def test_the_collapse_term_where_empty_communities_could_win(given, graph, quality, weight):
    assert NetworkSolver(collapse_weight=given).collapse_of(graph, quality) == weight


@every_solver
@pytest.mark.parametrize("nodes", [40, 3000])
def test_solvers_in_inference_mode(name, nodes):
    z, _ = clouds([nodes // 2, nodes // 2], 90, 0.2)
    expected = SOLVERS[name].solve(NodeSet.from_embeddings(z[None]), 2, KernelGraph(), seed=3)
    with torch.inference_mode():
        solution = SOLVERS[name].solve(NodeSet.from_embeddings(z[None].clone()), 2, KernelGraph(), seed=3)
    assert torch.equal(solution.labels, expected.labels)


@pytest.mark.parametrize("quality", [Modularity(), NormalisedModularity()], ids=str)
@pytest.mark.parametrize("collapse_weight", [0.0, 0.4])
@both_graphs
def test_the_loss_of_samples_is_that_of_a_node_set(quality, collapse_weight, graph):
    z, weight = unit(1, 30, 4)[0], torch.linspace(0.1, 2, 30, dtype=torch.float64)
    logits = torch.randn(3, 30, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    nodes = NodeSet.from_embeddings(z[None], weight[None])
    expected = starts_loss(nodes, logits.softmax(-1)[None], graph, collapse_weight, quality)[0]
    loss = sampled_loss(z, weight, logits.softmax(-1), graph, collapse_weight, quality)
    torch.testing.assert_close(loss, expected)
    slopes = [torch.autograd.grad(value.sum(), logits)[0] for value in (loss, expected)]
    torch.testing.assert_close(*slopes)


def test_each_node_is_drawn_before_one_comes_again():
    drawn = list(network_module._samples(10, 3, 7, torch.Generator().manual_seed(0)))
    assert [len(some) for some in drawn] == [3] * 7
    assert all(len(torch.cat(drawn[start : start + 3]).unique()) == 9 for start in (0, 3))
    assert all(torch.equal(some, torch.arange(3)) for some in network_module._samples(3, 3, 2, torch.Generator()))


@pytest.mark.parametrize("starts", [0, -2])
def test_no_starts(starts):
    with pytest.raises(ValueError, match=f"starts: expected a whole number from 1 to 10000, got {starts}"):
        NetworkSolver(starts=starts)


def test_the_collapse_weight_falls_to_zero(monkeypatch):
    seen, loss = [], network_module.sampled_loss

    def noted(z, weight, assign, graph, collapse_weight, quality):
        seen.append(collapse_weight)
        return loss(z, weight, assign, graph, collapse_weight, quality)

    monkeypatch.setattr(network_module, "sampled_loss", noted)
    z, _ = clouds([30, 20], 90, 0.2)
    NetworkSolver(collapse_weight=0.8, refine_steps=4).solve(NodeSet.from_embeddings(z[None]), 2, KernelGraph())
    assert seen == pytest.approx([0.8, 0.6, 0.4, 0.2])


def test_a_weight_counts_in_the_collapse_term_as_so_many_nodes():
    z, count = unit(1, 12, 3), torch.randint(1, 5, (12,), generator=torch.Generator().manual_seed(0))
    assign = torch.randn(1, 12, 3, generator=torch.Generator().manual_seed(1)).double().softmax(-1)
    weighted = collapse(NodeSet.from_embeddings(z, count[None].double()), assign)
    copies = [part.repeat_interleave(count, 1) for part in (z, assign)]
    torch.testing.assert_close(weighted, collapse(NodeSet.from_embeddings(copies[0]), copies[1]))
    assert (weighted - collapse(NodeSet.from_embeddings(z), assign)).abs() > 1e-3
