"""Recordings with long silences cut short, and what was found in them at its place again.

Networks do not see long silences, see `contrasep_lib.nodes.silence`. Here they are shortened before anything is
computed, so that time and memory do not grow with them and that windows hold speech. As what is left is still a long
silence, this changes nothing else. Zeros before a recording may have any length: frames lie as they would without them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from contrasep_lib.nodes.granularity import Granularity
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.silence import LONGEST_GAP, LONGEST_PAUSE, silent_frames
from contrasep_lib.nodes.stft import num_frames

# what stays at either end of a silence, windows: more than what networks may see
_KEPT = 2 * LONGEST_PAUSE
# hops of samples whose nodes are found at once, and samples of silence that are made at once
_AT_ONCE, _BLOCK = 1 << 12, 1 << 18


@dataclasses.dataclass(frozen=True)
class Excerpt:
    """A recording without the middle of its long silences.

    Attributes:
        mixture: ``(samples,)`` float32, the recording.
        spans: first and last sample (exclusive) of what is kept, in order, whole hops apart.
        features: framing.
    """

    mixture: np.ndarray
    spans: tuple[tuple[int, int], ...]
    features: FeatureOptions

    @classmethod
    def of(cls, mixture: np.ndarray, granularity: Granularity, gain: float = 1.0) -> Excerpt:
        """Cut the long silences of a recording short.

        Args:
            mixture: ``(samples,)`` float32.
            granularity: of the nodes.
            gain: of the samples where their power is measured, which float32 may have no room for as they are.
        """
        features = granularity.features
        first, spans = _beginning(mixture, features), []
        silent = silent_frames(_loudest(mixture[first:], granularity, gain), features)[0].numpy().astype(np.int8)
        edges = np.flatnonzero(np.diff(silent, prepend=0, append=0))
        kept, offset = _KEPT * features.win // features.hop, first
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist()):
            stop, start = (offset + frame * features.hop for frame in (begin + kept, end - kept))
            if stop < start and stop < len(mixture):
                spans.append((first, stop))
                first = start
        return cls(mixture, (*spans, (first, len(mixture))), features)

    @property
    def signal(self) -> np.ndarray:
        """What is kept, ``(samples,)`` float32."""
        parts = [self.mixture[first:stop] for first, stop in self.spans]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def place(self, sample: int) -> int:
        """Where a sample of `signal` lies in the recording."""
        for first, stop in self.spans[:-1]:
            if sample < stop - first:
                return first + sample
            sample -= stop - first
        return self.spans[-1][0] + sample

    def restored(self, outputs: Iterable[np.ndarray], shared: bool = True) -> Iterator[np.ndarray]:
        """Outputs for the recording.

        Args:
            outputs: for `signal`, ``(K, samples)`` float32 each, in order of time.
            shared: whether all share the silences equally, so that they add up to the recording; zeros there if not.

        Yields:
            ``(K, samples)`` float32, in order of time.
        """
        number, place, weight = 0, 0, np.float32(shared)
        for block in outputs:
            while block.shape[1]:
                first, stop = self.spans[number]
                for begin in range(place, first, _BLOCK):
                    share = self.mixture[begin : min(begin + _BLOCK, first)] / np.float32(len(block)) * weight
                    yield np.repeat(share[None], len(block), axis=0)
                place = max(place, first)
                taken, block = block[:, : stop - place], block[:, stop - place :]
                yield taken
                place += taken.shape[1]
                number += place == stop

    def nodes_restored(self, values: np.ndarray) -> np.ndarray:
        """Values of the nodes of `signal`, ``(nodes, ..)``, for those of the recording: zeros in its silences.

        Frames that lie between those of the recording are taken for the ones before.
        """
        if self.spans == ((0, len(self.mixture)),):
            return values
        hop, around, offset = self.features.hop, self.features.win // self.features.hop - 1, self.spans[0][0]
        last = [np.arange((first - offset) // hop, -(-(stop - offset) // hop)) for first, stop in self.spans]
        frames = np.concatenate([*last, last[-1][-1] + 1 + np.arange(around)])
        by_frame = values.reshape(len(frames), -1, *values.shape[1:])
        restored = np.zeros((num_frames(len(self.mixture), self.features), *by_frame.shape[1:]), values.dtype)
        restored[frames] = by_frame
        return restored.reshape(-1, *values.shape[1:])


def _beginning(mixture: np.ndarray, features: FeatureOptions) -> int:
    """First sample of an excerpt: whole hops before the first sound, where a long run of equal samples precedes it."""
    sound = int(np.argmax(mixture != mixture[0]))
    return sound % features.hop if sound > LONGEST_GAP * features.win else 0


def _loudest(mixture: np.ndarray, granularity: Granularity, gain: float) -> torch.Tensor:
    """Power of the loudest node of each frame, ``(1, frames)``."""
    hop, around = granularity.features.hop, granularity.features.win // granularity.features.hop - 1
    found = []
    for begin in range(0, -(-len(mixture) // hop), _AT_ONCE):
        # the frames of a part, those apart that reach over its edges
        first = max(begin - around, 0)
        part = np.asarray(mixture[first * hop : (begin + _AT_ONCE) * hop], np.float32) * np.float32(gain)
        power = granularity.nodes(torch.from_numpy(part)[None]).power
        frames = num_frames(len(part), granularity.features)
        loudest = power.unflatten(1, (frames, -1)).amax(2)
        last = (begin + _AT_ONCE) * hop >= len(mixture)
        found.append(loudest[:, begin - first : None if last else frames - around])
    return torch.cat(found, 1)
