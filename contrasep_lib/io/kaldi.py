"""Contents of Kaldi's arks, read as data alone: nothing in a file is run or unpickled.

Read are RIFF/wav (PCM of 8 or 16 bits), flac, wav and flac within ``AUDIO`` (as kaldiio writes them), matrices and
vectors of floats and doubles (``FM DM FV DV``), compressed matrices (``CM CM2 CM3``) and vectors of int32. Anything
else is refused. No more is allocated for a header than the file holds. Formats by Kaldi's ``matrix/kaldi-matrix.cc``,
``matrix/compressed-matrix.cc`` and ``util/kaldi-io.h``, little-endian; values are kaldiio's bit for bit.
"""

from __future__ import annotations

import io
import os
import struct
from typing import IO

import numpy as np

# what libsndfile is asked for at once; a header that announces more costs no more
BLOCK = 1 << 16
PCM, EXTENSIBLE = 1, 0xFFFE
SAMPLES = {8: "u1", 16: "<i2"}
PLAIN = {b"FM": "<f4", b"FV": "<f4", b"DM": "<f8", b"DV": "<f8"}
# bytes of a value and the largest value
COMPRESSED = {b"CM": ("u1", 65535.0), b"CM2": ("<u2", 65535.0), b"CM3": ("u1", 255.0)}
REFUSED = {b"PKL": "a pickled object, which could run anything", b"NPY": "an array of NumPy"}

Content = np.ndarray | tuple[int, np.ndarray]


class RefusedError(ValueError):
    """Content or an entry of a kind that is not read, however intact it is."""


class Bytes:
    """What is left of a regular file, taken piece by piece and never beyond its end."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.left = os.fstat(file.fileno()).st_size - file.tell()

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes.

        Raises:
            ValueError: the file has fewer, or the count is negative.
        """
        if not 0 <= count <= self.left:
            raise ValueError(f"expected {count} more bytes, the file has {self.left}")
        content = self.file.read(count)
        if len(content) != count:
            raise ValueError(f"expected {count} more bytes, got {len(content)}")
        self.left -= count
        return content

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes; see `take` for errors."""
        if not 0 <= count <= self.left:
            raise ValueError(f"expected {count} more bytes, the file has {self.left}")
        self.file.seek(count, os.SEEK_CUR)
        self.left -= count

    def token(self, most: int) -> bytes:
        """Bytes up to a space, which is taken too; without one among the next ``most + 1``, all of them."""
        begin = self.file.tell()
        content = self.file.read(min(most + 1, self.left))
        token, space, _ = content.partition(b" ")
        self.file.seek(begin + len(token) + len(space))
        self.left -= len(token) + len(space)
        return token


def read_content(file: IO[bytes]) -> Content:
    """Read the content that begins where a file stands.

    Returns:
        ``(rate, samples)`` for audio, rate in Hz and samples ``(samples,)`` or ``(samples, channels)``: uint8 or int16
        of a wav, float64 in [-1, 1] of flac and ``AUDIO``. Otherwise a matrix ``(rows, columns)``, a vector
        ``(length,)`` of float32 or float64, or a vector of int32.

    Raises:
        RefusedError: content of another kind.
        ValueError: damaged or truncated content.
    """
    head = file.read(5)
    file.seek(-len(head), os.SEEK_CUR)
    content = Bytes(file)
    if head[:4] == b"RIFF":
        return _wav(content)
    if head[:4] == b"fLaC":
        return _sound(content.take(content.left))
    if head == b"AUDIO":
        content.skip(5)
        return _sound(content.take(int.from_bytes(content.take(content.take(1)[0]), "little")))
    if head[:3] == b"\0B\4":
        content.skip(3)
        return _integers(content)
    if head[:2] == b"\0B":
        content.skip(2)
        return _floats(content)
    if not head:
        raise ValueError("nothing there")
    if head[:3] in REFUSED:
        raise RefusedError(f"{head[:3].decode()}: {REFUSED[head[:3]]}; such content is never read")
    if head.lstrip(b" \n")[:1] == b"[":
        raise RefusedError("a matrix as text; such content is not read, write it in binary")
    raise ValueError(f"expected wav, flac or a matrix of Kaldi, got {head!r}")


def _wav(content: Bytes) -> tuple[int, np.ndarray]:
    """A RIFF file of PCM, which ends by its own header."""
    _, size, kind = struct.unpack("<4sI4s", content.take(12))
    if kind != b"WAVE":
        raise ValueError(f"expected RIFF of WAVE, got {kind!r}")
    end = content.left + 4 - size  # bytes of the file behind the RIFF file
    if end < 0:
        raise ValueError("truncated, fewer bytes than its header says")
    layout = None
    while content.left - end >= 8:
        name, length = struct.unpack("<4sI", content.take(8))
        if length > content.left - end:
            raise ValueError(f"chunk {name!r} reaches beyond the wav")
        if name == b"data":
            if layout is None:
                raise ValueError("samples before their format")
            return _pcm(content.take(length), *layout)
        if name == b"fmt ":
            layout = _layout(content.take(length))
        else:
            content.skip(length)
        content.skip(min(length % 2, content.left))
    raise ValueError("a wav without samples")


def _layout(chunk: bytes) -> tuple[int, int, int]:
    """Rate, channels and bits of a wav's format."""
    if len(chunk) < 16:
        raise ValueError("a wav's format of fewer than 16 bytes")
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", chunk[:16])
    if tag == EXTENSIBLE and len(chunk) >= 40:
        tag = int.from_bytes(chunk[24:26], "little")
    if tag != PCM or bits not in SAMPLES:
        raise RefusedError(f"expected a wav of PCM with 8 or 16 bits, got format {tag} with {bits} bits")
    if not channels or not rate:
        raise ValueError(f"a wav of {channels} channels at {rate} Hz")
    return rate, channels, bits


