"""Sums over pairs against dense double-precision references written from the definitions."""

import math

import networkx
import numpy as np
import pytest
import torch

from contrasep_lib.modularity import packing
from contrasep_lib.modularity.graphs import KernelGraph, ThresholdGraph
from contrasep_lib.modularity.objective import (
    collapse,
    degrees,
    modularity,
    modularity_loss,
    modularity_matvec,
    quantities,
)
from contrasep_lib.nodes.nodeset import NodeSet
from tests.modularity.dense_reference import dense_adjacency, padded_batch, relative, soft, unit

GRAPHS = [
    ThresholdGraph(0.0),
    ThresholdGraph(0.3),
    ThresholdGraph(0.2, binary=True),
    ThresholdGraph(-0.4, binary=True),
    KernelGraph(1),
    KernelGraph(2),
    KernelGraph(3),
]
ids = [f"{type(g).__name__}-{getattr(g, 'tau', getattr(g, 'power', None))}" for g in GRAPHS]
every_graph = pytest.mark.parametrize("graph", GRAPHS, ids=ids)


def dense_modularity(z, weight, assign, graph):
    a = dense_adjacency(z, weight, graph)
    d = a.sum(1)
    two_m = d.sum()
    b = a - d[:, None] * d[None, :] / two_m
    return torch.trace(assign.T @ b @ assign) / two_m


@every_graph
@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float64, 1e-10), (torch.float32, 1e-5), (torch.bfloat16, 4e-3)]
)
@pytest.mark.parametrize("small_graph", [0, packing.SMALL_GRAPH])
def test_value_and_gradient_of_a_padded_batch(graph, dtype, tolerance, small_graph, monkeypatch):
    """Bars of the project; ``small_graph`` 0 keeps float32 all the way."""
    monkeypatch.setattr(packing, "SMALL_GRAPH", small_graph)
    z, weight, valid, assign = padded_batch((700, 60, 313))
    z, weight, assign = z.to(dtype), weight.to(dtype), assign.to(dtype)
    z.requires_grad_()
    assign.requires_grad_()
    nodes = NodeSet.from_embeddings(z, weight, valid)
    got = modularity(nodes, assign, graph)
    scale = torch.tensor([1.0, -2.0, 0.5], dtype=got.dtype)
    (got * scale).sum().backward()
    assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    for row in range(3):
        keep = valid[row]
        z_one = z.detach()[row, keep].double().requires_grad_()
        c_one = assign.detach()[row, keep].double().requires_grad_()
        expected = dense_modularity(z_one, weight[row, keep].double(), c_one, graph)
        (expected * scale[row]).backward()
        assert abs(got[row].item() - expected.item()) <= 1e-6
        assert relative(assign.grad[row, keep], c_one.grad) <= tolerance
        assert (assign.grad[row, ~keep] == 0).all()
        if isinstance(graph, ThresholdGraph) and graph.binary:
            assert z.grad is None or (z.grad == 0).all()
        else:
            assert relative(z.grad[row, keep], z_one.grad) <= tolerance
            assert (z.grad[row, ~keep] == 0).all()


@pytest.mark.parametrize(
    "graph", [ThresholdGraph(0.1), ThresholdGraph(-0.6, binary=True), KernelGraph(1), KernelGraph(2)]
)
def test_float32_above_the_size_that_is_computed_in_float64(graph):
    z = unit(1, 2600, 20).float().requires_grad_()
    assign = soft(1, 2600, 4).float().requires_grad_()
    got = modularity(NodeSet.from_embeddings(z), assign, graph)
    got.sum().backward()
    z_one, c_one = z.detach()[0].double().requires_grad_(), assign.detach()[0].double().requires_grad_()
    expected = dense_modularity(z_one, torch.ones(2600, dtype=torch.float64), c_one, graph)
    expected.backward()
    assert abs(got.item() - expected.item()) <= 1e-6
    assert relative(assign.grad[0], c_one.grad) <= 1e-5
    if not getattr(graph, "binary", False):
        assert relative(z.grad[0], z_one.grad) <= 1e-5


def test_threads_share_the_tiles_and_are_given_back():
    z, assign = unit(1, 2200, 5).float(), soft(1, 2200, 2).float()
    nodes, before = NodeSet.from_embeddings(z), torch.get_num_threads()
    values = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            inside = assign.clone().requires_grad_()
            modularity(nodes, inside, ThresholdGraph(0.1)).sum().backward()
            values.append(inside.grad)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(values[0], values[1], rtol=1e-5, atol=1e-12)


def test_cosines_within_rounding_of_the_threshold_are_decided_in_float64(monkeypatch):
    """The threshold is put beside cosines of the graph itself, so that float32 alone would err."""
    monkeypatch.setattr(packing, "SMALL_GRAPH", 0)
    z = unit(1, 120, 20).float()
    exact = (z[0].double() @ z[0].double().T).triu(1)
    for case, tau in enumerate(exact[exact > 0.3][:40].tolist()):
        graph = ThresholdGraph(tau + 1e-12 * (-1) ** case, binary=True)
        expected = dense_adjacency(z[0].double(), torch.ones(120, dtype=torch.float64), graph).sum(1)
        assert torch.equal(degrees(NodeSet.from_embeddings(z), graph)[0].double(), expected)


