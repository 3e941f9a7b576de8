"""Shorten (version 2, lossless) of 16-bit mono audio: an encoder, for rehearsals and tests.

SPHERE files of older speech corpora hold such streams. FFmpeg decodes them (see
`contrasep_lib.io.sphere`) and encodes none, so files to try a recipe with, or a reader, need an
encoder. It makes what the usual encoder makes by default: blocks of 256 samples, each predicted
by its own differences of order 0 to 3 and coded by Golomb-Rice codes of its own parameter; of
order 0 the mean of the last four blocks is taken off first; a shorter last block is announced.

Source: T. Robinson, "SHORTEN: Simple lossless and near-lossless waveform compression",
Cambridge University Engineering Department, CUED/F-INFENG/TR.156, 1994.
"""

from __future__ import annotations

import numpy as np

MAGIC = b"ajkg"
VERSION = 2
BLOCK = 256
MEANS = 4
# codes of the format
TYPE_INT16_BIG, TYPE_INT16_LITTLE = 3, 5
QUIT, BLOCKSIZE, ZERO = 4, 5, 8
FUNCTION_BITS, ENERGY_BITS, LONG_BITS = 2, 3, 2
LARGEST_RICE = 15


class _Bits:
    """Golomb-Rice codes as arrays (zeros before the stop bit, low bits, their number), packed at the end."""

    def __init__(self) -> None:
        self.zeros: list[np.ndarray] = []
        self.low: list[np.ndarray] = []
        self.bits: list[np.ndarray] = []

    def put(self, values: np.ndarray, bits: np.ndarray | int) -> None:
        """Append the codes of whole numbers of at least 0, each with its own number of low bits."""
        values = np.asarray(values, np.int32)
        bits = np.broadcast_to(np.asarray(bits, np.int32), values.shape)
        zeros = values >> bits
        self.zeros.append(zeros)
        self.low.append(values - (zeros << bits))
        self.bits.append(bits)

    def put_long(self, value: int) -> None:
        """A number of any size: the number of its low bits stands before it."""
        bits = int(value).bit_length()
        self.put(np.array([bits]), LONG_BITS)
        self.put(np.array([value]), bits)

    def to_bytes(self) -> bytes:
        """All codes, padded with zeros to whole words of 32 bits."""
        zeros, low, bits = (np.concatenate(parts) for parts in (self.zeros, self.low, self.bits))
        ends = np.cumsum(zeros + 1 + bits, dtype=np.int64)
        stream = np.zeros(-(-int(ends[-1]) // 32) * 32, np.uint8)
        stops = ends - bits - 1
        stream[stops] = 1
        for place in range(int(bits.max())):
            some = bits > place
            stream[stops[some] + 1 + place] = (low[some] >> (bits[some] - 1 - place)) & 1
        return np.packbits(stream).tobytes()


def _block_means(samples: np.ndarray, sizes: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """What each block is lowered by when coded without prediction: mean of the means of the last four.

    Divisions round towards zero, as in the language of the format's definition.
    """
    sums = np.add.reduceat(samples, starts) + sizes // 2
    means = np.concatenate([np.zeros(MEANS, np.int32), np.sign(sums) * (np.abs(sums) // sizes)])
    held = MEANS // 2 + np.lib.stride_tricks.sliding_window_view(means, MEANS)[: len(sizes)].sum(axis=1)
    return np.sign(held) * (np.abs(held) // MEANS)


def encode(samples: np.ndarray, big_endian: bool = True) -> bytes:
    """Compress 16-bit audio.

    Args:
        samples: ``(samples,)`` int16, at least one.
        big_endian: byte order that the stream says its samples had.

    Returns:
        the stream, magic included.
    """
    # folded differences of order 3 need 20 bits, sums of them over a block 28
    x = np.asarray(samples).astype(np.int32)
    count = len(x)
    starts = np.arange(0, count, BLOCK)
    sizes = np.minimum(BLOCK, count - starts)
    block = np.repeat(np.arange(len(starts)), sizes)
    # the last three samples before the first are zero
    history = np.concatenate([np.zeros(3, np.int32), x])
    differences = [x - _block_means(x, sizes, starts)[block]]
    differences += [np.diff(history, order)[3 - order :] for order in range(1, 4)]
    folded = [np.where(d < 0, -2 * d - 1, 2 * d) for d in differences]
    sums = np.stack([np.add.reduceat(d, starts) for d in folded])
    best = sums.argmin(axis=0)
    # a residual is coded with one bit more than the parameter says, the one that tells its sign
    mean = sums.min(axis=0) / sizes
    rice = np.clip(np.floor(np.log2(np.maximum(mean, 1.0))).astype(np.int32) - 1, 0, LARGEST_RICE)
    residuals = np.choose(best[block], folded)

    bits = _Bits()
    for value in (TYPE_INT16_BIG if big_endian else TYPE_INT16_LITTLE, 1, BLOCK, 0, MEANS, 0):
        bits.put_long(value)
    silent = np.add.reduceat(np.abs(x), starts) == 0
    whole = count // BLOCK
    _put_blocks(bits, residuals[: whole * BLOCK].reshape(whole, BLOCK), best[:whole], rice[:whole], silent[:whole])
    if count % BLOCK:
        bits.put(np.array([BLOCKSIZE]), FUNCTION_BITS)
        bits.put_long(count % BLOCK)
        _put_blocks(bits, residuals[None, whole * BLOCK :], best[whole:], rice[whole:], silent[whole:])
    bits.put(np.array([QUIT]), FUNCTION_BITS)
    return MAGIC + bytes([VERSION]) + bits.to_bytes()


def _put_blocks(bits: _Bits, residuals: np.ndarray, order: np.ndarray, rice: np.ndarray, silent: np.ndarray) -> None:
    """Append blocks of equal size: ``residuals`` ``(blocks, size)``, the others ``(blocks,)``."""
    blocks, size = residuals.shape
    values = np.concatenate([np.where(silent, ZERO, order)[:, None], rice[:, None], residuals], axis=1)
    widths = np.repeat(rice[:, None] + 1, size + 2, axis=1)
    widths[:, 0], widths[:, 1] = FUNCTION_BITS, ENERGY_BITS
    # a silent block is its function alone
    kept = np.ones((blocks, size + 2), bool)
    kept[silent, 1:] = False
    bits.put(values[kept], widths[kept])
