"""Stitching: a known ten-minute conversation, returns, drift, T-F nodes, edge cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.separate.stitching import stitch


def node_set(z, talker=None, shape=None):
    valid = None if talker is None else torch.from_numpy(talker >= 0)[None]
    return NodeSet.from_embeddings(torch.from_numpy(z).float()[None], valid=valid, shape=shape)


def accuracy(labels, talker):
    known = talker >= 0
    table = np.zeros((talker.max() + 1, labels.max() + 1))
    np.add.at(table, (talker[known], labels[known]), 1)
    rows, columns = linear_sum_assignment(-table)
    return table[rows, columns].sum() / known.sum(), dict(zip(rows, columns))


@pytest.mark.parametrize("degrees,drift,least", [(35, 30, 0.998), (50, 20, 0.97)])
def test_ten_minutes_with_returning_talkers(planted, degrees, drift, least):
    z, talker = planted.conversation(0, degrees=degrees, drift=drift)
    found = stitch(node_set(z, talker), window=240)[0]
    labels = found.labels.numpy()
    assert found.num_speakers == 4
    assert (labels[talker < 0] == -1).all() and (labels[talker >= 0] >= 0).all()
    right, match = accuracy(labels, talker)
    assert right > least
    # The talker who is silent from 30 to 70 % has the same output before and after.
    frames = len(talker)
    for part in (slice(0, int(0.3 * frames)), slice(int(0.7 * frames), frames)):
        own = labels[part][talker[part] == 1]
        assert (own == match[1]).mean() > 0.95
    assert sum(found.shares) == pytest.approx(1)
    assert found.centroids.shape == (4, z.shape[1])
    # Nobody sounds where he is known to be silent for minutes.
    middle = [w for w in found.windows if 0.35 * frames < w.start and w.stop < 0.65 * frames]
    assert middle and all(match[1] not in w.speakers for w in middle)


def test_more_speakers_than_any_window_holds(planted):
    z, _ = planted.clouds([600] * 5, 30, 0)
    talker = np.repeat(np.arange(5), 600)
    found = stitch(node_set(z), window=400, k_max=2)[0]
    assert found.num_speakers == 5 and accuracy(found.labels.numpy(), talker)[0] > 0.995


def test_one_talker_stays_one(planted):
    z, _ = planted.clouds([3000], 45, 1)
    found = stitch(node_set(z), window=500)[0]
    assert found.num_speakers == 1 and (found.labels == 0).all()


def test_labels_come_in_order_of_appearance_and_repeat(planted):
    z, talker = planted.clouds([500, 500, 500], 30, 2)
    nodes = node_set(z)
    found = stitch(nodes, window=300)[0]
    first = [int((found.labels == s).nonzero()[0]) for s in range(found.num_speakers)]
    assert first == sorted(first)
    again = stitch(nodes, window=300)[0]
    assert torch.equal(found.labels, again.labels) and found.windows == again.windows


def test_little_evidence_makes_no_speaker(planted):
    z, talker = planted.clouds([1500, 40], 25, 3)
    order = np.concatenate([np.arange(700), 1500 + np.arange(40), np.arange(700, 1500)])
    nodes = node_set(z[order])
    assert stitch(nodes, window=400, min_frames=20)[0].num_speakers == 2
    assert stitch(nodes, window=400, min_frames=200)[0].num_speakers == 1


def test_time_frequency_nodes_and_batches(planted):
    frames, bands = 300, 6
    z, group = planted.clouds([frames * bands // 2] * 2, 30, 4)
    order = np.random.default_rng(0).permutation(len(z))
    z, group = z[order], group[order]
    both = torch.from_numpy(np.stack([z, z])).float()
    valid = torch.ones(both.shape[:2], dtype=torch.bool)
    valid[1] = False
    nodes = NodeSet.from_embeddings(both, valid=valid, shape=(frames, bands))
    loud, silent = stitch(nodes, window=100)
    assert loud.num_speakers == 2 and accuracy(loud.labels.numpy(), group)[0] > 0.99
    assert [(w.start, w.stop) for w in loud.windows] == [(s, s + 100) for s in range(0, 201, 50)]
    assert silent.num_speakers == 0 and (silent.labels == -1).all() and silent.windows == ()


def test_a_recording_shorter_than_a_window_is_one_window(planted):
    z, group = planted.clouds([120, 80], 25, 5)
    found = stitch(node_set(z), window=1000)[0]
    assert found.num_speakers == 2 and [(w.start, w.stop) for w in found.windows] == [(0, 200)]


def test_bad_input_is_named():
    nodes = node_set(np.eye(20))
    for options, message in (
        ({"window": 0}, "window: at least 1 wanted, got 0"),
        ({"window": 5, "hop": 6}, r"hop: 1 to 5 \(the window\) wanted, got 6"),
        ({"window": 5, "hop": 0}, "hop: 1 to 5"),
        ({"window": 5, "min_frames": 0}, "min_frames: at least 1 wanted, got 0"),
        ({"window": 5, "k_max": 0}, "k_max: an integer of at least 1 wanted, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            stitch(nodes, **options)
