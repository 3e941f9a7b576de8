"""Communities of windows joined into speakers: returns, drift, overlap, little evidence, a largest number."""

from __future__ import annotations

import numpy as np
import pytest

from contrasep_lib.separate.tracking import Community, join


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def communities_of(z, talker, window, hop, rng, least=0.02):
    """The true communities of each window, in random order: (communities, the speaker of each, weight it keeps)."""
    found, who, held = [], [], []
    starts = range(0, len(z) - window + 1, hop)
    for number, start in enumerate(starts):
        inside = talker[start : start + window]
        for speaker in rng.permutation(np.unique(inside[inside >= 0])):
            nodes = start + np.flatnonzero(inside == speaker)
            if len(nodes) < least * (inside >= 0).sum():
                continue
            weight = np.ones(len(nodes))
            found.append(Community(number, nodes, weight, unit(z[nodes].mean(0)), float(len(nodes))))
            who.append(speaker)
            # of what neighbours share each keeps the half that is nearer to its middle
            held.append(((nodes >= start + (window - hop) / 2) & (nodes < start + (window + hop) / 2)).sum())
    return found, np.array(who), np.array(held, float)


@pytest.mark.parametrize("degrees, drift", [(35, 30), (50, 20)])
def test_ten_minutes_with_returning_speakers_and_drift(planted, degrees, drift):
    z, talker = planted.conversation(0, degrees=degrees, drift=drift)
    found, who, held = communities_of(z, talker, 240, 120, np.random.default_rng(0))
    groups = join(found, held, 24.0)
    assert len(groups) == 4 and sorted(sum(groups, [])) == list(range(len(found)))
    for group in groups:
        assert len(set(who[group])) == 1
        # the order is that of time, and nobody is twice in a window
        numbers = [found[c].window for c in group]
        assert numbers == sorted(set(numbers))
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)
    # speaker 1, silent from 30 to 70 %, is one group before and after
    [returning] = [group for group in groups if who[group[0]] == 1]
    windows = max(c.window for c in found)
    assert found[returning[0]].window < 0.3 * windows and found[returning[-1]].window > 0.7 * windows


def test_more_speakers_than_any_window_holds(planted):
    z, group = planted.clouds([600] * 5, 30, 0)
    found, who, held = communities_of(z, group, 400, 200, np.random.default_rng(1))
    assert max(np.bincount([c.window for c in found])) == 2
    groups = join(found, held, 40.0)
    assert len(groups) == 5 and all(len(set(who[group])) == 1 for group in groups)


def test_one_speaker_stays_one(planted):
    z, group = planted.clouds([3000], 45, 1)
    found, _, held = communities_of(z, group, 500, 250, np.random.default_rng(0))
    assert join(found, held, 50.0) == [list(range(len(found)))]


def test_little_evidence_makes_no_speaker(planted):
    z, group = planted.clouds([1500, 40], 25, 3)
    order = np.concatenate([np.arange(700), 1500 + np.arange(40), np.arange(700, 1500)])
    found, who, held = communities_of(z[order], group[order], 400, 200, np.random.default_rng(0))
    assert len(join(found, held, 20.0)) == 2
    # dissolved, its communities go to the other
    assert join(found, held, 200.0) == [list(range(len(found)))]


def test_a_largest_number_joins_the_least_unlike(planted):
    means = unit(np.array([[1.0, 0.0, 0.0], [0.35, 0.94, 0.0], [0.0, 0.0, 1.0]]) @ np.eye(3, 20))
    z, group = planted.clouds([600] * 3, 10, 0, means=means)
    found, who, held = communities_of(z, group, 300, 300, np.random.default_rng(0))
    assert len(join(found, held, 30.0)) == 3
    two = join(found, held, 30.0, most=2)
    assert sorted(sorted(set(who[group])) for group in two) == [[0, 1], [2]]
    assert len(join(found, held, 30.0, most=1)) == 1


def test_shared_nodes_decide_where_centroids_do_not():
    # two speakers whose centroids change places between windows: only the nodes that both windows hold tell
    axes = np.eye(4)
    nodes = [np.arange(0, 60), np.arange(60, 120), np.arange(40, 60), np.arange(60, 80)]
    first = [Community(0, nodes[0], np.ones(60), axes[0], 60.0), Community(0, nodes[1], np.ones(60), axes[1], 60.0)]
    second = [Community(1, nodes[2], np.ones(20), axes[2], 60.0), Community(1, nodes[3], np.ones(20), axes[3], 60.0)]
    assert join([*first, *second], np.full(4, 60.0), 10.0) == [[0, 2], [1, 3]]
    swapped = [Community(1, nodes[3], np.ones(20), axes[2], 60.0), Community(1, nodes[2], np.ones(20), axes[3], 60.0)]
    assert join([*first, *swapped], np.full(4, 60.0), 10.0) == [[0, 3], [1, 2]]


def test_nothing_is_nobody():
    assert join([], np.zeros(0), 1.0) == []
