"""Lists of mixtures: drawing them, writing and reading them, naming their files.

A line is ``source gain source gain ...`` with gains in dB, as the lists of WSJ0-mix have it; a
source is an utterance id of a data directory, or a path whose stem names the utterance. What surrounds the talkers
follows behind a bar: ``| noise=pink:17 offset=0 snr=5`` (`contrasep_lib.mix.noise.draw`), ``| room=5,4,3 rt60=0.4 ..``
(`contrasep_lib.mix.rooms`), or both. The
list is written first; whatever mixes it later, on any number of jobs, makes the same bytes.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.ids import RULE, is_id, shortened, shown
from contrasep_lib.mix.noise.draw import Noise, parse_noise
from contrasep_lib.mix.rooms import Room, parse_room

# no gain of a list lies beyond: PCM16 has 96 dB
MOST_DB = 100.0

@dataclasses.dataclass(frozen=True)
class Mixture:
    """One line of a list.

    Attributes:
        sources: as the list names them (utterance ids or paths).
        gains: dB, as printed in the list.
        noise: beside the talkers; it is no part of the name, so a set has the same names with and without it.
        room: around the talkers; no part of the name either.
    """

    sources: tuple[str, ...]
    gains: tuple[str, ...]
    noise: Noise | None = None
    room: Room | None = None

    @property
    def utterances(self) -> tuple[str, ...]:
        """The sources' names without folder and suffix."""
        return tuple(PurePosixPath(source).stem if "/" in source else source for source in self.sources)

    @property
    def name(self) -> str:
        """Name of the mixture's files without suffix: ``utt1_gain1_utt2_gain2``; a long one is shortened by a hash."""
        return shortened("_".join(
            part for utt, gain in zip(self.utterances, self.gains) for part in (utt, matlab_number(float(gain)))
        ))


def format_gain(gain: float) -> str:
    """A gain as MATLAB's ``num2str``-like five significant digits print it: 0.450124 is 0.45012."""
    return f"{gain:.5g}"


def matlab_number(value: float) -> str:
    """A number as MATLAB's ``num2str`` prints it, which names the files of WSJ0-mix.

    Whole numbers have no point; others have four digits behind that of their largest power of
    ten, five at least in all: 0.450124 is 0.45012, 12.34567 is 12.3457.
    """
    if value == int(value):
        return str(int(value))
    digits = max(math.floor(math.log10(abs(value))) + 5, 5)
    return f"{value:.{min(digits, 16)}g}"


