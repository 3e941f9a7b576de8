"""Where the embeddings of one talker lie: what blocks of a recording say about who speaks in them.

The embedding of a speech node lies near those of other nodes of its talker, in other windows and, less so, in other
recordings. The mean over a second in which one person speaks is a point; points of a talker scatter by a covariance
``within``, and the means of talkers by ``between``. Both are measured on training speakers (two-covariance model:
Brummer and de Villiers, Odyssey 2010). In the basis in which ``within`` is the identity and ``between`` diagonal,
distances say how likely two points are of one talker.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import typing
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.nodes.nodeset import NodeSet

if typing.TYPE_CHECKING:
    from contrasep_lib.embedding.embedder import Embedder
    from contrasep_lib.speakers.base import SpeakerEncoder

SECONDS = 1.0
"""Length of a block."""

PURE = 0.9
"""A block whose mean embedding is at least this long has one talker: overlap turns nodes away from one another."""

VOICES = "voices.json"
"""Name of the file, in a model's folder ``modularity``."""

# share of an average block's weight that a block needs
_LEAST = 0.05
# least eigenvalue of between in units of within
_FLAT = 1e-3


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Blocks of a window in which somebody is heard, and what lies in each.

    Attributes:
        number: of each block in its window, ascending, ``(blocks,)`` int64; those without sound are left out.
        mean: weighted mean embedding, ``(blocks, dim)`` float32; its length says how pure the block is.
        mass: weight, ``(blocks,)``.
        halves: means of the two communities of a block that is not pure, ``(blocks, 2, dim)``; zeros in pure ones.
    """

    number: np.ndarray
    mean: np.ndarray
    mass: np.ndarray
    halves: np.ndarray

    @property
    def pure(self) -> np.ndarray:
        """Which blocks have one talker, ``(blocks,)`` bool."""
        return np.linalg.norm(self.mean, axis=1) >= PURE

    @classmethod
    def of(cls, nodes: NodeSet, per_block: int) -> Blocks:
        """Blocks of a window.

        Args:
            nodes: of the window, one row; weights of all windows have one unit.
            per_block: nodes of a block.
        """
        z, weight = nodes.z[0].float().cpu().numpy(), (nodes.weight * nodes.valid)[0].float().cpu().numpy()
        starts = np.arange(0, len(z), per_block)
        mass = np.add.reduceat(weight, starts).astype(np.float64)
        total = np.add.reduceat(weight[:, None] * z, starts, axis=0).astype(np.float64)
        heard = np.flatnonzero(mass > _LEAST * max(float(mass.mean()), 1e-12))
        mean = total[heard] / mass[heard, None]
        halves = np.zeros((len(heard), 2, z.shape[1]))
        for row in np.flatnonzero(np.linalg.norm(mean, axis=1) < PURE):
            inside = slice(starts[heard[row]], starts[heard[row]] + per_block)
            halves[row] = _two_means(z[inside], weight[inside])
        return cls(heard, mean.astype(np.float32), mass[heard], halves.astype(np.float32))


def nodes_per_block(model: Embedder, rate: int) -> int:
    """Nodes of a block of `SECONDS`, by the model's framing and granularity."""
    frames = max(round(SECONDS * rate / model.features.hop), 1)
    return frames * math.prod(model.granularity.shape(frames)[1:])


def blocks_of(model: Embedder, nodes: NodeSet, samples: np.ndarray, rate: int) -> Blocks:
    """Blocks of a window that a model has embedded.

    Args:
        model: whose framing counts.
        nodes: of the window, one row.
        samples: of the window, ``(samples,)``.
        rate: Hz.
    """
    signal = torch.from_numpy(np.ascontiguousarray(samples, np.float32))[None]
    magnitude = model.granularity.nodes(signal).power[0].sqrt()
    whole = NodeSet(nodes.z, magnitude[None].to(nodes.z), nodes.valid, nodes.shape)
    return Blocks.of(whole, nodes_per_block(model, rate))


def checksum(path: str | os.PathLike) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def space_of(encoder: SpeakerEncoder) -> VoiceSpace:
    """The voice space of a speaker encoder.

    Raises:
        ContrasepError: there is none, or one for other weights.
    """
    space = VoiceSpace.load(encoder.space_file(), encoder.weights())
    if space is None:
        raise ContrasepError(f"{encoder.space_file()}: no such file; make it by tools/fit_voices.py --speakers NAME")
    return space


