"""Options of the section ``corpus``."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from contrasep_lib.config import Bounded, Range, choice, choices_of, options_class
from contrasep_lib.config.bounds import Part, Seed
from contrasep_lib.io.ids import Id

# voices, sentences of a voice: spoken one by one
Voices = Annotated[int, Range(2, 10**5)]
# of speech; above it, recordings hold nothing more of it
Rate = Annotated[int, Range(4000, 48000)]


@choice("corpus", "espeak", target="contrasep_lib.corpus.espeak:Espeak")
@dataclasses.dataclass(frozen=True)
class EspeakOptions(Bounded):
    """The embedded corpus, spoken by eSpeak NG.

    Attributes:
        train_voices: voices (speakers) of the sets ``tr`` and ``cv``.
        test_voices: voices of the set ``tt``; none of them is a training voice.
        sentences_per_voice: utterances of each voice; of a training voice a tenth (at least
            one) goes to ``cv``.
        seed: draws voices, pitches, rates and sentences.
    """

    train_voices: Voices = 40
    test_voices: Voices = 12
    sentences_per_voice: Voices = 30
    seed: Seed = 0


@choice("corpus", "librispeech", target="contrasep_lib.corpus.librispeech:Librispeech")
@dataclasses.dataclass(frozen=True)
class LibrispeechOptions(Bounded):
    """Mini LibriSpeech (SLR31).

    Attributes:
        split: split file of the speakers who are not trained on, relative to where we are or to the
            toolkit: development speakers make the set ``dev``, test speakers ``tt``; null for none.
        test_speakers: ids of the speakers of the set ``tt``, in place of the split file's.
        valid_fraction: share of each training speaker's utterances that goes to ``cv``.
    """

    split: str | None = "conf/splits/librispeech.tsv"
    test_speakers: tuple[Id, ...] | None = None
    valid_fraction: Part = 0.1


@choice("corpus", "audiomnist", target="contrasep_lib.corpus.audiomnist_corpus:Audiomnist")
@dataclasses.dataclass(frozen=True)
class AudiomnistOptions(Bounded):
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

    speakers: Annotated[int, Range(3, 60)] = 60
    takes: Annotated[int, Range(2, 50)] = 50
    test_speakers: tuple[str, ...] = ("05", "15", "24", "26", "36", "38", "47", "50", "56", "60")
    valid_fraction: Part = 0.1
    digits: tuple[Annotated[int, Range(1, 100)], ...] = (3, 7)
    pause_seconds: tuple[Annotated[float, Range(0, 10)], ...] = (0.05, 0.35)
    rate: Rate = 16000
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        known = {f"{number:02d}" for number in range(1, self.speakers + 1)}
        unknown = sorted(set(self.test_speakers) - known)
        if unknown or not self.test_speakers:
            raise ValueError(
                f"test_speakers: expected some of 01 to {self.speakers:02d}, got {', '.join(unknown) or 'none'}"
            )
        if not known - set(self.test_speakers):
            raise ValueError("test_speakers: no speaker is left to train on")
        # else a speaker's last digits could be too many for one string and too few for two
        if len(self.digits) != 2 or not 2 * self.digits[0] - 1 <= self.digits[1]:
            raise ValueError(
                f"digits: expected [fewest, most], most at least twice the fewest less 1, got {list(self.digits)}"
            )
        if len(self.pause_seconds) != 2 or self.pause_seconds[0] > self.pause_seconds[1]:
            raise ValueError(f"pause_seconds: expected [shortest, longest], got {list(self.pause_seconds)}")


@choice("corpus", "commonvoice", target="contrasep_lib.corpus.commonvoice:Commonvoice")
@dataclasses.dataclass(frozen=True)
class CommonvoiceOptions(Bounded):
    """Common Voice: one folder a language.

    Attributes:
        languages: folders that are read, or ``all``.
        split: split file, see `LibrispeechOptions`; its ids are those of
            `contrasep_lib.corpus.commonvoice_table.speaker_hash`.
        valid_fraction: share that goes to ``cv`` of the utterances of training speakers who have
            two or more; each keeps at least one to train on.
        rate: highest sampling rate of clips that have to be decoded, Hz.
    """

    languages: Literal["all"] | tuple[Id, ...] = "all"
    split: str | None = "conf/splits/commonvoice.tsv"
    valid_fraction: Part = 0.1
    rate: Rate = 16000

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.languages:
            raise ValueError("languages: expected 'all' or folders of the corpus, got none")


@choice("corpus", "wsj0", target="contrasep_lib.corpus.wsj0:Wsj0")
@dataclasses.dataclass(frozen=True)
class Wsj0Options(Bounded):
    """WSJ0 (LDC93S6A), by the lists of WSJ0-mix."""


@choice("corpus", "recordings", target="contrasep_lib.corpus.recordings:Recordings")
@dataclasses.dataclass(frozen=True)
class RecordingsOptions(Bounded):
    """What a file of one's own lists (``contrasep prepare-corpus FILE.py``), split by speaker.

    Attributes:
        test_speakers: speakers of the set ``tt``, as the file names them; null draws ``test_fraction`` of all.
        test_fraction: share of the speakers that goes to ``tt``, evenly spread over genders where these are known;
            four speakers at least, half of all at most.
        valid_fraction: share of each training speaker's recordings that goes to ``cv``.
        prefix: what ids begin with; null: the name of the recipe without the count.
        leave_out: leave unusable recordings out, counted and named, in place of an error.
        rate: highest sampling rate of recordings that have to be decoded, Hz.
    """

    test_speakers: tuple[str, ...] | None = None
    test_fraction: Part = 0.1
    valid_fraction: Part = 0.1
    prefix: Id | None = None
    leave_out: bool = False
    rate: Rate = 48000


@choice("corpus", "mixtures", target="contrasep_lib.corpus.mixtures:FinishedMixtures")
@dataclasses.dataclass(frozen=True)
class MixturesOptions(Bounded):
    """Mixtures that others have made (``contrasep import-mixtures``): LibriMix, WHAM!, any tree of mix/ s1/ s2/.

    Attributes:
        mixture: folder of the mixtures beside ``s1``, ``s2``, .., e.g. ``mix_clean`` or ``mix_both``; null: the only
            one whose name begins with ``mix``.
        noise: folder of the noise beside them, a source that is no talker; ``auto``: ``noise`` where it is there and
            the mixtures are not ``mix_clean``; ``none``: mixtures are talkers alone.
        sets: set -> folder, e.g. ``{tr: train-360, cv: dev, tt: test}``; null: by usual names.
        names: what names of mixtures tell of speakers: ``librispeech`` (LibriMix), ``wsj0mix`` (WSJ0-mix, WHAM!),
            ``none``, or ``auto`` for what all of them fit.
        speakers: table with a line ``NAME SPEAKER1 SPEAKER2 ..`` of each mixture, in place of its name; null for none.
        leave_out: leave faulty mixtures out, counted and named, in place of an error.
    """

    mixture: Id | None = None
    noise: Id = "auto"
    sets: dict[Id, Id] | None = None
    names: Literal["auto", "librispeech", "wsj0mix", "none"] = "auto"
    speakers: str | None = None
    leave_out: bool = False


@dataclasses.dataclass(frozen=True)
class CorpusOptions(Bounded):
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
