"""The embedded corpus: sentences of this project spoken by eSpeak NG, with nothing to download.

A speaker is a voice variant of eSpeak NG (formants, voice source, intonation) with an accent,
a pitch, a pitch range and a speaking rate. This is synthetic speech, made to run and test the
whole recipe; results on it say nothing about people talking.

Sets: ``tr`` and ``cv`` share their voices but no sentence; the voices of ``tt`` come from
families of variants of which none speaks in training, and its sentences are its own too.
"""

from __future__ import annotations

import dataclasses
import math
import os
import random
import zlib
from pathlib import Path

from contrasep_lib.corpus.base import Corpus, Request
from contrasep_lib.corpus.espeak_engine import Engine, Line, speak_all
from contrasep_lib.corpus.options import EspeakOptions
from contrasep_lib.corpus.sentences import SENTENCES
from contrasep_lib.corpus.single import Utterance, claim_folder, normalise_text, write_single_set
from contrasep_lib.errors import ContrasepError

SETS = ("tr", "cv", "tt")
ACCENTS = (
    "en-us", "en", "en-gb-scotland", "en-us-nyc", "en-gb-x-rp", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd"
)  # fmt: skip


def _families(names: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(family.split()) for family in names.split(","))


# Variants that sound alike stand in one family, and a family is never split between training and
# test. Left out: whispering, creaking and robot voices, strong echo, near copies of the default
# voice, and what clips, drags or squeaks.
LOW_FAMILIES = _families(
    """
    Alex, Andy AnxiousAndy, Denis victor, Diogo Henrique Hugo michel miguel, Gene Gene2, Jacky, Lee,
    Mario Michael, Mike, Nguyen m7, Reed, Storm, adam benjamin edward2, antonio, boris max, ed,
    grandpa, gustave, iven2 iven3 iven4, john norbert pablo, m1, m2, m3, m4, m5, m6, m8, marcelo,
    mike2, paul, pedro, quincy, rob robert, sandro, travis
    """
)
HIGH_FAMILIES = _families(
    """
    Alicia, Andrea, Annie, anika, aunty, belinda linda, f1, f2 f5, f3, f4, grandma, shelby, steph
    steph2
    """
)
# eSpeak NG's pitch scale: 50 is the variant's own (medians of 75 to 147 Hz and of 175 to 265 Hz);
# these bounds keep low voices between about 65 and 190 Hz and high ones between 135 and 300 Hz
LOW_PITCH, HIGH_PITCH = (20, 74), (24, 62)
PITCH_RANGES = (30, 75)
WORDS_PER_MINUTE = (120, 185)
# voices that share a variant differ in accent, and in pitch by at least an eighth of its bounds
VOICES_PER_VARIANT = 8
# shares of the sentences that each set draws from
SENTENCE_SHARES = {"tr": 0.6, "cv": 0.1, "tt": 0.3}


@dataclasses.dataclass(frozen=True)
class Voice:
    """A speaker: eSpeak NG's settings and the gender that the variant stands for (``m``, ``f``)."""

    speaker: str
    gender: str
    variant: str
    accent: str
    pitch: int
    pitch_range: int
    words_per_minute: int

    @property
    def name(self) -> str:
        """eSpeak NG's name of the voice."""
        return f"{self.accent}+{self.variant}"


def draw_voices(options: EspeakOptions) -> tuple[list[Voice], list[Voice]]:
    """Training and test voices; half of each are low, half high.

    Raises:
        ContrasepError: more voices asked for than can be distinguished.
    """
    training, test, _ = _draw_sides(options)
    return training, test


