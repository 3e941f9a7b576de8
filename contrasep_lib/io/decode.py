"""Decoding of audio that libsndfile does not read, by PyAV (extra ``media``)."""

from __future__ import annotations

import os
import typing
from collections.abc import Iterator

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.extras import missing_extra
from contrasep_lib.io.audio import require_rate

if typing.TYPE_CHECKING:
    import av

# containers of audio and video: no playlist or list of files, which would name other files
CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,matroska,webm,mov,mp3,mpeg,mpegts,nistsphere,ogg,tta,voc,"
    "w64,wav,wv"
)
# a length of these is written by who knows it; of others it is guessed from the bit rate
_SAY_LENGTH = {"flac", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "wav", "w64", "aiff", "tta", "wv", "asf"}
# of the length that a header says, that may be missing without a word: headers round, encoders pad
_MISSING = 0.1


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
    require_rate(path, rate)
    if not np.isfinite(samples).all():
        raise ContrasepError(f"{path}: NaN or infinite samples; make the file again")
    return samples, rate


class Decoding:
    """The first track of sound of a file, decoded block by block.

    Damaged packets are left out, and `notes` says how many; a track that changes its rate or its channels is brought to
    those it begins with.

    Args:
        path: any of `CONTAINERS`.

    Attributes:
        rate: of the first block, Hz.
        channels: of the first block.
        notes: what there is to say once all blocks were read.

    Raises:
        ContrasepError: what cannot be decoded at all, PyAV not installed.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        try:
            import av
        except ImportError as error:
            raise ContrasepError(f"{path}: {missing_extra(error) or error}") from None
        self.path, self.rate, self.channels = path, 0, 0
        self.notes: list[str] = []
        self._errors = (av.FFmpegError, OSError, ValueError)
        self._changes = False

    def blocks(self) -> Iterator[np.ndarray]:
        """``(samples, channels)`` float32 each, in order of time."""
        import av

        self.notes, self._changes, read = [], False, 0
        try:
            with (
                open(self.path, "rb") as file,
                av.open(file, options={"format_whitelist": CONTAINERS}, metadata_errors="ignore") as container,
            ):
                if not container.streams.audio:
                    raise ContrasepError(f"{self.path}: no sound in it; name a file that has some")
                for part in self._resampled(container):
                    read += part.samples
                    yield part.to_ndarray().T
                if (tracks := len(container.streams.audio)) > 1:
                    self.notes.append(f"{tracks} tracks of sound, the first is taken; save another one by itself")
                self._compare(container, read)
        except self._errors as error:
            reason = getattr(error, "strerror", None) or error
            raise ContrasepError(
                f"{self.path}: cannot be read as audio ({reason}); empty, damaged, or no recording?"
            ) from None
        if self._changes:
            self.notes.append("its rate or its number of channels changes; all is brought to those it begins with")

    def _resampled(self, container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
        """Decoded frames of one form: planar floats, the first one's rate and layout."""
        import av

        resampler, form, first = av.AudioResampler(format="fltp"), None, None
        for frame in self._frames(container):
            found = frame.sample_rate, frame.layout.name, frame.layout.nb_channels
            if first is None:
                first, form = found, found
                require_rate(self.path, frame.sample_rate)
                self.rate, self.channels = frame.sample_rate, frame.layout.nb_channels
            elif found != form:
                yield from resampler.resample(None)
                form, self._changes = found, True
                resampler = av.AudioResampler(format="fltp", layout=first[1], rate=first[0])
            # what joined files say about time does not fit together
            frame.pts = None
            yield from resampler.resample(frame)
        if first is not None:
            yield from resampler.resample(None)

    def _frames(self, container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
        """Frames as they are decoded; packets that cannot be are counted and left out."""
        import av

        stream, damaged, whole = container.streams.audio[0], 0, 0
        packets, padded = container.demux(stream), None
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.FFmpegError:
                # the end of what can be read; how much is missing is told by the header's length
                damaged += 1
                break
            if padded is None:
                # an edit list of MP4 tells the encoder's delay, so that what lies before it has a negative time
                padded = container.format.name.startswith("mov") and stream.codec_context.name == "aac"
                padded = padded and packet.pts is not None and packet.pts < 0
            try:
                frames = packet.decode()
            except av.FFmpegError:
                damaged += 1
                continue
            for frame in frames:
                whole += 1
                if padded and packet.duration and packet.time_base and frame.format.name == "fltp":
                    # and the padding at the end, which FFmpeg cuts off from version 9 on
                    kept = round(packet.duration * packet.time_base * frame.sample_rate)
                    if 0 < kept < frame.samples:
                        frame = _beginning(frame, kept)
                yield frame
        if damaged and whole:
            what = "a damaged part" if damaged == 1 else f"{damaged} damaged parts"
            self.notes.append(f"left out {what} of it that cannot be decoded")

    def _compare(self, container: av.container.InputContainer, read: int) -> None:
        """Note a file that holds less than its header says."""
        stream = container.streams.audio[0]
        if container.format.name not in _SAY_LENGTH or not self.rate:
            return
        announced = None
        if stream.duration and stream.time_base:
            announced = float(stream.duration * stream.time_base)
        elif container.duration and not container.streams.video:
            announced = container.duration / 1e6
        if announced and announced - read / self.rate > _MISSING:
            self.notes.append(said_length(read / self.rate, announced))


def announced_seconds(path: str | os.PathLike) -> float:
    """Seconds that the header of a file says; 0 where it says none.

    Raises:
        ContrasepError: what cannot be decoded, PyAV not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ContrasepError(f"{path}: {missing_extra(error) or error}") from None
    try:
        with open(path, "rb") as file, av.open(file, options={"format_whitelist": CONTAINERS}) as container:
            return (container.duration or 0) / 1e6
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ContrasepError(f"{path}: {error}") from None


def said_length(seconds: float, announced: float) -> str:
    """A note of a file that holds less than its header says."""
    return f"read {seconds:.4g} of the {announced:.4g} s that its header says; is it cut off?"


def _beginning(frame: av.AudioFrame, samples: int) -> av.AudioFrame:
    """The first samples of a frame of planar floats, as FFmpeg's AAC decoder gives them."""
    import av

    values = np.ascontiguousarray(frame.to_ndarray()[:, :samples], np.float32)
    made = av.AudioFrame.from_ndarray(values, format="fltp", layout=frame.layout.name)
    made.sample_rate = frame.sample_rate
    return made
