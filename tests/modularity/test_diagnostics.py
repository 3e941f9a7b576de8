"""Diagnostics: measures against hand counts and dense graphs, signatures by construction."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from contrasep_lib.modularity.diagnostics import (
    FurtherSplit,
    Thresholds,
    conductance_of,
    contingency,
    diagnose,
    matched_share,
    normalised_mutual_information,
    purity,
)
from contrasep_lib.modularity.graphs import KernelGraph, ThresholdGraph
from contrasep_lib.nodes.nodeset import NodeSet


def node_set(z, **fields):
    return NodeSet.from_embeddings(torch.from_numpy(np.ascontiguousarray(z)).double()[None], **fields)


def one(z, labels, graph=KernelGraph(), **options):
    return diagnose(node_set(z), torch.as_tensor(labels)[None], graph, **options)[0]


def raised(diagnosis):
    return {s.name for s in diagnosis.signatures if s.raised}


@pytest.mark.parametrize("graph", [KernelGraph(2), ThresholdGraph(0.1)], ids=["kernel", "threshold"])
def test_measures_agree_with_the_dense_graph(planted, graph):
    z, group = planted.clouds([40, 30, 20], 35, 0)
    labels = np.where(group == 2, 1, group)
    labels[::7] = 2
    got = one(z, labels, graph)
    dense = graph.affinity(torch.from_numpy(z @ z.T)).fill_diagonal_(0).numpy()
    degree, two_m = dense.sum(1), dense.sum()
    q, qn, conductance = 0.0, -1.0, []
    for c in range(3):
        inside = labels == c
        q += dense[inside][:, inside].sum() / two_m - (degree[inside].sum() / two_m) ** 2
        qn += dense[inside][:, inside].sum() / degree[inside].sum()
        conductance.append(dense[inside][:, ~inside].sum() / min(degree[inside].sum(), degree[~inside].sum()))
    assert got.modularity == pytest.approx(q, abs=1e-9)
    assert got.normalised_modularity == pytest.approx(qn, abs=1e-9)
    assert got.conductance == pytest.approx(conductance, abs=1e-9)
    assert got.mean_conductance == pytest.approx(np.mean(conductance), abs=1e-9)
    assert got.sizes == pytest.approx(np.bincount(labels) / 90)


def test_conductance_by_hand():
    # Two triangles joined by one edge: cut 1, volume 7 each.
    gram = torch.tensor([[[6.0, 1.0], [1.0, 6.0]]])
    volume, two_m = torch.tensor([[7.0, 7.0]]), torch.tensor([14.0])
    assert conductance_of(gram, volume, two_m)[0].tolist() == pytest.approx([1 / 7, 1 / 7])
    whole = conductance_of(torch.tensor([[[14.0, 0.0], [0.0, 0.0]]]), torch.tensor([[14.0, 0.0]]), two_m)
    assert torch.isnan(whole).all()


def test_purity_and_information_by_hand():
    table = contingency(
        torch.tensor([0, 0, 0, 1, 1, -1, 1]), torch.tensor([0, 0, 1, 1, 1, 0, -1]), torch.ones(7)
    )
    assert table.tolist() == [[2, 1], [0, 2]]
    assert purity(table) == pytest.approx(4 / 5)
    entropy = -(0.6 * math.log(0.6) + 0.4 * math.log(0.4))
    joint = -(2 * 0.4 * math.log(0.4) + 0.2 * math.log(0.2))
    assert normalised_mutual_information(table) == pytest.approx(2 * (2 * entropy - joint) / (2 * entropy))
    assert normalised_mutual_information(torch.eye(3)) == pytest.approx(1)
    assert normalised_mutual_information(torch.ones(2, 3)) == pytest.approx(0, abs=1e-12)
    assert normalised_mutual_information(torch.ones(1, 1)) == 1.0
    assert math.isnan(purity(torch.zeros(1, 1)))
    weighted = contingency(torch.tensor([0, 0]), torch.tensor([0, 1]), torch.tensor([3.0, 1.0]))
    assert purity(weighted) == pytest.approx(0.75)


def test_a_good_partition_raises_nothing(planted):
    z, group = planted.clouds([200, 150, 100], 30, 0)
    for options in ({}, {"oracle": torch.from_numpy(group)[None]}):
        got = one(z, group, **options)
        assert raised(got) == set() and got.words == "no failure signature"
    assert got.purity == 1.0 and got.nmi == pytest.approx(1) and got.num_communities == 3


def test_random_labels_are_poor_clustering(planted):
    z, _ = planted.clouds([200, 200], 30, 0)
    got = one(z, np.random.default_rng(0).integers(0, 2, 400))
    assert "poor clustering" in raised(got)
    assert got.signatures[0].value == pytest.approx(1, abs=0.02)
    assert "random set" in got.words


def test_embeddings_without_structure_are_a_weak_signal():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((500, 20))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    got = one(z, (z[:, 0] > 0).astype(np.int64))
    assert "weak contrastive signal" in raised(got)
    pairs = z @ z.T - np.eye(500)
    same = (z[:, :1] > 0) == (z[:, :1] > 0).T
    inside = pairs[same].sum() / (same.sum() - 500)
    assert got.signatures[1].value == pytest.approx(inside - pairs[~same].mean(), abs=1e-9)


@pytest.mark.parametrize("with_oracle", [False, True])
def test_a_talker_cut_in_two_is_over_segmentation(planted, with_oracle):
    z, group = planted.clouds([200, 200], 30, 1)
    labels = group.copy()
    labels[:100] = 2
    got = one(z, labels, oracle=torch.from_numpy(group)[None] if with_oracle else None)
    assert raised(got) == {"over-segmentation"}
    if with_oracle:
        assert got.signatures[2].value == 1 and got.purity == 1.0 and got.nmi < 1


@pytest.mark.parametrize("with_oracle", [False, True])
def test_two_talkers_in_one_are_under_segmentation(planted, with_oracle):
    z, group = planted.clouds([150] * 3, 20, 2, means=planted.simplex(3, np.random.default_rng(0)))
    labels = np.minimum(group, 1)
    got = one(z, labels, oracle=torch.from_numpy(group)[None] if with_oracle else None)
    assert raised(got) == {"under-segmentation"}
    if with_oracle:
        assert got.signatures[3].value == 1 and got.purity == pytest.approx(2 / 3)


def test_a_count_at_its_limit_is_under_segmentation(planted):
    z, group = planted.clouds([150] * 4, 20, 3, means=planted.simplex(4, np.random.default_rng(0)))
    nodes, labels = node_set(z), torch.from_numpy(np.minimum(group, 2))[None]
    for split in (FurtherSplit(9.5, 7.5, at_limit=True), FurtherSplit(2.0, 7.5, at_limit=False)):
        signature = diagnose(nodes, labels, KernelGraph(), further=[split])[0].signatures[3]
        assert (signature.value, signature.threshold, signature.raised) == (
            split.score,
            split.threshold,
            split.at_limit,
        )
    # None: the count was not estimated by splitting, so cohesion tells
    assert diagnose(nodes, labels, KernelGraph(), further=[None])[0].signatures[3].measure == "relative cohesion"


def test_one_community_one_node_and_no_edge_are_defined(planted):
    z, _ = planted.clouds([50], 30, 0)
    whole = one(z, np.zeros(50, dtype=np.int64))
    assert whole.modularity == pytest.approx(0) and math.isnan(whole.mean_conductance)
    assert raised(whole) == set()
    single = one(np.eye(20)[:1], [0])
    assert single.modularity == 0 and single.sizes == (1.0,)
    edgeless = one(np.eye(20), np.arange(20) % 2, ThresholdGraph(0.5))
    assert edgeless.modularity == edgeless.normalised_modularity == 0 and math.isnan(edgeless.mean_conductance)
    assert raised(edgeless) <= {"weak contrastive signal", "under-segmentation"}


def test_a_padded_batch_is_as_its_parts(planted):
    one_z, one_group = planted.clouds([100, 60], 30, 0)
    two_z, two_group = planted.clouds([50, 40], 30, 1)
    z = np.zeros((2, 160, 20))
    z[0], z[1, :90], z[1, 90:] = one_z, two_z, one_z[:70]
    valid = torch.ones(2, 160, dtype=torch.bool)
    valid[1, 90:] = False
    labels = torch.full((2, 160), -1)
    labels[0], labels[1, :90] = torch.from_numpy(one_group), torch.from_numpy(two_group)
    both = diagnose(NodeSet.from_embeddings(torch.from_numpy(z), valid=valid), labels, KernelGraph())
    alone = one(two_z, two_group)
    assert both[1].modularity == pytest.approx(alone.modularity, abs=1e-9)
    assert both[1].conductance == pytest.approx(alone.conductance, abs=1e-9)
    for a, b in zip(both[1].signatures, alone.signatures):
        assert a.value == pytest.approx(b.value, abs=1e-9)


def test_bad_input_is_named():
    nodes = node_set(np.eye(4))
    with pytest.raises(ValueError, match="labels: expected int64 of shape"):
        diagnose(nodes, torch.zeros(1, 3, dtype=torch.int64), KernelGraph())
    with pytest.raises(ValueError, match="labels: expected at least 0 on valid nodes, got -1"):
        diagnose(nodes, torch.full((1, 4), -1), KernelGraph())
    with pytest.raises(ValueError, match="oracle: expected int64 of shape"):
        diagnose(nodes, torch.zeros(1, 4, dtype=torch.int64), KernelGraph(), oracle=torch.zeros(1, 4))
    with pytest.raises(ValueError, match="further: expected one per utterance, 1, got 0"):
        diagnose(nodes, torch.zeros(1, 4, dtype=torch.int64), KernelGraph(), further=[])
    with pytest.raises(ValueError, match=r"cohesion: expected a number from 0 to 1, got 2"):
        Thresholds(cohesion=2)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 5)])
def test_matched_share_is_the_best_of_all_assignments(shape):
    table = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    few, many = sorted(shape)
    wide = table if shape[0] == few else table.T
    orders = itertools.permutations(range(many), few)
    sums = [sum(wide[row, column] for row, column in enumerate(order)) for order in orders]
    assert matched_share(table) == pytest.approx(float(max(sums) / table.sum()))
    assert matched_share(table) <= purity(table) + 1e-12
    assert math.isnan(matched_share(torch.zeros(1, 1)))
