"""Fixtures: planted clouds and conversations with known speakers."""

from __future__ import annotations

import math
import types

import numpy as np
import pytest

DIM = 20


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def simplex(groups, rng, dim=DIM):
    """Means ``(groups, dim)`` with cosine -1/(groups - 1)."""
    corners = unit(np.eye(groups) - 1 / groups) if groups > 1 else np.ones((1, 1))
    return corners @ np.linalg.qr(rng.standard_normal((dim, dim)))[0][:groups]


def clouds(sizes, degrees, seed, *, means=None, heavy=False, outliers=0.0, dim=DIM):
    """Nodes ``(nodes, dim)`` and their groups, -1 for outliers; ``degrees``: the typical angle."""
    rng = np.random.default_rng(seed)
    means = unit(rng.standard_normal((len(sizes), dim))) if means is None else means
    group = np.repeat(np.arange(len(sizes)), sizes)
    noise = rng.standard_normal((len(group), dim)) * math.tan(math.radians(degrees)) / math.sqrt(dim)
    if heavy:
        noise *= np.sqrt(3 / rng.chisquare(3, len(group)))[:, None]
    z = unit(means[group] + noise)
    stray = int(outliers * len(group) / (1 - outliers))
    z = np.concatenate([z, unit(rng.standard_normal((stray, dim)))])
    return z, np.concatenate([group, np.full(stray, -1)])


def conversation(seed, speakers=4, seconds=600, rate=12, degrees=35.0, drift=30.0):
    """A conversation with turns, overlaps and pauses whose embeddings drift.

    Speaker 1 is silent from 30 to 70 % of the time, speaker 2 speaks after 40 %, speaker 3
    before 15 % and after 80 %. Returns nodes ``(frames, DIM)`` and the talker of each
    frame, -1 in pauses.
    """
    rng = np.random.default_rng(seed)
    frames = seconds * rate
    silent = {1: (0.3, 0.7), 2: (0.0, 0.4), 3: (0.15, 0.8)}
    talker = np.full(frames, -1)
    at, last = 0, 0
    while at < frames:
        now = at / frames
        off = [s for s, (start, stop) in silent.items() if start <= now < stop]
        free = [s for s in range(speakers) if s != last and s not in off]
        who = int(rng.choice(free)) if free else last
        length = int(rng.uniform(1.5, 7) * rate)
        talker[at : at + length] = who
        if rng.random() < 0.3:
            both = slice(max(at - int(rng.uniform(0.3, 1.2) * rate), 0), at)
            talker[both] = np.where(rng.random(both.stop - both.start) < 0.5, who, talker[both])
        last, at = who, at + length + int(rng.uniform(0, 0.6) * rate)
    axes = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0][: 2 * speakers]
    turn = np.deg2rad(drift) * np.arange(frames)[:, None] / frames
    who = np.maximum(talker, 0)
    means = np.cos(turn) * axes[who] + np.sin(turn) * axes[speakers + who]
    noise = rng.standard_normal((frames, DIM)) * math.tan(math.radians(degrees)) / math.sqrt(DIM)
    return unit(means + noise), talker


@pytest.fixture(scope="session")
def planted():
    """The generators of this file."""
    return types.SimpleNamespace(clouds=clouds, conversation=conversation, simplex=simplex)
