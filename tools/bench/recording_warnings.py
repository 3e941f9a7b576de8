#!/usr/bin/env python3
"""How often the warnings of contrasep separate are raised on development speech, where they should not be.

    tools/bench/recording_warnings.py --corpora DIR --json warnings.json

DIR holds LibriSpeech and CommonVoice (and, if there, ESC-10, sounds without speech). Mixtures of one to five
development speakers of each corpus (conf/splits) are made from --number draws of each count. Without --model only the
tests of the sound itself are measured: content by its spectrum and by silero-vad where that is installed, clipping.
With it mixtures of several lengths are separated: accuracy and warnings of the count, failure signatures.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np
import soundfile

from contrasep_lib.bin.common import Parser, positive
from contrasep_lib.errors import ContrasepError

RATE, SECONDS, COUNTS = 8000, 8.0, range(1, 6)
LENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
Speakers = dict[str, list[Path]]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True, metavar="DIR", help="holds LibriSpeech, CommonVoice, ESC-10")
    parser.add_argument("--number", type=positive, default=40, metavar="N", help="mixtures of each count and corpus (40)")
    parser.add_argument("--model", metavar="NAME|DIR", help="also separates mixtures of each length, by this model")
    parser.add_argument("--separated", type=positive, default=6, metavar="N", help="mixtures of each count, corpus and length (6)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the rows are written")
    return parser.parse_args(arguments)


def development(corpora: Path) -> dict[str, Speakers]:
    """Corpus -> development speaker -> files."""
    from contrasep_lib.corpus.commonvoice_table import list_languages, read_clips
    from contrasep_lib.corpus.splits import read_split, speakers_of

    libri, common = (set(speakers_of(read_split(ROOT / f"conf/splits/{name}.tsv"), "dev")) for name in ("librispeech", "commonvoice"))
    found: dict[str, Speakers] = {"LibriSpeech": {}, "CommonVoice": {}}
    for path in sorted((corpora / "LibriSpeech").glob("*/*/*/*.flac")):
        if path.parts[-3] in libri:
            found["LibriSpeech"].setdefault(path.parts[-3], []).append(path)
    for language in list_languages(corpora / "CommonVoice"):
        for clip in read_clips(corpora / "CommonVoice" / language):
            name = clip.speaker.removeprefix("cv")
            path = next(clip.path.parent.glob(f"{clip.path.stem}.*"), None)
            if name in common and path:
                found["CommonVoice"].setdefault(name, []).append(path)
    if not all(len(speakers) >= max(COUNTS) for speakers in found.values()):
        raise ContrasepError(f"{corpora}: expected development speakers of LibriSpeech and CommonVoice")
    return found


def heard(path: Path) -> np.ndarray:
    """A file at the model's rate."""
    from contrasep_lib.io.recording import read_recording

    return read_recording(path, RATE).samples.astype(np.float64)


def mixture(rng: np.random.Generator, speakers: Speakers, count: int, seconds: float) -> np.ndarray:
    """A mixture of ``count`` speakers, all talking as long as their files do."""
    out, longest = np.zeros(round(seconds * RATE)), 0
    for name in rng.choice(sorted(speakers), count, replace=False):
        signal = heard(speakers[name][rng.integers(len(speakers[name]))])[: len(out)]
        gain = 10 ** (rng.uniform(-2.5, 2.5) / 20) / np.sqrt(np.mean(signal**2))
        out[: len(signal)] += gain * signal
        longest = max(longest, len(signal))
    return 0.9 * out[:longest] / np.abs(out).max()


def chords(rng: np.random.Generator, step: float) -> np.ndarray:
    """Struck chords of six partials a note, one every ``step`` seconds."""
    out = []
    for _ in range(round(SECONDS / step)):
        time = np.arange(round(step * RATE)) / RATE
        notes = 110 * 2 ** ((rng.integers(24) + np.array([0, rng.choice([3, 4]), 7])) / 12)
        partials = np.array([note * number for note in notes for number in range(1, 7) if note * number < RATE / 2])
        number = np.array([n for note in notes for n in range(1, 7) if note * n < RATE / 2])
        envelope = np.minimum(1, time / 0.01) * np.exp(-time * rng.uniform(0, 4))
        out.append(envelope * (np.sin(2 * np.pi * partials[:, None] * time) / number[:, None]).sum(0))
    return np.concatenate(out)


