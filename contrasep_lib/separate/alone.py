"""Seconds in which one talker alone is heard: their sound belongs to the output of this talker."""

from __future__ import annotations

import numpy as np

from contrasep_lib.separate.voices import SECONDS

# share of the energy that a talker's output has to hold in such a second
_LEAST = 0.5
# over which sound passes from one output to another, seconds
_RISE = 0.02


def given_to_talkers(outputs: np.ndarray, blocks: np.ndarray, talkers: np.ndarray, rate: int) -> np.ndarray:
    """Outputs of a window in which whoever talks alone has what is heard.

    A second is changed where the output of its talker holds less than half of the energy of all: all outputs are then
    added to it. What outputs add up to stays.

    Args:
        outputs: ``(talkers of the recording, samples)``.
        blocks: numbers of the window's blocks, see `contrasep_lib.separate.voices.Blocks`, ``(blocks,)``.
        talkers: who talks alone in each, -1 where nobody or several do, ``(blocks,)``.
        rate: Hz.

    Returns:
        Of the same shape; ``outputs`` itself where nothing changes.
    """
    size, samples = round(SECONDS * rate), outputs.shape[1]
    starts = np.arange(0, samples, size)
    energy = np.add.reduceat(np.square(outputs, dtype=np.float64), starts, axis=1)
    # a last block may begin behind the last sample, with the frame that is centred there
    alone = (talkers >= 0) & (blocks < len(starts))
    at, who = blocks[alone], talkers[alone]
    few = energy[who, at] < _LEAST * energy[:, at].sum(axis=0)
    if not few.any():
        return outputs
    taken = np.zeros((len(outputs), len(starts)), np.float32)
    taken[who[few], at[few]] = 1
    # from second to second in ramps
    rise = max(round(_RISE * rate), 1)
    gate = np.repeat(taken, size, axis=1)[:, :samples]
    padded = np.pad(gate, ((0, 0), (rise // 2, rise - rise // 2)), mode="edge")
    summed = np.cumsum(padded, axis=1, dtype=np.float64)
    gate = ((summed[:, rise:] - summed[:, :-rise]) / rise).astype(np.float32)
    return outputs * (1 - gate.sum(axis=0)) + gate * outputs.sum(axis=0)
