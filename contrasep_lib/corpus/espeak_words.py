"""Further text for the recogniser, spoken by training voices of the embedded corpus and further ones.

The sentences of the embedded corpus are too few to learn words from: 44 % of the words in its test sentences are in
none of its training sentences. Here the training voices, and further ones of their families of variants, say the words
of all sentences in random order, so a recogniser knows the vocabulary, and no sentence of ``cv`` and ``tt`` nor a voice
of ``tt``. Synthetic speech, as all of this corpus.
"""

from __future__ import annotations

import dataclasses
import os
import random
import zlib
from pathlib import Path
from typing import Annotated

from contrasep_lib.config import Bounded, Range, choice
from contrasep_lib.config.bounds import Seed
from contrasep_lib.corpus.base import Corpus, Request


@choice("corpus", "espeak_words", target="EspeakWords")
@dataclasses.dataclass(frozen=True)
class EspeakWordsOptions(Bounded):
    """Words of the embedded corpus in random order, spoken by its training voices and more; text for a recogniser.

    Attributes:
        train_voices, test_voices: as ``espeak`` has them, so that voices are the same.
        further_voices: voices beside the training voices, other accents and pitches of the same families of variants.
        utterances_per_voice: of each voice.
        words: fewest and most words of an utterance, drawn evenly.
        seed: as ``espeak`` has it.
    """

    train_voices: Annotated[int, Range(2, 10**5)] = 40
    test_voices: Annotated[int, Range(2, 10**5)] = 12
    further_voices: Annotated[int, Range(0, 10**5)] = 160
    utterances_per_voice: Annotated[int, Range(1, 10**5)] = 30
    words: tuple[Annotated[int, Range(1, 100)], ...] = (4, 12)
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.words) != 2 or self.words[0] > self.words[1]:
            raise ValueError(f"words: expected the fewest and the most, got {list(self.words)}")


def draw_words(rng: random.Random, count: int, bounds: tuple[int, ...], bag: list[str]) -> list[str]:
    """``count`` utterances of words from the bag, which is emptied in random order before it is filled again."""
    made: list[str] = []
    left: list[str] = []
    for _ in range(count):
        size = rng.randint(*bounds)
        while len(left) < size:
            left += rng.sample(bag, len(bag))
        made.append(" ".join(left[:size]))
        del left[:size]
    return made


class EspeakWords(Corpus):
    """Speaks words in random order; writes the set ``tr`` alone."""

    def prepare(self, request: Request) -> dict[str, int]:
        """Write ``tr`` of synthetic speech."""
        from tqdm import tqdm

        from contrasep_lib.corpus.espeak import draw_further_voices, draw_voices
        from contrasep_lib.corpus.espeak_engine import Engine, Line, speak_all
        from contrasep_lib.corpus.options import EspeakOptions
        from contrasep_lib.corpus.sentences import SENTENCES
        from contrasep_lib.corpus.single import Utterance, claim_folder, normalise_text, write_single_set

        options, folder, engine = self.options, Path(request.out), Engine()
        corpus = EspeakOptions(options.train_voices, options.test_voices, seed=options.seed)
        voices = draw_voices(corpus)[0] + draw_further_voices(corpus, options.further_voices)
        bag = [word.strip(".,?!;:\"") for sentence in SENTENCES for word in sentence.split()]
        claim_folder(folder, {
            "corpus": "espeak_words", "synthetic": True, "espeak_ng": engine.version,
            "options": dataclasses.asdict(options), "sentences": zlib.crc32("\n".join(SENTENCES).encode()),
        })  # fmt: skip
        lines: list[Line] = []
        owners = []
        for voice in voices:
            rng = random.Random(f"{options.seed} words {voice.speaker}")
            for number, text in enumerate(draw_words(rng, options.utterances_per_voice, options.words, bag), 1):
                utt_id = f"{voice.speaker}-w{number:05d}"
                path = os.fspath(folder / "wav" / voice.speaker / f"{utt_id}.wav")
                seed = zlib.crc32(utt_id.encode())
                lines.append(
                    Line(path, text, voice.name, voice.pitch, voice.pitch_range, voice.words_per_minute, seed)
                )
                owners.append((utt_id, voice))
        lengths: list[int] = []
        with tqdm(total=len(lines), desc="speaking", unit="utt", disable=None) as bar:
            for batch in speak_all(lines, request.jobs):
                lengths += batch
                bar.update(len(batch))
        utterances = [
            Utterance(utt_id, voice.speaker, line.path, normalise_text(line.text), voice.gender, samples, engine.rate)
            for (utt_id, voice), line, samples in zip(owners, lines, lengths)
        ]
        write_single_set(folder / "tr", utterances)
        return {"tr": len(utterances)}
