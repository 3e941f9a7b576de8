"""Deep clustering against the sum over pairs, in double precision."""

import pytest
import torch

from contrasep_lib.objectives.deep_clustering import deep_clustering_loss


def unit(*shape, seed=0, dtype=torch.float64):
    z = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(z, dim=-1).to(dtype)


def naive(z, labels, weight, valid):
    losses = []
    for row in range(len(z)):
        nodes = [i for i in range(z.shape[1]) if valid[row, i]]
        total = sum(float(weight[row, i]) for i in nodes)
        if not total:
            continue
        losses.append(0.0)
        for i in nodes:
            for j in nodes:
                error = float(z[row, i] @ z[row, j]) - float(labels[row, i] == labels[row, j])
                losses[-1] += float(weight[row, i] * weight[row, j]) / total**2 * error**2
    return sum(losses) / max(len(losses), 1)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(3, (3, 11), generator=generator)
    weight = torch.rand(3, 11, generator=generator, dtype=torch.float64)
    valid = torch.rand(3, 11, generator=generator) > 0.3
    valid[2] = False
    return unit(3, 11, 4), labels, weight, valid


def test_equals_the_sum_over_pairs(batch):
    z, labels, weight, valid = batch
    assert deep_clustering_loss(z, labels, 3, weight, valid).item() == pytest.approx(
        naive(z, labels, weight, valid), rel=1e-12
    )
    plain = deep_clustering_loss(z, labels, 3)
    assert plain.item() == pytest.approx(naive(z, labels, torch.ones(3, 11), torch.ones(3, 11)), rel=1e-12)


def test_gradient(batch):
    z, labels, weight, valid = batch
    assert torch.autograd.gradcheck(lambda x: deep_clustering_loss(x, labels, 3, weight, valid), z.requires_grad_())


def test_invariances(batch):
    z, labels, weight, valid = batch
    value = deep_clustering_loss(z, labels, 3, weight, valid)
    assert torch.allclose(
        deep_clustering_loss(z, (labels + 1) % 3, 3, weight, valid), value
    )  # another order of sources
    assert torch.allclose(
        deep_clustering_loss(z, labels, 7, 5 * weight, valid), value
    )  # absent sources, scale of weights
    longer = [torch.cat([part, part], 1) for part in (z, labels, weight, valid)]
    assert torch.allclose(deep_clustering_loss(longer[0], longer[1], 3, longer[2], longer[3]), value)
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64)).Q
    assert torch.allclose(deep_clustering_loss(z @ turn, labels, 3, weight, valid), value)


def test_orthogonal_speakers_are_perfect_and_all_else_is_worse():
    labels = torch.tensor([[0, 1, 1, 2, 0]])
    perfect = torch.eye(3)[labels]
    assert deep_clustering_loss(perfect, labels, 3).item() == pytest.approx(0, abs=1e-7)
    merged = torch.eye(3)[torch.zeros_like(labels)]
    swapped = torch.eye(3)[torch.tensor([[0, 0, 1, 2, 1]])]
    for bad in (merged, swapped, -perfect + 2 * merged, unit(1, 5, 3, dtype=torch.float32)):
        assert deep_clustering_loss(bad, labels, 3) > 0.1


def test_what_is_not_valid_is_not_read(batch):
    z, labels, weight, valid = batch
    value = deep_clustering_loss(z, labels, 3, weight, valid)
    broken = torch.where(valid.unsqueeze(-1), z, torch.nan).requires_grad_()
    labels = torch.where(valid, labels, -7)
    loss = deep_clustering_loss(broken, labels, 3, torch.where(valid, weight, torch.nan), valid)
    loss.backward()
    assert torch.equal(loss, value) and broken.grad.isfinite().all()


@pytest.mark.parametrize("nodes", [1, 4])
def test_no_valid_node_gives_zero_and_a_zero_gradient(nodes):
    z = unit(2, nodes, 3).requires_grad_()
    loss = deep_clustering_loss(
        z, torch.zeros(2, nodes, dtype=torch.long), 1, valid=torch.zeros(2, nodes, dtype=torch.bool)
    )
    loss.backward()
    assert loss == 0 and (z.grad == 0).all()


def test_half_precision_sums_in_float32():
    z, labels = unit(2, 4000, 20, dtype=torch.bfloat16), torch.randint(2, (2, 4000))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = deep_clustering_loss(z, labels, 2)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(deep_clustering_loss(z.double(), labels, 2).item(), rel=1e-4)


def test_bad_shapes_are_reported():
    z = unit(2, 5, 3)
    with pytest.raises(ValueError, match=r"labels: expected shape \(2, 5\)"):
        deep_clustering_loss(z, torch.zeros(2, 4, dtype=torch.long), 2)
    with pytest.raises(ValueError, match="num_classes: expected at least 1"):
        deep_clustering_loss(z, torch.zeros(2, 5, dtype=torch.long), 0)
    with pytest.raises(ValueError, match=r"z: expected floating point \(batch, nodes, dim\)"):
        deep_clustering_loss(z[0], torch.zeros(5, dtype=torch.long), 2)
