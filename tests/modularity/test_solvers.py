"""Solvers: planted communities, monotone refinement, edge cases, batches, determinism."""

import itertools

import pytest
import torch

from contrasep_lib.modularity.graphs import KernelGraph, ThresholdGraph
from contrasep_lib.modularity.objective import modularity
from contrasep_lib.modularity.operator import GraphOperator, one_hot
from contrasep_lib.modularity.solvers.direct import DirectSolver
from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
from contrasep_lib.modularity.solvers.lanczos import leading_eigenvectors
from contrasep_lib.modularity.solvers.network import ModularityNetwork, NetworkSolver
from contrasep_lib.modularity.solvers.refine import merge, sweep
from contrasep_lib.modularity.solvers.spectral import SpectralSolver
from contrasep_lib.nodes.nodeset import NodeSet

SOLVERS = {
    "spectral": SpectralSolver(),
    "direct": DirectSolver(),
    "kmeans": KMeansSolver(),
    "network": NetworkSolver(refine_steps=40, refine_learning_rate=0.05),
}
FAST = {**SOLVERS, "network": NetworkSolver(refine_steps=3)}
every_solver = pytest.mark.parametrize("name", SOLVERS)
both_graphs = pytest.mark.parametrize(
    "graph", [ThresholdGraph(0.4), KernelGraph(2)], ids=["threshold", "kernel"]
)


def clouds(sizes, noise=0.15, dim=8, seed=0):
    """Unit-norm clouds around orthogonal centres, shuffled: ``(nodes, dim)`` and labels."""
    order = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=order)]
    z = torch.eye(dim)[labels] + noise * torch.randn(len(labels), dim, generator=order)
    return torch.nn.functional.normalize(z, dim=-1), labels


def agree(labels, truth):
    """Whether two labellings are the same partition."""
    pairs = set(zip(labels.tolist(), truth.tolist()))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def check(solution, nodes, count, graph):
    """What every solution promises."""
    valid = nodes.valid
    assert solution.assign.shape == (*valid.shape, count)
    assert torch.isfinite(solution.assign).all() and torch.isfinite(solution.modularity).all()
    sums = solution.assign.sum(-1)
    torch.testing.assert_close(sums, valid.to(sums.dtype), rtol=0, atol=1e-5)
    assert (solution.labels[~valid] == -1).all()
    assert ((solution.labels[valid] >= 0) & (solution.labels[valid] < count)).all()
    hard = torch.nn.functional.one_hot(solution.labels.clamp(min=0), count).double()
    expected = modularity(nodes, hard, graph)
    torch.testing.assert_close(solution.modularity.double(), expected.double(), rtol=0, atol=1e-6)


@every_solver
@both_graphs
def test_planted_communities_are_found(name, graph):
    z, truth = clouds([90, 60, 40])
    nodes = NodeSet.from_embeddings(z[None])
    solution = SOLVERS[name].solve(nodes, 3, graph, seed=4)
    check(solution, nodes, 3, graph)
    assert agree(solution.labels[0], truth)
    assert torch.bincount(solution.labels[0]).tolist() == [90, 60, 40]


@pytest.mark.parametrize("name", ["spectral", "direct"])
@both_graphs
def test_more_communities_than_there_are_stay_empty(name, graph):
    z, truth = clouds([50, 50, 50], noise=0.08)
    solution = SOLVERS[name].solve(NodeSet.from_embeddings(z[None]), 6, graph, seed=0)
    assert agree(solution.labels[0], truth)


@pytest.mark.parametrize("name", ["spectral", "direct", "kmeans"])
@both_graphs
def test_graphs_larger_than_the_sample(name, graph):
    z, truth = clouds([700, 500, 300])
    solver = {
        "spectral": SpectralSolver(sample=200),
        "direct": DirectSolver(sample=200),
        "kmeans": KMeansSolver(sample=200),
    }[name]
    nodes = NodeSet.from_embeddings(z[None])
    solution = solver.solve(nodes, 3, graph, seed=1)
    check(solution, nodes, 3, graph)
    assert agree(solution.labels[0], truth)


