"""What a user has to know before an output is believed: plain warnings, one line each.

Thresholds are measured on development speech by `tools/bench/recording_warnings.py`; docs/howto/separate_recordings.md
says how often each is raised there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from contrasep_lib.io.recording import Recording
from contrasep_lib.separate.content import content_of
from contrasep_lib.separate.long import LongSeparation, Part
from contrasep_lib.separate.recorded import RecordedSeparation

# share of samples that stand at the largest value, three or more in a row
MOST_CLIPPED = 1e-3
# power that is left in the mean of all channels, 1 for independent ones
LEAST_KEPT = 0.3
# seconds of sound; in less, counts are little better than chance
LEAST_SECONDS = 1.0
# a count whose probability is this share of the largest one is as good as that
CLOSE = 0.5
_WORDS = {
    "noise": "no speech is heard in it, nothing but noise; each output is a part of that",
    "tones": "no speech is heard in it, nothing but tones or music; each output is a part of that",
    "other": "no speech is heard in it (by silero-vad); each output is a part of what is there",
}


@dataclasses.dataclass(frozen=True)
class Caution:
    """A warning.

    Attributes:
        kind: ``reading``, ``clipped``, ``channels``, ``content``, ``short``, ``count`` or ``partition``.
        words: one line.
    """

    kind: str
    words: str


def cautions_of(separated: RecordedSeparation, num_spk: int | None) -> list[Caution]:
    """All warnings of a separation.

    Args:
        separated: the separation.
        num_spk: the number of speakers, if it was given.
    """
    recording, done = separated.recording, separated.done
    found = [*_of_recording(recording)]
    content = content_of(recording.samples, separated.rate)
    if content != "speech":
        found.append(Caution("content", _WORDS[content]))
    if num_spk is None:
        found += _of_count(done, separated.rate)
    return [*found, *_of_partition(done.parts)]


def _of_recording(recording: Recording) -> Iterator[Caution]:
    yield from (Caution("reading", note) for note in recording.notes)
    if recording.clipping.share > MOST_CLIPPED:
        yield Caution(
            "clipped",
            f"clipped: {100 * recording.clipping.share:.2g} % of its samples stand at {recording.clipping.level:.3g} "
            "of full scale; outputs are distorted too, record at a lower level",
        )
    if recording.kept < LEAST_KEPT:
        yield Caution(
            "channels",
            f"its {recording.channels} channels cancel in their mean, which keeps {100 * max(recording.kept, 0):.2g} % "
            "of what independent ones would; take one with --channel",
        )


def _of_count(done: LongSeparation, rate: int) -> Iterator[Caution]:
    seconds = len(done.mixture) / rate
    if seconds < LEAST_SECONDS:
        yield Caution(
            "short",
            f"{seconds:.2g} s of sound are too short to count speakers; give their number with --num-spk",
        )
    probabilities = count_probabilities(done.parts)
    if len(probabilities) < 2:
        return
    best, second = np.argsort(probabilities)[::-1][:2]
    if probabilities[second] >= CLOSE * probabilities[best]:
        fewer, more = sorted((best + 1, second + 1))
        yield Caution(
            "count",
            f"{fewer} or {more} speakers: their probabilities are {probabilities[fewer - 1]:.2f} and "
            f"{probabilities[more - 1]:.2f}; give the number with --num-spk if you know it",
        )


def count_probabilities(parts: Sequence[Part]) -> list[float]:
    """Probabilities of 1, 2, .. speakers: the mean over the windows in which somebody is heard, by their length.

    Empty for a counter that knows none, or where the count was given.
    """
    known = [(part.stop - part.start, part.separation.probabilities) for part in parts if part.separation]
    if not known or not all(each for _, each in known):
        return []
    table = np.zeros((len(known), max(len(each) for _, each in known)))
    for row, (_, each) in zip(table, known):
        row[: len(each)] = each
    return np.average(table, axis=0, weights=[length for length, _ in known]).tolist()


def _of_partition(parts: Sequence[Part]) -> Iterator[Caution]:
    """Failure signatures: the first window's words, and in how many windows each was raised."""
    heard = [part.separation for part in parts if part.separation]
    raised: dict[str, list[str]] = {}
    for separation in heard:
        for signature in separation.signatures:
            raised.setdefault(signature.partition(":")[0], []).append(signature)
    for words in raised.values():
        where = f" (in {len(words)} of {len(heard)} windows)" if len(heard) > 1 else ""
        yield Caution("partition", f"{words[0]}{where}")
