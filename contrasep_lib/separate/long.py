"""Recordings of any length: windows are separated alone, then joined so that a speaker keeps one output.

Long silences are cut short before, see `contrasep_lib.separate.excerpt`. Memory is that of one window, beside the
recording itself: windows' outputs wait in a file until their speakers are known.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.separate.excerpt import Excerpt
from contrasep_lib.separate.model_separator import ModelSeparator
from contrasep_lib.separate.separation import Separation
from contrasep_lib.separate.tracking import Community, join

# of a window's length, that neighbours share
_OVERLAP = 1 / 3
# over which one window's output passes into the next one's, seconds
_FADE = 0.1
# nodes this far under a community's loudest do not count for the matching of windows, dB
_MATCHED_DB = 20.0


@dataclasses.dataclass(frozen=True)
class Part:
    """A window of a recording.

    Attributes:
        start, stop: samples of the excerpt.
        speakers: the recording's speaker, from 0, of each output of the window.
        separation: of the window, without its outputs; None where nobody is heard.
    """

    start: int
    stop: int
    speakers: tuple[int, ...] = ()
    separation: Separation | None = None


def spans_of(samples: int, window: int, step: int) -> list[tuple[int, int]]:
    """First and last sample (exclusive) of each window.

    Args:
        samples: length of the recording.
        window: of a window; a recording no longer than this is one window.
        step: windows begin at multiples of it.
    """
    if samples <= window:
        return [(0, samples)]
    hop = max(round(window * (1 - _OVERLAP)) // step, 1) * step
    # the last window reaches back instead of being short
    last = -(-(samples - window) // step) * step
    return [(start, min(start + window, samples)) for start in [*range(0, last, hop), last]]


class LongSeparation:
    """The separation of one recording.

    Args:
        separator: of the windows.
        key: names the recording in errors; counting and refinement are seeded from the samples.
        mixture: ``(samples,)`` float32.
        rate: Hz.
        num_spk: speakers of the whole recording, or None to estimate them.
        window: seconds of a window; a recording no longer than this is separated in one piece.
        advance: called with the seconds that each step has processed; they add up to the recording's.

    Attributes:
        excerpt: the recording, its long silences cut short.
        num_spk: outputs.
        parts: windows, in order of time.
        peak: no output's magnitude exceeds it.

    Raises:
        ContrasepError: nothing but silence.

    Use as a context manager; `blocks` gives the audio.
    """

    def __init__(
        self,
        separator: ModelSeparator,
        key: str,
        mixture: np.ndarray,
        rate: int,
        num_spk: int | None,
        window: float,
        advance: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        self.excerpt = Excerpt.of(np.ascontiguousarray(mixture, np.float32), separator.model.granularity)
        self.separator, self.key, self.mixture, self.rate = separator, key, self.excerpt.signal, rate
        self.fade = round(_FADE * rate)
        step = separator.model.features.hop
        self.spans = spans_of(len(self.mixture), max(round(window * rate), 1), step)
        self.peak = 0.0
        loudest = [self._power(*span).max(initial=0.0) for span in self.spans]
        bar = max(loudest) * 10 ** (-separator.model.features.silence_db / 10)
        self.sounding = [power > bar for power in loudest]
        if not any(self.sounding):
            raise ContrasepError(f"'{key}': nothing but silence; there is nobody to separate")
        advance((len(mixture) - len(self.mixture)) / rate)
        self._store: IO[bytes] = tempfile.TemporaryFile()
        # where the outputs of each window begin in it
        self._places: dict[int, int] = {}
        if len(self.spans) == 1:
            whole = self._window(0, num_spk, None)
            advance(len(self.mixture) / rate)
            self.num_spk = len(whole.centroids)
            self.parts = [Part(*self.spans[0], tuple(range(self.num_spk)), whole)]
        else:
            self._all_windows(num_spk, advance)

    def __enter__(self) -> LongSeparation:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def blocks(self) -> Iterator[np.ndarray]:
        """The outputs in order of time, ``(num_spk, samples)`` float32 each.

        Where a speaker is not heard the output is silent; where nobody is, all share the mixture
        equally. A window passes into the next one in the middle of what they share.
        """
        return self.excerpt.restored(self._joined())

    def _joined(self) -> Iterator[np.ndarray]:
        """The outputs for the excerpt, as `blocks`."""
        rise = ((np.arange(self.fade) + 0.5) / max(self.fade, 1)).astype(np.float32)
        low, tail = 0, None
        for number, part in enumerate(self.parts):
            last = number + 1 == len(self.parts)
            high = part.stop if last else self._middle(number) + self.fade // 2
            block = self._outputs(number)[:, low - part.start : high - part.start]
            if tail is not None:
                block[:, : self.fade] = block[:, : self.fade] * rise + tail
            if last:
                yield block
                return
            yield block[:, : block.shape[1] - self.fade]
            tail = block[:, block.shape[1] - self.fade :] * rise[::-1]
            low = high - self.fade

    def _middle(self, number: int) -> int:
        """Where window ``number`` gives way to the next."""
        return (self.spans[number][1] + self.spans[number + 1][0]) // 2

    def _all_windows(self, num_spk: int | None, advance: Callable[[float], object]) -> None:
        found = []
        for number in range(len(self.spans)):
            found.append(self._window(number, None, num_spk))
            begin = self._middle(number - 1) if number else 0
            end = self._middle(number) if number + 1 < len(self.spans) else len(self.mixture)
            advance((end - begin) / self.rate)
        groups = self._speakers(found, num_spk)
        if num_spk is not None and len(groups) < num_spk:
            # counting missed a speaker everywhere, so the number of all is given to each window
            self._store.seek(0)
            self.peak = 0.0
            found = [self._window(number, num_spk, None) for number in range(len(self.spans))]
            groups = self._speakers(found, num_spk)
        self.num_spk = len(groups)
        speaker_of = {community: speaker for speaker, group in enumerate(groups) for community in group}
        self.parts, first = [], 0
        for span, separation in zip(self.spans, found):
            count = 0 if separation is None else len(separation.centroids)
            self.parts.append(Part(*span, tuple(speaker_of[first + c] for c in range(count)), separation))
            first += count

    def _window(self, number: int, num_spk: int | None, most: int | None) -> Separation | None:
        """Separate a window, if anybody is heard in it; its outputs go to the store."""
        if not self.sounding[number]:
            return None
        start, stop = self.spans[number]
        key = self.key if len(self.spans) == 1 else f"{self.key}-{start}"
        samples = self.mixture[start:stop]
        # of the samples, so that a copy under another name is separated alike
        draw = zlib.crc32(np.trim_zeros(samples).tobytes())
        separation = self.separator.separate(key, samples, num_spk, most, with_evidence=True, draw=draw)
        if not np.isfinite(separation.outputs).all():
            raise ContrasepError(f"'{self.key}': an output has NaN or infinite samples")
        self.peak = max(self.peak, float(np.abs(separation.outputs).max()))
        self._places[number] = self._store.tell()
        self._store.write(np.ascontiguousarray(separation.outputs, np.float32).tobytes())
        return dataclasses.replace(separation, outputs=separation.outputs[:, :0])

    def _outputs(self, number: int) -> np.ndarray:
        """Outputs of the recording's speakers in a window, ``(num_spk, samples)``."""
        part = self.parts[number]
        samples = part.stop - part.start
        if part.separation is None:
            share = self.mixture[part.start : part.stop] / np.float32(self.num_spk)
            return np.repeat(share[None], self.num_spk, axis=0)
        self._store.seek(self._places[number])
        count = len(part.speakers)
        stored = np.frombuffer(self._store.read(4 * count * samples), np.float32).reshape(count, samples)
        out = np.zeros((self.num_spk, samples), np.float32)
        for speaker, output in zip(part.speakers, stored):
            out[speaker] += output
        return out

    def _power(self, start: int, stop: int) -> np.ndarray:
        """Power of the nodes of a window, ``(nodes,)``."""
        signal = torch.from_numpy(np.ascontiguousarray(self.mixture[start:stop], np.float32))[None]
        return self.separator.model.granularity.nodes(signal).power[0].numpy()

    def _speakers(self, found: list[Separation | None], num_spk: int | None) -> list[list[int]]:
        communities: list[Community] = []
        held: list[float] = []
        for number, separation in enumerate(found):
            if separation is not None:
                for community, kept in self._communities(number, separation):
                    communities.append(community)
                    held.append(kept)
        # a speaker needs the weight of a tenth of an average window
        windows = len(self.mixture) / (self.spans[0][1] - self.spans[0][0])
        return join(communities, np.array(held), sum(held) / windows / 10, num_spk)

    def _communities(self, number: int, separation: Separation) -> Iterator[tuple[Community, float]]:
        """Communities of a window, and the weight that each has nearer to this window's middle than to others'."""
        start, stop = self.spans[number]
        step = self.separator.model.features.hop
        weight = np.sqrt(self._power(start, stop).astype(np.float64))
        per_frame = math.prod(separation.shape[1:])
        frame = start // step + np.arange(len(weight)) // per_frame
        shared = np.zeros(len(weight), bool)
        own = np.ones(len(weight), bool)
        if number:
            shared |= frame < self.spans[number - 1][1] // step
            own &= frame >= self._middle(number - 1) // step
        if number + 1 < len(self.spans):
            shared |= frame >= self.spans[number + 1][0] // step
            own &= frame < self._middle(number) // step
        labels = np.where(separation.assignment.any(axis=1), separation.assignment.argmax(axis=1), -1)
        for c, centroid in enumerate(separation.centroids):
            inside = labels == c
            loudest = weight[inside].max(initial=0.0)
            matched = np.flatnonzero(inside & shared & (weight > loudest * 10 ** (-_MATCHED_DB / 20)))
            nodes = (matched + start // step * per_frame).astype(np.int64)
            mass = float(weight[inside].sum())
            community = Community(number, nodes, weight[matched], centroid.astype(np.float64), mass)
            yield community, float(weight[inside & own].sum())
