"""When sources are heard, by their power in frames of a hundredth of a second."""

from __future__ import annotations

import numpy as np

from contrasep_lib.io.rttm import FRAME, runs

# under the active level of a source, dB; gaps and bursts that are no pause and no speech, seconds
_FLOOR_DB, _GAP, _BURST = 30.0, 0.3, 0.1
# under the loudest output, dB
_BESIDE_DB = 6.0


def frame_power(samples: np.ndarray, rate: int) -> np.ndarray:
    """Mean power of frames of `FRAME` seconds, ``(sources, frames)``; the last is filled up with zeros.

    Args:
        samples: ``(sources, samples)``.
        rate: Hz.
    """
    size = round(FRAME * rate)
    frames = -(-samples.shape[1] // size)
    power = np.add.reduceat(np.square(samples, dtype=np.float32), np.arange(0, samples.shape[1], size), axis=1)
    return power.reshape(len(samples), frames) / size


def active_frames(power: np.ndarray, floor_db: float = _FLOOR_DB) -> np.ndarray:
    """Frames in which a source of this power is heard, ``(sources, frames)`` bool.

    A frame is active when it lies at most ``floor_db`` under the source's level, which is the mean power of its own
    active frames. Gaps of up to 0.3 s belong to a turn, and bursts of less than 0.1 s do not make one.

    Args:
        power: see `frame_power`.
        floor_db: dB.
    """
    return np.stack([smoothed(row > _level(row) * 10 ** (-floor_db / 10)) for row in power])


def _level(power: np.ndarray) -> float:
    """Mean power of the frames that lie at most 20 dB under it, found by repetition from the mean of all."""
    level = float(power.mean(dtype=np.float64))
    for _ in range(10):
        loud = power > level / 100
        if not loud.any():
            break
        level = float(power[loud].mean(dtype=np.float64))
    return level


def active_outputs(power: np.ndarray, alone: np.ndarray | None = None) -> np.ndarray:
    """Frames in which outputs of a separation are heard, ``(outputs, frames)`` bool.

    What an output has of others lies well under them: a frame has to be loud enough beside the loudest output, too.

    Args:
        power: see `frame_power`.
        alone: the one output that can be heard in each frame, ``(frames,)`` int64; -1 where it may be any.
    """
    beside = power > power.max(axis=0, keepdims=True, initial=0.0) * 10 ** (-_BESIDE_DB / 10)
    if alone is not None:
        own = alone == np.arange(len(power))[:, None]
        beside = np.where(alone < 0, beside, own)
    loud = np.stack([row > _level(row) * 10 ** (-_FLOOR_DB / 10) for row in power])
    return np.stack([smoothed(row) for row in loud & beside])


class PowerMeter:
    """`frame_power` of signals that come in blocks.

    Args:
        rate: Hz.
    """

    def __init__(self, rate: int) -> None:
        self.rate, self.size = rate, round(FRAME * rate)
        self._rest: np.ndarray | None = None
        self._found: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> None:
        """Take the next block, ``(sources, samples)``."""
        block = block if self._rest is None else np.concatenate([self._rest, block], axis=1)
        whole = block.shape[1] // self.size * self.size
        if whole:
            self._found.append(frame_power(block[:, :whole], self.rate))
        self._rest = block[:, whole:].copy()

    def power(self) -> np.ndarray:
        """Of all blocks, ``(sources, frames)``."""
        rest = [] if self._rest is None or not self._rest.shape[1] else [frame_power(self._rest, self.rate)]
        return np.concatenate([*self._found, *rest], axis=1)


def smoothed(active: np.ndarray, gap: float = _GAP, burst: float = _BURST) -> np.ndarray:
    """Activity ``(frames,)`` bool without gaps up to ``gap`` seconds and bursts under ``burst`` seconds."""
    starts, stops = runs(active)
    joined = starts[1:] - stops[:-1] > round(gap / FRAME)
    starts, stops = starts[np.r_[True, joined][: len(starts)]], stops[np.r_[joined, True][: len(stops)]]
    kept = stops - starts >= round(burst / FRAME)
    edges = np.zeros(len(active) + 1, np.int32)
    edges[starts[kept]] += 1
    edges[stops[kept]] -= 1
    return edges.cumsum()[:-1] > 0
