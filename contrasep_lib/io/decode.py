"""Decoding of audio that libsndfile does not read, by PyAV (extra ``media``)."""

from __future__ import annotations

import os

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.extras import missing_extra

# containers of audio alone: no playlist or list of files, which would name other files
CONTAINERS = "aac,ac3,aiff,amr,ape,asf,au,caf,flac,matroska,webm,mov,mp3,mpegts,nistsphere,ogg,tta,voc,w64,wav,wv"


def decode_audio(path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """All of a recording as mono, the mean of its channels.

    Args:
        path: mp3, m4a, opus, webm or any other of `CONTAINERS`.

    Returns:
        samples in [-1, 1], ``(samples,)`` float64, and the rate of the decoder in Hz.

    Raises:
        ContrasepError: missing, unreadable, damaged or empty file, NaN samples, PyAV not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ContrasepError(f"{path}: {missing_extra(error) or error}") from None

    parts: list[np.ndarray] = []
    rate = 0
    try:
        # the file object keeps names out of FFmpeg's sight, where 'concat:..' would be a command
        if os.path.getsize(path) == 0:
            raise ContrasepError(f"{path}: empty file; fetch it again")
        with open(path, "rb") as file, av.open(file, options={"format_whitelist": CONTAINERS}) as container:
            resampler = av.AudioResampler(format="fltp")
            for frame in container.decode(audio=0):
                rate = rate or frame.sample_rate
                if frame.sample_rate != rate:
                    raise ContrasepError(
                        f"{path}: its rate changes from {rate} to {frame.sample_rate} Hz; encode it again"
                    )
                parts += [part.to_ndarray().mean(axis=0, dtype=np.float64) for part in resampler.resample(frame)]
    except FileNotFoundError:
        raise ContrasepError(f"{path}: no such audio file") from None
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ContrasepError(f"{path}: cannot be decoded ({reason}); empty or damaged?") from None
    samples = np.concatenate(parts) if parts else np.zeros(0)
    if not len(samples):
        raise ContrasepError(f"{path}: no samples in it")
    if not np.isfinite(samples).all():
        raise ContrasepError(f"{path}: NaN or infinite samples; make the file again")
    return samples, rate
