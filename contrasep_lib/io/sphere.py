"""NIST SPHERE files of 16-bit mono audio, uncompressed or with shorten inside (``.wv1``, ``.sph``).

The header is a block of text that says what follows. Uncompressed samples are read as they stand;
shorten is decoded by FFmpeg through PyAV, no external program. FFmpeg has two habits that matter:
of a truncated stream it returns what it can, now and then with the last block filled from beyond
the end, and it does not compare the count with the header's. So ones are put behind the stream:
one that ends with its own mark is not read further; any other would yield more samples than the
header says.

Source of the header: NIST, SPeech HEader REsources (SPHERE), object-oriented header, NIST_1A.
"""

from __future__ import annotations

import dataclasses
import io
import os
from pathlib import Path

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.extras import missing_extra
from contrasep_lib.io.atomic import atomic_open
from contrasep_lib.io.audio import require_rate

MAGIC = b"NIST_1A\n"
HEADER_BYTES = 1024
SHORTEN = "pcm,embedded-shorten"
# a stream of ones is read as blocks of residuals of nine bits
BITS_PER_SAMPLE_OF_ONES = 9
BLOCK = 256
FEWEST_BYTES_OF_ONES = 4096


@dataclasses.dataclass(frozen=True)
class SphereHeader:
    """What a header says.

    Attributes:
        samples: per channel.
        rate: Hz.
        channels: number of channels.
        sample_bytes: bytes of a sample.
        big_endian: byte order of uncompressed samples.
        coding: e.g. ``pcm`` or ``pcm,embedded-shorten-v2.00``.
        checksum: sum of all samples modulo 2^16; None where the header has none.
        header_bytes: where the samples begin.
    """

    samples: int
    rate: int
    channels: int
    sample_bytes: int
    big_endian: bool
    coding: str
    checksum: int | None
    header_bytes: int


def parse_header(data: bytes, path: str | os.PathLike) -> SphereHeader:
    """Read the header at the beginning of a file's bytes.

    Args:
        data: at least the header.
        path: for the messages.

    Raises:
        ContrasepError: no SPHERE file, header cut off, or without a count of samples or a rate.
    """
    if not data.startswith(MAGIC):
        what = "empty file" if not data else "no SPHERE file"
        raise ContrasepError(f"{path}: {what} (it does not begin with NIST_1A); copy it from the disk again")
    size = data[len(MAGIC) : len(MAGIC) + 8].strip()
    if not size.isdigit() or len(data) < int(size):
        raise ContrasepError(f"{path}: truncated within its header; copy it from the disk again")
    fields: dict[str, str] = {}
    for line in data[: int(size)].decode("ascii", errors="replace").split("\n")[2:]:
        if line.strip() == "end_head":
            break
        words = line.split(None, 2)
        if len(words) == 3 and words[1].startswith("-"):
            fields[words[0]] = words[2].strip()
    try:
        return SphereHeader(
            samples=int(fields["sample_count"]),
            rate=int(fields["sample_rate"]),
            channels=int(fields.get("channel_count", "1")),
            sample_bytes=int(fields.get("sample_n_bytes", "2")),
            big_endian=fields.get("sample_byte_format", "01") != "01",
            coding=fields.get("sample_coding", "pcm").lower(),
            checksum=int(fields["sample_checksum"]) if "sample_checksum" in fields else None,
            header_bytes=int(size),
        )
    except (KeyError, ValueError) as error:
        raise ContrasepError(f"{path}: damaged header ({error}); copy it from the disk again") from None