@pytest.mark.parametrize("name", ["spectral", "direct"])
@both_graphs
@pytest.mark.parametrize("seed", range(4))
def test_close_to_the_best_of_all_partitions(name, graph, seed):
    """Nine nodes without structure: all 3^8 partitions are tried."""
    z = torch.randn(1, 9, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    nodes = NodeSet.from_embeddings(torch.nn.functional.normalize(z, dim=-1))
    a = graph.affinity(nodes.z[0] @ nodes.z[0].T).fill_diagonal_(0)
    d = a.sum(1)
    b = (a - d[:, None] * d / d.sum()) / d.sum()
    labels = torch.tensor([(0, *rest) for rest in itertools.product(range(3), repeat=8)])
    hard = torch.nn.functional.one_hot(labels, 3).double()
    best = torch.einsum("pik,ij,pjk->p", hard, b, hard).max().item()
    got = SOLVERS[name].solve(nodes, 3, graph, seed=0).modularity.item()
    assert got <= best + 1e-12
    assert got >= best - (1e-12 if name == "spectral" else 0.1 * best)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize(
    "graph", [ThresholdGraph(0.5), ThresholdGraph(-0.9, binary=True), KernelGraph(2)], ids=str
)
@pytest.mark.parametrize(
    "case", ["empty", "one", "edgeless", "duplicates", "complete", "antipodal", "weightless", "negative"]
)
@pytest.mark.parametrize("count", [1, 4])
def test_edge_cases(name, graph, case, count):
    weight = None
    if case in ("empty", "one"):
        z = torch.ones(1, int(case == "one"), 1).expand(1, -1, 3) / 3**0.5
    elif case == "duplicates":
        z = torch.eye(3)[0].repeat(1, 10, 1)
    elif case == "complete":
        z = torch.nn.functional.normalize(torch.eye(3)[0] + 0.01 * torch.eye(3), dim=-1)[None].repeat(1, 2, 1)
    elif case == "antipodal":
        z = torch.eye(3)[:1].repeat(4, 1) * torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
        z = z[None]
    elif case == "negative":
        corners = torch.eye(3) - 1 / 3
        z = torch.nn.functional.normalize(corners, dim=-1)[None]
    else:
        z = torch.eye(3)[None]
        weight = torch.zeros(1, 3) if case == "weightless" else None
    nodes = NodeSet.from_embeddings(z, weight)
    check(FAST[name].solve(nodes, count, graph, seed=0), nodes, count, graph)


@every_solver
@both_graphs
def test_padded_batch_equals_single_graphs(name, graph):
    parts = [clouds([30, 20], seed=1)[0], clouds([12, 9, 8], seed=2)[0], clouds([40, 25], seed=3)[0]]
    z = torch.full((3, 70, 8), float("nan"))
    valid = torch.zeros(3, 70, dtype=torch.bool)
    for row, part in enumerate(parts):
        where = torch.arange(70)[row::1][: len(part)]
        z[row, where] = part
        valid[row, where] = True
    batch = FAST[name].solve(NodeSet.from_embeddings(z, valid=valid), 3, graph, seed=7)
    for row, part in enumerate(parts):
        alone = FAST[name].solve(NodeSet.from_embeddings(part[None]), 3, graph, seed=7)
        assert torch.equal(batch.labels[row][valid[row]], alone.labels[0])
        torch.testing.assert_close(batch.modularity[row], alone.modularity[0])


@every_solver
@both_graphs
def test_same_seed_same_solution(name, graph):
    z, _ = clouds([60, 60], noise=0.6)
    nodes = NodeSet.from_embeddings(z[None])
    state = torch.random.get_rng_state()
    first = FAST[name].solve(nodes, 3, graph, seed=11)
    torch.rand(5)
    second = FAST[name].solve(nodes, 3, graph, seed=11)
    assert torch.equal(first.assign, second.assign) and torch.equal(first.labels, second.labels)
    torch.random.set_rng_state(state)
    FAST[name].solve(nodes, 3, graph, seed=12)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_sweeps_never_lower_modularity():
    z, _ = clouds([40, 40, 40], noise=0.7)
    for graph in (ThresholdGraph(0.2), ThresholdGraph(-0.3, binary=True), KernelGraph(2)):
        operator = GraphOperator(z.double(), torch.ones(120, dtype=torch.float64), graph)
        labels = torch.randint(4, (120,), generator=torch.Generator().manual_seed(0))
        before = operator.modularity(one_hot(labels, 4, torch.float64))
        for _ in range(10):
            labels, quality = sweep(operator, labels, 4, max_sweeps=2, min_gain=0.0)
            assert quality >= before - 1e-12
            assert quality == pytest.approx(operator.modularity(one_hot(labels, 4, torch.float64)))
            before = quality
        single = sweep(operator, labels, 4, max_sweeps=200, min_gain=0.0)[0]
        best = operator.modularity(one_hot(single, 4, torch.float64))
        for node, to in itertools.product(range(120), range(4)):
            moved = single.clone()
            moved[node] = to
            assert operator.modularity(one_hot(moved, 4, torch.float64)) <= best + 1e-12


def test_two_halves_of_a_community_are_merged():
    z, truth = clouds([40, 40])
    operator = GraphOperator(z, torch.ones(80), KernelGraph())
    halves = truth * 2 + torch.arange(80) % 2
    merged, changed = merge(operator, halves, 4)
    assert changed and agree(merged, truth)
    assert merge(operator, truth, 4)[1] is False


@both_graphs
def test_leading_eigenvectors(graph):
    z, _ = clouds([50, 40, 30], noise=0.4)
    operator = GraphOperator(z.double(), torch.rand(120, dtype=torch.float64) + 0.5, graph)
    dense = operator.spread_matmul(torch.eye(120, dtype=torch.float64))
    expected = torch.linalg.eigvalsh(dense).flip(0)[:3]
    values, vectors = leading_eigenvectors(
        operator, 3, torch.Generator().manual_seed(0), max_steps=30, tolerance=1e-9
    )
    torch.testing.assert_close(values, expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(dense @ vectors, vectors * values, rtol=0, atol=1e-6)
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(3, dtype=torch.float64))


def test_weights_take_part():
    """Copies of a node and a weight find the same communities."""
    z, truth = clouds([30, 20, 10], noise=0.3)
    count = torch.randint(1, 4, (60,), generator=torch.Generator().manual_seed(0))
    nodes = NodeSet.from_embeddings(z[None], weight=count.float()[None])
    weighted = KMeansSolver(restarts=20).solve(nodes, 3, KernelGraph(), seed=0)
    copies = NodeSet.from_embeddings(z.repeat_interleave(count, 0)[None])
    repeated = KMeansSolver(restarts=20).solve(copies, 3, KernelGraph(), seed=0)
    assert agree(weighted.labels[0].repeat_interleave(count), repeated.labels[0])


def test_network_restricted_to_fewer_communities():
    network = ModularityNetwork(8, 5)
    z, truth = clouds([60, 50])
    nodes = NodeSet.from_embeddings(z[None])
    before = [p.clone() for p in network.parameters()]
    solution = NetworkSolver(network=network, refine_steps=60).solve(nodes, 2, KernelGraph(), seed=0)
    check(solution, nodes, 2, KernelGraph())
    assert agree(solution.labels[0], truth)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters()))
    with pytest.raises(ValueError, match="num_communities: expected at most the network's 5, got 6"):
        NetworkSolver(network=network).solve(nodes, 6, KernelGraph())
    with pytest.raises(ValueError, match="z: expected embeddings of the network's dimension 9, got 8"):
        NetworkSolver(network=ModularityNetwork(9, 5)).solve(nodes, 2, KernelGraph())


