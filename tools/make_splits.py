#!/usr/bin/env python3
"""Choose the development and test speakers of LibriSpeech and Common Voice.

    tools/make_splits.py --librispeech DIR --commonvoice DIR [--out conf/splits]

Nothing is drawn: the same copies of the corpora give the same files. They are committed before
anything is trained and do not change afterwards.

LibriSpeech: test speakers are those of `LIBRISPEECH_TEST`. Development speakers are, of each
gender, six of train-clean-100 that are not in train-clean-5 (those whose ids have the smallest
SHA-256) and two of train-clean-5 (those with nearest to 7.5 minutes each: half an hour in all).

Common Voice: of each of five languages the 40 speakers with most clips (ties: smallest SHA-256 of
the ``client_id``), dealt to development and test in turn. Of the other languages with at least 50
speakers the fifth is the one whose 40 speakers have most clips.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from contrasep_lib.corpus.commonvoice_table import list_languages, read_clips  # noqa: E402
from contrasep_lib.corpus.librispeech import EXTRA, TRAIN, read_genders, read_part  # noqa: E402
from contrasep_lib.corpus.single import Utterance  # noqa: E402
from contrasep_lib.corpus.splits import Held, write_split  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402

LIBRISPEECH_TEST = ("19", "226", "1867", "1970", "2136", "3242", "3664", "4680")
EXTRA_SPEAKERS, TRAIN_SPEAKERS, MINUTES = 6, 2, 7.5
LANGUAGES, FEWEST_SPEAKERS, EACH = ("ca", "de", "tr", "zh-TW"), 50, 20

LIBRISPEECH_COMMENT = """Speakers of LibriSpeech that are never trained on (tools/make_splits.py); group: gender.
Mini LibriSpeech (train-clean-5) and train-clean-100; all other speakers train."""
COMMONVOICE_COMMENT = """Speakers of Common Voice 6.1 that are never trained on (tools/make_splits.py); group: language.
speaker: first 16 hex digits of the SHA-256 of client_id. Nobody tries to find out who a speaker is."""


def digest(word: str) -> str:
    """SHA-256, by which ties are broken."""
    return hashlib.sha256(word.encode()).hexdigest()


def split_librispeech(corpus: Path) -> list[Held]:
    """Test speakers, then development speakers of train-clean-100, then those of train-clean-5."""
    genders = read_genders(corpus / "SPEAKERS.TXT")
    small, large = (_minutes(read_part(corpus / part, genders)) for part in (TRAIN, EXTRA))
    held = [Held(speaker, "test", genders[speaker]) for speaker in LIBRISPEECH_TEST]
    for gender in "fm":
        new = [speaker for speaker in large if genders[speaker] == gender and speaker not in small]
        held += [Held(speaker, "dev", gender) for speaker in sorted(new, key=digest)[:EXTRA_SPEAKERS]]
    for gender in "fm":
        known = [speaker for speaker in small if genders[speaker] == gender and speaker not in LIBRISPEECH_TEST]
        known.sort(key=lambda speaker: (abs(small[speaker] - MINUTES), digest(speaker)))
        held += [Held(speaker, "dev", gender) for speaker in known[:TRAIN_SPEAKERS]]
    return held


def _minutes(utterances: list[Utterance]) -> dict[str, float]:
    minutes: dict[str, float] = defaultdict(float)
    for utterance in utterances:
        minutes[utterance.speaker] += utterance.num_samples / utterance.rate / 60
    return minutes


def split_commonvoice(corpus: Path) -> list[Held]:
    """Speakers of each language in turn, development and test alternating."""
    clips: dict[str, Counter[str]] = {
        language: Counter(clip.speaker.removeprefix("cv") for clip in read_clips(corpus / language))
        for language in list_languages(corpus)
    }
    totals = sum(clips.values(), Counter())
    main: dict[str, str] = {}
    for speaker in totals:
        # one who speaks two languages belongs to that of most clips
        main[speaker] = min(clips, key=lambda language: (-clips[language][speaker], language))
    ranked = {
        language: sorted(
            (speaker for speaker in counts if main[speaker] == language),
            key=lambda speaker: (-counts[speaker], speaker),
        )
        for language, counts in clips.items()
    }
    number = 2 * EACH

    def chosen_clips(language: str) -> int:
        return sum(clips[language][speaker] for speaker in ranked[language][:number])

    others = [name for name in ranked if name not in LANGUAGES and len(ranked[name]) >= FEWEST_SPEAKERS]
    fifth = min(others, key=lambda language: (-chosen_clips(language), language))
    held = []
    for language in sorted((*LANGUAGES, fifth)):
        if len(ranked.get(language, ())) < FEWEST_SPEAKERS:
            raise ContrasepError(
                f"{corpus / language}: expected at least {FEWEST_SPEAKERS} speakers; take the whole corpus"
            )
        for place, speaker in enumerate(ranked[language][:number]):
            held.append(Held(speaker, ("dev", "test")[place % 2], language))
    return held


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--librispeech", required=True, type=Path, metavar="DIR", help=f"holds {TRAIN}, {EXTRA}, SPEAKERS.TXT"
    )
    parser.add_argument("--commonvoice", required=True, type=Path, metavar="DIR", help="holds LANG/validated.tsv")
    parser.add_argument("--out", default="conf/splits", type=Path, metavar="DIR", help="default: %(default)s")
    args = parser.parse_args()
    try:
        write_split(args.out / "librispeech.tsv", LIBRISPEECH_COMMENT, split_librispeech(args.librispeech))
        write_split(args.out / "commonvoice.tsv", COMMONVOICE_COMMENT, split_commonvoice(args.commonvoice))
    except ContrasepError as error:
        sys.exit(f"make_splits.py: {error}")


if __name__ == "__main__":
    main()
