"""Signals through lossy codecs, as telephones and recorders store them, by PyAV (extra ``media``)."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.extras import missing_extra
from contrasep_lib.io.audio import resample_audio

if typing.TYPE_CHECKING:
    import av


@dataclasses.dataclass(frozen=True)
class Codec:
    """How FFmpeg encodes and decodes.

    Attributes:
        encoder, decoder: FFmpeg's names.
        form: samples that the encoder takes.
        rates: that it takes, Hz; empty for all.
        kbits: kbit/s that training draws from; empty where the codec has one alone.
    """

    encoder: str
    decoder: str
    form: str
    rates: tuple[int, ...] = ()
    kbits: tuple[int, ...] = ()


# decoders of these take away the delay of their encoders
CODECS: Mapping[str, Codec] = {
    # ITU-T G.711, of telephone networks
    "mulaw": Codec("pcm_mulaw", "pcm_mulaw", "s16"),
    "mp3": Codec(
        "libmp3lame", "mp3float", "fltp",
        (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000), (8, 16, 24, 32),
    ),
    # RFC 6716, of calls over the internet
    "opus": Codec("libopus", "libopus", "flt", (8000, 12000, 16000, 24000, 48000), (6, 8, 12, 16, 24)),
}
# samples of a packet where the codec does not say
BLOCK = 1024


def through_codec(samples: np.ndarray, rate: int, name: str, kbit: int | None = None) -> np.ndarray:
    """A signal encoded and decoded, in time with itself (to 0.1 ms).

    Args:
        samples: ``(samples,)`` float in [-1, 1]; what is beyond is clipped.
        rate: Hz.
        name: of `CODECS`.
        kbit: kbit/s, for codecs that have several.

    Returns:
        ``(samples,)`` float32.

    Raises:
        ContrasepError: a rate that the codec does not take, PyAV not installed or built without the codec.
    """
    codec = CODECS[name]
    if codec.rates and rate not in codec.rates:
        raise ContrasepError(f"codec '{name}': expected a rate of {', '.join(map(str, codec.rates))} Hz, got {rate}")
    try:
        import av
    except ImportError as error:
        raise ContrasepError(f"codec '{name}': {missing_extra(error) or error}") from None
    try:
        encoder, decoder = _contexts(codec, rate, kbit)
    except (av.FFmpegError, ValueError) as error:
        raise ContrasepError(f"codec '{name}': PyAV {av.__version__} has none ({error}); install its wheel") from None
    block = encoder.frame_size or BLOCK
    # a block more, which pushes the last samples through
    padded = np.zeros((-(-len(samples) // block) + 1) * block, np.float32)
    padded[: len(samples)] = np.clip(samples, -1, 1)
    if codec.form == "s16":
        padded = np.round(padded * 32767).astype(np.int16)
    parts, found = [], rate
    for start in range(0, len(padded) + block, block):
        frame = None
        if start < len(padded):
            frame = av.AudioFrame.from_ndarray(padded[None, start : start + block], format=codec.form, layout="mono")
            frame.sample_rate, frame.pts = rate, start
        for packet in encoder.encode(frame):
            for decoded in decoder.decode(packet):
                parts.append(_floats(decoded))
                found = decoded.sample_rate
    parts += [_floats(decoded) for decoded in decoder.decode(None)]
    heard = resample_audio(np.concatenate(parts), found, rate)[: len(samples)]
    return np.pad(heard, (0, len(samples) - len(heard))).astype(np.float32)


def _contexts(codec: Codec, rate: int, kbit: int | None) -> tuple[av.AudioCodecContext, av.AudioCodecContext]:
    """An encoder that is open, and its decoder."""
    import av

    encoder = typing.cast("av.AudioCodecContext", av.CodecContext.create(codec.encoder, "w"))
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", av.AudioFormat(codec.form)
    if kbit is not None:
        encoder.bit_rate = 1000 * kbit
    encoder.open()
    decoder = typing.cast("av.AudioCodecContext", av.CodecContext.create(codec.decoder, "r"))
    decoder.sample_rate, decoder.layout = rate, "mono"
    # how many samples at the beginning are the encoder's
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    return encoder, decoder


def _floats(frame: av.AudioFrame) -> np.ndarray:
    """Samples of a decoded frame of one channel, ``(samples,)`` float32."""
    values = frame.to_ndarray().reshape(-1)
    return values / np.float32(32768) if values.dtype == np.int16 else values
