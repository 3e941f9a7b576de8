"""Reading and writing audio files, with errors in one line."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Iterator

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import atomic_path

INT16_SCALE = 32768.0


def read_audio(path: str | os.PathLike, rate: int | None = None, resample: bool = False) -> tuple[np.ndarray, int]:
    """Read a mono audio file.

    Args:
        path: wav, flac or any other format that libsndfile reads.
        rate: sampling rate of the result, Hz; None takes the file's own.
        resample: bring the file to ``rate`` (polyphase) instead of refusing another rate.

    Returns:
        samples in [-1, 1], ``(samples,)`` float64, and the rate in Hz.

    Raises:
        ContrasepError: missing, unreadable, truncated, empty, not mono, NaN samples, other rate.
    """
    import soundfile

    _require_file(path)
    try:
        with soundfile.SoundFile(path) as file:
            announced, channels, own_rate = file.frames, file.channels, file.samplerate
            samples = file.read(dtype="float64")
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ContrasepError(f"{path}: cannot be read as audio ({_reason(error)}); empty or damaged?") from None
    if channels != 1:
        raise ContrasepError(f"{path}: expected mono, got {channels} channels; take one channel first")
    if len(samples) == 0:
        raise ContrasepError(f"{path}: no samples in it; leave it out of the list or fetch it again")
    if len(samples) != announced or _wav_is_truncated(path):
        raise ContrasepError(f"{path}: truncated (fewer samples than its header says); fetch it again")
    if not np.isfinite(samples).all():
        raise ContrasepError(f"{path}: NaN or infinite samples; make the file again")
    if rate is not None and own_rate != rate:
        if not resample:
            raise ContrasepError(f"{path}: expected {rate} Hz, got {own_rate} Hz; resample it or set the rate")
        samples = resample_audio(samples, own_rate, rate)
        own_rate = rate
    return samples, own_rate


def _require_file(path: str | os.PathLike) -> None:
    if os.path.isfile(path):
        return
    # Kaldi and ESPnet run such entries of wav.scp; tables here may come from anyone
    if os.fspath(path).strip().endswith("|"):
        raise ContrasepError(f"{path}: a command; commands in tables are never run, write their output to a file")
    raise ContrasepError(f"{path}: no such audio file")


def _wav_is_truncated(path: str | os.PathLike) -> bool:
    """libsndfile repairs the header of a short RIFF file silently, so the sizes are compared here."""
    with open(path, "rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return False
        size = os.fstat(file.fileno()).st_size
        while True:
            chunk = file.read(8)
            if len(chunk) < 8:
                return True
            length = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                # streaming writers announce the largest number or none at all
                return length not in (0, 0xFFFFFFFF) and file.tell() + length > size
            file.seek(length + length % 2, os.SEEK_CUR)


def resample_audio(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Polyphase resampling (scipy's ``resample_poly`` with its default Kaiser window).

    Args:
        samples: ``(samples,)`` at ``rate`` Hz.

    Returns:
        ``(ceil(samples * new_rate / rate),)`` at ``new_rate`` Hz.
    """
    from scipy.signal import resample_poly

    if rate == new_rate:
        return samples
    common = math.gcd(rate, new_rate)
    return resample_poly(samples, new_rate // common, rate // common)


def resample_blocks(blocks: Iterable[np.ndarray], rate: int, new_rate: int) -> Iterator[np.ndarray]:
    """`resample_audio` of a signal that comes in blocks, ``(samples,)`` each and of any length.

    What comes out, joined, is what the whole signal at once would give.
    """
    common = math.gcd(rate, new_rate)
    up, down = new_rate // common, rate // common
    # the filter reaches ten samples of the lower rate to each side; a context of whole periods keeps its phase
    context = -(-10 * max(up, down) // (up * down)) * down
    held, before = np.zeros(0), 0
    for block in blocks:
        held = np.concatenate([held, block])
        new = (len(held) - before - context) // down * down
        if new <= 0:
            continue
        part = resample_audio(held[: before + new + context], rate, new_rate)
        yield part[before // down * up :][: new // down * up]
        keep = min(before + new, context)
        held, before = held[before + new - keep :], keep
    if len(held) > before:
        yield resample_audio(held, rate, new_rate)[before // down * up :]


@dataclasses.dataclass(frozen=True)
class Recording:
    """A recording brought to one channel and one rate.

    Attributes:
        samples: ``(samples,)`` float32, at the rate asked for.
        rate: of the file, Hz.
        channels: of the file.
        seconds: of the file.
    """

    samples: np.ndarray
    rate: int
    channels: int
    seconds: float


def read_recording(path: str | os.PathLike, rate: int, channel: int | None = None) -> Recording:
    """Read a recording of any rate and any number of channels, by blocks.

    Memory is that of the result, however many channels and whatever rate the file has.

    Args:
        path: wav, flac, ogg, mp3 or any other format that libsndfile reads.
        rate: sampling rate of the result, Hz.
        channel: which channel to take, from 1; None takes the mean of all.

    Raises:
        ContrasepError: missing, unreadable, truncated or empty file, NaN samples, no such channel.
    """
    import soundfile

    _require_file(path)
    read = 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal read
        for block in file.blocks(1 << 18, dtype="float64", always_2d=True):
            if not np.isfinite(block).all():
                raise ContrasepError(f"{path}: NaN or infinite samples; make the file again")
            read += len(block)
            yield block.mean(axis=1) if channel is None else block[:, channel - 1]

    try:
        with soundfile.SoundFile(path) as file:
            if channel is not None and not 1 <= channel <= file.channels:
                raise ContrasepError(f"{path}: has {file.channels} channels, so no channel {channel}")
            parts = [part.astype(np.float32) for part in resample_blocks(blocks(), file.samplerate, rate)]
            # the length of an MP3 without an index is a guess
            exact, announced, own_rate, channels = file.format != "MP3", file.frames, file.samplerate, file.channels
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ContrasepError(f"{path}: cannot be read as audio ({_reason(error)}); empty or damaged?") from None
    if not read:
        raise ContrasepError(f"{path}: no samples in it")
    if (exact and read != announced) or _wav_is_truncated(path):
        raise ContrasepError(f"{path}: truncated (fewer samples than its header says); fetch it again")
    return Recording(np.concatenate(parts), own_rate, channels, read / own_rate)


def _reason(error: Exception) -> str:
    return str(error).rpartition(": ")[2].strip()


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Samples in [-1, 1) as int16, ``round(2^15 x)`` held within the range of the type."""
    return np.clip(np.round(samples * INT16_SCALE), -32768, 32767).astype(np.int16)


def write_wav(path: str | os.PathLike, samples: np.ndarray, rate: int) -> None:
    """Write a mono PCM16 wav file atomically.

    Args:
        samples: ``(samples,)`` int16, or floats in [-1, 1) that are rounded as `to_int16` does.
        rate: Hz.
    """
    import wave

    pcm = samples if samples.dtype == np.int16 else to_int16(samples)
    # libsndfile makes the same bytes and waits for the disk after each file, ten times as long as the rest takes
    with atomic_path(path) as temporary, wave.open(os.fspath(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.astype("<i2", copy=False).tobytes())