def _two_means(z: np.ndarray, weight: np.ndarray, iterations: int = 8) -> np.ndarray:
    """Means of two communities of nodes, ``(2, dim)``, begun on either side of their principal axis."""
    z, weight = z[weight > 0], weight[weight > 0]
    mean = np.average(z, axis=0, weights=weight)
    spread = ((z - mean) * weight[:, None]).T @ (z - mean)
    second = (z - mean) @ np.linalg.eigh(spread)[1][:, -1] > 0
    means = np.stack([mean, mean])
    for _ in range(iterations):
        masses = [weight[~second].sum(), weight[second].sum()]
        if min(masses) <= 0:
            break
        means = np.stack([weight[side] @ z[side] / mass for side, mass in zip((~second, second), masses)])
        second = z @ (means[1] / np.linalg.norm(means[1]) - means[0] / np.linalg.norm(means[0])) > 0
    return means


@dataclasses.dataclass(frozen=True)
class VoiceSpace:
    """The basis in which talkers' points scatter evenly.

    Attributes:
        mean: of all talkers, ``(dim,)``.
        basis: ``(dim, axes)``; ``(u - mean) @ basis`` has the identity as covariance within a talker.
        between: variance of talkers along each axis, ``(axes,)``, descending.
    """

    mean: np.ndarray
    basis: np.ndarray
    between: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, within: np.ndarray, between: np.ndarray, axes: int | None = None) -> VoiceSpace:
        """From covariances within and between talkers, ``(dim, dim)``; with the first ``axes`` axes, or all."""
        from scipy.linalg import eigh

        values, vectors = eigh(between, within)
        return cls(mean, vectors[:, ::-1][:, :axes].copy(), np.maximum(values[::-1][:axes], _FLAT))

    @classmethod
    def fit(cls, points: Sequence[np.ndarray], axes: int | None = None, ridge: float = 0.0) -> VoiceSpace:
        """Fit to points of talkers.

        Args:
            points: of each talker, ``(points, dim)`` of unit norm; those with one point say nothing and are left out.
            axes: of the space, those in which talkers differ most; None for all.
            ridge: of the mean variance within talkers, so much is added to it along each axis.

        Raises:
            ValueError: fewer talkers than three dimensions have.
        """
        some = [each for each in points if len(each) > 1]
        if len(some) < 3:
            raise ValueError(f"expected three talkers with two blocks at least, got {len(some)}")
        means = np.stack([each.mean(axis=0) for each in some])
        apart = np.concatenate([each - each.mean(axis=0) for each in some])
        within = apart.T @ apart / sum(len(each) - 1 for each in some)
        # means of few points scatter by a part of within
        between = np.cov(means.T) - within * np.mean([1 / len(each) for each in some])
        within += ridge * np.trace(within) / len(within) * np.eye(len(within))
        return cls.of(means.mean(axis=0), within, between, axes)

    def sharper(self, factor: float) -> VoiceSpace:
        """The space whose points of a talker scatter so many times less than measured."""
        return VoiceSpace(self.mean, factor * self.basis, factor**2 * self.between)

    def points(self, means: np.ndarray) -> np.ndarray:
        """Points of mean embeddings ``(.., dim)``, of any length, in the basis."""
        unit = means / np.maximum(np.linalg.norm(means, axis=-1, keepdims=True), 1e-9)
        return (unit - self.mean) @ self.basis

    def save(self, path: str | os.PathLike, model: str) -> None:
        """Write the space, with the checksum of the model that embeds."""
        content = {"model": model, "mean": self.mean, "basis": self.basis, "between": self.between}
        plain = {key: value if key == "model" else np.round(value, 7).tolist() for key, value in content.items()}
        rows = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in plain.items())
        write_text(path, f"{{\n{rows}\n}}\n")

    @classmethod
    def load(cls, path: str | os.PathLike, model: str) -> VoiceSpace | None:
        """Read a space; None where there is no such file.

        Raises:
            ContrasepError: a damaged file, or one of another model.
        """
        if not Path(path).is_file():
            return None
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            mean, basis, between = (np.asarray(content[key], np.float64) for key in ("mean", "basis", "between"))
            if basis.shape != (len(mean), len(between)) or between.ndim != 1 or not (between > 0).all():
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise ContrasepError(f"{path}: no voice space in it; make it again by tools/fit_voices.py") from None
        if content.get("model") != model:
            raise ContrasepError(f"{path}: made for other weights; make it again by tools/fit_voices.py, or remove it")
        return cls(mean, basis, between)
