"""Options of the section ``corpus``."""

from __future__ import annotations

import dataclasses


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
                raise ValueError(f"{name}: at least 2 wanted, got {getattr(self, name)}")


@dataclasses.dataclass(frozen=True)
class LibrispeechOptions:
    """Mini LibriSpeech (SLR31).

    Attributes:
        test_speakers: ids of the speakers of the set ``tt``, apart from all training.
        valid_fraction: share of each training speaker's utterances that goes to ``cv``.
    """

    test_speakers: tuple[str, ...] = ("19", "1867", "1970", "2136", "226", "3242", "3664", "4680")
    valid_fraction: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.valid_fraction < 1:
            raise ValueError(f"valid_fraction: between 0 and 1 wanted, got {self.valid_fraction}")


@dataclasses.dataclass(frozen=True)
class CorpusOptions:
    """Each recipe reads the entry of its own corpus."""

    espeak: EspeakOptions = EspeakOptions()
    librispeech: LibrispeechOptions = LibrispeechOptions()
