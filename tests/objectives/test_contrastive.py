"""NT-Xent and SupCon against their definitions in loops, in double precision."""

import math

import pytest
import torch

from contrasep_lib.nodes.draws import Draws
from contrasep_lib.objectives.nt_xent import nt_xent_loss
from contrasep_lib.objectives.sampling import pair_nodes, sample_nodes, take
from contrasep_lib.objectives.supcon import supcon_loss


def unit(*shape, seed=0, dtype=torch.float64):
    z = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(z, dim=-1).to(dtype)


def naive_nt_xent(first, second, labels, valid, t):
    means = []
    for a, b, names, mask in zip(first, second, labels, valid):
        nodes = [(z[p], p, names[p]) for z in (a, b) for p in range(len(a)) if mask[p]]
        losses = []
        for i, (zi, pair, name) in enumerate(nodes):
            total = positive = 0.0
            for k, (zk, other, its) in enumerate(nodes):
                if k == i or (its == name and other != pair):
                    continue
                total += math.exp(float(zi @ zk) / t)
                if other == pair:
                    positive = math.exp(float(zi @ zk) / t)
            losses.append(-math.log(positive / total))
        if losses:
            means.append(sum(losses) / len(losses))
    return sum(means) / max(len(means), 1)


def naive_supcon(z, labels, weight, valid, t):
    means = []
    for row, names, w, mask in zip(z, labels, weight, valid):
        nodes = [i for i in range(len(row)) if mask[i] and w[i] > 0]
        if not nodes:
            continue
        scale = sum(float(w[i]) for i in nodes) / len(nodes)
        total = mass = 0.0
        for i in nodes:
            positives = [p for p in nodes if p != i and names[p] == names[i]]
            if not positives:
                continue
            below = sum(float(w[a]) / scale * math.exp(float(row[i] @ row[a]) / t) for a in nodes if a != i)
            pull = sum(
                float(w[p]) * math.log(math.exp(float(row[i] @ row[p]) / t) / below) for p in positives
            )
            total -= float(w[i]) * pull / sum(float(w[p]) for p in positives)
            mass += float(w[i])
        if mass:
            means.append(total / mass)
    return sum(means) / max(len(means), 1)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(3, (3, 9), generator=generator)
    labels[0, 0] = 8  # an anchor without positives
    weight = torch.rand(3, 9, generator=generator, dtype=torch.float64)
    weight[1, 2] = 0
    valid = torch.rand(3, 9, generator=generator) > 0.25
    valid[2] = False
    return labels, weight, valid


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_supcon_equals_its_definition(batch, temperature):
    labels, weight, valid = batch
    z = unit(3, 9, 5).requires_grad_()
    ones = torch.ones_like(weight)
    plain = supcon_loss(z, labels, None, valid, temperature)
    assert plain.item() == pytest.approx(
        naive_supcon(z.detach(), labels, ones, valid, temperature), rel=1e-12
    )
    weighted = supcon_loss(z, labels, weight, valid, temperature)
    assert weighted.item() == pytest.approx(
        naive_supcon(z.detach(), labels, weight, valid, temperature), rel=1e-12
    )
    assert torch.allclose(supcon_loss(z, labels, 9 * weight, valid, temperature), weighted)
    assert torch.allclose(supcon_loss(z, labels, 0.3 * ones, valid, temperature), plain)
    assert torch.autograd.gradcheck(lambda x: supcon_loss(x, labels, weight, valid, temperature), z)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_nt_xent_equals_its_definition(batch, temperature):
    labels, _, valid = batch
    a, b = unit(3, 9, 5).requires_grad_(), unit(3, 9, 5, seed=1).requires_grad_()
    apart = torch.arange(27).view(3, 9)  # every pair its own label: all others are negatives
    loss = nt_xent_loss(a, b, None, valid, temperature)
    assert loss.item() == pytest.approx(
        naive_nt_xent(a.detach(), b.detach(), apart, valid, temperature), rel=1e-12
    )
    assert torch.allclose(nt_xent_loss(b, a, None, valid, temperature), loss)  # both orders
    labelled = nt_xent_loss(a, b, labels, valid, temperature)
    assert labelled.item() == pytest.approx(
        naive_nt_xent(a.detach(), b.detach(), labels, valid, temperature), rel=1e-12
    )
    assert torch.autograd.gradcheck(lambda x, y: nt_xent_loss(x, y, labels, valid, temperature), (a, b))


def test_order_and_names_do_not_matter(batch):
    labels, weight, valid = batch
    z, order = unit(3, 9, 5), torch.randperm(9)
    value = supcon_loss(z, labels, weight, valid)
    assert torch.allclose(
        supcon_loss(z[:, order], 100 - labels[:, order], weight[:, order], valid[:, order]), value
    )
    other = unit(3, 9, 5, seed=1)
    value = nt_xent_loss(z, other, labels, valid)
    assert torch.allclose(
        nt_xent_loss(z[:, order], other[:, order], -labels[:, order], valid[:, order]), value
    )


def test_separated_talkers_are_better_than_anything_else():
    labels = torch.arange(2).repeat_interleave(8)[None]
    apart, wrong = torch.eye(3)[labels], torch.eye(3)[torch.arange(2).repeat(8)[None]]
    same = torch.eye(3)[torch.zeros_like(labels)]
    for t in (0.1, 0.5):
        assert supcon_loss(apart, labels, temperature=t) < supcon_loss(same, labels, temperature=t) - 0.3
        assert supcon_loss(same, labels, temperature=t) < supcon_loss(wrong, labels, temperature=t)
        antipodal = torch.stack([1 - 2.0 * labels, 0.0 * labels], dim=-1)  # the simplex of two
        assert supcon_loss(antipodal, labels, temperature=t) < supcon_loss(apart, labels, temperature=t)
        assert nt_xent_loss(apart, apart, labels, temperature=t) < nt_xent_loss(
            same, same, labels, temperature=t
        )
        assert nt_xent_loss(same, same, labels, temperature=t) < nt_xent_loss(
            apart, wrong, labels, temperature=t
        )


