"""Splitting listed recordings into sets, and what a list says about itself."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from contrasep_lib.corpus.librispeech import spread_choice
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.ids import is_id, shown

if TYPE_CHECKING:
    from contrasep_lib.corpus.options import RecordingsOptions
    from contrasep_lib.corpus.recordings import Listed
    from contrasep_lib.corpus.single import Utterance

# speakers of a test set that is drawn, and of a corpus that is split
LEAST_TEST, LEAST = 4, 4


def least_errors(file: str, listed: Sequence[Listed]) -> Iterator[str]:
    """What is wrong with the speakers and sets of a list as a whole, one line each."""
    speakers = Counter(one.recording.speaker for one in listed)
    named = [one.recording.set for one in listed if one.recording.set is not None]
    if listed and len(speakers) < LEAST:
        names = ", ".join(f"'{shown(name)}'" for name in speakers)
        yield f"{file}: expected at least {LEAST} speakers, two to train and two to test, got {len(speakers)}: {names}"
    if named and len(named) < len(listed):
        bare = next(one.recording.path for one in listed if one.recording.set is None)
        yield f"{file}: {bare}: no set, which others have; name the set of all recordings or of none"
    for name in dict.fromkeys(named):
        if name not in ("tr", "cv", "tt", "dev") and not (is_id(name) and name.startswith("tt_")):
            yield f"{file}: expected a set tr, cv, tt, dev or tt_.., got '{shown(name)}'"
    lacking = [name for name in ("tr", "tt") if named and name not in named]
    if lacking:
        yield f"{file}: no recording of set {lacking[0]}; tr and tt are needed"
    sets_of: dict[str, set[str]] = {}
    for one in listed:
        sets_of.setdefault(one.recording.speaker, set()).add(one.recording.set or "")
    for speaker, sets in sets_of.items():
        tested = sorted(name for name in sets if name.startswith("tt"))
        trained = sorted(name for name in sets if name in ("tr", "cv"))
        if tested and trained:
            yield f"{file}: speaker '{shown(speaker)}' is in {trained[0]} and in {tested[0]}; keep test speakers apart"


def split_listed(file: str, listed: Sequence[Listed], options: RecordingsOptions) -> dict[str, list[Listed]]:
    """The sets of a list: its own where it names them, else ``tr``, ``cv`` and ``tt`` by the options.

    Args:
        file: for messages.
        listed: recordings that can be used.
        options: see `RecordingsOptions`.

    Raises:
        ContrasepError: test speakers that the list does not have, or too few speakers for two sets.
    """
    listed = sorted(listed, key=lambda one: one.utt_id)
    sets: dict[str, list[Listed]] = {"tr": [], "cv": [], "tt": []}
    if listed and listed[0].recording.set is not None:
        for one in listed:
            sets.setdefault(one.recording.set or "", []).append(one)
    else:
        test = _test_speakers(file, listed, options)
        sets["tt"] = [one for one in listed if one.speaker in test]
        sets["tr"] = [one for one in listed if one.speaker not in test]
    if not sets["cv"]:
        sets["tr"], sets["cv"] = _hold_out(sets["tr"], options.valid_fraction)
    return sets


def _test_speakers(file: str, listed: Sequence[Listed], options: RecordingsOptions) -> set[str]:
    """Ids of the speakers of ``tt``."""
    known = {one.recording.speaker: one for one in listed}
    if options.test_speakers is not None:
        for name in options.test_speakers:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"speakers are {', '.join(sorted(known)[:3])}, .."
                raise ContrasepError(f"corpus.recordings.test_speakers: no speaker '{shown(name)}' in {file}; {hint}")
        return {known[name].speaker for name in options.test_speakers}
    # genders side by side, so that an even choice takes of each in proportion
    speakers = sorted({(one.gender or "", one.speaker) for one in known.values()})
    if len(speakers) < LEAST:
        raise ContrasepError(f"{file}: {len(speakers)} speakers have usable recordings, expected at least {LEAST}")
    number = min(max(round(options.test_fraction * len(speakers)), LEAST_TEST), len(speakers) // 2)
    return {speakers[place][1] for place in spread_choice(len(speakers), number / len(speakers))}


def _hold_out(training: Sequence[Listed], fraction: float) -> tuple[list[Listed], list[Listed]]:
    """Training and validation: of each speaker with two recordings a share, at least one.

    Where nobody has two, the share is of the speakers, and two of them at least.
    """
    by_speaker: dict[str, list[Listed]] = {}
    for one in training:
        by_speaker.setdefault(one.speaker, []).append(one)
    valid: set[str] = set()
    for own in by_speaker.values():
        if len(own) > 1:
            valid.update(own[place].utt_id for place in spread_choice(len(own), fraction))
    if not valid and len(by_speaker) > 2:
        share = max(fraction, 2 / len(by_speaker))
        groups = list(by_speaker.values())
        valid.update(one.utt_id for place in spread_choice(len(groups), share) for one in groups[place])
    return [one for one in training if one.utt_id not in valid], [one for one in training if one.utt_id in valid]


def summary(sets: Mapping[str, Sequence[Utterance]]) -> Iterator[str]:
    """What was found, for the eye: a line for each set, then what may be a mistake."""
    everything = [utterance for members in sets.values() for utterance in members]
    yield f"{'set':8}{'speakers':>10}{'recordings':>12}{'hours':>8}  rates"
    for name, members in sets.items():
        rates = Counter(utterance.rate for utterance in members)
        hours = sum(utterance.num_samples / utterance.rate for utterance in members) / 3600
        speakers = len({utterance.speaker for utterance in members})
        shown_rates = ", ".join(f"{rate} Hz" for rate, _ in rates.most_common())
        yield f"{name:8}{speakers:>10}{len(members):>12}{hours:>8.2f}  {shown_rates}"
    if len(everything) == len({utterance.speaker for utterance in everything}):
        yield "warning: each recording has a speaker of its own; is the speaker right?"
    short = [utterance.utt_id for utterance in everything if utterance.num_samples < 0.5 * utterance.rate]
    if short:
        yield f"warning: {len(short)} recordings are shorter than 0.5 s, and so are their mixtures, e.g. {short[0]}"
    for what, lacking in (
        ("text", [utterance.utt_id for utterance in everything if not utterance.text]),
        ("gender", [utterance.utt_id for utterance in everything if not utterance.gender]),
    ):
        if 0 < len(lacking) < len(everything):
            yield f"note: {len(lacking)} recordings have no {what}, e.g. {lacking[0]}; their sets have no table of it"
