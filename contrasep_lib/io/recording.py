"""Recordings of one's own: any format, rate and number of channels, one channel of one rate comes out.

libsndfile reads what it reads in whole; PyAV (extra ``media``) decodes the rest, and all whose header may be wrong
about its length. A recording is read twice: first for its length and its mean, then without its mean, so that memory
is that of the result, however many channels and whatever rate a file has.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.extras import missing_extra
from contrasep_lib.io.audio import require_file, require_rate, resample_blocks, wav_length
from contrasep_lib.io.decode import Decoding, announced_seconds, said_length

# beginnings of files that libsndfile reads to the last sample, and codings of samples one by one
_WHOLE_HEADS = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b".snd", b"dns.", b"caff", b"fLaC", b"NIST_1A")
_WHOLE_CODINGS = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW", "ALAC_", "IMA_ADPCM", "MS_ADPCM")
# samples; a header that says more says that it does not know
_MOST_SAMPLES = 1 << 60
_BLOCK = 1 << 18
# of the largest sample, that a clipped one may lie below it; so many in a row are no accident
_AT_LIMIT, _IN_A_ROW = 1e-4, 3


class Source(Protocol):
    """Where the samples of a recording come from."""

    @property
    def label(self) -> str:
        """Names it in messages."""

    @property
    def rate(self) -> int:
        """Hz; known once `blocks` has begun."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about what was read; known once `blocks` has ended."""

    def blocks(self) -> Iterator[np.ndarray]:
        """``(samples, channels)`` floats each, from the beginning."""


class ArraySource:
    """Samples that are there already.

    Args:
        samples: ``(samples,)`` or ``(samples, channels)``, floats, or integers of their type's full scale.
        rate: Hz.

    Raises:
        ContrasepError: another shape or type, a rate outside of 1 to 768 kHz.
    """

    label, notes = "samples", ()

    def __init__(self, samples: np.ndarray, rate: int) -> None:
        values = np.asarray(samples)
        if values.ndim not in (1, 2) or values.dtype.kind not in "fi":
            raise ContrasepError(
                f"samples: expected numbers (samples,) or (samples, channels), got {values.dtype} {values.shape}"
            )
        require_rate(self.label, rate)
        self.samples, self.rate = values if values.ndim == 2 else values[:, None], rate

    def blocks(self) -> Iterator[np.ndarray]:
        """``(samples, channels)`` float64 each."""
        whole = self.samples.dtype.kind == "i"
        scale = -float(np.iinfo(self.samples.dtype).min) if whole else 1.0
        for start in range(0, len(self.samples), _BLOCK):
            yield self.samples[start : start + _BLOCK].astype(np.float64) / scale


