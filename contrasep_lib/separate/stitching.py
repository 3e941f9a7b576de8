"""Long recordings: windows are clustered alone, then stitched so that a speaker keeps one label.

Each window is counted and partitioned by :func:`~.counting.count_communities`. Then

1. communities of neighbouring windows are matched where they agree on the nodes that both
   windows hold, or on the centroid (assignment of largest total); this makes tracks, along
   which embeddings may drift;
2. tracks are joined into speakers, most similar first, never two that sound in one window:
   so a talker who falls silent and returns gets the old label;
3. a speaker with too little evidence is dissolved into the others.

How similar two centroids of one speaker must be is taken from the recording: less than half
the angle that speakers of one window keep from each other.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from contrasep_lib.counting.null import Null
from contrasep_lib.counting.recursive import CountDecision, count_communities
from contrasep_lib.modularity.soft import unit
from contrasep_lib.nodes.nodeset import NodeSet

_SAME_ANGLE = (math.radians(25), math.radians(60))
_DEFAULT_ANGLE = math.radians(45)


@dataclasses.dataclass(frozen=True)
class Window:
    """Frames ``start`` to ``stop`` of a recording, and the speaker of each of its communities.

    ``speakers[c]`` is the label, over the whole recording, of community c, by decreasing size.
    """

    start: int
    stop: int
    speakers: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Stitched:
    """Speakers of one long recording.

    Attributes:
        num_speakers: how many were found.
        labels: ``(nodes,)`` int64 in 0..num_speakers-1, in the order of first appearance;
            -1 on invalid nodes.
        centroids: ``(num_speakers, dim)`` unit-norm means over the recording.
        shares: share of the weight of each speaker, ``num_speakers`` numbers.
        windows: the windows with a valid node, in order of time.
    """

    num_speakers: int
    labels: torch.Tensor
    centroids: torch.Tensor
    shares: tuple[float, ...]
    windows: tuple[Window, ...]


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


def stitch(
    nodes: NodeSet,
    window: int,
    hop: int | None = None,
    k_max: int = 5,
    null: Null | None = None,
    seed: int = 0,
    min_share: float = 0.02,
    min_frames: int | None = None,
) -> list[Stitched]:
    """Label the nodes of long recordings by speaker; the number of speakers is estimated.

    Memory is that of one window beside the labels. A window is as good as its count: make it
    long enough that a talker who takes a turn has at least ``min_share`` of it, and so short
    that embeddings drift little within (20 s are a start).

    Args:
        nodes: node set ``(batch, nodes, dim)`` with unit-norm embeddings, frames slowest.
        window: frames in a window, at least 1.
        hop: frames between starts of windows, 1 to ``window``; half a window when None.
            Neighbouring windows agree better the more they share.
        k_max: the most speakers in one window, at least 1; the recording may have more.
        null, seed, min_share: as for :func:`~.counting.count_communities`.
        min_frames: a speaker needs the weight of this many average frames; a tenth of a
            window, or of a shorter recording, when None.

    Returns:
        One result per recording; a recording without valid nodes has no speakers.

    Raises:
        ValueError: an argument is out of range, or as for counting.
    """
    hop = max(window // 2, 1) if hop is None else hop
    min_frames = max(min(window, nodes.shape[0]) // 10, 1) if min_frames is None else min_frames
    for name, value in (("window", window), ("min_frames", min_frames)):
        if value < 1:
            raise ValueError(f"{name}: at least 1 wanted, got {value}")
    if not 1 <= hop <= window:
        raise ValueError(f"hop: 1 to {window} (the window) wanted, got {hop}")
    if isinstance(k_max, bool) or not isinstance(k_max, int) or k_max < 1:
        raise ValueError(f"k_max: an integer of at least 1 wanted, got {k_max!r}")
    out = []
    for row in range(nodes.z.shape[0]):
        spans, communities = _windows(nodes, row, window, hop, k_max, null, seed, min_share)
        out.append(_stitched(nodes, row, spans, communities, min_frames))
    return out


def _windows(
    nodes: NodeSet, row: int, window: int, hop: int, k_max: int, null: Null | None, seed: int, min_share: float
) -> tuple[list[tuple[int, int]], list[Community]]:
    """Count and partition each window with a valid node."""
    frames = nodes.shape[0]
    per_frame = nodes.z.shape[1] // max(frames, 1)
    sounding = nodes.valid[row] & (nodes.weight[row] > 0)
    spans: list[tuple[int, int]] = []
    communities: list[Community] = []
    for start in range(0, max(frames - window, 0) + hop, hop):
        # The last window reaches back instead of being short.
        start = min(start, max(frames - window, 0))
        stop = min(start + window, frames)
        part = slice(start * per_frame, stop * per_frame)
        if (spans and spans[-1] == (start, stop)) or not bool(sounding[part].any()):
            continue
        piece = NodeSet(
            z=nodes.z.detach()[row : row + 1, part],
            weight=nodes.weight[row : row + 1, part],
            valid=sounding[None, part],
            shape=(stop - start, *nodes.shape[1:]),
        )
        decision = count_communities(
            piece, k_max, seed=seed, null=null, min_share=min_share, with_evidence=False
        )[0]
        communities.extend(_communities(piece, decision, len(spans), part.start))
        spans.append((start, stop))
    return spans, communities


def _communities(piece: NodeSet, decision: CountDecision, number: int, offset: int) -> list[Community]:
    labels = decision.labels.cpu().numpy()
    z = piece.z[0].to("cpu", torch.float64).numpy()
    weight = piece.weight[0].to("cpu", torch.float64).numpy()
    out = []
    for c in range(decision.count):
        inside = np.flatnonzero(labels == c)
        if len(inside):
            mass = float(weight[inside].sum())
            out.append(Community(number, inside + offset, weight[inside], unit(weight[inside] @ z[inside]), mass))
    return out


def _stitched(
    nodes: NodeSet, row: int, spans: list[tuple[int, int]], communities: list[Community], min_frames: float
) -> Stitched:
    weight = torch.where(nodes.valid[row], nodes.weight[row], 0).to("cpu", torch.float64).numpy()
    average_frame = weight.sum() / max(nodes.shape[0], 1)
    owner = _owners(nodes, row, spans, communities)
    held = np.zeros(len(communities))
    np.add.at(held, owner[owner >= 0], weight[owner >= 0])
    groups = join(communities, held, min_frames * average_frame)
    speaker = np.full(len(communities) + 1, -1, dtype=np.int64)
    for s, group in enumerate(groups):
        speaker[group] = s
    labels = speaker[owner]
    speaker_of = {c: s for s, group in enumerate(groups) for c in group}
    windows = tuple(
        Window(start, stop, tuple(speaker_of[c] for c, d in enumerate(communities) if d.window == number))
        for number, (start, stop) in enumerate(spans)
    )
    z = nodes.z.detach()[row].to("cpu", torch.float64).numpy()
    sums = np.zeros((len(groups), z.shape[1]))
    known = labels >= 0
    np.add.at(sums, labels[known], z[known] * weight[known, None])
    mass = np.bincount(labels[known], weights=weight[known], minlength=len(groups))
    device = nodes.z.device
    return Stitched(
        num_speakers=len(groups),
        labels=torch.from_numpy(labels).to(device),
        centroids=torch.from_numpy(unit(sums)).to(device, torch.float32),
        shares=tuple((mass / max(mass.sum(), 1e-300)).tolist()),
        windows=windows,
    )


def join(
    communities: list[Community], held: np.ndarray, min_mass: float, most: int | None = None
) -> list[list[int]]:
    """Who is who: communities of windows joined into speakers.

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

    Shared nodes are the stronger witness: over half of either's nodes in the other.
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
        wanted = most is not None and len(alive) > most
        if alike[i, j] < (-1.5 if wanted else math.cos(same)):
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


def _owners(
    nodes: NodeSet, row: int, spans: list[tuple[int, int]], communities: list[Community]
) -> np.ndarray:
    """For each node its community in the window whose middle is nearest; -1 on invalid nodes."""
    total = nodes.z.shape[1]
    per_frame = total // max(nodes.shape[0], 1)
    owner = np.full(total, -1, dtype=np.int64)
    distance = np.full(total, np.inf)
    for index, community in enumerate(communities):
        start, stop = spans[community.window]
        away = np.abs(community.nodes // per_frame + 0.5 - (start + stop) / 2)
        closer = away < distance[community.nodes]
        owner[community.nodes[closer]] = index
        distance[community.nodes[closer]] = away[closer]
    return owner
