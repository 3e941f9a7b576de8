"""Slots: what they see, what they learn from, and that they find planted communities of every number."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.modularity.quality import Modularity, NormalisedModularity
from contrasep_lib.modularity.solvers.network import NetworkSolver
from contrasep_lib.modularity.solvers.slot_loss import SlotLoss, match_slots, restricted
from contrasep_lib.modularity.solvers.slot_network import SlotNetwork, SlotOutput
from contrasep_lib.modularity.solvers.slots import DrawnMixture, SlotsSolver, draw_mixture
from contrasep_lib.nodes.nodeset import NodeSet
from tests.modularity.dense_reference import dense_adjacency, unit

GRAPH, QN = KernelGraph(2), NormalisedModularity()


def planted(count, seed, nodes=100, dim=6, noise=0.2):
    """Clouds around some of six directions, of unequal sizes and weights, as a drawn mixture."""
    order = torch.Generator().manual_seed(seed)
    centres = torch.eye(dim)[torch.randperm(dim, generator=order)[:count]]
    centres = centres + 0.1 * torch.randn(count, dim, generator=order)
    labels = torch.multinomial(0.5 + torch.rand(count, generator=order), nodes, replacement=True, generator=order)
    labels[:count] = torch.arange(count)
    z = centres[labels] + noise * torch.randn(nodes, dim, generator=order)
    return DrawnMixture(
        torch.nn.functional.normalize(z, dim=-1), 0.2 + torch.rand(nodes, generator=order), labels
    )


class Pool:
    """Stands in for training mixtures."""

    def __init__(self, mixtures):
        self.mixtures = mixtures

    def labelled(self, count):
        assert count == 3
        for mixture in self.mixtures:
            yield NodeSet.from_embeddings(mixture.z[None], mixture.weight[None]), mixture.labels[None]


def right(labels, truth):
    """Share of nodes in the right community, over all ways to name communities."""
    count = int(truth.max()) + 1
    table = torch.zeros(count, count).index_put((labels, truth), torch.ones(len(truth)), accumulate=True)
    return max(
        float(table[torch.tensor(order), torch.arange(count)].sum()) for order in itertools.permutations(range(count))
    ) / len(truth)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    network = SlotNetwork(4, 3, width=6, layers=2).double()
    z, weight = unit(2, 11, 4, seed=3), torch.rand(2, 11, generator=torch.Generator().manual_seed(1)).double() + 0.1
    valid = torch.ones(2, 11, dtype=torch.bool)
    valid[1, [2, 7]] = False
    labels = torch.randint(3, (2, 11), generator=torch.Generator().manual_seed(2))
    return network, z, weight, valid, labels


@pytest.fixture(scope="module")
def trained():
    solver = SlotsSolver(width=16, layers=2, train_steps=150, step_nodes=60, learning_rate=8e-3, refine_steps=0)
    pool = [planted(count, seed) for seed in range(60) for count in (2, 3, 4, 5)]
    return solver.trained_on(pool, GRAPH, 0, QN)


def test_slots_follow_an_order_of_nodes_and_read_no_invalid_one(small):
    network, z, weight, valid, _ = small
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    got = network(z, weight, valid)
    assert len(got) == 2 and got[-1].logits.shape == (2, 11, 3) and got[-1].existence.shape == (2, 3)
    for one, other in zip(got, network(z[:, order], weight[:, order], valid[:, order])):
        torch.testing.assert_close(one.logits[:, order], other.logits)
        torch.testing.assert_close(one.existence, other.existence)
    strange = z.masked_fill(~valid.unsqueeze(-1), float("nan"))
    for one, other in zip(got, network(strange, weight.masked_fill(~valid, torch.inf), valid)):
        assert torch.equal(one.logits, other.logits) and torch.equal(one.existence, other.existence)
    kept = valid[1]
    alone = network(z[1:, kept], weight[1:, kept], valid[1:, kept])[-1]
    torch.testing.assert_close(alone.logits[0], got[-1].logits[1, kept])
    torch.testing.assert_close(alone.existence[0], got[-1].existence[1])


def test_weights_count_and_their_scale_does_not(small):
    network, z, weight, valid, _ = small
    one, other = (network(z, scaled, valid)[-1] for scaled in (weight, 7 * weight))
    torch.testing.assert_close(one.logits, other.logits)
    changed = weight.clone()
    changed[0, 3] *= 5
    assert (network(z, changed, valid)[-1].existence[0] - one.existence[0]).abs().max() > 1e-4
    none = network(z, torch.zeros_like(weight), valid)[-1]
    assert torch.isfinite(none.logits).all() and torch.isfinite(none.existence).all()


def test_one_graph_without_a_gradient_is_the_same(small):
    network, z, weight, valid, _ = small
    held = network.held(z[0], weight[0], slice(None))
    torch.testing.assert_close(held.logits, network(z, weight, valid)[-1].logits[:1])
    assert not held.logits.requires_grad
    some = torch.arange(0, 11, 2)
    part = network.held(z[0], weight[0], some)
    torch.testing.assert_close(part.existence, network(z[:1, some], weight[:1, some], valid[:1, some])[-1].existence)
    torch.testing.assert_close(part.logits[:, some], network(z[:1, some], weight[:1, some], valid[:1, some])[-1].logits)


@pytest.mark.parametrize("shape", [(3, 3), (6, 2), (5, 4), (4, 1)])
def test_matching_is_the_best_of_all_permutations(shape):
    slots, sources = shape
    overlap = torch.rand(20, slots, sources, generator=torch.Generator().manual_seed(slots))
    matched = match_slots(overlap)
    for table, found in zip(overlap, matched):
        best = max(
            sum(float(table[slot, source]) for source, slot in enumerate(chosen))
            for chosen in itertools.permutations(range(slots), sources)
        )
        assert len(set(found.tolist())) == sources
        assert float(table[found, torch.arange(sources)].sum()) == pytest.approx(best)


def test_absent_sources_get_no_slot():
    overlap = torch.tensor([[[0.2, 0.0, 0.5], [0.3, 0.0, 0.1], [0.0, 0.0, 0.2]]])
    assert match_slots(overlap).tolist() == [[1, -1, 0]]
    assign = restricted(torch.zeros(1, 2, 3), torch.tensor([[1, -1, 0]]))
    assert assign[0].tolist() == [[0.5, 0, 0.5]] * 2
    assert restricted(torch.zeros(1, 2, 3), torch.tensor([[-1, -1]])).abs().sum() == 0


@pytest.mark.parametrize("weights", [(1, 1, 1), (0, 1, 0.5), (1, 0, 0)])
def test_loss_equals_sums_over_nodes_and_pairs(small, weights):
    network, z, weight, valid, labels = small
    nodes = NodeSet.from_embeddings(z, weight, valid)
    outputs = network(z, weight, valid)
    got, terms = SlotLoss(GRAPH, QN, *weights)(outputs, nodes, labels, 3)
    expected = []
    for row in range(2):
        keep = valid[row]
        w, y = weight[row, keep] / weight[row, keep].sum(), labels[row, keep]
        value = 0.0
        for output in outputs:
            assign = output.logits[row, keep].softmax(-1)
            if weights[0]:
                best = max(
                    itertools.permutations(range(3)),
                    key=lambda order: sum(float(w[i] * assign[i, order[y[i]]].detach()) for i in range(len(y))),
                )
            else:
                best = tuple((w @ assign).argsort(descending=True).tolist())
            cross = sum(-w[i] * assign[i, best[y[i]]].log() for i in range(len(y)))
            needed = -torch.nn.functional.logsigmoid(output.existence[row]).mean()
            value = value + (weights[0] * cross + weights[2] * needed) / len(outputs)
        a = dense_adjacency(z[row, keep], weight[row, keep], GRAPH)
        volume = a.sum(1) @ assign
        value = value - weights[1] * (((assign.T @ a @ assign).diagonal() / volume).sum() - 1)
        expected.append(value)
    assert len(labels[0].unique()) == 3 == len(labels[1][valid[1]].unique())
    assert got.item() == pytest.approx(sum(expected).item() / 2, rel=1e-10)
    assert set(terms) == {"dominance", "existence"} | ({"quality"} if weights[1] else set())


def test_gradients_by_finite_differences(small):
    network, z, weight, valid, labels = small
    loss = SlotLoss(GRAPH, QN)
    names = [name for name, _ in network.named_parameters()]

    def value(z, *parameters):
        unit_norm = torch.nn.functional.normalize(z, dim=-1)
        outputs = torch.func.functional_call(network, dict(zip(names, parameters)), (unit_norm, weight, valid))
        return loss(outputs, NodeSet.from_embeddings(unit_norm, weight, valid), labels, 3)[0]

    inputs = [part.detach().clone().requires_grad_() for part in (z, *network.parameters())]
    assert torch.autograd.gradcheck(value, inputs, fast_mode=True)


def test_silent_and_empty_graphs_add_nothing(small):
    network, z, weight, valid, labels = small
    first = NodeSet.from_embeddings(z[:1], weight[:1])
    one = SlotLoss(GRAPH, QN)(network(z[:1], weight[:1], valid[:1]), first, labels[:1], 3)
    for silent in (valid & torch.tensor([[True], [False]]), valid):
        quiet = weight * torch.tensor([[1.0], [0.0]]) if silent is valid else weight
        nodes = NodeSet.from_embeddings(z, quiet, silent)
        got = SlotLoss(GRAPH, QN)(network(z, quiet, silent), nodes, labels, 5)
        assert got[0].item() == pytest.approx(one[0].item())


def test_more_sources_than_slots_are_reported(small):
    network, z, weight, valid, _ = small
    labels = torch.arange(11).expand(2, -1) % 4
    with pytest.raises(ValueError, match="num_spk: expected at most 3 sources in a mixture, the slots, got 4"):
        SlotLoss(GRAPH, QN)(network(z, weight, valid), NodeSet.from_embeddings(z, weight, valid), labels, 4)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_planted_communities_are_found(trained, count):
    shares = []
    for seed in range(1000, 1008):
        mixture = planted(count, seed)
        nodes = NodeSet.from_embeddings(mixture.z[None], mixture.weight[None])
        solution = trained.solve(nodes, count, GRAPH, seed=0, quality=QN)
        assert torch.allclose(solution.assign.sum(-1), torch.ones(1, len(mixture.labels)))
        shares.append(right(solution.labels[0], mixture.labels))
    assert np.mean(shares) > 0.9


def test_refinement_raises_the_quality(trained):
    refined = dataclasses.replace(trained, refine_steps=10)
    for seed in range(4):
        nodes = NodeSet.from_embeddings(planted(4, seed + 500, noise=0.5).z[None])
        one, other = (
            solver.solve(nodes, 4, GRAPH, seed=0, quality=quality)
            for quality in (QN,) for solver in (trained, refined)
        )
        assert other.quality >= one.quality
    assert trained.solve(nodes, 1, GRAPH, quality=QN).labels.unique().tolist() == [0]


def test_training_and_solving_are_deterministic():
    solver = SlotsSolver(width=8, layers=1, train_pool=3, train_nodes=40, train_steps=3, step_nodes=30)
    pool = Pool([planted(count, 0) for count in (2, 3, 5)])
    one = solver.trained(pool, GRAPH, 5, QN)
    state = torch.random.get_rng_state()
    torch.rand(3)
    other = solver.trained(pool, GRAPH, 5, QN)
    pairs = list(zip(one.network.parameters(), other.network.parameters()))
    assert all(torch.equal(*pair) for pair in pairs)
    torch.random.set_rng_state(state)
    solver.trained(pool, GRAPH, 6, QN)
    assert torch.equal(torch.random.get_rng_state(), state)
    nodes = NodeSet.from_embeddings(planted(3, 9).z[None])
    sampled = dataclasses.replace(one, sample=50, refine_steps=3)
    first, second = (sampled.solve(nodes, 3, GRAPH, seed=2, quality=QN) for _ in range(2))
    assert torch.equal(first.assign, second.assign)


def test_what_slots_learned_is_kept(tmp_path):
    solver = SlotsSolver(width=8, layers=1, train_steps=1, step_nodes=20)
    made = solver.trained_on([planted(2, 0)], GRAPH, 0, Modularity())
    assert not solver.state()
    torch.save(made.state(), tmp_path / "slots.pth")
    state = torch.load(tmp_path / "slots.pth", weights_only=True)
    again = solver.with_state(state)
    nodes = NodeSet.from_embeddings(planted(3, 1).z[None])
    assert torch.equal(again.solve(nodes, 2, GRAPH).assign, made.solve(nodes, 2, GRAPH).assign)
    with pytest.raises(ValueError, match=r"expected a network of slots 4, width 8, layers 1 \(.*\), got slots 6, "):
        dataclasses.replace(solver, num_communities=3).with_state(state)
    with pytest.raises(ValueError, match="expected a network of slots 6, width 9, .*, got slots 6, width 8, layers 1"):
        dataclasses.replace(solver, width=9).with_state(state)
    spoilt = {**state["state"], "queries": state["state"]["queries"] * torch.nan}
    with pytest.raises(ValueError, match="expected finite weights, got NaN or infinite ones"):
        solver.with_state({**state, "state": spoilt})
    for other in ({}, {**state, "state": {}}, {**state, "dim": "x"}, {**state, "state": 3}):
        with pytest.raises(ValueError, match="no network of slots in it"):
            solver.with_state(other)


def diverging(**weights):
    """A solver whose learning rate lies beyond its bounds, which diverges at once."""
    solver = SlotsSolver(train_steps=4, **weights)
    object.__setattr__(solver, "learning_rate", 1e30)
    return solver


def test_errors_of_solving_and_training(trained):
    nodes = NodeSet.from_embeddings(planted(2, 0).z[None])
    with pytest.raises(ValueError, match="network: expected a trained one; train it with"):
        SlotsSolver().solve(nodes, 2, GRAPH)
    with pytest.raises(ValueError, match=r"num_communities: expected at most 5 \(modularity.k_max\), got 6"):
        trained.solve(nodes, 6, GRAPH)
    with pytest.raises(ValueError, match="z: expected embeddings of the network's dimension 6, got 3"):
        trained.solve(NodeSet.from_embeddings(torch.eye(3)[None]), 2, GRAPH)
    with pytest.raises(ContrasepError, match="no training mixture holds anything but silence"):
        SlotsSolver(train_pool=3).trained(Pool([]), GRAPH, 0)
    with pytest.raises(ContrasepError, match="modularity.k_max: expected at least 4, .*, got 3"):
        SlotsSolver(num_communities=3).trained_on([planted(4, 0)], GRAPH, 0)
    with pytest.raises(ContrasepError, match="slots: loss nan at step 2; lower modularity.solver.learning_rate"):
        diverging().trained_on([planted(2, 0)], GRAPH, 0)


@pytest.mark.parametrize("values, says", [
    ({"width": 1}, "width: expected a whole number from 2 to 8192, got 1"),
    ({"layers": 0}, "layers"), ({"step_nodes": 1}, "step_nodes"),
    ({"learning_rate": 0.0}, "learning_rate: expected a number above 0"), ({"refine_steps": -1}, "refine_steps"),
    ({"existence_weight": 0.0}, "existence_weight: expected a number above 0 and at most 1e6, got 0"),
    ({"quality_weight": -1.0}, "quality_weight: expected a number from 0 to 1e6, got -1"),
    ({"quality_weight": 0.0, "dominance_weight": 0.0}, "expected one of them above 0, got 0 for both"),
])
def test_bad_options_are_named(values, says):
    with pytest.raises(ValueError, match=says):
        SlotsSolver(**values)


def test_drawn_nodes_are_valid_and_distinct():
    z, valid = unit(1, 30, 4).float(), torch.arange(30)[None] % 3 > 0
    labels = torch.arange(30)[None]
    drawn = draw_mixture(NodeSet.from_embeddings(z, valid=valid), labels, 12, np.random.default_rng(0))
    assert len(drawn.labels.unique()) == 12 and (drawn.labels % 3 > 0).all() and drawn.z.dtype == torch.float16
    torch.testing.assert_close(drawn.z.float(), z[0, drawn.labels], rtol=0, atol=1e-3)
    everything = draw_mixture(NodeSet.from_embeddings(z, valid=valid), labels, 99, np.random.default_rng(0))
    assert everything.labels.tolist() == valid[0].nonzero().squeeze(1).tolist()


def test_slots_of_one_output_follow_their_logits():
    output = SlotOutput(torch.tensor([[[4.0, 0.0], [0.0, 4.0], [4.0, 0.0]]]), torch.tensor([[3.0, -3.0]]))
    nodes = NodeSet.from_embeddings(torch.eye(3)[None])
    _, terms = SlotLoss(GRAPH, QN)([output], nodes, torch.tensor([[1, 0, 1]]), 2)
    assert terms["dominance"].item() == pytest.approx(np.log1p(np.exp(-4)), rel=1e-5)
    assert terms["existence"].item() == pytest.approx((np.log1p(np.exp(-3)) + np.log1p(np.exp(3))) / 2, rel=1e-5)


def test_a_new_network_leaves_the_generators_of_gpus_alone(monkeypatch):
    seeds = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    solver = SlotsSolver(width=8, layers=1, train_steps=1, step_nodes=20).trained_on([planted(2, 0)], GRAPH, 0, QN)
    NetworkSolver(starts=1, refine_steps=1).solve(NodeSet.from_embeddings(planted(2, 0).z[None]), 2, GRAPH)
    solver.with_state(solver.state())
    assert not seeds


@pytest.mark.parametrize("weights", [{}, {"dominance_weight": 0.0}])
def test_a_training_that_diverges_is_one_line(weights):
    solver = diverging(**weights)
    with pytest.raises(ContrasepError, match="slots: loss nan at step 2; lower modularity.solver.learning_rate"):
        solver.trained_on([planted(2, 0)], GRAPH, 0, QN)