def test_random_states_of_devices_are_left_alone(monkeypatch):
    def seeded(seed):
        raise AssertionError("the CUDA generators were seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded)
    z, state = torch.nn.functional.normalize(torch.randn(1, 60, 6), dim=-1), torch.get_rng_state()
    nodes, graph = NodeSet.from_embeddings(z), KernelGraph()
    solver = NetworkSolver(hidden=(8,), refine_steps=1, train_steps=1, train_pool=1, train_nodes=16)
    solver.trained(lambda count: [nodes], graph, 0).solve(nodes, 2, graph)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_solver_that_learns_nothing_is_itself():
    for name in ("spectral", "direct", "kmeans"):
        solver = SOLVERS[name]
        assert solver.trained(lambda count: pytest.fail("asked for mixtures"), KernelGraph(), 0) is solver
        assert solver.with_state({}) is solver and not solver.state() and not solver.state_file


def test_what_a_network_learned_is_kept():
    solver = NetworkSolver(hidden=(6,), num_communities=3, train_nodes=20, train_steps=4, train_mixtures=2)
    mixtures = [NodeSet.from_embeddings(clouds([30, 20], seed=seed)[0][None]) for seed in range(3)]
    trained = solver.trained(lambda count: mixtures, KernelGraph(), seed=0)
    assert not solver.state() and trained.state()["hidden"] == [6]
    again = solver.with_state(trained.state())
    assert all(torch.equal(a, b) for a, b in zip(again.network.parameters(), trained.network.parameters()))
    with pytest.raises(ValueError, match=r"3 outputs and hidden layers \[6\], the configuration has 4 and \[6\]"):
        NetworkSolver(hidden=(6,), num_communities=4).with_state(trained.state())
    for state in ({}, {**trained.state(), "state": {}}, {**trained.state(), "dim": "x"}):
        with pytest.raises(ValueError, match="no modularity network in it"):
            solver.with_state(state)


def test_network_as_it_is():
    network = ModularityNetwork(8, 3)
    z, _ = clouds([30, 20])
    solution = NetworkSolver(network=network, refine_steps=0, starts=1).solve(
        NodeSet.from_embeddings(z[None]), 3, KernelGraph()
    )
    expected = network(z).detach()
    torch.testing.assert_close(solution.assign[0].sort(-1).values, expected.sort(-1).values)


@every_solver
@pytest.mark.parametrize("count", [0, -1, 2.0, True])
def test_bad_number_of_communities(name, count):
    with pytest.raises(ValueError, match="num_communities: expected an integer of at least 1, got"):
        SOLVERS[name].solve(NodeSet.from_embeddings(torch.eye(3)[None]), count, KernelGraph())


@every_solver
def test_an_all_silent_mixture_is_reported(name):
    valid = torch.tensor([[True] * 3, [False] * 3])
    nodes = NodeSet.from_embeddings(torch.eye(3).repeat(2, 1, 1), valid=valid)
    with pytest.raises(ValueError, match="valid: .* graph 1 .* 3 nodes, none valid"):
        SOLVERS[name].solve(nodes, 2, KernelGraph())


@every_solver
def test_embeddings_without_unit_norm(name):
    with pytest.raises(ValueError, match="z: expected unit-norm"):
        SOLVERS[name].solve(NodeSet.from_embeddings(3 * torch.eye(3)[None]), 2, KernelGraph())


@pytest.mark.parametrize(
    "build, name",
    [
        (lambda: SpectralSolver(restarts=0), "restarts"),
        (lambda: SpectralSolver(sample=0), "sample"),
        (lambda: DirectSolver(steps=0), "steps"),
        (lambda: KMeansSolver(iterations=0), "iterations"),
        (lambda: NetworkSolver(refine_steps=-1), "refine_steps"),
        (lambda: NetworkSolver(refine_learning_rate=0), "refine_learning_rate"),
        (lambda: NetworkSolver(collapse_weight=-1), "collapse_weight"),
        (lambda: NetworkSolver(refine_nodes=0), "refine_nodes"),
        (lambda: ModularityNetwork(4, 0), "num_communities"),
    ],
)
def test_bad_settings_are_named(build, name):
    with pytest.raises(ValueError, match=name):
        build()