class FileSource:
    """A file, read by libsndfile or decoded by PyAV.

    Args:
        path: the file.
        label: names it in messages; its path where None.

    Attributes:
        reader: ``libsndfile`` or ``PyAV``, once `blocks` has begun.
    """

    def __init__(self, path: str | os.PathLike, label: str | None = None) -> None:
        self.path, self.label = path, label or os.fspath(path)
        self.rate, self.reader = 0, ""
        self.notes: tuple[str, ...] = ()
        self._failed = False

    def blocks(self) -> Iterator[np.ndarray]:
        """``(samples, channels)`` floats each, from the beginning.

        Raises:
            ContrasepError: missing, empty, unreadable, no sound in it, a rate outside of 1 to 768 kHz.
        """
        try:
            require_file(self.path)
            if os.path.getsize(self.path) == 0:
                raise ContrasepError(f"{self.path}: empty file; record or fetch it again")
            yield from self._whole() if self._is_whole() else self._decoded()
        except ContrasepError as error:
            # of a temporary file, the name that a user knows
            raise ContrasepError(str(error).replace(os.fspath(self.path), self.label, 1)) from None

    def _is_whole(self) -> bool:
        """Whether libsndfile reads all of the file, by its header."""
        import soundfile

        if self._failed or not _has_whole_head(self.path):
            return False
        try:
            with soundfile.SoundFile(self.path) as file:
                require_rate(self.path, file.samplerate)
                whole = file.subtype.startswith(_WHOLE_CODINGS) and file.frames < _MOST_SAMPLES
                # a stream of unknown length may say that there is nothing
                whole = whole and not (file.frames == 0 and os.path.getsize(self.path) > 1000)
        except (soundfile.LibsndfileError, RuntimeError, UnicodeError):
            return False
        return whole

    def _whole(self) -> Iterator[np.ndarray]:
        """By libsndfile."""
        import soundfile

        self.reader, self.notes, read = "libsndfile", (), 0
        try:
            with soundfile.SoundFile(self.path) as file:
                self.rate, announced = file.samplerate, file.frames
                for block in file.blocks(_BLOCK, dtype="float64", always_2d=True):
                    read += len(block)
                    yield block
        except (soundfile.LibsndfileError, RuntimeError):
            # damaged within: FFmpeg reads on behind the damage
            self._failed = True
            raise _Again from None
        announced = max(announced, wav_length(self.path) or 0)
        if read < announced:
            self.notes = (said_length(read / self.rate, announced / self.rate),)

    def _decoded(self) -> Iterator[np.ndarray]:
        """By PyAV, or what there is without it."""
        try:
            import av  # noqa: F401
        except ImportError as error:
            yield from self._without_av(missing_extra(error) or str(error))
            return
        decoding = Decoding(self.path)
        self.reader = "PyAV"
        held: list[np.ndarray] = []
        for block in decoding.blocks():
            self.rate = decoding.rate
            held.append(block)
            # codecs give a thousand samples at a time
            if len(held) * len(block) >= _BLOCK:
                yield np.concatenate(held)
                held = []
        if held:
            yield np.concatenate(held)
        self.notes = tuple(decoding.notes)

    def _without_av(self, missing: str) -> Iterator[np.ndarray]:
        """By libsndfile what it can read of a file whose length may be more than its header says."""
        import soundfile

        self.reader = "libsndfile"
        try:
            with soundfile.SoundFile(self.path) as file:
                self.rate = file.samplerate
                require_rate(self.path, self.rate)
                yield from file.blocks(_BLOCK, dtype="float64", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError, UnicodeError, ValueError):
            raise ContrasepError(f"{self.path}: libsndfile does not read it in whole, and {missing}") from None
        self.notes = (f"read by libsndfile alone, which may have missed a part: {missing}",)


class _Again(Exception):
    """Another reader has to begin anew."""


@dataclasses.dataclass(frozen=True)
class Clipping:
    """Samples that stand at the largest value, in rows of three or more.

    Attributes:
        share: of all samples, in the channel that has most of them.
        level: the value, of full scale.
    """

    share: float = 0.0
    level: float = 0.0


@dataclasses.dataclass(frozen=True)
class Recording:
    """A recording brought to one channel and one rate, without its mean.

    Attributes:
        samples: ``(samples,)`` float32, at the rate asked for.
        rate: of the file, Hz.
        channels: of the file.
        length: samples of the file, those decoded.
        channel: that was taken, from 1; None for the mean of all.
        mean: that was subtracted.
        notes: what there is to say about the reading: parts that are missing, tracks that were not taken.
        clipping: of the channels taken.
        kept: power of the mean of the channels, times their number, over their mean power: 1 for independent channels,
            0 for those that cancel; 1 for a single channel, or one that was chosen.
        source: where it comes from.
    """

    samples: np.ndarray
    rate: int
    channels: int
    length: int
    channel: int | None
    mean: float
    notes: tuple[str, ...]
    clipping: Clipping
    kept: float
    source: Source

    @property
    def seconds(self) -> float:
        """Length of the file."""
        return self.length / self.rate

    def original(self) -> Iterator[np.ndarray]:
        """The recording at its own rate, ``(samples,)`` float32 each, one channel, without its mean."""
        read = 0
        for block in self.source.blocks():
            read += len(block)
            yield (_taken(block, self.channel) - self.mean).astype(np.float32)
        if read != self.length:
            raise ContrasepError(f"{self.source.label}: changed while it was read; run again when nothing writes to it")


