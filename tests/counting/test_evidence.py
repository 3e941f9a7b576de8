"""Evidence follows the quality that is maximised; the count of the largest Q."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from contrasep_lib.config import build, create
from contrasep_lib.counting.counters.options import LargestModularityOptions
from contrasep_lib.counting.recursive import count_communities
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.modularity.objective import normalised_modularity
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.modularity.quality import Modularity, NormalisedModularity
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.separate.clustering_state import ClusteringState, state_files


def node_set(z):
    return NodeSet.from_embeddings(torch.from_numpy(np.ascontiguousarray(z)).float()[None])


def evidence(z, quality, k_max=4):
    return count_communities(node_set(z), k_max, quality=quality)[0].evidence


def test_null_and_excess_are_those_of_the_normalised_modularity(planted):
    z, _ = planted.clouds([300, 300, 300], 35, 0)
    plain, normalised = evidence(z, Modularity()), evidence(z, NormalisedModularity())
    for row, other in zip(normalised, plain):
        assert row.quality == row.normalised_modularity == pytest.approx(other.normalised_modularity)
        assert other.quality == other.modularity == pytest.approx(row.modularity)
        assert row.excess == pytest.approx(row.normalised_modularity - row.null_mean)
    assert normalised[0].null_mean == normalised[0].excess == pytest.approx(0, abs=1e-5)
    # two halves of a graph have Qn = 2 Q, and surrogates of an isotropic cloud fall into halves
    assert normalised[1].null_mean == pytest.approx(2 * plain[1].null_mean, rel=0.05)
    assert normalised[2].excess > max(5 * normalised[2].null_spread, plain[2].excess)


def test_the_labels_behind_the_value_are_those_of_the_partition(planted):
    z, group = planted.clouds([400, 300, 200], 10, 0)
    row = evidence(z, NormalisedModularity())[2]
    truth = torch.nn.functional.one_hot(torch.from_numpy(group), 3).float()[None]
    assert row.quality == pytest.approx(float(normalised_modularity(node_set(z), truth, KernelGraph())), abs=1e-4)


def test_a_resolution_and_a_regularised_graph_reach_the_evidence(planted):
    z, _ = planted.clouds([300, 300], 30, 0)
    plain = evidence(z, Modularity())[1]
    fine, regular = evidence(z, Modularity(2.0))[1], evidence(z, NormalisedModularity(1.0))[1]
    assert fine.quality == pytest.approx(plain.modularity - 0.5, abs=1e-3) and fine.modularity == plain.modularity
    assert regular.quality == pytest.approx(regular.normalised_modularity / 2, rel=1e-2)


@pytest.mark.parametrize("name", ["recursive_split", "effective_number", "largest_modularity"])
def test_the_quality_of_the_configuration_is_the_counters(planted, name, tmp_path):
    z, _ = planted.clouds([300, 300, 300], 25, 0)
    tree = {"counting": name, "solver": "kmeans", "quality": "normalised"}
    options = build(ModularityOptions, tree, "modularity")
    made = ClusteringState.from_options(options)
    made.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == state_files(options)
    for state in (made, ClusteringState.load(tmp_path, options)):
        rows = state.counter.count(node_set(z), None, 3, 0, with_evidence=True).evidence
        assert [row.quality for row in rows] == [row.normalised_modularity for row in rows]
        assert rows[2].excess == pytest.approx(rows[2].normalised_modularity - rows[2].null_mean)


def test_the_largest_q_finds_groups_but_never_says_one(planted):
    made = create(LargestModularityOptions(), graph=KernelGraph(), most=5, network=None)
    for groups in (2, 3):
        z, _ = planted.clouds([300] * groups, 20, 0, means=np.eye(20)[:groups])
        decision = made.count(node_set(z), None, 5, 0)
        assert decision.number == groups and decision.further is None and decision.probabilities is None
        assert decision.words.startswith(f"{groups} speakers: the largest Q, 0.")
        assert f"leaves {groups} of 12 communities non-empty" in decision.words
    single = node_set(planted.clouds([600], 30, 0)[0])
    assert made.count(single, None, 12, 0).number > 1
    limited = made.count(single, None, 1, 0, with_evidence=True)
    assert limited.number == 1 and "but k_max is 1" in limited.words
    assert len(limited.evidence) == 1 and math.isnan(limited.evidence[0].threshold)
    assert made.count(node_set(np.eye(20)[:1].repeat(50, 0)), None, 5, 0).number == 1
    with pytest.raises(ValueError, match="outputs: expected a whole number from 1 to 100, got 0"):
        LargestModularityOptions(outputs=0)


def test_the_shipped_model_counts_by_the_effective_number_of_single_speakers():
    from contrasep_lib.config import load_config
    from contrasep_lib.separate.shipped import folder_of

    folder = folder_of("best")
    options = load_config(folder / "config.yaml", ["modularity.counting=effective_number"])["modularity"]
    single = ClusteringState.load(folder / "modularity", options).counter.single
    assert single.recordings == 200 and single.count(1.1) == 1 and single.count(2.3) == 2
