"""Normalised modularity and the resolution of Q against dense double-precision references and networkx."""

import math

import networkx
import numpy as np
import pytest
import torch

from contrasep_lib.modularity import packing
from contrasep_lib.modularity.graphs import KernelGraph, ThresholdGraph
from contrasep_lib.modularity.objective import modularity, modularity_loss, normalised_modularity, starts_loss
from contrasep_lib.modularity.quality import Modularity, NormalisedModularity
from contrasep_lib.nodes.nodeset import NodeSet
from tests.modularity.dense_reference import dense_adjacency, padded_batch, relative, soft, unit

GRAPHS = [ThresholdGraph(0.1), ThresholdGraph(-0.3, binary=True), KernelGraph(1), KernelGraph(2)]
every_graph = pytest.mark.parametrize("graph", GRAPHS, ids=["threshold", "binary", "kernel-1", "kernel-2"])
QUALITIES = [Modularity(0.6), Modularity(1.7), NormalisedModularity(), NormalisedModularity(0.4)]
every_quality = pytest.mark.parametrize("quality", QUALITIES, ids=["gamma-0.6", "gamma-1.7", "qn", "qn-0.4"])


def dense_value(z, weight, assign, graph, quality):
    """A quality of one graph, from its definition; differentiable."""
    a = dense_adjacency(z, weight, graph)
    if isinstance(quality, Modularity):
        d, two_m = a.sum(1), a.sum()
        return torch.trace(assign.T @ (a / two_m - quality.gamma * torch.outer(d, d) / two_m**2) @ assign)
    # where weights are one this is r d_mean / N for every pair
    a = a + quality.regularise * a.sum() * torch.outer(weight, weight) / weight.sum() ** 2
    return sum((c @ a @ c) / (c @ a.sum(1)) for c in assign.T) - 1


def value(nodes, assign, graph, quality):
    return -modularity_loss(nodes, assign, graph, 0.0, quality)


@every_graph
@every_quality
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_value_and_gradient_of_a_padded_batch(graph, quality, dtype, tolerance, monkeypatch):
    monkeypatch.setattr(packing, "SMALL_GRAPH", 0)
    z, weight, valid, assign = padded_batch((300, 60, 113))
    z, weight, assign = z.to(dtype), weight.to(dtype), assign.to(dtype)
    z.requires_grad_()
    assign.requires_grad_()
    got = value(NodeSet.from_embeddings(z, weight, valid), assign, graph, quality)
    scale = torch.tensor([1.0, -2.0, 0.5], dtype=got.dtype)
    (got * scale).sum().backward()
    for row in range(3):
        keep = valid[row]
        z_one = z.detach()[row, keep].double().requires_grad_()
        c_one = assign.detach()[row, keep].double().requires_grad_()
        expected = dense_value(z_one, weight[row, keep].double(), c_one, graph, quality)
        (expected * scale[row]).backward()
        assert abs(got[row].item() - expected.item()) <= 1e-6
        assert relative(assign.grad[row, keep], c_one.grad) <= tolerance
        assert (assign.grad[row, ~keep] == 0).all()
        if not getattr(graph, "binary", False):
            assert relative(z.grad[row, keep], z_one.grad) <= tolerance
            assert (z.grad[row, ~keep] == 0).all()


@every_graph
@every_quality
def test_gradcheck(graph, quality):
    z, weight, valid, assign = padded_batch((6, 4), dim=3, communities=2)
    z, assign = z.nan_to_num(0.5).requires_grad_(), assign.nan_to_num(0.5).requires_grad_()

    def loss(z, assign):
        return modularity_loss(NodeSet.from_embeddings(z, weight, valid), assign, graph, 0.2, quality)

    assert torch.autograd.gradcheck(loss, (z, assign))


def test_the_gradient_is_that_of_the_papers():
    """2 (AC)_ik / vol_k - d_i (C'AC)_kk / vol_k^2."""
    z, assign = unit(1, 40, 4), soft(1, 40, 3).requires_grad_()
    normalised_modularity(NodeSet.from_embeddings(z), assign, KernelGraph()).sum().backward()
    a, c = dense_adjacency(z[0], torch.ones(40, dtype=torch.float64), KernelGraph()), assign.detach()[0]
    d = a.sum(1)
    volume, inside = c.T @ d, (c.T @ a @ c).diagonal()
    expected = 2 * (a @ c) / volume - d[:, None] * inside / volume**2
    torch.testing.assert_close(assign.grad[0], expected, rtol=1e-9, atol=1e-12)


@every_graph
def test_normalised_cuts_of_networkx(graph):
    """Qn = K - 1 - NCut."""
    z = unit(40, 4)
    labels = torch.randint(3, (40,), generator=torch.Generator().manual_seed(3))
    adjacency = dense_adjacency(z, torch.ones(40, dtype=torch.float64), graph)
    reference = networkx.from_numpy_array(adjacency.numpy())
    groups = [set(np.flatnonzero(labels.numpy() == k).tolist()) for k in range(3)]
    cuts = [
        networkx.cut_size(reference, group, weight="weight") / networkx.volume(reference, group, weight="weight")
        for group in groups
    ]
    hard = torch.nn.functional.one_hot(labels, 3).double()[None]
    nodes = NodeSet.from_embeddings(z[None])
    assert normalised_modularity(nodes, hard, graph).item() == pytest.approx(3 - 1 - sum(cuts), abs=1e-12)
    halves = torch.stack([hard[..., 0], 1 - hard[..., 0]], -1)
    cut = networkx.normalized_cut_size(reference, groups[0], groups[1] | groups[2], weight="weight")
    assert normalised_modularity(nodes, halves, graph).item() == pytest.approx(2 - 1 - cut, abs=1e-12)


