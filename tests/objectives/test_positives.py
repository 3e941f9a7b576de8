"""Which nodes make positive pairs: by their lag, and across recordings."""

import dataclasses
import types

import pytest
import torch

from contrasep_lib.config import build
from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.nodes.draws import Draws
from contrasep_lib.nodes.labels import LabelledNodes
from contrasep_lib.objectives.base import Step
from contrasep_lib.objectives.nt_xent import NTXent
from contrasep_lib.objectives.options import NTXentOptions
from contrasep_lib.objectives.sampling import lagged_partners, pair_across


class Model:
    def project(self, z):
        return z


def step_of(labels, valid, frames, batch):
    """A step whose embeddings are the numbers of nodes: recording, and node within it."""
    items, nodes = labels.shape
    z = torch.stack(torch.meshgrid(torch.arange(items), torch.arange(nodes), indexing="ij"), -1).float()
    labelled = LabelledNodes(z, labels, valid.float(), valid, int(labels.max()) + 1)
    analysis = types.SimpleNamespace(spectrum=torch.zeros(items, frames, 1))
    return Step(Model(), labelled, analysis, Draws(1, range(items)), batch)


@pytest.mark.parametrize("per_frame", [1, 3])
@pytest.mark.parametrize("lag", [(1, 1), (4, 4), (2, 9), (15, 18)])
def test_partners_lie_a_lag_apart(per_frame, lag):
    frames = 20
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (40, frames * per_frame), generator=generator)
    valid = torch.rand(labels.shape, generator=generator) > 0.2
    partner, paired = lagged_partners(labels, valid, frames, lag, Draws(3, range(40)))
    rows, nodes = paired.nonzero(as_tuple=True)
    other = partner[rows, nodes]
    apart = (other // per_frame - nodes // per_frame).abs()
    assert len(rows) and ((apart >= lag[0]) & (apart <= lag[1])).all()
    assert (labels[rows, nodes] == labels[rows, other]).all() and (valid[rows, nodes] & valid[rows, other]).all()
    if lag[1] > lag[0]:
        assert len(apart.unique()) == lag[1] - lag[0] + 1
    # all that could be a pair is one, where nothing forbids it: ends have one side alone
    every, whole = torch.zeros_like(labels), torch.ones_like(valid)
    _, paired = lagged_partners(every, whole, frames, (3, 3), Draws(3, range(40)))
    assert paired.all()


def test_a_node_is_no_partner_of_itself():
    labels, valid = torch.zeros(1, 30, dtype=torch.long), torch.ones(1, 30, dtype=torch.bool)
    assert not lagged_partners(labels, valid, 30, (0, 0), Draws(1, [0]))[1].any()
    # units of one frame are partners at other frequencies
    partner, paired = lagged_partners(labels, valid, 10, (0, 0), Draws(1, [0]))
    assert paired.any() and (partner != torch.arange(30))[paired].all()
    # nothing is so far away
    assert not lagged_partners(labels, valid, 30, (30, 40), Draws(1, [0]))[1].any()


def test_pairs_across_recordings():
    generator = torch.Generator().manual_seed(0)
    # speakers 0 and 1 in the first two recordings, 2 in the last alone
    labels = torch.cat([torch.randint(2, (1, 80), generator=generator), torch.full((1, 40), 2)], 1)
    valid = torch.ones_like(labels, dtype=torch.bool)
    valid[0, :5] = False
    first, second, paired = pair_across(labels, valid, 3)
    one, two = first[paired], second[paired]
    assert (labels[0, one] == labels[0, two]).all() and (one // 40 != two // 40).all() and valid[0, one].all()
    assert valid[0, two].all() and (labels[0, one] < 2).all()
    used = torch.cat([one, two])
    assert len(used.unique()) == len(used)
    # as many pairs of a speaker as the recording with fewer of their nodes has
    halves = (slice(40), slice(40, 80))
    counts = [[int((labels[0, part][valid[0, part]] == name).sum()) for part in halves] for name in (0, 1)]
    assert len(one) == sum(map(min, counts))


@pytest.mark.parametrize("options, expected", [
    ({"positives": "lag", "lag": (2, 5)}, {2, 3, 4, 5}), ({"positives": "other"}, None),
])
def test_the_objective_pairs_as_it_says(options, expected):
    labels = torch.zeros(4, 50, dtype=torch.long)
    labels[2:] = 1
    step = step_of(labels, torch.ones_like(labels, dtype=torch.bool), 50, batch=True)
    objective = NTXent(NTXentOptions(sampled_nodes=64, **options))
    first, second, names, valid = objective._pairs(step)
    assert first.shape == (1, 32, 2) and valid.sum() > 24
    one, two = first[valid].long(), second[valid].long()
    if expected is None:
        assert (one[:, 0] != two[:, 0]).all() and (one[:, 0] // 2 == two[:, 0] // 2).all()
    else:
        assert (one[:, 0] == two[:, 0]).all() and set((one[:, 1] - two[:, 1]).abs().tolist()) == expected
    assert (names[valid] == one[:, 0] // 2).all()


def test_pools_of_one_utterance():
    labels = (torch.arange(40) % 2).expand(3, -1)
    step = step_of(labels, torch.ones_like(labels, dtype=torch.bool), 40, batch=False)
    first, second, names, valid = NTXent(NTXentOptions(sampled_nodes=20, positives="lag", lag=(2, 2)))._pairs(step)
    assert first.shape == (3, 10, 2) and valid.all() and (names == first[..., 1].long() % 2).all()
    assert ((first - second)[..., 1].abs() == 2).all() and (first[..., 0] == torch.arange(3.0).unsqueeze(1)).all()
    # there is no other recording in a pool: no pair, and no error
    assert not NTXent(NTXentOptions(sampled_nodes=20, positives="other"))._pairs(step)[3].any()


def test_the_default_is_what_it_was():
    labels = torch.zeros(2, 30, dtype=torch.long)
    step = step_of(labels, torch.ones_like(labels, dtype=torch.bool), 30, batch=False)
    one = NTXent(NTXentOptions(sampled_nodes=16))
    two = NTXent(NTXentOptions(sampled_nodes=16, positives="any", lag=(7, 9)))
    again = dataclasses.replace(step, draws=Draws(1, range(2)))
    assert all(torch.equal(a, b) for a, b in zip(one._pairs(step), two._pairs(again)))


@pytest.mark.parametrize("objective, more, words", [
    ({"lag": [4, 1]}, {}, "lag: expected the least and the most frames"),
    ({"lag": [1]}, {}, "lag: expected the least and the most frames"),
    ({"lag": [-1, 3]}, {}, "lag"),
    ({"positives": "near"}, {}, "expected one of any, lag, other"),
    ({"positives": "other"}, {}, "expected negatives: batch with it"),
    ({"positives": "lag"}, {"labels": "none"}, "expected 'any' with labels: none"),
])
def test_bad_values_are_refused(objective, more, words):
    with pytest.raises(ContrasepError, match=words):
        build(ModelOptions, {"objectives": {"nt_xent": objective}, **more}, "model")
    build(ModelOptions, {"objectives": {"nt_xent": {"positives": "other"}}, "negatives": "batch"}, "model")
    # batches of single speakers are one pool
    build(ModelOptions, {"pretrain_objectives": {"nt_xent": {"positives": "other"}}}, "model")
