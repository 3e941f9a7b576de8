"""Graphs: parameter ranges, exact kernel features, and which kernels tell antipodal talkers apart."""

import math

import numpy as np
import pytest
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity import dense
from contrasep_lib.modularity.graphs import Graph, KernelGraph, ThresholdGraph
from contrasep_lib.modularity.objective import backend, modularity, modularity_matvec
from contrasep_lib.modularity.solvers.spectral import SpectralSolver
from contrasep_lib.nodes.nodeset import NodeSet


def unit(*shape, seed=0, dtype=torch.float64):
    z = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(z, dim=-1).to(dtype)


@pytest.mark.parametrize("tau", [-0.01, 1.0, 1.5, math.nan])
def test_weighted_threshold_out_of_range(tau):
    with pytest.raises(ValueError, match=r"tau: expected a number of at least .*got"):
        ThresholdGraph(tau=tau)


@pytest.mark.parametrize("tau", [-1.01, 1.0, math.nan])
def test_binary_threshold_out_of_range(tau):
    with pytest.raises(ValueError, match=r"tau: expected a number of at least -1 and less than 1, got"):
        ThresholdGraph(tau=tau, binary=True)


def test_thresholds_at_the_ends_of_their_ranges():
    assert ThresholdGraph(0.0).tau == 0.0
    assert ThresholdGraph(-1.0, binary=True).tau == -1.0


@pytest.mark.parametrize("power", [0, -1, 1.5, True, "2"])
def test_power_out_of_range(power):
    with pytest.raises(ValueError, match="power: expected a whole number from 1 to 16, got"):
        KernelGraph(power=power)


def test_features_beyond_memory_are_one_line():
    says = f"expected at most 1000000 monomials, got {math.comb(30, 10)} of degree 10 for embeddings of 20 dimensions"
    with pytest.raises(ContrasepError, match=says):
        KernelGraph(10).features(unit(3, 20))


@pytest.mark.parametrize("power", [1, 2, 3, 4])
@pytest.mark.parametrize("dim", [1, 2, 7])
def test_features_are_exact(power, dim):
    z = unit(30, dim)
    phi = KernelGraph(power).features(z)
    assert phi.shape == (30, math.comb(dim + power, power))
    expected = ((1 + z.numpy() @ z.numpy().T) / 2) ** power
    np.testing.assert_allclose((phi @ phi.T).numpy(), expected, atol=1e-14)


def test_features_of_the_default_setting_number_231():
    assert KernelGraph().features(unit(2, 3, 20)).shape == (2, 3, 231)


@pytest.mark.parametrize("talkers, kernel, relu", [(2, 0.500, 0.500), (3, 0.554, 0.667), (5, 0.435, 0.800)])
def test_split_of_a_simplex_of_talkers(talkers, kernel, relu):
    """Q of the true split of K tight clouds at cosine -1/(K-1).

    ReLU is the threshold graph at 0. The square s^2 merges two talkers (Q of -.005).
    """
    corners = torch.eye(talkers, dtype=torch.float64) - 1 / talkers
    corners = torch.nn.functional.normalize(corners, dim=-1)
    per_talker = 200
    z = corners.repeat_interleave(per_talker, 0)[None]
    assign = torch.eye(talkers, dtype=torch.float64).repeat_interleave(per_talker, 0)[None]
    nodes = NodeSet.from_embeddings(z)
    # Missing self-loops lower Q by about one part in the nodes of a talker.
    assert modularity(nodes, assign, KernelGraph(2)).item() == pytest.approx(kernel, abs=5e-3)
    assert modularity(nodes, assign, ThresholdGraph(0.0)).item() == pytest.approx(relu, abs=5e-3)


def test_the_square_merges_two_talkers_and_the_kernel_does_not():
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64).repeat_interleave(100, 0)
    labels = torch.tensor([0, 1]).repeat_interleave(100)
    square = (z @ z.T) ** 2
    square.fill_diagonal_(0)
    degree = square.sum(1)
    same = (labels[:, None] == labels).double()
    q_square = ((square - degree[:, None] * degree / degree.sum()) * same).sum() / degree.sum()
    assert q_square.item() == pytest.approx(-0.0025, abs=1e-3)
    assign = torch.nn.functional.one_hot(labels).double()[None]
    assert modularity(NodeSet.from_embeddings(z[None]), assign, KernelGraph()).item() == pytest.approx(0.5)


@pytest.mark.parametrize("known", [KernelGraph(3), ThresholdGraph(0.2), ThresholdGraph(-0.4, binary=True)], ids=str)
def test_a_graph_of_its_own_needs_its_edges_alone(known):
    class Own(Graph):
        def affinity(self, cosine):
            return known.affinity(cosine)

    z, valid = unit(2, 40, 5), torch.ones(2, 40, dtype=torch.bool)
    valid[1, 30:] = False
    leaf = [z.clone().requires_grad_() for _ in range(2)]
    assign = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(-1)
    weight = torch.rand(2, 40, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    values = [
        modularity(NodeSet.from_embeddings(each, weight, valid=valid), assign, graph)
        for each, graph in zip(leaf, (Own(), known))
    ]
    torch.testing.assert_close(*values, rtol=1e-10, atol=1e-12)
    if values[1].requires_grad and not getattr(known, "binary", False):
        gradients = [torch.autograd.grad(value.sum(), each)[0] for value, each in zip(values, leaf)]
        torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-12)
    nodes = NodeSet.from_embeddings(z, weight, valid=valid)
    torch.testing.assert_close(
        *(modularity_matvec(nodes, assign, graph) for graph in (Own(), known)), rtol=1e-10, atol=1e-12
    )
    solved = [SpectralSolver(sample=20).solve(nodes, 3, graph, seed=0).modularity for graph in (Own(), known)]
    torch.testing.assert_close(*solved, rtol=1e-6, atol=1e-8)


def test_sums_of_a_graph_come_before_those_of_the_class_above():
    class Cut(KernelGraph):
        sums = dense

        def affinity(self, cosine):
            return super().affinity(cosine) * (cosine > 0.5)

    assert backend(Cut()) is dense and backend(KernelGraph()) is not dense
