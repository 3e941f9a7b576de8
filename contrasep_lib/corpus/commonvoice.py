"""Common Voice (CC0): a local copy, any number of languages, split by speaker.

The layout is that of a release: ``LANG/validated.tsv`` and ``LANG/clips/``, here with clips of any
coding. ``tt`` and ``dev`` have all clips of the speakers that the split file keeps for tests and
development, ``cv`` some and ``tr`` the rest of all others'. One who speaks two languages is one
speaker. Speakers are known by a hash of their ``client_id``; nobody tries to find out who one is.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from contrasep_lib.corpus.base import Corpus, Request
from contrasep_lib.corpus.commonvoice_table import CLIPS, TABLE, Clip, list_languages, read_clips
from contrasep_lib.corpus.hearing import Heard, counted, hear_clip
from contrasep_lib.corpus.librispeech import spread_choice
from contrasep_lib.corpus.options import CommonvoiceOptions
from contrasep_lib.corpus.single import Utterance, claim_folder, write_single_set
from contrasep_lib.corpus.splits import find_split, read_split, speakers_of
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.parallel import in_processes


def find_clips(corpus: str | os.PathLike, options: CommonvoiceOptions) -> tuple[list[Clip], list[str]]:
    """The clips of all languages whose files are there, and notes about what is not as it should be.

    A clip that was encoded anew under the same name with another suffix is found too.

    Args:
        corpus: folder of the languages' folders.
        options: see `CommonvoiceOptions`.

    Raises:
        ContrasepError: no such language, no clip at all, or see `read_clips`.
    """
    corpus = Path(corpus)
    there = list_languages(corpus)
    languages = there if options.languages == "all" else sorted(set(options.languages))
    if unknown := [language for language in languages if language not in there]:
        raise ContrasepError(
            f"{corpus}: no {unknown[0]}/{TABLE} in it; corpus.commonvoice.languages may name {', '.join(there)}"
        )
    found: list[Clip] = []
    missing: list[str] = []
    for language in languages:
        names = {path.name for path in (corpus / language / CLIPS).glob("*")}
        by_stem: dict[str, list[str]] = {}
        for name in sorted(names):
            by_stem.setdefault(Path(name).stem, []).append(name)
        for clip in read_clips(corpus / language):
            same = [clip.path.name] if clip.path.name in names else by_stem.get(clip.path.stem, [])
            if len(same) == 1:
                found.append(dataclasses.replace(clip, path=clip.path.with_name(same[0])))
            else:
                missing.append(f"{language}/{clip.path.name}")
    if not found:
        raise ContrasepError(
            f"{corpus}: none of the {len(missing)} clips of its tables exists; copy LANG/{CLIPS} too"
        )
    notes = [counted(missing, "clips are missing and left out")] if missing else []
    languages_of: dict[str, Counter[str]] = {}
    for clip in found:
        languages_of.setdefault(clip.speaker, Counter())[clip.language] += 1
    several = [f"{speaker} ({' '.join(sorted(own))})" for speaker, own in sorted(languages_of.items()) if len(own) > 1]
    if several:
        notes.append(counted(several, "speakers have clips in several languages; each is one speaker"))
    return found, notes


def split_clips(clips: Iterable[Clip], options: CommonvoiceOptions) -> dict[str, list[Clip]]:
    """The sets ``tr``, ``cv``, ``dev`` and ``tt``.

    Of each training speaker with two clips or more, ``cv`` takes the share ``valid_fraction``; what
    rounding leaves is carried on to the next speaker, so that it is the share of all their clips.

    Args:
        clips: in any order.
        options: see `CommonvoiceOptions`.

    Raises:
        ContrasepError: a faulty split file, no test speaker, nobody to train on.
    """
    held = read_split(find_split(options.split)) if options.split is not None else []
    part_of = {
        f"cv{speaker}": part for part, name in (("dev", "dev"), ("tt", "test")) for speaker in speakers_of(held, name)
    }
    by_speaker: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda clip: clip.utt_id):
        by_speaker.setdefault(clip.speaker, []).append(clip)
    sets: dict[str, list[Clip]] = {"tr": [], "cv": [], "dev": [], "tt": []}
    carried = 0.0
    for speaker, own in sorted(by_speaker.items()):
        if speaker in part_of:
            sets[part_of[speaker]] += own
            continue
        valid: list[int] = []
        if len(own) > 1:
            carried += options.valid_fraction * len(own)
            number = min(round(carried), len(own) - 1)
            carried -= number
            valid = spread_choice(len(own), number / len(own)) if number else []
        sets["cv"] += [own[index] for index in valid]
        sets["tr"] += [clip for index, clip in enumerate(own) if index not in valid]
    if not sets["tr"]:
        raise ContrasepError(f"corpus.commonvoice.split ({options.split}): no speaker is left to train on")
    if held and not sets["tt"]:
        raise ContrasepError(
            f"corpus.commonvoice.split ({options.split}): none of its test speakers is in the languages read; "
            "read others, or make a split file of this release with tools/make_splits.py"
        )
    return sets


def write_sets(
    folder: str | os.PathLike, sets: Mapping[str, Sequence[Clip]], heard: Mapping[str, Heard]
) -> dict[str, int]:
    """Write the single-speaker sets that have clips, with languages (``utt2lang``).

    Args:
        folder: sources folder.
        sets: see `split_clips`.
        heard: utterance id -> what was read.

    Returns:
        set -> number of utterances.
    """
    for name, clips in sets.items():
        if clips:
            write_single_set(Path(folder) / name, [_utterance(clip, heard[clip.utt_id]) for clip in clips])
        else:
            # one of an earlier run would be taken for this corpus's
            shutil.rmtree(Path(folder) / name, ignore_errors=True)
    return {name: len(clips) for name, clips in sets.items() if clips}


def _utterance(clip: Clip, heard: Heard) -> Utterance:
    return Utterance(
        clip.utt_id, clip.speaker, heard.path, clip.text, clip.gender, heard.samples, heard.rate, clip.language
    )


class Commonvoice(Corpus):
    """A local copy of Common Voice, all of its languages or some."""

    takes = frozenset({"corpus"})

    def prepare(self, request: Request) -> dict[str, int]:
        """Write ``tr``, ``cv``, ``dev``, ``tt``, and ``wav`` for clips that libsndfile does not read."""
        if request.corpus is None:
            raise ContrasepError(
                "Common Voice is not downloaded, because its download asks for an account "
                "(https://commonvoice.mozilla.org/datasets); name a local copy with --corpus DIR"
            )
        clips, notes = find_clips(request.corpus, self.options)
        claim_folder(Path(request.out), {"corpus": "commonvoice", "rate": self.options.rate})
        work = [
            (
                os.fspath(clip.path),
                os.path.join(request.out, "wav", clip.speaker, f"{clip.utt_id}.wav"),
                self.options.rate,
            )
            for clip in clips
        ]
        results = in_processes(hear_clip, work, request.jobs, "reading Common Voice")
        heard = {clip.utt_id: result for clip, result in zip(clips, results) if not result.error}
        if errors := [result.error for result in results if result.error]:
            notes.append(counted(errors, "clips cannot be used and are left out"))
        for note in notes:
            print(f"{request.corpus}: {note}", file=sys.stderr)
        sets = split_clips([clip for clip in clips if clip.utt_id in heard], self.options)
        return write_sets(request.out, sets, heard)