def without_speech(rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Sounds that are made, by name."""
    samples = round(SECONDS * RATE)
    time, freq = np.arange(samples) / RATE, np.maximum(np.fft.rfftfreq(samples), 1 / samples)
    for name, slope in (("white noise", 0), ("pink noise", 0.5), ("brown noise", 1)):
        yield name, np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) / freq**slope)
    for hertz in (100, 440, 1000, 3000):
        yield f"tone of {hertz} Hz", np.sin(2 * np.pi * hertz * time)
    yield "hum of 50 Hz", sum(np.sin(2 * np.pi * 50 * n * time) / n for n in range(1, 20))
    yield "tone in noise, 17 dB", np.sin(2 * np.pi * 440 * time) + 0.1 * rng.standard_normal(samples)
    yield "beeps", np.sin(2 * np.pi * 425 * time) * (time % 1 < 0.5)
    for step in (0.25, 0.5, 1):
        yield f"chords, one every {step:g} s", chords(rng, step)
    yield "chords in noise", chords(rng, 0.5) + 0.1 * rng.standard_normal(samples)


def contents(args: argparse.Namespace, speech: dict[str, Speakers]) -> Iterator[dict[str, Any]]:
    """Rows of the test of content: false alarms on speech, alarms without."""
    from contrasep_lib.separate import content

    rng = np.random.default_rng(0)
    groups: list[tuple[str, Callable[[], Iterator[np.ndarray]]]] = []

    def mixtures(speakers: Speakers, seconds: float, noise_db: float | None) -> Iterator[np.ndarray]:
        for count in COUNTS:
            for _ in range(args.number):
                signal = mixture(rng, speakers, count, seconds)
                level = 0.0 if noise_db is None else np.std(signal) * 10 ** (-noise_db / 20)
                yield signal + level * rng.standard_normal(len(signal))

    for corpus, speakers in speech.items():
        for seconds, noise in ((1, None), (3, None), (SECONDS, None), (SECONDS, 10)):
            name = f"speech, {corpus}, {seconds:g} s" + ("" if noise is None else f", white noise {noise} dB under it")
            groups.append((name, lambda s=speakers, t=seconds, n=noise: mixtures(s, t, n)))
    for name, signal in without_speech(rng):
        groups.append((name, lambda s=signal: iter([s])))
    groups += [
        (f"ESC-10, {folder.name[4:]}", lambda f=folder: (heard(path) for path in sorted(f.iterdir())))
        for folder in sorted((args.corpora / "ESC-10").glob("[0-9]*"))
    ]
    real = content._vad
    for name, signals in groups:
        by_spectrum, by_both, total = 0, 0, 0
        for signal in signals():
            content._vad = lambda: None
            by_spectrum += content.content_of(signal, RATE) != "speech"
            content._vad = real
            by_both += content.content_of(signal, RATE) != "speech"
            total += 1
        row = {"content of": name, "signals": total, "warned": by_spectrum}
        yield row if real() is None else {**row, "warned with silero-vad": by_both}


def clippings(args: argparse.Namespace, speech: dict[str, Speakers]) -> Iterator[dict[str, Any]]:
    """Rows of the warning of clipped input: files as they are, and 20 dB too loud."""
    from contrasep_lib.io.recording import read_recording
    from contrasep_lib.separate.cautions import MOST_CLIPPED

    for corpus, speakers in speech.items():
        files = [path for paths in speakers.values() for path in paths][: 5 * args.number]
        shares = np.array([read_recording(path, RATE).clipping.share for path in files])
        loud = []
        with tempfile.TemporaryDirectory() as folder:
            for path in files[: args.number]:
                signal = heard(path)
                soundfile.write(f"{folder}/x.wav", 10 * signal / np.abs(signal).max(), RATE)
                loud.append(read_recording(f"{folder}/x.wav", RATE).clipping.share)
        yield {
            "clipping of": corpus, "files": len(files), "warned": int((shares > MOST_CLIPPED).sum()),
            "largest share": float(f"{shares.max():.2g}"), "20 dB too loud": len(loud),
            "warned there": int((np.array(loud) > MOST_CLIPPED).sum()),
        }


def counts(args: argparse.Namespace, speech: dict[str, Speakers]) -> Iterator[dict[str, Any]]:
    """Rows of what a model says: accuracy of the count and warnings, by length."""
    from contrasep_lib.io.recording import ArraySource, read_recording
    from contrasep_lib.separate.cautions import cautions_of
    from contrasep_lib.separate.recorded import RecordedSeparation
    from contrasep_lib.separate.shipped import load_separator

    separator = load_separator(args.model)
    most = separator.separator.modularity.k_max
    for seconds in LENGTHS:
        rng, found = np.random.default_rng(1), []
        for speakers in speech.values():
            for count in (k for k in COUNTS if k <= most):
                for _ in range(args.separated):
                    signal = mixture(rng, speakers, count, LENGTHS[-1])
                    start = rng.integers(max(len(signal) - round(seconds * RATE), 0) + 1)
                    signal = signal[start : start + round(seconds * RATE)]
                    recording = read_recording(ArraySource(signal, RATE), separator.rate)
                    try:
                        with RecordedSeparation(separator, recording) as done:
                            kinds = {each.kind for each in cautions_of(done, None)}
                    except ContrasepError:
                        # a pause
                        continue
                    found.append((done.num_spk == count, "count" in kinds, "partition" in kinds))
        right, close, partition = np.array(found, bool).T
        yield {
            "count by": args.model, "seconds": seconds, "mixtures": len(found), "count accuracy": _share(right),
            "count close": _share(close), "accuracy where close": _share(right[close]),
            "accuracy where not": _share(right[~close]), "failure signature": _share(partition),
            "accuracy where one": _share(right[partition]),
        }


def _share(values: np.ndarray) -> float | None:
    return round(float(values.mean()), 3) if len(values) else None


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    args = parse(arguments)
    import torch

    torch.set_num_threads(1)
    speech, rows = development(args.corpora), []
    for part in (counts,) if args.model else (contents, clippings):
        for row in part(args, speech):
            rows.append(row)
            print(json.dumps(row), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
