"""Counting by the effective number of communities: closed forms, planted groups, what it learns and refuses."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from contrasep_lib.config import create
from contrasep_lib.counting.counters.effective_number import SingleSpeakers
from contrasep_lib.counting.counters.options import EffectiveNumberOptions
from contrasep_lib.counting.effective import effective_number
from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.nodes.nodeset import NodeSet


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def node_set(z, **fields):
    return NodeSet.from_embeddings(torch.from_numpy(np.ascontiguousarray(z)).float()[None], **fields)


def counter(**options):
    return create(EffectiveNumberOptions(**options), graph=KernelGraph(), most=5, network=None)


def count(z, most=6, made=None, seed=0):
    return (made or counter()).count(node_set(z), None, most, seed).number


class Singles:
    """Planted single speakers; whoever asks for more than one speaker in a recording gets an error."""

    name, most = "dump/cv_single", 3

    def __init__(self, planted, degrees=30, **kind):
        self.planted, self.degrees, self.kind = planted, degrees, kind

    def mixtures(self, num_spk, count, seconds):
        assert num_spk == 1 and seconds == 6.0
        for seed in range(count):
            z, group = self.planted.clouds([400], self.degrees, seed, **self.kind)
            yield node_set(z), torch.from_numpy(group)[None]


@pytest.mark.parametrize("power", [2.0, 4.0])
def test_it_is_the_sum_of_squared_eigenvalues_and_the_contingency_against_the_null_of_modularity(planted, power):
    z, _ = planted.clouds([300, 200, 90], 50, 0)
    weight = np.random.default_rng(0).uniform(0.2, 3, len(z))
    edges = np.maximum(z @ z.T, 0) ** power * np.outer(weight, weight)
    np.fill_diagonal(edges, 0)
    degree = edges.sum(1)
    values = np.linalg.eigvalsh(edges / np.sqrt(np.outer(degree, degree)))
    expected = np.outer(degree, degree) / degree.sum()
    contingency = (np.square(edges - expected) / expected).sum() / degree.sum()
    got = effective_number(z, weight, power, regularise=0.0)
    assert got == pytest.approx(np.square(values).sum(), rel=1e-9) == pytest.approx(1 + contingency, rel=1e-9)
    assert effective_number(z, 7 * weight, power, regularise=0.0) == pytest.approx(got)


def test_communities_of_any_size_without_edges_between_them_add_up():
    sizes = [400, 100, 50]
    z = np.eye(5)[:3].repeat(sizes, axis=0)
    expected = sum(size / (size - 1) for size in sizes)
    assert effective_number(z, np.ones(550), regularise=0.0) == pytest.approx(expected)
    weight = np.random.default_rng(1).uniform(0.5, 1.5, 550)
    assert effective_number(z, weight, regularise=0.0) == pytest.approx(3, abs=0.06)
    assert effective_number(np.eye(40), np.ones(40)) == 0


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("degrees", [5, 25, 35])
@pytest.mark.parametrize("heavy", [False, True])
def test_planted_groups_are_counted(planted, groups, degrees, heavy):
    calibrated = counter(utterances=20).fitted(Singles(planted, degrees, heavy=heavy), 0)
    for seed in range(3):
        rng = np.random.default_rng([groups, seed])
        means = planted.simplex(groups, rng) if groups > 1 else None
        z, _ = planted.clouds([900 // groups] * groups, degrees, seed, means=means, heavy=heavy)
        assert count(z, made=calibrated) == groups
        if degrees <= 25:
            assert count(z) == groups


@pytest.mark.parametrize("degrees", [5, 25])
def test_a_speaker_with_a_fifth_of_another_is_counted(planted, degrees):
    for seed in range(3):
        for groups in (2, 3):
            means = np.eye(20)[:groups]
            z, _ = planted.clouds([750, 150, 150][:groups], degrees, seed, means=means)
            assert count(z) == groups, seed


@pytest.mark.parametrize("kind", [{}, {"heavy": True}, {"outliers": 0.1}], ids=["plain", "heavy", "outliers"])
def test_one_cloud_is_one_speaker(planted, kind):
    for degrees in (1, 10, 20, 30, 38):
        for seed in range(4):
            assert count(planted.clouds([1000], degrees, seed, **kind)[0]) == 1, (degrees, seed)


def test_a_wide_cloud_is_one_speaker_once_wide_clouds_are_known(planted):
    z, _ = planted.clouds([1000], 50, 99)
    assert count(z) > 1
    assert count(z, made=counter(utterances=20).fitted(Singles(planted, 50), 0)) == 1


def test_order_and_batch_do_not_matter_and_the_seed_repeats(planted):
    rng = np.random.default_rng(0)
    z, _ = planted.clouds([400, 300, 200], 35, 0)
    made = counter()
    shuffled = z[rng.permutation(len(z))]
    assert made.number(node_set(z), 0) == pytest.approx(made.number(node_set(shuffled), 5), rel=1e-6)
    many, _ = planted.clouds([4000, 3000, 2000], 30, 0)
    mixed = many[rng.permutation(len(many))]
    assert count(many) == count(mixed) == count(many, seed=7) == 3
    assert made.number(node_set(many), 3) == made.number(node_set(many), 3) != made.number(node_set(many), 4)


def test_weights_count_as_nodes_do_and_invalid_nodes_are_left_out(planted):
    z, _ = planted.clouds([300, 200], 30, 0)
    made, noise = counter(), unit(np.random.default_rng(1).standard_normal((300, 20)))
    expected = made.number(node_set(z), 0)
    both = np.concatenate([z, noise])
    valid = torch.arange(800)[None] < 500
    assert made.number(node_set(both, valid=valid), 0) == pytest.approx(expected)
    assert made.number(node_set(both, weight=valid.float()), 0) == pytest.approx(expected)


@pytest.mark.parametrize(
    "z",
    [
        np.eye(20)[:1],
        np.eye(20)[:2],
        np.eye(20),
        np.repeat(np.eye(20)[:2], [12, 11], 0),
        np.repeat(np.eye(20)[:1], 100, 0),
        np.ones((50, 1)),
        unit(np.ones((30, 2))),
        np.eye(30),
    ],
    ids=["one", "two", "orthogonal", "23 of two", "all equal", "one dim", "two dims", "no edge"],
)
def test_few_and_degenerate_nodes_are_one_speaker(z):
    decision = counter().count(node_set(z), None, 3, 0, with_evidence=True)
    assert decision.number == 1 and [row.num_communities for row in decision.evidence] == [1, 2, 3]
    assert all(math.isfinite(row.quality) for row in decision.evidence)


def test_antipodes_are_two_speakers():
    assert count(np.repeat(np.array([[1.0], [-1.0]]), [60, 40], 0)) == 2


def test_the_largest_count_is_kept_and_said(planted):
    z, _ = planted.clouds([300] * 3, 20, 0, means=np.eye(20)[:3])
    assert count(z, 1) == 1
    limited = counter().count(node_set(z), None, 2, 0)
    assert limited.number == 2 and limited.further.at_limit
    assert "which would be 3 speakers, but k_max is 2" in limited.words
    free = counter().count(node_set(z), None, 5, 0)
    assert free.words.startswith("3 speakers: the graph has 3.") and free.probabilities is None
    assert not free.further.at_limit and free.further.score <= free.further.threshold


def test_evidence_of_the_count_lies_on_both_sides_of_the_threshold(planted):
    z, _ = planted.clouds([300] * 3, 20, 0, means=np.eye(20)[:3])
    one, two, three, four = counter().count(node_set(z), None, 4, 0, with_evidence=True).evidence
    assert three.split_score <= three.threshold < three.joint_score == two.split_score
    assert math.isnan(one.joint_score) and one.split_score > one.threshold and four.joint_score <= four.threshold
    assert three.excess > 5 * three.null_spread


def test_the_bar_is_the_level_of_single_speakers(planted):
    values = np.linspace(1, 2, 101)
    single = counter(level=0.1).calibrated(values).single
    assert (single.mean, single.excess, single.recordings) == (pytest.approx(1.5), pytest.approx(0.4), 101)
    assert sum(single.count(value) > 1 for value in values) == 10
    # K independent speakers: K times the mean, the root of K times the excess
    assert [single.count(4 * 1.5 + 2 * 0.4 + each) for each in (-0.01, 0.01)] == [4, 5]
    assert counter().calibrated([1.0, 1.0]).single.excess == 0.25


def test_it_learns_of_single_speakers_alone_and_keeps_it(planted, capsys):
    made = counter(utterances=15)
    fitted = made.fitted(Singles(planted), 0)
    assert fitted.single.recordings == 15 and made.single == SingleSpeakers()
    assert "15 single speakers" in capsys.readouterr().out
    assert counter().with_state(fitted.state()).single == fitted.single
    assert counter(utterances=0).fitted(Singles(planted), 0).single == SingleSpeakers()
    assert made.fitted(None, 0).single == SingleSpeakers()


def test_recordings_too_short_to_measure_do_not_lower_the_bar(planted):
    made, singles, short = counter(utterances=15), Singles(planted), Singles(planted)
    few = node_set(np.eye(20)[:10]), torch.zeros(1, 10, dtype=torch.int64)
    short.mixtures = lambda *given: itertools.chain([few] * 5, singles.mixtures(*given))
    assert made.fitted(short, 0).single == made.fitted(singles, 0).single
    short.mixtures = lambda *_: [few] * 5
    with pytest.raises(ContrasepError, match="nothing but silence, or recordings of fewer than 24 nodes"):
        made.fitted(short, 0)


def test_bad_speech_options_and_states_are_named(planted):
    silent = Singles(planted)
    silent.mixtures = lambda *_: []
    with pytest.raises(ContrasepError, match="dump/cv_single: nothing but silence"):
        counter().fitted(silent, 0)
    state = dataclasses.asdict(SingleSpeakers())
    for wrong in ({}, {**state, "more": 1}, {"mean": 1.0}):
        with pytest.raises(ValueError, match="expected the fields mean, excess, recordings, got"):
            counter().with_state(wrong)
    for name, value in (("mean", math.nan), ("mean", 0), ("excess", -1.0), ("recordings", "x")):
        with pytest.raises(ValueError, match=f"{name}: expected a"):
            counter().with_state({**state, name: value})
    for name, value in (("utterances", -1), ("level", 1.0), ("level", 0.0), ("seconds", 0.0), ("power", 0.0)):
        with pytest.raises(ValueError, match=f"{name}: expected"):
            EffectiveNumberOptions(**{name: value})
    with pytest.raises(ValueError, match="all silent"):
        counter().count(node_set(np.eye(3), valid=torch.zeros(1, 3, dtype=torch.bool)), None, 3, 0)
