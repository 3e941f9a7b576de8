"""Recordings of any length: windows are separated alone, then joined so that a speaker keeps one output.

Long silences are cut short before, see `contrasep_lib.separate.excerpt`. Memory is that of one window, beside the
recording itself: windows' outputs wait in a file until their speakers are known.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import torch

from contrasep_lib.config.bounds import Speakers
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.rttm import FRAME, Turn, turns_of
from contrasep_lib.nodes.activity import PowerMeter, active_outputs
from contrasep_lib.separate import arguments
from contrasep_lib.separate.alone import given_to_talkers
from contrasep_lib.separate.conversation import Heard, decide
from contrasep_lib.separate.conversation_windows import ConversationWindows, key_of, starts_of
from contrasep_lib.separate.excerpt import Excerpt
from contrasep_lib.separate.model_separator import ModelSeparator
from contrasep_lib.separate.separation import Separation
from contrasep_lib.separate.tracking import Community, join
from contrasep_lib.separate.voices import SECONDS, space_of
from contrasep_lib.separate.window_store import WindowStore

# of a window's length, that neighbours share: where they are matched by it, and where voices are known
_OVERLAP, _VOICES_OVERLAP = 1 / 3, 0.1
# share of the time that the evidence of windows takes
_EVIDENCE = 0.45
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


def spans_of(samples: int, window: int, step: int, overlap: float = _OVERLAP) -> list[tuple[int, int]]:
    """First and last sample (exclusive) of each window.

    Args:
        samples: length of the recording.
        window: of a window; a recording no longer than this is one window.
        step: windows begin at multiples of it.
        overlap: share of a window that neighbours have in common.
    """
    if samples <= window:
        return [(0, samples)]
    hop = max(round(window * (1 - overlap)) // step, 1) * step
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
        work: folder for what is found of windows, of a model that knows voices: an interrupted separation goes on from
            there. `close` removes it once all is done. None for a temporary one.
        gain: of the mixture in all windows, and so of the outputs.

    Attributes:
        excerpt: the recording, its long silences cut short.
        num_spk: outputs.
        parts: windows, in order of time.
        peak: no output's magnitude exceeds it.

    Raises:
        ContrasepError: nothing but silence, a window shorter than a second, fewer speakers than one.

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
        work: Path | None = None,
        gain: float = 1.0,
    ) -> None:
        num_spk = arguments.number_or_none("num_spk", Speakers, num_spk)
        window = arguments.number("window", arguments.Window, window)
        self.gain = np.float32(gain)
        self.excerpt = Excerpt.of(np.ascontiguousarray(mixture, np.float32), separator.model.granularity, gain)
        self.separator, self.key, self.mixture, self.rate = separator, key, self.excerpt.signal, rate
        self.fade = round(_FADE * rate)
        step = separator.model.features.hop
        overlap = _OVERLAP if separator.voices is None else _VOICES_OVERLAP
        self.spans = spans_of(len(self.mixture), max(round(window * rate), 1), step, overlap)
        self.peak = 0.0
        loudest = [self._power(*span).max(initial=0.0) for span in self.spans]
        bar = max(loudest) * 10 ** (-separator.model.features.silence_db / 10)
        self.sounding = [power > bar for power in loudest]
        if not any(self.sounding):
            raise ContrasepError(f"'{key}': nothing but silence; there is no speaker to separate")
        advance((len(mixture) - len(self.mixture)) / rate)
        self._windows: ConversationWindows | None = None
        # blocks of windows, and who talks in them alone
        self._decided: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._store: IO[bytes] = tempfile.TemporaryFile()
        # where the outputs of each window begin in it
        self._places: dict[int, int] = {}
        if len(self.spans) == 1:
            whole = self._window(0, num_spk, None)
            advance(len(self.mixture) / rate)
            self.num_spk = len(whole.centroids)
            self.parts = [Part(*self.spans[0], tuple(range(self.num_spk)), whole)]
        elif separator.voices is not None:
            key = key_of(separator, self.mixture, rate, self.spans)
            self._windows = ConversationWindows(separator, WindowStore(work, key), rate)
            self._conversation(num_spk, advance)
        elif separator.speakers is not None:
            raise ContrasepError(
                f"'{key}': the model has no voice space, which --speakers needs for long recordings; "
                "make it by tools/fit_voices.py"
            )
        else:
            self._all_windows(num_spk, advance)

    def __enter__(self) -> LongSeparation:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._store.close()
        if self._windows is not None and kind is None:
            self._windows.store.remove()
        elif self._windows is not None:
            self._windows.store.close()

    def blocks(self) -> Iterator[np.ndarray]:
        """The outputs in order of time, ``(num_spk, samples)`` float32 each.

        Where a speaker is not heard the output is silent; where nobody is, all are. A window passes into the next one
        in the middle of what they share.
        """
        meter = PowerMeter(self.rate)
        for block in self.excerpt.restored(self._joined(), shared=False):
            meter.add(block)
            yield block
        self._power_of_outputs = meter.power()

    def turns(self) -> list[Turn]:
        """Who is heard when, by the outputs; once `blocks` is through. Speakers are ``spk1``, ``spk2``, .."""
        names = [f"spk{number}" for number in range(1, self.num_spk + 1)]
        return turns_of(active_outputs(self._power_of_outputs, self._alone()), names)

    def _alone(self) -> np.ndarray | None:
        """Output of whom the recording heard alone in each frame, ``(frames,)``, -1 elsewhere; None where not known."""
        if not self._decided:
            return None
        alone = np.full(self._power_of_outputs.shape[1], -1)
        for number, (blocks, talkers) in self._decided.items():
            for block, talker in zip(blocks.tolist(), talkers.tolist()):
                start = self.spans[number][0] + round(block * SECONDS * self.rate)
                stop = min(start + round(SECONDS * self.rate), self.spans[number][1]) - 1
                first, last = (round(self.excerpt.place(each) / self.rate / FRAME) for each in (start, stop))
                alone[first:last] = talker
        return alone

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
        for number, own in enumerate(self._seconds()):
            found.append(self._window(number, None, num_spk))
            advance(own)
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

    def _conversation(self, num_spk: int | None, advance: Callable[[float], object]) -> None:
        """Windows give blocks, the recording decides who talks, windows are separated accordingly."""
        seconds, blocks, vectors = self._seconds(), [], []
        speakers = self.separator.speakers
        for number, own in enumerate(seconds):
            if self.sounding[number]:
                blocks.append(self._windows.blocks(number, self._samples(number)))
                if speakers is not None:
                    vectors.append(self._windows.heard(number, self._samples(number), blocks[-1]))
            advance(_EVIDENCE * own)
        further = None if speakers is None else Heard(vectors, space_of(speakers))
        decision = decide(blocks, self.separator.voices, num_spk, further)
        self.num_spk = decision.count
        heard = np.flatnonzero(self.sounding).tolist()
        self._decided = {at: (each.number, who) for at, each, who in zip(heard, blocks, decision.talkers)}
        starts = starts_of(blocks, decision)
        self.parts = [Part(*span) for span in self.spans]
        done = 0
        for number, own in enumerate(seconds):
            if self.sounding[number]:
                present = decision.present(done)
                words = f"{len(present)} of the recording's {decision.count} talkers"
                if present:
                    found, peak = self._windows.separation(
                        number, self._samples(number), starts[done], words, num_spk is not None
                    )
                    # outputs may be added up where one talks alone
                    self.peak = max(self.peak, peak if speakers is None else peak * len(present))
                    self.parts[number] = Part(*self.spans[number], tuple(present), found)
                done += 1
            advance((1 - _EVIDENCE) * own)

    def _seconds(self) -> list[float]:
        """Seconds of the excerpt that are nearer to each window's middle than to others'."""
        edges = [0, *(self._middle(number) for number in range(len(self.spans) - 1)), len(self.mixture)]
        return [(after - before) / self.rate for before, after in itertools.pairwise(edges)]

    def _samples(self, number: int) -> np.ndarray:
        return self._scaled(*self.spans[number])

    def _scaled(self, start: int, stop: int) -> np.ndarray:
        """A part of the excerpt at the level of the windows, ``(samples,)`` float32."""
        return self.mixture[start:stop] * self.gain

    def _window(self, number: int, num_spk: int | None, most: int | None) -> Separation | None:
        """Separate a window, if anybody is heard in it; its outputs go to the store."""
        if not self.sounding[number]:
            return None
        start, stop = self.spans[number]
        key = self.key if len(self.spans) == 1 else f"{self.key}-{start}"
        samples = self._scaled(start, stop)
        # of the samples, so that a copy under another name, at another level or with silence around is separated alike
        draw = zlib.crc32(str(samples.argmax() - samples.argmin()).encode())
        separation = self.separator.separate(key, samples, num_spk, most, with_evidence=True, draw=draw)
        if not np.isfinite(separation.outputs).all():
            raise ContrasepError(f"'{self.key}': an output has NaN or infinite samples")
        self.peak = max(self.peak, float(np.abs(separation.outputs).max()))
        self._places[number] = self._store.tell()
        self._store.write(np.ascontiguousarray(separation.outputs, np.float32).tobytes())
        # a slice would keep the outputs of all windows in memory
        return dataclasses.replace(separation, outputs=np.zeros((len(separation.outputs), 0), np.float32))

    def _outputs(self, number: int) -> np.ndarray:
        """Outputs of the recording's speakers in a window, ``(num_spk, samples)``."""
        part = self.parts[number]
        samples = part.stop - part.start
        if part.separation is None:
            return np.zeros((self.num_spk, samples), np.float32)
        if self._windows is not None:
            stored = self._windows.store.outputs(number)["outputs"]
        else:
            self._store.seek(self._places[number])
            count = len(part.speakers)
            stored = np.frombuffer(self._store.read(4 * count * samples), np.float32).reshape(count, samples)
        out = np.zeros((self.num_spk, samples), np.float32)
        for speaker, output in zip(part.speakers, stored):
            out[speaker] += output
        if self.separator.speakers is not None and number in self._decided:
            return given_to_talkers(out, *self._decided[number], self.rate)
        return out

    def _power(self, start: int, stop: int) -> np.ndarray:
        """Power of the nodes of a window, ``(nodes,)``."""
        signal = torch.from_numpy(self._scaled(start, stop))[None]
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