def read_recording(path: str | os.PathLike | Source, rate: int, channel: int | None = None) -> Recording:
    """Read a recording of any format, rate and number of channels.

    Args:
        path: a file, or another source.
        rate: sampling rate of the result, Hz.
        channel: which channel to take, from 1; None takes the mean of all.

    Raises:
        ContrasepError: missing, unreadable or empty, NaN samples, no such channel, a rate outside of 1 to 768 kHz.
    """
    source: Source = FileSource(path) if isinstance(path, (str, os.PathLike)) else path
    try:
        survey = _survey(source, channel)
    except _Again:
        survey = _survey(source, channel)
    if not survey.length:
        raise ContrasepError(f"{source.label}: no samples in it")
    mean = float((survey.total.mean() if channel is None else survey.total[channel - 1]) / survey.length)
    clipped = np.zeros((2, survey.channels))

    def blocks() -> Iterator[np.ndarray]:
        for block in source.blocks():
            clipped[0] += _at_limit(block, survey.highest)
            clipped[1] += _at_limit(-block, -survey.lowest)
            yield _taken(block, channel) - mean

    parts = [part.astype(np.float32) for part in resample_blocks(blocks(), source.rate, rate)]
    chosen = slice(None) if channel is None else slice(channel - 1, channel)
    levels = np.maximum(survey.highest, -survey.lowest)[chosen]
    share = clipped.sum(0)[chosen] / survey.length
    clipping = Clipping(float(share.max()), float(levels[share.argmax()]))
    return Recording(
        np.concatenate(parts), source.rate, survey.channels, survey.length, channel, mean, tuple(source.notes),
        clipping, survey.kept if channel is None else 1.0, source,
    )


@dataclasses.dataclass
class _Survey:
    """Sums over all samples of a source, by channel."""

    channels: int
    length: int
    total: np.ndarray
    squares: np.ndarray
    square_of_mean: float
    highest: np.ndarray
    lowest: np.ndarray

    @property
    def kept(self) -> float:
        """See `Recording.kept`."""
        mean = self.total / self.length
        power = float(np.mean(self.squares / self.length - mean**2))
        together = self.square_of_mean / self.length - float(mean.mean()) ** 2
        return together * self.channels / power if self.channels > 1 and power > 0 else 1.0


def _survey(source: Source, channel: int | None) -> _Survey:
    found: _Survey | None = None
    for block in source.blocks():
        count = block.shape[1]
        if found is None:
            zeros, worst = np.zeros(count), np.full(count, -np.inf)
            found = _Survey(count, 0, zeros, zeros.copy(), 0.0, worst, -worst)
            if channel is not None and not 1 <= channel <= count:
                raise ContrasepError(f"{source.label}: has {count} channels, so no channel {channel}")
        if not np.isfinite(block).all():
            raise ContrasepError(f"{source.label}: NaN or infinite samples; make the file again")
        if not len(block):
            continue
        found.length += len(block)
        found.total += block.sum(0, dtype=np.float64)
        found.squares += np.square(block, dtype=np.float64).sum(0)
        found.square_of_mean += float(np.square(block.mean(axis=1, dtype=np.float64)).sum())
        found.highest = np.maximum(found.highest, block.max(0))
        found.lowest = np.minimum(found.lowest, block.min(0))
    empty = np.zeros(0)
    return found or _Survey(0, 0, empty, empty, 0.0, empty, empty)


def _taken(block: np.ndarray, channel: int | None) -> np.ndarray:
    """One channel of a block, ``(samples,)`` float64."""
    return block.mean(axis=1, dtype=np.float64) if channel is None else block[:, channel - 1].astype(np.float64)


def _at_limit(block: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Samples of each channel that begin a row at its largest value."""
    at = (block >= limit * (1 - _AT_LIMIT)) & (limit > 0)
    row = at[: len(at) - _IN_A_ROW + 1]
    for later in range(1, _IN_A_ROW):
        row = row & at[later : len(at) - _IN_A_ROW + 1 + later]
    return row.sum(0)


def _has_whole_head(path: str | os.PathLike) -> bool:
    with open(path, "rb") as file:
        return file.read(16).startswith(_WHOLE_HEADS)


def seconds_by_header(path: str | os.PathLike) -> float:
    """Seconds that the header of a file says, for a progress bar; 0 where it says none or cannot be read."""
    import soundfile

    with contextlib.suppress(soundfile.LibsndfileError, RuntimeError, UnicodeError, OSError):
        if _has_whole_head(path) and (info := soundfile.info(os.fspath(path))).frames < _MOST_SAMPLES:
            return float(info.duration)
    try:
        return announced_seconds(path)
    except ContrasepError:
        return 0.0