@every_graph
def test_quantities_and_degrees(graph):
    z, weight, valid, assign = padded_batch((40, 25))
    nodes = NodeSet.from_embeddings(z, weight, valid)
    inside, d, two_m = quantities(nodes, assign, graph)
    for row in range(2):
        keep = valid[row]
        a = dense_adjacency(z[row, keep], weight[row, keep], graph)
        c = assign[row, keep]
        torch.testing.assert_close(inside[row], c.T @ a @ c, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(d[row, keep], a.sum(1), rtol=1e-10, atol=1e-10)
        assert (d[row, ~keep] == 0).all()
        assert two_m[row].item() == pytest.approx(a.sum().item(), rel=1e-10)
    torch.testing.assert_close(degrees(nodes, graph), d, rtol=0, atol=0)


@pytest.mark.parametrize("graph", [ThresholdGraph(0.1), ThresholdGraph(0.1, binary=True), KernelGraph(2)])
def test_gradcheck_of_all_quantities(graph):
    z, weight, valid, assign = padded_batch((6, 4), dim=3, communities=2)
    z, assign = z.nan_to_num(0.5), assign.nan_to_num(0.5)
    nodes_of = lambda z: NodeSet.from_embeddings(z, weight, valid)  # noqa: E731
    z.requires_grad_()
    assign.requires_grad_()
    assert torch.autograd.gradcheck(lambda z, c: quantities(nodes_of(z), c, graph), (z, assign))
    assert torch.autograd.gradcheck(lambda z, c: modularity_loss(nodes_of(z), c, graph, 0.3), (z, assign))


@pytest.mark.parametrize("graph", [ThresholdGraph(0.0), ThresholdGraph(0.2, binary=True), KernelGraph(2)])
def test_hard_partitions_agree_with_networkx(graph):
    z = unit(40, 4)
    labels = torch.randint(3, (40,), generator=torch.Generator().manual_seed(3))
    reference = networkx.from_numpy_array(
        dense_adjacency(z, torch.ones(40, dtype=torch.float64), graph).numpy()
    )
    groups = [set(np.flatnonzero(labels.numpy() == k).tolist()) for k in range(3)]
    expected = networkx.community.modularity(reference, groups)
    assign = torch.nn.functional.one_hot(labels, 3).double()[None]
    got = modularity(NodeSet.from_embeddings(z[None]), assign, graph).item()
    assert got == pytest.approx(expected, abs=1e-12)


def two_cliques():
    """Unit vectors whose cosines above 0 are the edges of two 4-cliques joined by one edge."""
    target = torch.zeros(8, 8, dtype=torch.float64)
    target[:4, :4] = target[4:, 4:] = 0.3
    target[3, 4] = target[4, 3] = 0.3
    target = torch.where(target > 0, target, -0.05).fill_diagonal_(1.0)
    values, vectors = torch.linalg.eigh(target)
    assert values.min() > 0
    return (vectors * values.sqrt())[None]


def test_two_cliques():
    nodes = NodeSet.from_embeddings(two_cliques())
    split = torch.eye(2, dtype=torch.float64).repeat_interleave(4, 0)[None]
    for graph in (ThresholdGraph(0.0), ThresholdGraph(0.1, binary=True)):
        assert modularity(nodes, split, graph).item() == pytest.approx(0.423, abs=5e-4)
        together = torch.ones(1, 8, 1, dtype=torch.float64)
        assert modularity(nodes, together, graph).item() == pytest.approx(0.0, abs=1e-15)


@every_graph
def test_padded_batch_equals_single_graphs(graph):
    z, weight, valid, assign = padded_batch((50, 20, 33))
    together = modularity(NodeSet.from_embeddings(z, weight, valid), assign, graph)
    for row in range(3):
        keep = valid[row]
        alone = NodeSet.from_embeddings(z[row, keep][None], weight[row, keep][None])
        expected = modularity(alone, assign[row, keep][None], graph)
        torch.testing.assert_close(together[row], expected[0], rtol=0, atol=1e-14)


@every_graph
def test_a_weight_of_zero_is_as_good_as_silence(graph):
    z, assign = unit(1, 30, 5), soft(1, 30, 3)
    weight = torch.ones(1, 30, dtype=torch.float64)
    weight[:, 10:] = 0
    nodes = NodeSet.from_embeddings(z, weight)
    expected = modularity(NodeSet.from_embeddings(z[:, :10]), assign[:, :10], graph)
    torch.testing.assert_close(modularity(nodes, assign, graph), expected)


@every_graph
def test_matvec(graph):
    z, weight, valid, _ = padded_batch((40, 25))
    vector = torch.randn(2, 45, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    nodes = NodeSet.from_embeddings(z, weight, valid)
    got = modularity_matvec(nodes, vector, graph)
    for row in range(2):
        keep = valid[row]
        a = dense_adjacency(z[row, keep], weight[row, keep], graph)
        d = a.sum(1)
        expected = (a - d[:, None] * d / d.sum()) @ vector[row, keep]
        torch.testing.assert_close(got[row, keep], expected, rtol=1e-10, atol=1e-10)
        assert (got[row, ~keep] == 0).all()
    torch.testing.assert_close(modularity_matvec(nodes, vector[..., 0], graph), got[..., 0])


def test_collapse():
    nodes = NodeSet.from_embeddings(unit(1, 6, 3))
    even = torch.eye(3, dtype=torch.float64).repeat(2, 1)[None]
    one = torch.zeros(1, 6, 3, dtype=torch.float64)
    one[..., 0] = 1
    assert collapse(nodes, even).item() == pytest.approx(0.0, abs=1e-15)
    assert collapse(nodes, one).item() == pytest.approx(math.sqrt(3) - 1)


def test_loss_is_per_graph():
    nodes, assign = NodeSet.from_embeddings(unit(3, 12, 4)), soft(3, 12, 2)
    loss = modularity_loss(nodes, assign, KernelGraph(), 0.5)
    assert loss.shape == (3,)
    torch.testing.assert_close(loss, 0.5 * collapse(nodes, assign) - modularity(nodes, assign, KernelGraph()))


@every_graph
@pytest.mark.parametrize("case", ["empty", "one", "all silent", "duplicates", "antipodal pair", "weightless"])
def test_edge_cases_are_finite_with_gradient(graph, case):
    z = {"empty": unit(1, 0, 4), "one": unit(1, 1, 4)}.get(case, unit(1, 2, 4))
    if case == "duplicates":
        z = unit(1, 1, 4).repeat(1, 7, 1)
    if case == "antipodal pair":
        z = torch.cat([z[:, :1], -z[:, :1]], 1)
    count = z.shape[1]
    valid = torch.full((1, count), case != "all silent")
    weight = torch.full((1, count), float(case != "weightless"), dtype=torch.float64)
    for dtype in (torch.float64, torch.float32):
        z_in = z.detach().to(dtype).requires_grad_()
        assign = soft(1, count, 3).to(dtype).requires_grad_()
        nodes = NodeSet.from_embeddings(z_in, weight.to(dtype), valid)
        q = modularity(nodes, assign, graph)
        modularity_loss(nodes, assign, graph, 0.2).sum().backward()
        assert torch.isfinite(q).all()
        if case != "duplicates":
            assert q.item() == 0
        for grad in (z_in.grad, assign.grad):
            assert grad is None or torch.isfinite(grad).all()
        assert torch.isfinite(modularity_matvec(nodes, torch.ones(1, count, dtype=dtype), graph)).all()


def test_bad_inputs_are_named():
    z, assign = unit(2, 5, 3), soft(2, 5, 2)
    nodes = NodeSet.from_embeddings(z)
    with pytest.raises(ValueError, match="assign: expected shape"):
        modularity(nodes, assign[:, :4], KernelGraph())
    with pytest.raises(ValueError, match="assign: expected shape"):
        modularity(nodes, assign[..., :0], KernelGraph())
    with pytest.raises(ValueError, match="assign: expected floating point"):
        modularity(nodes, assign.long(), KernelGraph())
    with pytest.raises(ValueError, match="assign: NaN"):
        modularity(nodes, assign / 0 * 0, KernelGraph())
    with pytest.raises(ValueError, match="z: expected unit-norm.*got a norm of 2"):
        modularity(NodeSet.from_embeddings(2 * z), assign, KernelGraph())
    with pytest.raises(ValueError, match="graph: expected a Graph, .* got str"):
        modularity(nodes, assign, "kernel")
    with pytest.raises(ValueError, match="collapse_weight: .* got -1"):
        modularity_loss(nodes, assign, KernelGraph(), -1)
    with pytest.raises(ValueError, match="vector: expected shape"):
        modularity_matvec(nodes, torch.ones(2, 4), KernelGraph())
    with pytest.raises(ValueError, match="vector: expected finite"):
        modularity_matvec(nodes, torch.full((2, 5), math.nan), KernelGraph())
    with pytest.raises(ValueError, match="z: NaN"):
        NodeSet.from_embeddings(z * math.nan)
    with pytest.raises(ValueError, match="z: expected floating point"):
        NodeSet.from_embeddings(z[0])
    with pytest.raises(ValueError, match="weight: expected finite"):
        NodeSet.from_embeddings(z, weight=-torch.ones(2, 5))
    with pytest.raises(ValueError, match="weight: expected shape"):
        NodeSet.from_embeddings(z, weight=torch.ones(2, 4))
    with pytest.raises(ValueError, match="valid: expected bool"):
        NodeSet.from_embeddings(z, valid=torch.ones(2, 5))
    with pytest.raises(ValueError, match="shape: "):
        NodeSet.from_embeddings(z, shape=(2, 3))
