"""Communities of windows joined into speakers, so that a speaker keeps one output through a long recording.

1. Communities of neighbouring windows are matched where they agree on the nodes that both windows hold, or on
   the centroid (assignment of largest total); this makes tracks, along which embeddings may drift.
2. Tracks are joined into speakers, most similar first, never two that sound in one window: a speaker who falls
   silent and returns gets the earlier output.
3. A speaker with too little evidence is dissolved into the others.

How similar two centroids of one speaker must be is taken from the recording: less than half
the angle that speakers of one window keep from each other.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy.optimize import linear_sum_assignment

from contrasep_lib.modularity.soft import unit

_SAME_ANGLE = (math.radians(25), math.radians(60))
_DEFAULT_ANGLE = math.radians(45)


@dataclasses.dataclass
class Community:
    """One community of one window, as joining sees it.

    Attributes:
        window: number of the window, from 0 in order of time.
        nodes: its nodes, numbered over the whole recording, ascending; those that a neighbouring
            window holds too are enough.
        weight: of these nodes.
        centroid: ``(dim,)``, unit norm.
        mass: weight of all of its nodes.
    """

    window: int
    nodes: np.ndarray
    weight: np.ndarray
    centroid: np.ndarray
    mass: float


def join(
    communities: list[Community], held: np.ndarray, min_mass: float, most: int | None = None
) -> list[list[int]]:
    """Join communities of windows into speakers.

    Args:
        communities: of all windows, in order of time.
        held: weight that each community keeps where windows overlap, ``(communities,)``.
        min_mass: a speaker who holds less is dissolved into the others.
        most: so many speakers at most; the least alike are joined too, where need be.

    Returns:
        Indices of the communities of each speaker, speakers in order of first appearance.
    """
    same = _same_angle(communities)
    windows = max((community.window for community in communities), default=-1) + 1
    groups = _join(_tracks(communities, windows, same), communities, same, most)
    while len(groups) > 1:
        mass = [held[group].sum() for group in groups]
        least = int(np.argmin(mass))
        if mass[least] >= min_mass and (most is None or len(groups) <= most):
            break
        for c in groups.pop(least):
            best = max(groups, key=lambda group: _likeness([c], group, communities))
            best.append(c)
            best.sort()
    return sorted(groups, key=lambda group: group[0])


def _same_angle(communities: list[Community]) -> float:
    """Largest angle between two centroids of one speaker, radian.

    Half of what all but 5 % of the pairs within windows keep; those are two speakers.
    """
    angles = [
        math.acos(float(np.clip(a.centroid @ b.centroid, -1, 1)))
        for i, a in enumerate(communities)
        for b in communities[max(i - 16, 0) : i]
        if a.window == b.window
    ]
    if not angles:
        return _DEFAULT_ANGLE
    return float(np.clip(0.5 * np.quantile(angles, 0.05), *_SAME_ANGLE))


def _tracks(communities: list[Community], windows: int, same: float) -> list[list[int]]:
    """Chain communities of neighbouring windows; indices of each chain in order of time."""
    by_window: list[list[int]] = [[] for _ in range(windows)]
    for index, community in enumerate(communities):
        by_window[community.window].append(index)
    track_of: dict[int, int] = {}
    tracks: list[list[int]] = []
    for number, here in enumerate(by_window):
        before = by_window[number - 1] if number else []
        gain = np.zeros((len(before), len(here)))
        for i, a in enumerate(before):
            for j, b in enumerate(here):
                gain[i, j] = _agreement(communities[a], communities[b], same)
        matched = {}
        for i, j in zip(*linear_sum_assignment(-gain)):
            if gain[i, j] > 0:
                matched[here[j]] = before[i]
        for index in here:
            if index in matched:
                track_of[index] = track_of[matched[index]]
                tracks[track_of[index]].append(index)
            else:
                track_of[index] = len(tracks)
                tracks.append([index])
    return tracks


def _agreement(a: Community, b: Community, same: float) -> float:
    """Gain of matching communities of neighbouring windows; 0 or less forbids it.

    Shared nodes are the stronger evidence: over half of either's nodes in the other.
    Without any, the centroids decide.
    """
    likeness = float(a.centroid @ b.centroid) - math.cos(same)
    if not len(a.nodes) or not len(b.nodes):
        return likeness
    low, high = max(a.nodes[0], b.nodes[0]), min(a.nodes[-1], b.nodes[-1])
    mass_a = a.weight[(a.nodes >= low) & (a.nodes <= high)].sum()
    mass_b = b.weight[(b.nodes >= low) & (b.nodes <= high)].sum()
    if min(mass_a, mass_b) <= 0:
        return likeness
    _, common, _ = np.intersect1d(a.nodes, b.nodes, assume_unique=True, return_indices=True)
    shared = a.weight[common].sum()
    # Few nodes in the overlap say little: they count as far as they are a part of a community.
    trust = min(1.0, 5 * max(mass_a, mass_b) / min(a.mass, b.mass))
    return trust * 2 * (float(shared / max(mass_a, mass_b)) - 0.5) + likeness


def _join(
    tracks: list[list[int]], communities: list[Community], same: float, most: int | None
) -> list[list[int]]:
    """Join tracks into speakers, most similar first, never two that share a window.

    Unlike ones too, while there are more than ``most``.
    """
    groups = [list(track) for track in tracks]
    seen = [{communities[c].window for c in group} for group in groups]
    alike = np.full((len(groups), len(groups)), -np.inf)
    for i in range(len(groups)):
        for j in range(i):
            alike[i, j] = _likeness(groups[i], groups[j], communities)
    alive = set(range(len(groups)))
    while len(alive) > 1:
        i, j = (int(at) for at in np.unravel_index(alike.argmax(), alike.shape))
        too_many = most is not None and len(alive) > most
        if alike[i, j] < (-1.5 if too_many else math.cos(same)):
            break
        if seen[i] & seen[j]:
            alike[i, j] = -np.inf
            continue
        groups[j] = sorted(groups[i] + groups[j])
        seen[j] |= seen[i]
        alive.discard(i)
        alike[i, :] = alike[:, i] = -np.inf
        for other in alive - {j}:
            a, b = max(other, j), min(other, j)
            alike[a, b] = _likeness(groups[a], groups[b], communities)
    return [groups[i] for i in sorted(alive)]


def _likeness(a: list[int], b: list[int], communities: list[Community]) -> float:
    """Cosine of two groups' centroids: over all their time, or where they come closest in time.

    With drift only the latter is large.
    """
    mean = [_centroid(group, communities) for group in (a, b)]
    times = np.array([[abs(communities[i].window - communities[j].window) for j in b] for i in a])
    i, j = (int(at) for at in np.unravel_index(times.argmin(), times.shape))
    near = [_around(group, at, communities) for group, at in ((a, i), (b, j))]
    return max(float(mean[0] @ mean[1]), float(near[0] @ near[1]))


def _around(group: list[int], at: int, communities: list[Community]) -> np.ndarray:
    return _centroid(group[max(at - 1, 0) : at + 2], communities)


def _centroid(group: list[int], communities: list[Community]) -> np.ndarray:
    return unit(np.sum([communities[c].mass * communities[c].centroid for c in group], axis=0))