def draw_gains(num_spk: int, max_gain_db: float, rng: np.random.Generator) -> list[float]:
    """Gains in dB: ``+g, -g`` for each pair of talkers, 0 for a last single one; g in (0, max].

    Args:
        num_spk: number of talkers, 1 or more.
        max_gain_db: the largest g, dB.
    """
    gains = []
    for _ in range(num_spk // 2):
        g = max_gain_db * (1.0 - rng.random())
        gains += [g, -g]
    return gains + [0.0] * (num_spk % 2)


class _Deck:
    """A speaker's utterances in shuffled order, each used once before any is used again."""

    def __init__(self, utterances: Sequence[str], rng: np.random.Generator) -> None:
        self.utterances, self.rng, self.left = list(utterances), rng, []

    def draw(self) -> str:
        if not self.left:
            self.left = [self.utterances[index] for index in self.rng.permutation(len(self.utterances))]
        return self.left.pop()


def draw_list(
    utt2spk: Mapping[str, str],
    num_spk: int,
    count: int,
    max_gain_db: float,
    seed: Sequence[int],
    utt2group: Mapping[str, str] | None = None,
) -> list[Mixture]:
    """Draw mixtures of ``num_spk`` different speakers.

    Speakers are drawn evenly, whatever they recorded; each speaker's utterances in shuffled
    passes, so none is used twice before all were used once. With groups, a speaker of a group with
    enough speakers is drawn evenly and the others of the mixture from the same group.

    Args:
        utt2spk: utterance id -> speaker of the single-speaker set.
        num_spk: talkers per mixture.
        count: mixtures to draw.
        max_gain_db: see `draw_gains`.
        seed: entropy of the generator.
        utt2group: utterance id -> group (a language) that all talkers of a mixture share.

    Raises:
        ContrasepError: fewer speakers than ``num_spk``, in the set or in every group.
    """
    by_group: dict[str, dict[str, list[str]]] = {}
    for utt in sorted(utt2spk):
        group = by_group.setdefault(utt2group[utt] if utt2group else "", {})
        group.setdefault(utt2spk[utt], []).append(utt)
    most = max(map(len, by_group.values()), default=0)
    if most < num_spk:
        where = "a language of the set has at most" if utt2group else "the set has"
        raise ContrasepError(f"expected at least {num_spk} speakers for {num_spk} talkers in a mixture, {where} {most}")
    rng = np.random.default_rng(list(seed))
    groups = [by_group[name] for name in sorted(by_group) if len(by_group[name]) >= num_spk]
    decks = [{speaker: _Deck(group[speaker], rng) for speaker in sorted(group)} for group in groups]
    sizes = np.array([len(group) for group in groups])
    drawn: dict[str, Mixture] = {}
    while len(drawn) < count:
        # of one group nothing is drawn: lists without groups stay what they were
        deck = decks[rng.choice(len(decks), p=sizes / sizes.sum()) if len(decks) > 1 else 0]
        speakers = list(deck)
        sources = tuple(deck[speakers[index]].draw() for index in rng.choice(len(speakers), num_spk, replace=False))
        gains = tuple(format_gain(gain) for gain in draw_gains(num_spk, max_gain_db, rng))
        mixture = Mixture(sources, gains)
        if num_spk == 1 and mixture.name in drawn and len(drawn) == len(utt2spk):
            raise ContrasepError(f"expected at most {len(utt2spk)} single-speaker items, one an utterance, got {count}")
        drawn.setdefault(mixture.name, mixture)
    return list(drawn.values())


def write_list(path: str | os.PathLike, mixtures: Sequence[Mixture]) -> None:
    """Write a list atomically."""
    lines = (" ".join([field for pair in zip(m.sources, m.gains) for field in pair] + _behind(m)) for m in mixtures)
    write_text(path, "".join(line + "\n" for line in lines))


def _behind(mixture: Mixture) -> list[str]:
    """What a line holds behind its talkers."""
    found = [part.fields() for part in (mixture.noise, mixture.room) if part is not None]
    return ["|", *(word for words in found for word in words)] if found else []


def _surroundings(words: Sequence[str], num_spk: int) -> tuple[Noise | None, Room | None]:
    """Noise and room of the words behind the bar; ValueError for words of neither."""
    named = dict(word.partition("=")[::2] for word in words)
    unknown = sorted(named.keys() - {"noise", "offset", "snr", "room", "rt60", "mic", "talkers"})
    if unknown or len(named) < len(words):
        strange = unknown[0] if unknown else " ".join(words)
        raise ValueError(f"expected noise= and room= behind the bar, got '{shown(strange)}'")
    noise = parse_noise(named) if {"noise", "offset", "snr"} & named.keys() else None
    room = parse_room(named, num_spk) if {"room", "rt60", "mic", "talkers"} & named.keys() else None
    return noise, room


def _is_gain(text: str) -> bool:
    return bool(re.fullmatch(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?", text)) and abs(float(text)) <= MOST_DB


def read_list(path: str | os.PathLike, num_spk: int | None = None) -> list[Mixture]:
    """Read and check a whole list.

    Args:
        path: the list.
        num_spk: talkers that every line must have; None takes the first line's.

    Raises:
        ContrasepError: missing or empty file, or any faulty line (all are counted, the first
            three reported): wrong number of fields, a gain that is no number, a source that is no id, two lines of
            one name.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.split() for line in file]
    except FileNotFoundError:
        raise ContrasepError(f"{path}: no such list; run stage 0 first") from None
    except UnicodeDecodeError as error:
        raise ContrasepError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); no list") from None
    if not any(lines):
        raise ContrasepError(f"{path}: empty list; draw or fetch it again")
    bars = [fields.index("|") if "|" in fields else len(fields) for fields in lines]
    split = [(fields[:bar], fields[bar + 1 :]) for fields, bar in zip(lines, bars)]
    expected = num_spk or max(len(split[0][0]) // 2, 1)
    mixtures: list[Mixture] = []
    errors: list[str] = []
    first_line: dict[str, int] = {}
    for number, (fields, behind) in enumerate(split, 1):
        gains = tuple(fields[1::2])
        bad = next((gain for gain in gains if not _is_gain(gain)), None)
        if len(fields) != 2 * expected:
            errors.append(
                f"line {number}: expected {2 * expected} fields ('source gain' {expected} times), got {len(fields)}"
            )
        elif bad is not None:
            errors.append(f"line {number}: expected a gain from -{MOST_DB:g} to {MOST_DB:g} dB, got '{shown(bad)}'")
        else:
            try:
                mixture = Mixture(tuple(fields[::2]), gains, *_surroundings(behind, expected))
            except ValueError as error:
                errors.append(f"line {number}: {error}")
                continue
            # they name the mixture's files
            strange = [name for name in mixture.utterances if not is_id(name)]
            if strange:
                errors.append(f"line {number}: expected an id of {RULE}, got '{shown(strange[0])}'")
            if mixture.name in first_line:
                errors.append(f"line {number} has the name of line {first_line[mixture.name]} ({mixture.name})")
            first_line.setdefault(mixture.name, number)
            mixtures.append(mixture)
    if errors:
        more = f"; {len(errors)} errors in all" if len(errors) > 3 else ""
        raise ContrasepError(f"{path}: {'; '.join(errors[:3])}{more}")
    return mixtures
