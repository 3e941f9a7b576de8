"""Reading and writing audio files, with errors in one line."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Iterator
from typing import IO

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import atomic_path
from contrasep_lib.io.pipes import is_command, refuse_command, run_command

INT16_SCALE = 32768.0
# Hz; a header outside is damaged, and bringing 1 Hz to 8000 would take 8000 times the file's memory
LEAST_RATE, MOST_RATE = 1000, 768_000
# bytes; a WAV that announces as many is a stream whose writer did not know the length
_STREAMED = 0x7FFFF000


def read_audio(
    path: str | os.PathLike,
    rate: int | None = None,
    resample: bool = False,
    full_scale: bool = False,
    pipes: bool = False,
) -> tuple[np.ndarray, int]:
    """Read a mono audio file.

    Args:
        path: wav, flac or any other format that libsndfile reads.
        rate: sampling rate of the result, Hz; None takes the file's own.
        resample: bring the file to ``rate`` (polyphase) instead of refusing another rate.
        full_scale: refuse floats beyond [-1, 1], which PCM16 would clip.
        pipes: run an entry ``cmd |`` and read what it writes, instead of refusing it.

    Returns:
        samples, in [-1, 1] but for floats, ``(samples,)`` float64, and the rate in Hz.

    Raises:
        ContrasepError: missing, unreadable, truncated, empty, not mono, NaN samples, other rate, one outside of
            1 to 768 kHz.
    """
    import soundfile

    piped = pipes and is_command(path)
    if piped:
        content: str | os.PathLike | IO[bytes] = io.BytesIO(run_command(path))
    else:
        require_file(path)
        content = path
    try:
        with soundfile.SoundFile(content) as file:
            announced, channels, own_rate = file.frames, file.channels, file.samplerate
            require_rate(path, own_rate)
            samples = file.read(dtype="float64")
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ContrasepError(f"{path}: cannot be read as audio ({_reason(error)}); empty or damaged?") from None
    if channels != 1:
        raise ContrasepError(f"{path}: expected mono, got {channels} channels; take one channel first")
    if len(samples) == 0:
        raise ContrasepError(f"{path}: no samples in it; leave it out of the list or fetch it again")
    # what writes into a pipe cannot know the length
    if len(samples) != announced or (not piped and _wav_is_truncated(path)):
        raise ContrasepError(f"{path}: truncated (fewer samples than its header says); fetch it again")
    if not np.isfinite(samples).all():
        raise ContrasepError(f"{path}: NaN or infinite samples; make the file again")
    if full_scale and (peak := max(samples.max(), -samples.min())) > 1:
        raise ContrasepError(
            f"{path}: expected samples in [-1, 1], got {peak:.4g}, which would be clipped; scale it down"
        )
    if rate is not None and own_rate != rate:
        if not resample:
            raise ContrasepError(f"{path}: expected {rate} Hz, got {own_rate} Hz; resample it or set the rate")
        samples = resample_audio(samples, own_rate, rate)
        own_rate = rate
    return samples, own_rate


def require_file(path: str | os.PathLike) -> None:
    """Raise ContrasepError unless a path is that of a regular file; commands in tables are refused by name."""
    if os.path.isfile(path):
        return
    # Kaldi and ESPnet run such entries of wav.scp; tables here may come from anyone
    if is_command(path):
        raise refuse_command(path)
    raise ContrasepError(f"{path}: {'no regular file' if os.path.exists(path) else 'no such audio file'}")


def require_rate(path: str | os.PathLike, rate: int) -> None:
    """Raise ContrasepError unless a rate is one that recordings have, 1 to 768 kHz."""
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise ContrasepError(
            f"{path}: expected a rate from {LEAST_RATE} to {MOST_RATE} Hz, got {rate} Hz; damaged header?"
        )


def _wav_is_truncated(path: str | os.PathLike) -> bool:
    """libsndfile repairs the header of a short RIFF file silently, so the sizes are compared here."""
    found = _wav_data(path)
    return found is not None and not 0 <= found[0] <= found[1]


def wav_length(path: str | os.PathLike) -> int | None:
    """Samples of a RIFF WAV by its header, which a file that was cut off does not hold.

    Returns:
        None for another file, one without samples, or one of a writer that did not know the length.
    """
    found = _wav_data(path)
    return found[0] // found[2] if found and found[0] > 0 and found[2] else None


def _wav_data(path: str | os.PathLike) -> tuple[int, int, int] | None:
    """Bytes of samples that a RIFF WAV announces (0: not known, -1: none at all) and holds, and bytes of a sample."""
    with open(path, "rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        size, block = os.fstat(file.fileno()).st_size, 0
        while True:
            chunk = file.read(8)
            if len(chunk) < 8:
                return -1, 0, block
            length = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                # streaming writers announce the largest number (SoX: of whole blocks) or none at all
                return 0 if length >= _STREAMED else length, size - file.tell(), block
            behind = file.tell() + length + length % 2
            if chunk[:4] == b"fmt ":
                block = int.from_bytes(file.read(16)[12:14], "little")
            file.seek(behind)


def resample_audio(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Polyphase resampling (scipy's ``resample_poly`` with its default Kaiser window).

    Args:
        samples: ``(.., samples)`` at ``rate`` Hz.

    Returns:
        ``(.., ceil(samples * new_rate / rate))`` at ``new_rate`` Hz.
    """
    from scipy.signal import resample_poly

    if rate == new_rate:
        return samples
    common = math.gcd(rate, new_rate)
    return resample_poly(samples, new_rate // common, rate // common, axis=-1)


def resample_blocks(blocks: Iterable[np.ndarray], rate: int, new_rate: int) -> Iterator[np.ndarray]:
    """`resample_audio` of signals that come in blocks, ``(.., samples)`` each and of any length.

    What comes out, joined, is what the whole signals at once would give.
    """
    common = math.gcd(rate, new_rate)
    up, down = new_rate // common, rate // common
    # the filter reaches ten samples of the lower rate to each side; a context of whole periods keeps its phase
    context = -(-10 * max(up, down) // (up * down)) * down
    held, before = None, 0
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=-1)
        new = (held.shape[-1] - before - context) // down * down
        if new <= 0:
            continue
        part = resample_audio(held[..., : before + new + context], rate, new_rate)
        yield part[..., before // down * up :][..., : new // down * up]
        keep = min(before + new, context)
        held, before = held[..., before + new - keep :], keep
    if held is not None and held.shape[-1] > before:
        yield resample_audio(held, rate, new_rate)[..., before // down * up :]


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
