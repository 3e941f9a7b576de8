"""Word and unit error rates of a separated set: of its clean sources, its mixtures and what was separated."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.asr.recordings import in_batches
from contrasep_lib.asr.transcribers import Transcriber
from contrasep_lib.corpus.single import normalise_text, refuse_wordless
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.audio import resample_audio
from contrasep_lib.io.dumpset import DumpSet, SeparatedSet, require_same_keys
from contrasep_lib.io.parallel import progress
from contrasep_lib.io.scp import read_table, write_table
from contrasep_lib.score.intervals import speaker_interval
from contrasep_lib.score.words import Errors, best_permutation, errors_of

# what is transcribed: each source alone, the mixture, each output
KINDS = ("clean", "mixed", "separated")
WORDS, UNITS = "word", "unit"
COLUMNS = ("words", "substitutions", "deletions", "insertions")
DECIMALS = 4
# ids hold no blank
_GAP = " "


def references(dump: DumpSet) -> dict[str, list[str]]:
    """Utterance id -> transcript of each source, normalised, by ``text_spkN`` or ``text``.

    Raises:
        ContrasepError: a set without transcripts, or whose transcripts hold no word.
    """
    names = [f"text_spk{number}" for number in range(1, dump.num_spk + 1)] if dump.spk else ["text"]
    tables = []
    for name in names:
        path = dump.folder / name
        if not path.is_file():
            raise ContrasepError(f"{path}: no transcripts of this set; take a corpus that has them, or leave --wer out")
        table = read_table(path)
        require_same_keys(dump.wav, table, path)
        tables.append({key: normalise_text(text) for key, text in table.items()})
        refuse_wordless(path, tables[-1].values())
    return {key: [table[key] for table in tables] for key in dump.keys}


class Heard:
    """Transcripts of a set: ``heard[kind][utterance]`` is a list, of each source, the mixture, each output.

    Args:
        dump: mixtures and sources.
        separated: outputs.
        transcriber: what transcribes.
    """

    def __init__(self, dump: DumpSet, separated: SeparatedSet, transcriber: Transcriber) -> None:
        self.dump, self.separated, self.transcriber = dump, separated, transcriber
        require_same_keys(dump.wav, separated.spk[0], separated.folder / "spk1.scp")

    def signals(self, kind: str, key: str) -> np.ndarray:
        """What of an utterance is transcribed, ``(signals, samples)``.

        Raises:
            ContrasepError: audio that cannot be read, outputs of another rate or length than the mixture.
        """
        if kind == "clean":
            return self.dump.sources(key)
        mixture = self.dump.mixture(key)
        return mixture[None] if kind == "mixed" else self.separated.outputs(key, self.dump.rate, len(mixture))

    def transcripts(self, kind: str) -> dict[str, list[str]]:
        """Utterance id -> transcripts."""
        counts = {key: self._count(kind, key) for key in self.dump.keys}
        names = [f"{key}{_GAP}{number}" for key, count in counts.items() for number in range(count)]

        def read(name: str) -> np.ndarray:
            key, _, number = name.partition(_GAP)
            return resample_audio(self.signals(kind, key)[int(number)], self.dump.rate, self.transcriber.rate)

        heard: dict[str, str] = {}
        with progress(in_batches(names, read, self.transcriber.batch), f"transcribing {kind}") as shown:
            for batch in shown:
                heard |= self.transcriber.transcribe(batch)
        return {key: [heard[f"{key}{_GAP}{number}"] for number in range(count)] for key, count in counts.items()}

    def _count(self, kind: str, key: str) -> int:
        if kind == "separated":
            return sum(key in table for table in self.separated.spk)
        return self.dump.num_spk if kind == "clean" else 1


def errors_in(
    kind: str, said: Sequence[Sequence[str]], heard: Sequence[Sequence[str]]
) -> tuple[Errors, tuple[int | None, ...] | None]:
    """Errors of one utterance, in words or units, and the permutation of separated outputs.

    Clean sources are compared with their own transcript. The mixture stands as the output of every talker, as it does
    for SI-SNR. Outputs are matched with talkers by the fewest errors; see `best_permutation`.
    """
    if kind == "separated":
        return best_permutation(said, heard)
    heard = list(heard) * len(said) if kind == "mixed" else heard
    return sum((errors_of(*pair) for pair in zip(said, heard)), Errors()), None


@dataclasses.dataclass(frozen=True)
class WordScores:
    """Errors of a set.

    Attributes:
        errors: (unit or word, kind) -> utterance id -> errors.
        permutations: utterance id -> for each talker the index of its output, by words.
        transcripts: kind -> utterance id -> transcripts.
    """

    errors: Mapping[tuple[str, str], Mapping[str, Errors]]
    permutations: Mapping[str, tuple[int | None, ...]]
    transcripts: Mapping[str, Mapping[str, Sequence[str]]]


def score_words(dump: DumpSet, separated: SeparatedSet, transcriber: Transcriber) -> WordScores:
    """Transcribe a set and count its errors.

    Raises:
        ContrasepError: no transcripts to compare with, sets that do not agree, a recogniser that fails.
    """
    said = references(dump)
    heard = Heard(dump, separated, transcriber)
    transcripts = {kind: heard.transcripts(kind) for kind in KINDS}
    split = {WORDS: str.split, UNITS: transcriber.pieces}
    errors: dict[tuple[str, str], dict[str, Errors]] = {}
    permutations: dict[str, tuple[int | None, ...]] = {}
    for of, parts in split.items():
        for kind in KINDS:
            errors[of, kind] = {}
            for key in dump.keys:
                pair = [list(map(parts, texts)) for texts in (said[key], transcripts[kind][key])]
                errors[of, kind][key], permutation = errors_in(kind, *pair)
                if of == WORDS and permutation is not None:
                    permutations[key] = permutation
    return WordScores(errors, permutations, transcripts)


def rate_with_interval(
    errors: Sequence[Errors], speakers: Sequence[Sequence[str]]
) -> tuple[float | None, list[float] | None]:
    """Errors by words of a set, and a 95 % interval over speakers.

    The rate R = sum e / sum n is a ratio of sums; its interval is that of the mean of R + (e - R n) / mean(n), the
    linearised ratio (Cochran, "Sampling Techniques", 1977, section 6.3), by `speaker_interval`.
    """
    words, edits = (np.array([getattr(one, name) for one in errors], dtype=float) for name in ("words", "total"))
    if not words.sum():
        return None, None
    rate = edits.sum() / words.sum()
    (interval,) = speaker_interval(rate + (edits - rate * words) / words.mean(), speakers, bounds=(0.0, math.inf))
    return round(float(rate), DECIMALS), interval and [round(limit, DECIMALS) for limit in interval]


def summary(scores: WordScores, dump: DumpSet, transcriber: Transcriber) -> dict[str, Any]:
    """What ``wer.json`` holds: the recogniser, and of words and units the rates of each kind with their parts."""
    made: dict[str, Any] = {"recogniser": transcriber.name, "unit": transcriber.unit, "n": len(dump.keys)}
    for (of, kind), errors in scores.errors.items():
        rate, interval = rate_with_interval(list(errors.values()), [dump.speakers[key] for key in errors])
        total = sum(errors.values(), Errors())
        parts = dict(zip(COLUMNS, dataclasses.astuple(total)))
        made.setdefault(f"{of}_error_rate", {})[kind] = {"rate": rate, "ci95": interval, **parts}
    return made


def write_word_scores(folder: str | os.PathLike, scores: WordScores, summed: Mapping[str, Any]) -> None:
    """Write ``wer.tsv`` (a line for each utterance), ``wer.json`` and the transcripts, ``text_KIND_spkN``.

    A transcript without words has no line, as tables have no empty values.
    """
    folder = Path(folder)
    for kind, heard in scores.transcripts.items():
        most = max((len(texts) for texts in heard.values()), default=0)
        for stale in folder.glob(f"text_{kind}_spk*"):
            stale.unlink()
        for number in range(most):
            table = {key: texts[number] for key, texts in heard.items() if len(texts) > number and texts[number]}
            write_table(folder / f"text_{kind}_spk{number + 1}", table)
    pairs = list(scores.errors)
    names = [f"{kind}_{of}_{column}" for of, kind in pairs for column in ("total", "errors")]
    lines = ["\t".join(["utt", *names, "permutation"])]
    for key in sorted(scores.permutations):
        found = [scores.errors[pair][key] for pair in pairs]
        counts = [number for each in found for number in (each.words, each.total)]
        matching = ",".join("-" if output is None else str(output + 1) for output in scores.permutations[key])
        lines.append("\t".join([key, *map(str, counts), matching]))
    write_text(folder / "wer.tsv", "\n".join(lines) + "\n")
    write_text(folder / "wer.json", json.dumps(summed, sort_keys=True, indent=2, allow_nan=False) + "\n")


def shown_lines(summed: Mapping[str, Any]) -> list[str]:
    """The rates as lines of a terminal."""
    lines = [f"{summed['recogniser']}, {summed['n']} mixtures"]
    for of in (WORDS, UNITS):
        what = "words" if of == WORDS else summed["unit"]
        for kind, each in summed[f"{of}_error_rate"].items():
            if each["rate"] is None:
                continue
            interval = " [{:.1%}, {:.1%}]".format(*each["ci95"]) if each["ci95"] else ""
            parts = ", ".join(f"{each[name]} {name}" for name in COLUMNS[1:])
            lines.append(f"{kind:10} {each['rate']:.1%}{interval} of {each['words']} {what} ({parts})")
    return lines
