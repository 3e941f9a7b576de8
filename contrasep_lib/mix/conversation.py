"""Conversations made of single-speaker utterances, whose truth is known: turns, overlaps, pauses, coming and going.

A conversation is a walk through time. The next talker is drawn from those present, by talkativeness; the next turn
begins before the end of the last one or after a pause. Now and then somebody says a word in between, speaks at the
same time for a whole turn, or nobody speaks for long. Talkers after the second come later and leave earlier, and
anybody may be away for a while.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from contrasep_lib.mix.level import active_level

# seconds: of a turn (shape and scale of a gamma law, least, most), of a word in between, of fades at cuts
_TURN, _LEAST_TURN, _MOST_TURN, _WORD, _FADE = (2.0, 2.4), 1.0, 14.0, (0.6, 1.5), 0.01
# chances: the same talker goes on, turns overlap, a long pause, a word in between, two at once
_GOES_ON, _OVERLAPS, _LONG_PAUSE, _IN_BETWEEN, _AT_ONCE = 0.2, 0.3, 0.04, 0.2, 0.08
# dB: range of the talkers' levels to either side, spread of turns
_LEVELS, _SPREAD = 3.0, 1.0


@dataclasses.dataclass(frozen=True)
class Conversation:
    """A generated conversation.

    Attributes:
        sources: ``(talkers, samples)`` float32.
        turns: first sample, last (exclusive) and talker of each turn, in order of time.
    """

    sources: np.ndarray
    turns: tuple[tuple[int, int, int], ...]


class _Talker:
    """Utterances of a talker, in random order, cut into turns; begun again when all are spent."""

    def __init__(self, load: Sequence[Callable[[], np.ndarray]], rate: int, rng: np.random.Generator) -> None:
        self.load, self.rate, self.rng = load, rate, rng
        self.order: list[int] = []
        self.rest = np.zeros(0, np.float32)

    def turn(self, seconds: float) -> np.ndarray:
        """About so many seconds of speech; less where an utterance ends."""
        if len(self.rest) < 0.5 * self.rate:
            self.order = self.order or self.rng.permutation(len(self.load)).tolist()
            samples = self.load[self.order.pop()]()
            self.rest = (samples / np.sqrt(active_level(samples, self.rate)[0])).astype(np.float32)
        cut = self._quietest(round(seconds * self.rate))
        taken, self.rest = self.rest[:cut].copy(), self.rest[cut:]
        fade = min(round(_FADE * self.rate), len(taken) // 2)
        rise = (np.arange(fade, dtype=np.float32) + 0.5) / max(fade, 1)
        taken[:fade] *= rise
        taken[len(taken) - fade :] *= rise[::-1]
        return taken

    def _quietest(self, about: int) -> int:
        """The quietest place within 0.7 s of ``about``; the end, where less than 1 s would remain."""
        reach, size = round(0.7 * self.rate), round(0.03 * self.rate)
        if len(self.rest) < about + self.rate:
            return len(self.rest)
        first = max(about - reach, size)
        part = np.square(self.rest[first : about + reach], dtype=np.float64)
        power = np.convolve(part, np.ones(size), "valid")
        return first + int(power.argmin()) + size // 2


def converse(
    talkers: Sequence[Sequence[Callable[[], np.ndarray]]], seconds: float, rate: int, rng: np.random.Generator
) -> Conversation:
    """Make a conversation.

    Args:
        talkers: of each talker, what loads an utterance, ``(samples,)`` at ``rate``.
        seconds: of the conversation.
        rate: Hz.
        rng: draws everything.
    """
    number, samples = len(talkers), round(seconds * rate)
    voices = [_Talker(each, rate, rng) for each in talkers]
    gains = rng.uniform(-_LEVELS, _LEVELS, number)
    spoken = rng.dirichlet(np.full(number, 4.0))
    away = [_absences(talker, seconds, rng) for talker in range(number)]
    sources, turns, free = np.zeros((number, samples), np.float32), [], [0] * number

    def say(talker: int, start: int, length: float) -> int:
        """Put a turn of a talker at a sample; where it ends."""
        start = max(start, free[talker] + round(0.1 * rate), 0)
        part = voices[talker].turn(length)[: max(samples - start, 0)]
        if len(part):
            gain = 10 ** ((gains[talker] + _SPREAD * rng.standard_normal()) / 20)
            sources[talker, start : start + len(part)] = np.float32(gain) * part
            turns.append((start, start + len(part), talker))
            free[talker] = start + len(part)
        return start + len(part)

    end, last = round(0.3 * rate), -1
    while end < samples - rate:
        at = end / rate
        present = np.array([not any(a <= at < b for a, b in gone) for gone in away])
        chance = np.where(present, spoken, 0)
        if last >= 0 and present.sum() > 1 and rng.random() >= _GOES_ON:
            chance[last] = 0
        if not chance.any():
            end += round(rng.uniform(1, 3) * rate)
            continue
        talker = int(rng.choice(number, p=chance / chance.sum()))
        begun = max(end + round(_gap(talker == last, rng) * rate), 0)
        stop = say(talker, begun, float(np.clip(rng.gamma(*_TURN), _LEAST_TURN, _MOST_TURN)))
        others = [each for each in np.flatnonzero(present).tolist() if each != talker]
        if others and rng.random() < _IN_BETWEEN:
            say(int(rng.choice(others)), round(rng.uniform(begun, max(stop - rate, begun + 1))), rng.uniform(*_WORD))
        if others and rng.random() < _AT_ONCE:
            other = int(rng.choice(others))
            stop = max(stop, say(other, begun + round(rng.uniform(0.2, 1.5) * rate), rng.uniform(3, 8)))
        end, last = max(end, stop), talker
    return Conversation(sources, tuple(sorted(turns)))


def _gap(same: bool, rng: np.random.Generator) -> float:
    """Seconds from the end of one turn to the next; negative where they overlap."""
    if rng.random() < _LONG_PAUSE:
        return float(rng.uniform(3, 20))
    if not same and rng.random() < _OVERLAPS:
        return -float(rng.uniform(0.2, 2.0))
    return 0.15 + float(rng.exponential(0.5))


def _absences(talker: int, seconds: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """When a talker is not there, seconds; each is there for at least a third of the time."""
    gone = []
    if talker > 1 and rng.random() < 0.5:
        gone.append((0.0, float(rng.uniform(0.1, 0.35)) * seconds))
    if talker > 1 and rng.random() < 0.4:
        gone.append((float(rng.uniform(0.65, 0.9)) * seconds, seconds))
    if talker and rng.random() < 0.3:
        start = float(rng.uniform(0.35, 0.5))
        gone.append((start * seconds, (start + float(rng.uniform(0.05, 0.15))) * seconds))
    return gone