def _pcm(data: bytes, rate: int, channels: int, bits: int) -> tuple[int, np.ndarray]:
    if len(data) % (channels * bits // 8):
        raise ValueError("the last sample is not whole")
    samples = np.frombuffer(data, SAMPLES[bits])
    return rate, samples.reshape(-1, channels) if channels > 1 else samples


def _sound(content: bytes) -> tuple[int, np.ndarray]:
    """A wav or flac file, by libsndfile."""
    import soundfile

    if content[:4] not in (b"fLaC", b"RIFF"):
        raise RefusedError(f"expected flac or wav as AUDIO, got {content[:4]!r}")
    parts = []
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            announced, rate = file.frames, file.samplerate
            while len(part := file.read(BLOCK, dtype="float64")):
                parts.append(part)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(f"not readable as audio: {error}") from None
    read = sum(map(len, parts))
    if read != announced:
        raise ValueError(f"truncated, {read} samples where its header says {announced}")
    return rate, np.concatenate(parts) if parts else np.zeros(0)


def _whole(content: Bytes) -> int:
    """A number of four bytes, preceded by how many they are."""
    size, value = struct.unpack("<bi", content.take(5))
    if size != 4:
        raise ValueError(f"expected a number of 4 bytes, got {size}")
    return value


def _integers(content: Bytes) -> np.ndarray:
    length = struct.unpack("<i", content.take(4))[0]
    # each value is preceded by its size, as the length was
    pairs = np.frombuffer(content.take(5 * length), [("size", "u1"), ("value", "<i4")])
    if (pairs["size"] != 4).any():
        raise ValueError("a vector of integers that are not of 4 bytes")
    return np.ascontiguousarray(pairs["value"])


def _floats(content: Bytes) -> np.ndarray:
    kind = content.token(3)
    if kind in COMPRESSED:
        return _compressed(content, kind)
    if kind not in PLAIN:
        raise RefusedError(f"expected one of {', '.join(k.decode() for k in (*PLAIN, *COMPRESSED))}, got {kind!r}")
    shape = [_whole(content) for _ in range(2 if kind.endswith(b"M") else 1)]
    _require_shape(shape)
    dtype = np.dtype(PLAIN[kind])
    # whole numbers of Python: the product does not overflow
    count = shape[0] * shape[-1] if len(shape) == 2 else shape[0]
    return np.frombuffer(content.take(count * dtype.itemsize), dtype).reshape(shape)


def _require_shape(shape: list[int]) -> None:
    if min(shape) < 0:
        raise ValueError(f"a shape of {' x '.join(map(str, shape))}")


def _compressed(content: Bytes, kind: bytes) -> np.ndarray:
    """A compressed matrix: ``least + value * range / largest``, with quantiles of each column for ``CM``."""
    least, span, rows, columns = struct.unpack("<ffii", content.take(16))
    _require_shape([rows, columns])
    dtype, largest = COMPRESSED[kind]

    def values(raw: np.ndarray) -> np.ndarray:
        return least + raw.astype(np.float32) * span / largest

    # a damaged header may hold infinity; whoever reads the matrix checks its values
    with np.errstate(all="ignore"):
        if kind != b"CM":
            size = rows * columns * np.dtype(dtype).itemsize
            return values(np.frombuffer(content.take(size), dtype).reshape(rows, columns))
        quantiles = values(np.frombuffer(content.take(8 * columns), "<u2")).reshape(columns, 4, 1)
        raw = np.frombuffer(content.take(rows * columns), dtype).reshape(columns, rows).astype(np.float32)
        p0, p25, p75, p100 = (quantiles[:, number] for number in range(4))
        low = p0 + (p25 - p0) * raw * (1 / 64.0)
        middle = p25 + (p75 - p25) * (raw - 64.0) * (1 / 128.0)
        high = p75 + (p100 - p75) * (raw - 192.0) * (1 / 63.0)
        return np.where(raw <= 64, low, np.where(raw <= 192, middle, high)).T
