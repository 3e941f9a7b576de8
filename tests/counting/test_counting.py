"""Counting: one cloud stays one, planted groups are found, evidence and bad input."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from contrasep_lib.counting.calibration import examples, fit_null, fit_odds, regression
from contrasep_lib.counting.cuts import CutTest
from contrasep_lib.counting.null import Null
from contrasep_lib.counting.recursive import count_communities
from contrasep_lib.modularity.graphs import ThresholdGraph
from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
from contrasep_lib.nodes.nodeset import NodeSet


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def node_set(z, **fields):
    return NodeSet.from_embeddings(torch.from_numpy(np.ascontiguousarray(z)).float()[None], **fields)


def count(z, k_max=6, **options):
    options.setdefault("with_evidence", False)
    return count_communities(node_set(z), k_max, **options)[0]


@pytest.mark.parametrize("degrees", [2, 30, 60])
@pytest.mark.parametrize("kind", [{}, {"heavy": True}, {"outliers": 0.1}], ids=["plain", "heavy", "outliers"])
def test_one_cloud_is_one_speaker(planted, degrees, kind):
    for seed in range(5):
        z, _ = planted.clouds([1000], degrees, seed, **kind)
        assert count(z).count == 1, seed


@pytest.mark.parametrize("groups", [2, 3, 4, 5])
@pytest.mark.parametrize("degrees", [0, 50])
def test_planted_groups_are_counted_and_found(planted, groups, degrees):
    rng = np.random.default_rng(groups)
    sizes = [900 // groups] * (groups - 1) + [100]
    for means in (planted.simplex(groups, rng), unit(rng.standard_normal((groups, 20)))):
        z, group = planted.clouds(sizes, degrees, seed=groups, means=means)
        decision = count(z)
        assert decision.count == groups
        labels = decision.labels.numpy()
        found = sum(np.bincount(group[labels == c]).max() for c in range(groups))
        assert found / len(group) > (0.999 if degrees <= 10 else 0.93)


@pytest.mark.parametrize("kind", [{"heavy": True}, {"outliers": 0.1}], ids=["heavy", "outliers"])
@pytest.mark.parametrize("degrees", [1, 20, 45])
def test_heavy_tails_and_outliers_add_no_speaker(planted, kind, degrees):
    z, _ = planted.clouds([400, 350, 250], degrees, 0, **kind)
    assert count(z).count == 3


def test_a_speaker_of_five_percent_is_found(planted):
    for seed in range(2):
        z, group = planted.clouds([950, 50], 40, seed)
        decision = count(z)
        assert decision.count == 2
        assert abs(int((decision.labels == 1).sum()) - 50) <= 12
        z, _ = planted.clouds([500, 300, 150, 50], 40, seed)
        assert count(z).count == 4


def test_antipodal_groups_of_any_size_are_two(planted):
    mean = unit(np.ones((1, 20)))
    for small in (50, 200, 500):
        for degrees in (1, 30, 55):
            z, _ = planted.clouds([1000 - small, small], degrees, small, means=np.concatenate([mean, -mean]))
            assert count(z).count == 2, (small, degrees)


def test_more_speakers_than_k_max_is_said(planted):
    z, _ = planted.clouds([300] * 4, 20, 0, means=planted.simplex(4, np.random.default_rng(0)))
    decision = count(z, 3)
    assert decision.count == 3 and decision.at_limit and "k_max is 3" in decision.reason
    assert not count(z, 4).at_limit
    assert count(z, 1).count == 1


def test_evidence_is_complete_and_consistent(planted):
    z, _ = planted.clouds([500, 300, 200], 40, 3)
    decision = count(z, 5, with_evidence=True)
    assert decision.count == 3
    assert [row.num_communities for row in decision.evidence] == [1, 2, 3, 4, 5]
    one, *more = decision.evidence
    assert one.modularity == pytest.approx(0, abs=1e-5) and math.isnan(one.mean_conductance)
    assert one.split_score > one.threshold
    for row in more:
        assert row.excess == pytest.approx(row.modularity - row.null_mean)
        assert row.excess > 5 * row.null_spread
        assert sum(row.sizes) == pytest.approx(1) and list(row.sizes) == sorted(row.sizes, reverse=True)
        assert 0 < row.mean_conductance < 1
    chosen = decision.evidence[2]
    assert chosen.split_score < chosen.threshold < chosen.joint_score
    assert chosen.split_score == decision.split_score and chosen.joint_score == decision.joint_score
    bare = count(z, 5)
    assert bare.evidence == () and torch.equal(bare.labels, decision.labels)


def test_noise_alone_has_modularity_but_no_excess(planted):
    z, _ = planted.clouds([1000], 60, 0)
    decision = count(z, 4, with_evidence=True)
    for row in decision.evidence[1:]:
        assert row.modularity > 0
        assert row.excess < 0.3 * row.null_mean


def test_labels_assign_and_centroids_agree(planted):
    z, group = planted.clouds([600, 300, 100], 30, 1)
    decision = count(z)
    assert decision.labels.tolist() == decision.assign.argmax(-1).tolist()
    assert torch.allclose(decision.assign.sum(-1), torch.ones(len(z)), atol=1e-5)
    mass = torch.bincount(decision.labels)
    assert mass.tolist() == sorted(mass.tolist(), reverse=True)
    for c in range(3):
        mean = torch.from_numpy(unit(z[group == c].mean(0))).float()
        assert float(decision.centroids[c] @ mean) > 0.999


def test_a_batch_does_not_mix_and_invalid_nodes_are_left_out(planted):
    one, _ = planted.clouds([900], 40, 0)
    two, _ = planted.clouds([400, 300], 40, 1)
    noise = unit(np.random.default_rng(2).standard_normal((200, 20)))
    padded = np.stack([one, np.concatenate([two, noise])])
    valid = torch.ones(2, 900, dtype=torch.bool)
    valid[1, 700:] = False
    nodes = NodeSet.from_embeddings(torch.from_numpy(padded).float(), valid=valid)
    both = count_communities(nodes, 4)
    assert [d.count for d in both] == [1, 2]
    assert (both[1].labels[700:] == -1).all() and (both[1].assign[700:] == 0).all()
    assert torch.equal(both[1].labels[:700], count(two, 4).labels)


def test_weights_count_as_nodes_do(planted):
    z, _ = planted.clouds([500, 60], 20, 0)
    weight = torch.ones(1, 560)
    weight[:, 500:] = 5.0
    assert count_communities(node_set(z, weight=weight), 4, min_share=0.2)[0].count == 2
    assert count(z, 4, min_share=0.2).count == 1


def test_many_nodes_are_counted_on_a_draw_and_all_labelled(planted):
    z, group = planted.clouds([9000, 6000, 1000], 35, 0)
    decision = count(z, 5)
    assert decision.count == 3 and (decision.labels >= 0).all()
    assert float((decision.labels.numpy() == group).mean()) > 0.99
    assert torch.equal(decision.labels, count(z, 5).labels)


def test_solver_and_graph_are_taken(planted):
    z, _ = planted.clouds([300, 200, 100], 30, 0)
    decision = count(z, 4, graph=ThresholdGraph(0.3), solver=KMeansSolver(), with_evidence=True)
    assert decision.count == 3
    assert decision.evidence[2].modularity > 0.3


@pytest.mark.parametrize(
    "z",
    [
        np.eye(20)[:1],
        np.eye(20)[:2],
        np.repeat(np.eye(20)[:1], 100, 0),
        np.concatenate([np.eye(20)[:1], -np.eye(20)[:1]]),
        np.eye(20),
        np.ones((50, 1)),
        unit(np.ones((30, 2))),
    ],
    ids=["one node", "two nodes", "duplicates", "antipodes", "orthogonal", "one dim", "two dims"],
)
def test_small_and_degenerate_graphs_are_one_speaker(z):
    decision = count(z, 3, with_evidence=True)
    assert decision.count == 1
    assert all(math.isfinite(row.modularity) and math.isfinite(row.null_mean) for row in decision.evidence)
    assert torch.isfinite(decision.centroids).all() and torch.isfinite(decision.assign).all()


def test_duplicates_of_two_points_are_two_speakers():
    z = np.repeat(np.eye(20)[:2], [900, 100], 0)
    assert count(z).count == 2
    line = np.repeat(np.array([[1.0], [-1.0]]), [60, 40], 0)
    assert count(line, 3).count == 2


def test_a_calibrated_null_keeps_an_elongated_speaker_whole():
    def talker(seed, stretch=1.6):
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((1000, 20)) * 0.08
        noise[:, 3] *= stretch
        return unit(np.eye(20)[0] + noise)

    assert count(talker(0)).count > 1, "the isotropic null takes it for two"
    null = fit_null([node_set(talker(seed)) for seed in range(1, 9)])
    assert null.talkers == 8 and null.factor > 1.2
    null = Null.from_fields(dataclasses.asdict(null))
    for seed in range(20, 24):
        assert count(talker(seed), null=null).count == 1
    both = np.concatenate([talker(30), np.roll(talker(31), 7, axis=1)])
    assert count(both, null=null).count == 2


def elongated(sizes, degrees, seed):
    """Clouds of which each is one talker, stretched three-fold along three axes of its own."""
    rng = np.random.default_rng(seed)
    means = unit(rng.standard_normal((len(sizes), 20)))
    z = []
    for size, mean in zip(sizes, means):
        noise = rng.standard_normal((size, 20)) * math.tan(math.radians(degrees)) / math.sqrt(20)
        axes = np.linalg.qr(rng.standard_normal((20, 3)))[0]
        z.append(unit(mean + noise + 2 * (noise @ axes) @ axes.T * rng.uniform(0.8, 1.2)))
    return np.concatenate(z)


def known(talkers, seed, size=400):
    """Elongated talkers, and who each node is."""
    z = elongated([size] * talkers, 20, seed)
    return node_set(z), torch.arange(talkers).repeat_interleave(size)[None]


@pytest.fixture(scope="module")
def odds():
    return fit_odds(known(talkers, seed) for talkers in (1, 2, 3, 4) for seed in range(5))


@pytest.mark.parametrize("talkers", [1, 2, 3, 4])
def test_odds_count_where_clouds_are_anything_but_isotropic(talkers, odds):
    null = Null.from_fields(json.loads(json.dumps(dataclasses.asdict(odds))))
    assert null == odds and null.talkers == 20 and null.known == 4
    clouds = [elongated([600] * talkers, 20, 100 + seed) for seed in range(10)]
    decisions = [count(z, null=null) for z in clouds]
    assert sum(decision.count == talkers for decision in decisions) >= 9
    for decision in decisions:
        assert decision.threshold == 0 and (decision.joint_score > 0 or decision.count == 1)
    if talkers == 1:
        assert sum(count(z).count > 1 for z in clouds) >= 9, "the isotropic null splits such speakers"


def test_a_threshold_of_odds_may_be_any_number(odds):
    cautious, eager = (dataclasses.replace(odds, threshold=value) for value in (1e3, -1e3))
    z = elongated([300, 300], 20, 7)
    assert count(z, null=cautious).count == 1
    assert count(z, null=eager).count > 3


def test_examples_tell_what_counting_will_be_asked():
    nodes, talkers = known(3, 1)
    cuts = list(examples(nodes, 0, talkers[0]))
    # the whole and the parts of too few communities; the talkers themselves; every pair of them
    several = [cut for cut, holds_several, _ in cuts if holds_several]
    single = [cut for cut, holds_several, _ in cuts if not holds_several]
    assert len(several) >= 1 + 1 + 3 and len(single) >= 3
    assert max(cut.width for cut in single) < min(cut.width for cut in several)
    nodes, talkers = known(1, 2)
    alone = list(examples(nodes, 0, talkers[0]))
    assert not any(holds_several for _, holds_several, _ in alone)
    assert [whole for _, _, whole in alone][0] and not all(whole for _, _, whole in cuts)


def test_no_more_speakers_than_the_odds_are_calibrated_for():
    null = fit_odds(known(talkers, seed) for talkers in (1, 2) for seed in range(5))
    assert null.known == 2
    assert [count(elongated([600] * talkers, 20, 100), null=null).count for talkers in (1, 2, 3)] == [1, 2, 2]
    decision = count(elongated([600] * 3, 20, 100), null=null)
    assert decision.at_limit and "the null is calibrated for at most 2 speakers" in decision.reason
    # asked for explicitly, evidence is of all counts asked for
    assert len(count(elongated([300, 300], 20, 3), null=null, with_evidence=True).evidence) == 6


def test_regression_finds_the_odds_of_two_gaussians():
    # equal variances: the logarithm of the odds is linear, its weights follow from the means
    rng = np.random.default_rng(0)
    means = np.array([[0.0, 1.0, -1.0], [2.0, 1.0, 1.0]])
    several = rng.random(6000) < 0.2
    x = means[several.astype(int)] + rng.standard_normal((6000, 3))
    weights = regression(np.column_stack([np.ones(6000), x]), several)
    expected = np.concatenate([[-0.5 * (np.square(means[1]).sum() - np.square(means[0]).sum())], means[1] - means[0]])
    # both classes have equal weight, though one is four times as frequent; the ridge shrinks a little
    assert np.allclose(weights, expected, atol=0.45)
    score = np.column_stack([np.ones(6000), x]) @ weights
    assert abs((score[several] < 0).mean() - (score[~several] > 0).mean()) < 0.03


def test_scores_of_single_clouds_lie_far_below_the_bar(planted):
    scores = []
    for seed in range(40):
        z, _ = planted.clouds([300 + 20 * seed], [5, 40, 65][seed % 3], seed, heavy=seed % 2 == 0)
        scores.append(CutTest(z, np.ones(len(z)), Null(), 0.02, 0)(np.arange(len(z))).score)
    assert max(scores) < 6.0 and np.mean(scores) < 2.0


@pytest.mark.parametrize("k_max", [0, -1, 2.0, True])
def test_k_max_is_checked(k_max):
    with pytest.raises(ValueError, match=r"k_max: expected an integer of at least 1, got"):
        count_communities(node_set(np.eye(20)), k_max)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"min_share: expected a value in \(0, 0.5\), got 0.5"):
        count(np.eye(20), min_share=0.5)
    with pytest.raises(ValueError, match="z: expected unit-norm embeddings"):
        count(2 * np.eye(20))
    silent = node_set(np.eye(20), valid=torch.zeros(1, 20, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"nodes: utterance 0 .*all silent"):
        count_communities(silent, 2)
    with pytest.raises(ValueError, match="utterance 0"):
        count_communities(node_set(np.zeros((0, 20))), 2)
    with pytest.raises(ValueError, match="speakers: expected at least one"):
        fit_null([])
    with pytest.raises(ValueError, match="threshold: expected a finite value above 0, got 0"):
        Null(threshold=0.0)
    with pytest.raises(ValueError, match="odds: expected up to two rows of 4 finite weights"):
        Null(odds=((1.0, 2.0),))
    with pytest.raises(ValueError, match="mixtures: .* got none of several speakers"):
        fit_odds([known(1, 0)])
    for fields in ({}, {**dataclasses.asdict(Null()), "more": 1}):
        with pytest.raises(ValueError, match="expected the fields antipode, ceiling"):
            Null.from_fields(fields)
