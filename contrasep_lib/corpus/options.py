"""Options of the section ``corpus``."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from contrasep_lib.config import choice, choices_of, options_class


@choice("corpus", "espeak", target="contrasep_lib.corpus.espeak:Espeak")
@dataclasses.dataclass(frozen=True)
class EspeakOptions:
    """The embedded corpus, spoken by eSpeak NG.

    Attributes:
        train_voices: voices (speakers) of the sets ``tr`` and ``cv``.
        test_voices: voices of the set ``tt``; none of them is a training voice.
        sentences_per_voice: utterances of each voice; of a training voice a tenth (at least
            one) goes to ``cv``.
        seed: draws voices, pitches, rates and sentences.
    """

    train_voices: int = 40
    test_voices: int = 12
    sentences_per_voice: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("train_voices", "test_voices", "sentences_per_voice"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name}: expected at least 2, got {getattr(self, name)}")


@choice("corpus", "librispeech", target="contrasep_lib.corpus.librispeech:Librispeech")
@dataclasses.dataclass(frozen=True)
class LibrispeechOptions:
    """Mini LibriSpeech (SLR31).

    Attributes:
        split: split file of the speakers who are not trained on, relative to where we are or to the
            toolkit: development speakers make the set ``dev``, test speakers ``tt``; null for none.
        test_speakers: ids of the speakers of the set ``tt``, in place of the split file's.
        valid_fraction: share of each training speaker's utterances that goes to ``cv``.
    """

    split: str | None = "conf/splits/librispeech.tsv"
    test_speakers: tuple[str, ...] | None = None
    valid_fraction: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.valid_fraction < 1:
            raise ValueError(f"valid_fraction: expected a number between 0 and 1, got {self.valid_fraction}")


@choice("corpus", "audiomnist", target="contrasep_lib.corpus.audiomnist_corpus:Audiomnist")
@dataclasses.dataclass(frozen=True)
class AudiomnistOptions:
    """Spoken digits of AudioMNIST, joined to strings.

    Attributes:
        speakers: speakers 01, 02, .. that are read, of 60; fewer for quick tests.
        takes: recordings 0, 1, .. of each digit that are read, of 50.
        test_speakers: speakers of the set ``tt``, apart from all training; five women and five
            men. Two of speaker 36's recordings are copies of others (its ``notes.txt``), and the
            two copies never part between training and validation here.
        valid_fraction: share of each training speaker's takes that goes to ``cv``.
        digits: fewest and most digits of a string, drawn evenly; every recording is in one string.
        pause_seconds: shortest and longest pause between two digits, drawn evenly.
        rate: sampling rate of the strings, Hz.
        seed: draws strings and pauses.
    """

    speakers: int = 60
    takes: int = 50
    test_speakers: tuple[str, ...] = ("05", "15", "24", "26", "36", "38", "47", "50", "56", "60")
    valid_fraction: float = 0.1
    digits: tuple[int, ...] = (3, 7)
    pause_seconds: tuple[float, ...] = (0.05, 0.35)
    rate: int = 16000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 3 <= self.speakers <= 60:
            raise ValueError(f"speakers: expected 3 to 60, got {self.speakers}")
        if not 2 <= self.takes <= 50:
            raise ValueError(f"takes: expected 2 to 50, got {self.takes}")
        known = {f"{number:02d}" for number in range(1, self.speakers + 1)}
        unknown = sorted(set(self.test_speakers) - known)
        if unknown or not self.test_speakers:
            raise ValueError(
                f"test_speakers: expected some of 01 to {self.speakers:02d}, got {', '.join(unknown) or 'none'}"
            )
        if not known - set(self.test_speakers):
            raise ValueError("test_speakers: no speaker is left to train on")
        if not 0 < self.valid_fraction < 1:
            raise ValueError(f"valid_fraction: expected a number between 0 and 1, got {self.valid_fraction}")
        # else a speaker's last digits could be too many for one string and too few for two
        if len(self.digits) != 2 or not 1 <= self.digits[0] or not 2 * self.digits[0] - 1 <= self.digits[1]:
            raise ValueError(
                f"digits: expected [fewest, most], at least 1 and most at least twice the fewest less 1, "
                f"got {list(self.digits)}"
            )
        if len(self.pause_seconds) != 2 or not 0 <= self.pause_seconds[0] <= self.pause_seconds[1] <= 10:
            raise ValueError(
                f"pause_seconds: expected [shortest, longest], from 0 to 10, got {list(self.pause_seconds)}"
            )
        if not 4000 <= self.rate <= 48000:
            raise ValueError(f"rate: expected 4000 to 48000 Hz, got {self.rate}")


@choice("corpus", "commonvoice", target="contrasep_lib.corpus.commonvoice:Commonvoice")
@dataclasses.dataclass(frozen=True)
class CommonvoiceOptions:
    """Common Voice: one folder a language.

    Attributes:
        languages: folders that are read, or ``all``.
        split: split file, see `LibrispeechOptions`; its ids are those of
            `contrasep_lib.corpus.commonvoice_table.speaker_hash`.
        valid_fraction: share that goes to ``cv`` of the utterances of training speakers who have
            two or more; each keeps at least one to train on.
        rate: highest sampling rate of clips that have to be decoded, Hz.
    """

    languages: Literal["all"] | tuple[str, ...] = "all"
    split: str | None = "conf/splits/commonvoice.tsv"
    valid_fraction: float = 0.1
    rate: int = 16000

    def __post_init__(self) -> None:
        if not self.languages:
            raise ValueError("languages: expected 'all' or folders of the corpus, got none")
        if not 0 < self.valid_fraction < 1:
            raise ValueError(f"valid_fraction: expected a number between 0 and 1, got {self.valid_fraction}")
        if not 4000 <= self.rate <= 48000:
            raise ValueError(f"rate: expected 4000 to 48000 Hz, got {self.rate}")


@choice("corpus", "wsj0", target="contrasep_lib.corpus.wsj0:Wsj0")
@dataclasses.dataclass(frozen=True)
class Wsj0Options:
    """WSJ0 (LDC93S6A), by the lists of WSJ0-mix."""


@dataclasses.dataclass(frozen=True)
class CorpusOptions:
    """Corpora by their names, ``corpus: {librispeech: {valid_fraction: 0.2}}``: a recipe's own, and those beside it.

    Attributes:
        corpora: name -> options, of those that the configuration mentions; see `of`.
    """

    corpora: dict[str, Any] = choices_of("corpus", (), inline=True)

    def of(self, name: str) -> Any:
        """Options of a corpus, its defaults where the configuration does not mention it.

        Raises:
            ContrasepError: no such corpus.
        """
        return self.corpora[name] if name in self.corpora else options_class("corpus", name)()
