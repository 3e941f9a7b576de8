"""Kinds of audio file that people have, made anew by soundfile, PyAV and struct: the rows of docs/reference/formats.md.

A kind is a function that writes a file into the current folder and returns its name. To add one, write a function with
the decorator into kinds_plain.py or kinds_coded.py, then run tools/make_formats.py.
"""

from __future__ import annotations

import dataclasses
import io
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

SECONDS = 1.5


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        family: heading of the table.
        what: it is, in words.
        make: writes the file, returns its name.
        words: the message has them, of a kind that is refused or read with a note; "" for one read without a word.
        refused: whether it is not read.
    """

    family: str
    what: str
    make: Callable[[], str]
    words: str = ""
    refused: bool = False


KINDS: list[Kind] = []


def all_kinds() -> list[Kind]:
    """All kinds, in the order of the page."""
    from tests.io import kinds_coded, kinds_plain

    modules = [kinds_plain.__name__, kinds_coded.__name__]
    return sorted(KINDS, key=lambda kind: modules.index(kind.make.__module__))


def kind(family, what, words="", refused=False):
    def add(make):
        KINDS.append(Kind(family, what, make, words, refused))
        return make

    return add


def signal(rate, channels=1, seconds=SECONDS, seed=0):
    """Noise with the colour and the pauses of speech, ``(samples, channels)``, peak 0.5."""
    rng, samples = np.random.default_rng(seed), round(seconds * rate)
    noise = np.stack([np.convolve(rng.standard_normal(samples), np.hanning(9), "same") for _ in range(channels)], 1)
    noise *= (1 + np.sin(2 * np.pi * 4 * np.arange(samples) / rate))[:, None]
    return 0.5 * noise / np.abs(noise).max()


def by_soundfile(name, rate=16000, channels=1, **how):
    soundfile.write(name, signal(rate, channels), rate, **how)
    return name


def by_av(
    target, codec, rate=44100, channels=1, container=None, seconds=SECONDS, video=None, tracks=1, options=None,
    seed=0, **settings,
):
    """Encode the signal; ``video``: a codec of pictures beside it."""
    import av

    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    with av.open(target, "w", format=container, options=options or {}) as out:
        pictures = out.add_stream(video, rate=25) if video else None
        if pictures is not None:
            pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        streams = []
        for _ in range(tracks):
            stream = out.add_stream(codec, rate=rate, layout=layout, **settings)
            streams.append(stream)
        for number, stream in enumerate(streams):
            wave = signal(rate, channels, seconds, seed + number).T
            at, step = 0, stream.codec_context.frame_size or 1024
            while at < wave.shape[1]:
                part = np.ascontiguousarray(wave[:, at : at + step], np.float32)
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
                out.mux(stream.encode(frame))
                at += step
            out.mux(stream.encode(None))
        if pictures is not None:
            for number in range(round(25 * seconds) + 10):
                grey = np.full((64, 64, 3), 5 * number % 255, np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(pictures.encode(frame))
            out.mux(pictures.encode(None))
    return target


def wav_of(data, length, rate=16000, channels=1, code=1, bits=16, extra=b"", riff=0xFFFFFFFF):
    """Bytes of a WAV whose header says that ``length`` bytes follow."""
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", code, channels, rate, rate * block, block, bits)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + extra + b"data" + struct.pack("<I", length)
    return b"RIFF" + struct.pack("<I", riff) + b"WAVE" + chunks + data


def pcm16(rate=16000, channels=1, seed=0):
    return np.round(signal(rate, channels, seed=seed) * 32767).astype("<i2").tobytes()


def put(name, data):
    Path(name).write_bytes(data)
    return name


def bytes_of(make, *arguments, **settings):
    """What ``make(target, ..)`` writes."""
    out = io.BytesIO()
    make(out, *arguments, **settings)
    return out.getvalue()
