"""Graph convolutions over frames against dense matrices and torch_geometric."""

import pytest
import torch

from contrasep_lib.embedding.backbones import gcn
from contrasep_lib.embedding.backbones.gcn import GCN, FrameGraph, GraphConvolution, frame_graph
from contrasep_lib.embedding.backbones.options import GCNOptions
from contrasep_lib.embedding.heads import unit_norm

FREQ = 9


def spectra(batch=1, count=30, seed=0):
    return torch.randn(batch, count, FREQ, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


def dense(graph):
    zeros = torch.zeros(graph.nodes, graph.nodes, dtype=torch.double)
    return zeros.index_put_(tuple(graph.pairs), graph.weight.double())


def reference(x, neighbours, threshold=-1.0):
    """0/1 adjacency of the nearest frames of one recording, by sorting a whole matrix."""
    z = torch.nn.functional.normalize(x - x.mean(0), dim=-1)
    cosine = (z @ z.T).fill_diagonal_(-2)
    kth = cosine.sort(dim=1, descending=True).values[:, min(neighbours, len(x) - 1) - 1 :][:, :1]
    near = (cosine >= kth) & (cosine >= threshold)
    return (near | near.T).double()


@pytest.mark.parametrize("tile", [7, 10, 1024])
@pytest.mark.parametrize("neighbours, threshold", [(1, -1.0), (4, -1.0), (100, 0.2), (4, 0.3)])
def test_graph_is_that_of_all_pairs(monkeypatch, tile, neighbours, threshold):
    monkeypatch.setattr(gcn, "TILE", tile)
    x = spectra()
    a = reference(x[0], neighbours, threshold)
    degree = a.sum(1).clamp_min(1e-12)
    expected = a / (degree.unsqueeze(0) * degree.unsqueeze(1)).sqrt()
    assert torch.allclose(dense(frame_graph(x, torch.tensor([30]), neighbours, threshold)), expected, atol=1e-9)


def test_recordings_and_padding_are_not_joined():
    x = spectra(2)
    graph = frame_graph(x, torch.tensor([30, 11]), 5)
    matrix = dense(graph)
    assert not matrix[:30, 30:].any() and not matrix[41:].any() and not matrix[:, 41:].any()
    alone = dense(frame_graph(x[1:, :11], torch.tensor([11]), 5))
    assert torch.allclose(matrix[30:41, 30:41], alone, atol=1e-9) and alone.any()


def test_equals_the_convolution_of_torch_geometric():
    geometric = pytest.importorskip("torch_geometric.nn", reason="torch_geometric is the reference of this test")
    torch.manual_seed(0)
    layer = GraphConvolution(FREQ, 6)
    x = spectra()
    graph = frame_graph(x, torch.tensor([30]), 4)
    other = geometric.GCNConv(FREQ, 6, add_self_loops=False, bias=False)
    other.lin.weight.data = layer.mix.weight.data
    features = x[0].float()
    # it normalises the adjacency itself, and has no skip weights
    expected = other(features, graph.pairs)
    assert torch.allclose(layer(features, graph) - layer.skip(features), expected, atol=1e-5)
    # self-loops in the graph in place of skip weights: the layer of Kipf and Welling
    loops = torch.arange(30).expand(2, -1)
    degree = torch.bincount(graph.pairs[0], minlength=30) + 1.0
    pairs = torch.cat([graph.pairs, loops], dim=1)
    order = (pairs[0] * 30 + pairs[1]).argsort()
    looped = FrameGraph(pairs[:, order], degree[pairs[:, order]].prod(0).rsqrt(), 30)
    with_loops = geometric.GCNConv(FREQ, 6, bias=False)
    with_loops.lin.weight.data = layer.mix.weight.data
    assert torch.allclose(looped.matmul(layer.mix(features)), with_loops(features, graph.pairs), atol=1e-5)


def test_product_and_its_gradient_are_those_of_the_matrix():
    graph = frame_graph(spectra(), torch.tensor([30]), 4)
    x = torch.randn(30, 3, dtype=torch.double, requires_grad=True)
    assert torch.allclose(graph.matmul(x), dense(graph) @ x)
    double = FrameGraph(graph.pairs, graph.weight.double(), graph.nodes)
    assert torch.autograd.gradcheck(double.matmul, x)


def backbone(**options):
    torch.manual_seed(0)
    return GCN(FREQ, 5, 2, 8, **options).double().eval()


def test_padding_does_not_reach_an_utterance():
    x, frames = spectra(3, 20), torch.tensor([20, 7, 1])
    x = torch.where(torch.arange(20).view(1, -1, 1) < frames.view(-1, 1, 1), x, 0.0)
    net = backbone(neighbours=4)
    together = net(x, frames)
    assert together.shape == (3, 20, 1, 5)
    for row, count in enumerate(frames.tolist()):
        assert torch.allclose(together[row, :count], net(x[row : row + 1, :count], frames[row : row + 1])[0], atol=1e-9)


def test_every_parameter_learns_and_neighbours_are_seen():
    net, x = backbone(neighbours=3), spectra(2, 12).requires_grad_()
    unit_norm(net(x, torch.tensor([12, 9]))).pow(3).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    (grad,) = torch.autograd.grad(net(x, torch.tensor([12, 9]))[0, 4].sum(), x)
    # two layers see two steps of the graph, and no other recording
    steps = reference(x[0].detach(), 3) + torch.eye(12)
    reached = (steps @ steps)[4] > 0
    assert torch.equal(grad[0].abs().sum(1) > 0, reached) and 1 < reached.sum() < 12 and not grad[1].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_half_precision_and_silence(dtype):
    net = backbone().float().train()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        out = net(torch.zeros(1, 6, FREQ), torch.tensor([6]))
    assert out.isfinite().all()


@pytest.mark.parametrize("values, says", [
    ({"neighbours": 0}, "neighbours: expected a whole number from 1"), ({"threshold": 1.0}, "threshold"),
])
def test_bad_options_are_named(values, says):
    with pytest.raises(ValueError, match=says):
        GCNOptions(**values)