def read_sphere(path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """Read a SPHERE file of 16-bit mono audio.

    Returns:
        ``(samples,)`` int16, as many as the header says, and the rate in Hz.

    Raises:
        ContrasepError: missing, no SPHERE file, damaged or truncated, no samples in it, not mono,
            a coding other than PCM of 16 bits and shorten.
    """
    header, samples = _read(path)
    return samples, header.rate


def read_checked(path: str | os.PathLike) -> tuple[np.ndarray, int, bool]:
    """As `read_sphere`, and whether the samples have the sum that the header states.

    Files are known whose sum was made of swapped bytes; that counts as right, as does no sum at all.
    """
    header, samples = _read(path)
    if header.checksum is None:
        return samples, header.rate, True
    sums = {int(x.astype(np.int64).sum()) & 0xFFFF for x in (samples, samples.byteswap())}
    return samples, header.rate, header.checksum & 0xFFFF in sums


def _read(path: str | os.PathLike) -> tuple[SphereHeader, np.ndarray]:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise ContrasepError(f"{path}: no such audio file") from None
    except OSError as error:
        raise ContrasepError(f"{path}: cannot be read ({error.strerror}); copy it from the disk again") from None
    header = parse_header(data, path)
    if header.channels != 1:
        raise ContrasepError(f"{path}: expected mono, got {header.channels} channels; take one channel first")
    require_rate(path, header.rate)
    if header.samples < 1:
        raise ContrasepError(f"{path}: no samples in it; leave it out of the lists or copy it from the disk again")
    if header.sample_bytes != 2 or not (header.coding == "pcm" or header.coding.startswith(SHORTEN)):
        raise ContrasepError(
            f"{path}: expected 16-bit pcm or shorten, got {8 * header.sample_bytes}-bit samples "
            f"coded as '{header.coding}'"
        )
    if header.coding == "pcm":
        stored = np.dtype(">i2" if header.big_endian else "<i2")
        held = (len(data) - header.header_bytes) // 2
        if held < header.samples:
            raise _truncated(path, held, header.samples)
        return header, np.frombuffer(data, stored, header.samples, header.header_bytes).astype(np.int16)
    return header, _decode_shorten(data, header.samples, path)


def _decode_shorten(data: bytes, count: int, path: str | os.PathLike) -> np.ndarray:
    """Samples of a whole file's bytes, ``(count,)`` int16."""
    try:
        import av
    except ImportError as error:
        raise ContrasepError(f"{path}: {missing_extra(error) or error}") from None

    ones = max(FEWEST_BYTES_OF_ONES, (count + 2 * BLOCK) * BITS_PER_SAMPLE_OF_ONES // 8)
    blocks: list[np.ndarray] = []
    held = 0
    try:
        with av.open(io.BytesIO(data + b"\xff" * ones), format="nistsphere") as container:
            for frame in container.decode(audio=0):
                blocks.append(frame.to_ndarray())
                held += frame.samples
                if held > count:
                    break
    except (av.FFmpegError, ValueError, IndexError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ContrasepError(f"{path}: shorten stream is damaged ({reason}); copy it from the disk again") from None
    if held > count:
        raise ContrasepError(
            f"{path}: truncated or damaged: its shorten stream does not end after the {count} samples "
            "that its header says; copy it from the disk again"
        )
    if held < count:
        raise _truncated(path, held, count)
    samples = np.concatenate(blocks, axis=1)[0]
    if samples.dtype != np.int16:
        raise ContrasepError(f"{path}: shorten stream is not of 16-bit samples; copy it from the disk again")
    return samples


def _truncated(path: str | os.PathLike, held: int, expected: int) -> ContrasepError:
    return ContrasepError(
        f"{path}: truncated, {held} of the {expected} samples that its header says; copy it from the disk again"
    )


def write_sphere(
    path: str | os.PathLike, samples: np.ndarray, rate: int, shorten: bool = False, big_endian: bool = True
) -> None:
    """Write a SPHERE file atomically.

    Args:
        path: the file.
        samples: ``(samples,)`` int16.
        rate: Hz.
        shorten: compress, as the disks of WSJ0 have it; needs at least one sample.
        big_endian: byte order of uncompressed samples (of compressed ones, what the stream says).
    """
    from contrasep_lib.io.shorten import encode

    coding = f"{SHORTEN}-v2.00" if shorten else "pcm"
    order = "10" if big_endian else "01"
    fields: list[tuple[str, str, str | int]] = [
        ("channel_count", "-i", 1),
        ("sample_count", "-i", len(samples)),
        ("sample_rate", "-i", rate),
        ("sample_n_bytes", "-i", 2),
        ("sample_byte_format", f"-s{len(order)}", order),
        ("sample_sig_bits", "-i", 16),
        ("sample_checksum", "-i", int(samples.astype(np.int64).sum()) & 0xFFFF),
        ("sample_coding", f"-s{len(coding)}", coding),
    ]
    lines = "".join(f"{name} {kind} {value}\n" for name, kind, value in fields)
    header = f"{MAGIC.decode()}{HEADER_BYTES:7d}\n{lines}end_head\n".encode("ascii").ljust(HEADER_BYTES)
    stored = encode(samples, big_endian) if shorten else samples.astype(">i2" if big_endian else "<i2").tobytes()
    with atomic_open(path, "wb") as file:
        file.write(header + stored)
