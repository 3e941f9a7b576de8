"""Whitened deep clustering against projections, in double precision."""

import pytest
import torch

from contrasep_lib.objectives.deep_clustering import deep_clustering_loss
from contrasep_lib.objectives.whitened_deep_clustering import whitened_deep_clustering_loss


def unit(*shape, seed=0):
    z = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(z, dim=-1)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(3, (3, 11), generator=generator)
    weight = torch.rand(3, 11, generator=generator, dtype=torch.float64)
    valid = torch.rand(3, 11, generator=generator) > 0.3
    valid[2] = False
    return unit(3, 11, 4), labels, weight, valid


def projected(z, labels, weight, valid, ridge):
    """1 minus the mean squared length of each class's indicator in the span of the embeddings."""
    losses = []
    for row in range(len(z)):
        kept = valid[row] & (weight[row] > 0)
        if not kept.any():
            continue
        root = (weight[row][kept] / weight[row][kept].sum()).sqrt()
        v = z[row][kept] * root[:, None]
        onto = v @ torch.linalg.inv(v.T @ v + ridge * torch.eye(v.shape[1], dtype=v.dtype)) @ v.T
        explained = []
        for label in labels[row][kept].unique():
            indicator = root * (labels[row][kept] == label)
            indicator = indicator / indicator.norm()
            explained.append(float(indicator @ onto @ indicator))
        losses.append(1 - sum(explained) / len(explained))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("ridge", [1e-3, 0.1])
def test_equals_the_share_outside_the_span(batch, ridge):
    z, labels, weight, valid = batch
    value = whitened_deep_clustering_loss(z, labels, 3, weight, valid, ridge)
    assert value.item() == pytest.approx(projected(z, labels, weight, valid, ridge), rel=1e-10)


def test_gradient(batch):
    z, labels, weight, valid = batch
    assert torch.autograd.gradcheck(
        lambda x: whitened_deep_clustering_loss(x, labels, 3, weight, valid), z.requires_grad_()
    )


def test_invariances(batch):
    z, labels, weight, valid = batch
    value = whitened_deep_clustering_loss(z, labels, 3, weight, valid, 1e-12)
    assert torch.allclose(whitened_deep_clustering_loss(z, (labels + 1) % 3, 3, weight, valid, 1e-12), value)
    assert torch.allclose(whitened_deep_clustering_loss(z, labels, 7, 5 * weight, valid, 1e-12), value)
    # any linear map that loses nothing, which deep clustering would notice
    mapped = z @ torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(whitened_deep_clustering_loss(mapped, labels, 3, weight, valid, 1e-12), value, atol=1e-8)
    assert not torch.allclose(
        deep_clustering_loss(mapped, labels, 3, weight, valid), deep_clustering_loss(z, labels, 3, weight, valid)
    )


def test_separable_speakers_are_perfect_and_constant_embeddings_explain_one_of_two():
    labels = torch.tensor([[0, 1, 1, 0, 0, 1]])
    angle = torch.tensor([0.0, 0.1])[labels]  # a tenth of a radian apart is enough
    near = torch.stack([angle.cos(), angle.sin()], -1).double()
    assert whitened_deep_clustering_loss(near, labels, 2, ridge=1e-9).item() == pytest.approx(0, abs=1e-5)
    constant = torch.ones(1, 6, 2, dtype=torch.float64) / 2**0.5
    assert whitened_deep_clustering_loss(constant, labels, 2, ridge=1e-9).item() == pytest.approx(0.5, abs=1e-5)


def test_gradient_near_a_constant_embedding_is_larger_than_that_of_deep_clustering():
    labels = torch.randint(2, (1, 200), generator=torch.Generator().manual_seed(3))
    z = torch.nn.functional.normalize(torch.eye(8, dtype=torch.float64)[0] + 0.02 * unit(1, 200, 8), dim=-1)
    norms = []
    for objective in (whitened_deep_clustering_loss, deep_clustering_loss):
        leaf = z.clone().requires_grad_()
        objective(leaf, labels, 2).backward()
        norms.append(leaf.grad[..., 1:].norm().item())  # the directions in which they could part
    assert norms[0] > 5 * norms[1]


def test_more_classes_than_dimensions_and_silence():
    labels = torch.arange(9)[None]
    assert whitened_deep_clustering_loss(unit(1, 9, 4), labels, 9, ridge=1e-9).item() == pytest.approx(
        1 - 4 / 9, abs=1e-6
    )
    z = unit(2, 5, 3).requires_grad_()
    value = whitened_deep_clustering_loss(
        z, torch.zeros(2, 5, dtype=torch.int64), 2, valid=torch.zeros(2, 5, dtype=torch.bool)
    )
    value.backward()
    assert value == 0 and torch.isfinite(z.grad).all()


def test_half_precision_is_computed_in_float32():
    z, labels = unit(1, 50, 4), torch.randint(2, (1, 50))
    value = whitened_deep_clustering_loss(z.bfloat16(), labels, 2)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(whitened_deep_clustering_loss(z, labels, 2).item(), abs=0.02)


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan")])
def test_a_ridge_that_is_not_positive_is_refused(ridge):
    with pytest.raises(ValueError, match="ridge"):
        whitened_deep_clustering_loss(unit(1, 5, 3), torch.zeros(1, 5, dtype=torch.int64), 1, ridge=ridge)