@every_graph
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_community_without_volume_adds_nothing(graph, share):
    z, assign = unit(1, 30, 5), torch.zeros(1, 30, 3, dtype=torch.float64)
    assign[..., :2] = soft(1, 30, 2)
    nodes = NodeSet.from_embeddings(z)
    expected = normalised_modularity(nodes, assign[..., :2], graph, share)
    assign.requires_grad_()
    got = normalised_modularity(nodes, assign, graph, share)
    got.sum().backward()
    torch.testing.assert_close(got, expected)
    assert torch.isfinite(assign.grad).all() and (assign.grad[..., 2] == 0).all()


def test_nodes_without_edges_and_graphs_without_edges():
    z = torch.eye(4, dtype=torch.float64)[[0, 0, 0, 1, 1, 2, 3]][None]
    lonely = torch.tensor([0, 0, 0, 1, 1, 2, 2])
    hard = torch.nn.functional.one_hot(lonely, 3).double()[None].requires_grad_()
    got = normalised_modularity(NodeSet.from_embeddings(z), hard, ThresholdGraph(0.5))
    got.sum().backward()
    assert got.item() == pytest.approx(2 - 1) and (hard.grad[..., 2] == 0).all()
    for nodes in (z[:, [0, 3, 5, 6]], z[:, :1], z[:, :0]):
        whole = torch.ones(1, nodes.shape[1], 1, dtype=torch.float64, requires_grad=True)
        alone = normalised_modularity(NodeSet.from_embeddings(nodes), whole, ThresholdGraph(0.5), 0.5)
        alone.sum().backward()
        assert alone.item() == 0 and torch.isfinite(whole.grad).all()


@every_graph
def test_one_community_has_none(graph):
    nodes = NodeSet.from_embeddings(unit(1, 30, 5))
    whole = torch.ones(1, 30, 1, dtype=torch.float64)
    assert normalised_modularity(nodes, whole, graph).item() == pytest.approx(0, abs=1e-12)
    assert modularity(nodes, whole, graph, gamma=1.5).item() == pytest.approx(-0.5, abs=1e-12)


@every_graph
@every_quality
def test_a_weight_of_zero_is_as_good_as_silence(graph, quality):
    z, assign = unit(1, 30, 5), soft(1, 30, 3)
    weight = torch.ones(1, 30, dtype=torch.float64)
    weight[:, 10:] = 0
    expected = value(NodeSet.from_embeddings(z[:, :10]), assign[:, :10], graph, quality)
    torch.testing.assert_close(value(NodeSet.from_embeddings(z, weight), assign, graph, quality), expected)


def clouds_and_a_pair(noise=0.228, size=40):
    """Two clouds whose graph has edges between them, and two nodes that only know each other; the true split."""
    order = torch.Generator().manual_seed(0)
    centres = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.45, 0.893, 0.0, 0.0]]).double()
    labels = torch.arange(2).repeat_interleave(size)
    cloud = centres[labels] + noise * torch.randn(2 * size, 4, generator=order, dtype=torch.float64)
    pair = torch.tensor([[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.1, 1.0]]).double()
    z = torch.nn.functional.normalize(torch.cat([cloud, pair]), dim=-1)
    return z, torch.cat([labels, torch.tensor([0, 0])])


def test_an_isolated_pair_wins_on_a_threshold_graph_unless_regularised():
    z, truth = clouds_and_a_pair()
    graph, nodes = ThresholdGraph(0.75), NodeSet.from_embeddings(z[None])
    edges = graph.affinity(z @ z.T)
    assert (edges[-2:, :-2] == 0).all() and edges[-1, -2] > 0
    apart = torch.zeros_like(truth)
    apart[-2:] = 1
    split, pair = (torch.nn.functional.one_hot(labels, 2).double()[None] for labels in (truth, apart))
    assert normalised_modularity(nodes, pair, graph).item() == pytest.approx(1.0, abs=1e-12)
    assert normalised_modularity(nodes, split, graph).item() == pytest.approx(0.772, abs=5e-3)
    for share in (0.1, 0.5, 1.0):
        true = normalised_modularity(nodes, split, graph, share)
        assert true > normalised_modularity(nodes, pair, graph, share) + 0.1


@every_quality
def test_partitions_that_share_a_walk(quality):
    z, weight, valid, _ = padded_batch((40, 25))
    nodes, assign = NodeSet.from_embeddings(z, weight, valid), soft(2, 3, 45, 2)
    for graph in (ThresholdGraph(0.1), KernelGraph()):
        together = starts_loss(nodes, assign, graph, 0.3, quality)
        alone = [modularity_loss(nodes, assign[:, start], graph, 0.3, quality) for start in range(3)]
        torch.testing.assert_close(together, torch.stack(alone, 1))


@pytest.mark.parametrize("gamma", [0, -1.0, math.nan, math.inf])
def test_bad_resolutions(gamma):
    with pytest.raises(ValueError, match="gamma: expected a number above 0 and at most 1000, got"):
        modularity(NodeSet.from_embeddings(unit(1, 5, 3)), soft(1, 5, 2), KernelGraph(), gamma)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_bad_regularisation(share):
    with pytest.raises(ValueError, match=r"regularise: expected a number from 0 to 1, got"):
        normalised_modularity(NodeSet.from_embeddings(unit(1, 5, 3)), soft(1, 5, 2), KernelGraph(), share)
