"""Audio of a page: Opus in Ogg, which every browser decodes, the same bytes for the same samples."""

from __future__ import annotations

import io
import math

import numpy as np

from contrasep_lib.io.audio import resample_audio, to_int16

# what Opus codes, Hz
RATES = (8000, 12000, 16000, 24000, 48000)
# kbit/s at 8 kHz; it grows with the root of the rate, as high frequencies need fewer bits
KBITS = 24.0
# samples of a frame that the encoder is given, at 48 kHz 20 ms
_BLOCK = 50


def coded_rate(rate: int) -> int:
    """The rate at which a signal of ``rate`` Hz is coded: the next one that Opus has, or its largest."""
    return next((known for known in RATES if known >= rate), RATES[-1])


def opus(samples: np.ndarray, rate: int) -> bytes:
    """Code a signal.

    Args:
        samples: ``(samples,)`` in [-1, 1]; beyond that it is clipped.
        rate: Hz.

    Returns:
        an Ogg file. It holds no name, date or random number.

    Raises:
        ImportError: PyAV is not installed (extra ``media``).
    """
    import av

    coded = coded_rate(rate)
    if coded != rate:
        samples = resample_audio(np.asarray(samples, np.float64), rate, coded)
    pcm = to_int16(samples)[None]
    file = io.BytesIO()
    # without the flag the stream's number would be drawn anew for each file
    with av.open(file, "w", format="ogg", options={"fflags": "+bitexact", "serial_offset": "1"}) as container:
        stream = container.add_stream("libopus", rate=coded, layout="mono")
        stream.bit_rate = round(1000 * KBITS * math.sqrt(coded / RATES[0]))
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        step = coded // _BLOCK
        for start in range(0, pcm.shape[1], step):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm[:, start : start + step]), "s16", "mono")
            frame.sample_rate, frame.pts = coded, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