def test_identical_embeddings_give_the_logarithm_of_their_number():
    same = torch.ones(1, 6, 1)
    assert supcon_loss(same, torch.zeros(1, 6, dtype=torch.long)).item() == pytest.approx(
        math.log(5), rel=1e-6
    )
    assert nt_xent_loss(same, same).item() == pytest.approx(math.log(11), rel=1e-6)


@pytest.mark.parametrize("case", ["invalid", "one node", "no positives", "no weight", "no nodes"])
def test_nothing_to_learn_from_gives_zero_and_a_zero_gradient(case):
    nodes = {"one node": 1, "no nodes": 0}.get(case, 4)
    z = unit(2, nodes, 3).requires_grad_()
    valid = torch.full((2, nodes), case != "invalid")
    labels = torch.arange(nodes).expand(2, -1)
    weight = torch.full((2, nodes), 0.0 if case == "no weight" else 1.0)
    loss = supcon_loss(z, labels, weight, valid)
    loss.backward()
    assert loss == 0 and (z.grad == 0).all()
    if case in ("invalid", "no nodes"):
        loss = nt_xent_loss(z, z, labels, valid)
        assert loss == 0 and (torch.autograd.grad(loss, z)[0] == 0).all()


@pytest.mark.parametrize("temperature", [0.001, 0.1])
def test_finite_whatever_the_embeddings(batch, temperature):
    labels, weight, valid = batch
    z = torch.where(
        valid.unsqueeze(-1), torch.eye(5).double()[labels.clamp_max(2)], torch.nan
    ).requires_grad_()
    for loss in (
        supcon_loss(z, labels, weight, valid, temperature),
        nt_xent_loss(z, -z, labels, valid, temperature),
        nt_xent_loss(z, z, None, valid, temperature),
    ):
        assert loss.isfinite() and torch.autograd.grad(loss, z)[0].isfinite().all()


def test_half_precision_logits_in_float32():
    z, labels = unit(1, 64, 20, dtype=torch.bfloat16), torch.arange(64)[None] % 2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = supcon_loss(z, labels, temperature=0.05), nt_xent_loss(z, z.flip(1), temperature=0.05)
    exact = supcon_loss(z.double(), labels, temperature=0.05), nt_xent_loss(
        z.double(), z.double().flip(1), temperature=0.05
    )
    for loss, expected in zip(losses, exact):
        assert loss.dtype == torch.float32 and loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, 1e-4, 1000.0, math.nan, math.inf])
def test_temperature_out_of_range_is_reported(temperature):
    z, labels = unit(1, 4, 3), torch.zeros(1, 4, dtype=torch.long)
    with pytest.raises(ValueError, match=r"temperature: expected between 0.001 and 100, got"):
        supcon_loss(z, labels, temperature=temperature)
    with pytest.raises(ValueError, match=r"temperature: expected between 0.001 and 100, got"):
        nt_xent_loss(z, z, temperature=temperature)


def test_samples_are_valid_distinct_and_repeatable(batch):
    valid = batch[2]
    index, drawn = sample_nodes(valid, 4, Draws(5, range(len(valid))))
    again, _ = sample_nodes(valid, 4, Draws(5, range(len(valid))))
    assert torch.equal(index, again)
    assert not torch.equal(index, sample_nodes(valid, 4, Draws(6, range(len(valid))))[0])
    assert torch.equal(drawn.sum(1), valid.sum(1).clamp_max(4))
    for row in range(len(valid)):
        assert len(set(index[row].tolist())) == 4
        assert valid[row, index[row]].equal(drawn[row])
    assert sample_nodes(valid, 100, Draws(0, range(len(valid))))[0].shape == valid.shape
    with pytest.raises(ValueError, match="count: expected at least 1"):
        sample_nodes(valid, 0, Draws(0, range(len(valid))))


def test_samples_are_uniform():
    valid = torch.arange(10).expand(4000, -1) < 8
    index, _ = sample_nodes(valid, 2, Draws(0, range(4000)))
    share = torch.bincount(index.flatten(), minlength=10) / 8000
    assert torch.allclose(share[:8], torch.full((8,), 1 / 8), atol=0.02) and (share[8:] == 0).all()


def test_pairs_share_their_label_and_use_each_node_once(batch):
    labels, _, valid = batch
    first, second, paired = pair_nodes(labels, valid)
    assert paired.any() and not paired[2].any()
    for row in range(3):
        ends = torch.cat([first[row][paired[row]], second[row][paired[row]]])
        assert len(ends.unique()) == len(ends) and valid[row, ends].all()
    assert (take(labels, first) == take(labels, second))[paired].all()
    counts = [torch.bincount(labels[row][valid[row]], minlength=9) for row in range(2)]
    assert all(paired[row].sum() == (counts[row] // 2).sum() for row in range(2))
    ends = torch.stack([first, second])[:, paired]
    renamed = pair_nodes(50 - labels, valid)
    assert sorted(torch.stack(renamed[:2])[:, renamed[2]].T.tolist()) == sorted(ends.T.tolist())
    for few in (0, 1):
        assert pair_nodes(labels[:, :few], valid[:, :few])[0].shape == (3, 0)