def draw_further_voices(options: EspeakOptions, count: int) -> list[Voice]:
    """Voices beside the training voices, from the same families of variants; half are low, half high.

    Raises:
        ContrasepError: more voices asked for than can be distinguished.
    """
    *_, pools = _draw_sides(options)
    rng = random.Random(f"{options.seed} further voices")
    made: list[Voice] = []
    for gender, pitch in (("m", LOW_PITCH), ("f", HIGH_PITCH)):
        few = "corpus.espeak_words.further_voices", "lower it"
        made += _draw_register(rng, pools[gender], (count + (gender == "m")) // 2, gender, "b", pitch, few)
    return made


def _draw_sides(options: EspeakOptions) -> tuple[list[Voice], list[Voice], dict[str, list[tuple[str, ...]]]]:
    """Training voices, test voices, and the families of training voices by gender."""
    rng = random.Random(f"{options.seed} voices")
    training: list[Voice] = []
    test: list[Voice] = []
    pools: dict[str, list[tuple[str, ...]]] = {}
    for gender, families, pitch in (("m", LOW_FAMILIES, LOW_PITCH), ("f", HIGH_FAMILIES, HIGH_PITCH)):
        counts = [(n + (gender == "m")) // 2 for n in (options.train_voices, options.test_voices)]
        order = rng.sample(families, len(families))
        share = round(len(order) * counts[1] / sum(counts))
        split = min(max(share, 2), len(order) - 2)
        pools[gender] = order[split:]
        for voices, pool, count, letter in (
            (training, pools[gender], counts[0], "a"),
            (test, order[:split], counts[1], "z"),
        ):
            voices += _draw_register(rng, pool, count, gender, letter, pitch)
    return training, test, pools


def _draw_register(
    rng: random.Random,
    families: list[tuple[str, ...]],
    count: int,
    gender: str,
    letter: str,
    pitch: tuple[int, int],
    few: tuple[str, str] = ("corpus.espeak", "lower train_voices or test_voices"),
) -> list[Voice]:
    # one variant of every family first, then second ones: few voices come from as many families as can be
    depth = max(len(family) for family in families)
    variants = [family[turn] for turn in range(depth) for family in families if turn < len(family)]
    if count > VOICES_PER_VARIANT * len(variants):
        most, kind = VOICES_PER_VARIANT * len(variants), "low" if gender == "m" else "high"
        raise ContrasepError(
            f"{few[0]}: expected at most {most} {kind} voices, from {len(variants)} variants, got {count}; {few[1]}"
        )
    variants = variants[:count]
    rounds = math.ceil(count / len(variants))
    accents = rng.sample(ACCENTS, len(ACCENTS))
    places = rng.sample(range(len(variants)), len(variants))
    ranges = _spread(rng, PITCH_RANGES, count)
    rates = _spread(rng, WORDS_PER_MINUTE, count)
    voices = []
    for index in range(count):
        turn, base = divmod(index, len(variants))
        # each round of the variants has its own part of the pitch bounds
        height = (turn + (places[base] + 0.5) / len(variants)) / rounds
        voices.append(
            Voice(
                speaker=f"es{letter}{gender}{index + 1:03d}",
                gender=gender,
                variant=variants[base],
                accent=accents[(base + turn) % len(accents)],
                pitch=round(pitch[0] + height * (pitch[1] - pitch[0])),
                pitch_range=ranges[index],
                words_per_minute=rates[index],
            )
        )
    return voices


def _spread(rng: random.Random, bounds: tuple[int, int], count: int) -> list[int]:
    """``count`` evenly spaced values within the bounds, in random order."""
    low, high = bounds
    return rng.sample([round(low + (high - low) * (i + 0.5) / count) for i in range(count)], count)


def draw_sentences(options: EspeakOptions) -> dict[str, list[str]]:
    """The sentences that each set draws from, disjoint.

    Raises:
        ContrasepError: a voice would have to say a sentence twice.
    """
    shuffled = random.Random(f"{options.seed} sentences").sample(SENTENCES, len(SENTENCES))
    pools, start = {}, 0
    for name in SETS:
        stop = start + round(SENTENCE_SHARES[name] * len(shuffled))
        pools[name] = shuffled[start:stop]
        start = stop
    for name, needed in utterances_per_voice(options).items():
        if needed > len(pools[name]):
            raise ContrasepError(
                f"corpus.espeak.sentences_per_voice: {options.sentences_per_voice} leave {needed} for each "
                f"voice of '{name}', which has {len(pools[name])} sentences; lower it and take more voices"
            )
    return pools


def utterances_per_voice(options: EspeakOptions) -> dict[str, int]:
    """Set -> utterances of each of its voices; ``cv`` has a tenth of a training voice's, at least one."""
    valid = max(1, options.sentences_per_voice // 10)
    return {"tr": options.sentences_per_voice - valid, "cv": valid, "tt": options.sentences_per_voice}


def make_corpus(options: EspeakOptions, folder: str | os.PathLike, jobs: int = 1) -> dict[str, int]:
    """Speak the corpus: ``folder/wav/<speaker>/<utterance>.wav`` and the sets ``tr``, ``cv``, ``tt``.

    The same options give the same bytes on any number of jobs, and after a kill: what was
    spoken whole is kept. ``folder/corpus.json`` records the options and voices before the
    work, and a folder that holds another corpus is refused.

    Args:
        options: see `EspeakOptions`.
        folder: sources folder; paths in ``wav.scp`` begin with it as given.
        jobs: processes.

    Returns:
        set -> number of utterances.

    Raises:
        ContrasepError: another corpus in the folder, too many voices or sentences,
            eSpeak NG missing.
    """
    from tqdm import tqdm

    folder = Path(folder)
    training, test = draw_voices(options)
    pools = draw_sentences(options)
    counts = utterances_per_voice(options)
    engine = Engine()
    claim_folder(folder, {
        "corpus": "espeak",
        "synthetic": True,
        "espeak_ng": engine.version,
        "options": dataclasses.asdict(options),
        "sentences": zlib.crc32("\n".join(SENTENCES).encode()),
        "voices": [dataclasses.asdict(voice) for voice in training + test],
    })  # fmt: skip
    planned: list[tuple[str, Voice, str, Line]] = []
    for name in SETS:
        for voice in test if name == "tt" else training:
            rng = random.Random(f"{options.seed} {name} {voice.speaker}")
            # cv goes on counting where tr ends: both have the same speakers
            first = counts["tr"] if name == "cv" else 0
            for number, sentence in enumerate(rng.sample(pools[name], counts[name]), first + 1):
                utt_id = f"{voice.speaker}-{number:04d}"
                path = folder / "wav" / voice.speaker / f"{utt_id}.wav"
                line = Line(
                    path=os.fspath(path),
                    text=sentence,
                    voice=voice.name,
                    pitch=voice.pitch,
                    pitch_range=voice.pitch_range,
                    words_per_minute=voice.words_per_minute,
                    seed=zlib.crc32(utt_id.encode()),
                )
                planned.append((name, voice, utt_id, line))
    lengths: list[int] = []
    with tqdm(total=len(planned), desc="speaking", unit="utt", disable=None) as bar:
        for batch in speak_all([line for *_, line in planned], jobs):
            lengths += batch
            bar.update(len(batch))
    sets: dict[str, list[Utterance]] = {name: [] for name in SETS}
    for (name, voice, utt_id, line), samples in zip(planned, lengths):
        text = normalise_text(line.text)
        sets[name].append(
            Utterance(utt_id, voice.speaker, line.path, text, voice.gender, samples, engine.rate)
        )
    for name, utterances in sets.items():
        write_single_set(folder / name, utterances)
    return {name: len(utterances) for name, utterances in sets.items()}


class Espeak(Corpus):
    """Speaks the embedded corpus; see `make_corpus`."""

    def prepare(self, request: Request) -> dict[str, int]:
        """Write ``tr``, ``cv``, ``tt`` of synthetic speech."""
        return make_corpus(self.options, request.out, request.jobs)
