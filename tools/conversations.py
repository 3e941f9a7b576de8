#!/usr/bin/env python3
"""Long conversations of known truth, and scores of what separates them.

    tools/conversations.py make DIR --corpus LIBRISPEECH --part dev --number 6 --minutes 5
    contrasep separate DIR/*.wav --out OUT
    tools/conversations.py score DIR OUT --json scores.json

make draws 2, 3 and 4 talkers in turn (--talkers) of one part of a split file (conf/splits/librispeech.tsv), and lets
them converse (contrasep_lib/mix/conversation.py). DIR gets NAME.wav (PCM16, 8 kHz), the sources truth/NAME/spkN.wav,
and truth/NAME.rttm: who is heard when, by the power of the sources.

score compares the outputs with the sources:

    outputs   how many there are, and how many talkers
    swaps     of windows of 20 s, the share in which some talker who is heard for a second or more is louder in another
              output than in the usual one, which is the one that holds most of the talker's energy
    SI-SNRi   where two or more are heard, joined over the recording, of the usual output; mean over talkers
    DER       diarisation error rate of NAME.rttm that the separation wrote, without a collar and with one of 0.25 s
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import soundfile  # noqa: E402

from contrasep_lib.bin.common import Parser, positive, within  # noqa: E402
from contrasep_lib.config import Range  # noqa: E402
from contrasep_lib.config.bounds import Seed  # noqa: E402
from contrasep_lib.corpus.librispeech import read_genders, read_part  # noqa: E402
from contrasep_lib.corpus.splits import PARTS, find_split, read_split, speakers_of  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402
from contrasep_lib.io.atomic import write_text  # noqa: E402
from contrasep_lib.io.audio import read_audio, write_wav  # noqa: E402
from contrasep_lib.io.rttm import frames_of, read_rttm, turns_of, write_rttm  # noqa: E402
from contrasep_lib.mix.conversation import converse  # noqa: E402
from contrasep_lib.nodes.activity import active_frames, active_outputs, frame_power  # noqa: E402
from contrasep_lib.score.diarisation import diarisation_error  # noqa: E402

RATE = 8000
# seconds of a window in which a talker's output is judged, and that a talker has to be heard in it
WINDOW, HEARD = 20.0, 1.0
# of the background, under the mean power of speech
BACKGROUND_DB = 50.0
FRAME = RATE // 100


# ------------------------------------------------------------------ make


def utterances_of(corpus: Path, part: str, split: str, least: int) -> dict[str, list[str]]:
    """Speaker -> files, of the speakers of a part who have at least so many."""
    held = set(speakers_of(read_split(find_split(split)), part))
    genders = read_genders(corpus / "SPEAKERS.TXT")
    found: dict[str, list[str]] = {}
    for folder in sorted(each for each in corpus.iterdir() if each.name.startswith("train-clean")):
        for utterance in read_part(folder, genders, 1):
            if utterance.speaker in held:
                found.setdefault(utterance.speaker, []).append(str(utterance.path))
    return {speaker: files for speaker, files in sorted(found.items()) if len(files) >= least}


def loader(file: str) -> Callable[[], np.ndarray]:
    """Reads an utterance."""
    return lambda: read_audio(file, RATE, resample=True)[0]


def background(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Noise that falls by 3 dB an octave, of power 1, ``(samples,)``."""
    spectrum = np.fft.rfft(rng.standard_normal(1 << 18).astype(np.float32))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 50))
    noise = np.fft.irfft(spectrum)
    return np.resize(noise / noise.std(), samples).astype(np.float32)


def make(args: argparse.Namespace) -> None:
    """Write conversations and their truth."""
    files = utterances_of(args.corpus, args.part, args.split, args.least)
    if len(files) < max(args.talkers):
        raise ContrasepError(
            f"{args.corpus}: {len(files)} speakers of '{args.part}' with {args.least} utterances, expected {max(args.talkers)}"
        )
    for number in range(args.number):
        rng = np.random.default_rng([args.seed, PARTS.index(args.part), number])
        speakers = sorted(rng.choice(list(files), args.talkers[number % len(args.talkers)], replace=False).tolist())
        name = f"{args.part}{number:02d}_{len(speakers)}talkers_{args.minutes:g}min"
        made = converse([[loader(file) for file in files[each]] for each in speakers], 60 * args.minutes, RATE, rng)
        mixture = made.sources.sum(axis=0)
        level = np.sqrt(np.square(mixture, dtype=np.float64).sum() / (made.sources != 0).any(axis=0).sum())
        mixture += np.float32(level * 10 ** (-BACKGROUND_DB / 20)) * background(len(mixture), rng)
        gain = np.float32(0.9 / max(np.abs(mixture).max(), np.abs(made.sources).max()))
        active = active_frames(frame_power(made.sources, RATE))
        names = [f"spk{each}" for each in range(1, len(speakers) + 1)]
        for each, source in zip(names, made.sources):
            write_wav(args.dir / "truth" / name / f"{each}.wav", gain * source, RATE)
        write_rttm(args.dir / "truth" / f"{name}.rttm", name, turns_of(active, names))
        write_wav(args.dir / f"{name}.wav", gain * mixture, RATE)
        once = active.any(axis=0).sum()
        print(
            f"{name}: speakers {' '.join(speakers)}; {once / 100:.0f} s of speech, "
            f"{(active.sum(axis=0) > 1).sum() / once:.0%} of it overlaps; "
            f"shares {' '.join(f'{share:.0%}' for share in active.sum(axis=1) / active.sum())}"
        )


# ------------------------------------------------------------------ score


@dataclasses.dataclass(frozen=True)
class Score:
    """Of one recording; see the top of this file. ``windows`` are those in which somebody is judged."""

    talkers: int
    outputs: int
    windows: int
    swaps: int
    si_snri: float
    der: float
    der_collar: float


def read_all(files: Sequence[Path]) -> np.ndarray:
    """Recordings of one length, ``(files, samples)`` float32."""
    return np.stack([soundfile.read(file, dtype="float32")[0] for file in files])


def si_snr(estimate: np.ndarray, source: np.ndarray) -> float:
    """SI-SNR in dB."""
    estimate, source = (x.astype(np.float64) - x.mean(dtype=np.float64) for x in (estimate, source))
    target = (estimate @ source) / max(source @ source, 1e-20) * source
    return float(10 * np.log10(max(target @ target, 1e-20) / max(np.square(estimate - target).sum(), 1e-20)))


def shared_energy(sources: np.ndarray, outputs: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Energy of each talker in each output by windows, ``(windows, talkers, outputs)``: of the projection on the source."""
    size = round(WINDOW * RATE)
    found = []
    for start in range(0, sources.shape[1], size):
        part, out = sources[:, start : start + size].astype(np.float64), outputs[:, start : start + size].astype(np.float64)
        norm = np.square(part).sum(axis=1, keepdims=True)
        found.append(np.square(part @ out.T) / np.maximum(norm, 1e-12))
    return np.stack(found)


def score_one(mixture: np.ndarray, sources: np.ndarray, outputs: np.ndarray, active: np.ndarray, spoken: np.ndarray) -> Score:
    """Score a recording.

    Args:
        mixture: ``(samples,)``.
        sources: ``(talkers, samples)``.
        outputs: ``(outputs, samples)``.
        active: of the talkers, ``(talkers, frames)`` bool.
        spoken: of the outputs, ``(outputs, frames)`` bool.
    """
    from scipy.optimize import linear_sum_assignment

    energy = shared_energy(sources, outputs, active)
    usual = energy.sum(axis=0).argmax(axis=1)
    per_window = round(WINDOW * 100)
    heard = np.add.reduceat(active, np.arange(0, active.shape[1], per_window), axis=1, dtype=np.int64).T >= HEARD * 100
    wrong = heard & (energy.argmax(axis=2) != usual[None])
    overlap = np.repeat(active.sum(axis=0) > 1, FRAME)[: len(mixture)]
    rows, columns = linear_sum_assignment(-energy.sum(axis=0))
    gains = []
    for talker, source in enumerate(sources):
        where = overlap & np.repeat(active[talker], FRAME)[: len(mixture)]
        found = outputs[columns[rows == talker][0]] if (rows == talker).any() else mixture
        gains.append(si_snr(found[where], source[where]) - si_snr(mixture[where], source[where]))
    errors = [diarisation_error(active, spoken, collar) for collar in (0.0, 0.25)]
    return Score(
        len(sources), len(outputs), int(heard.any(axis=1).sum()), int(wrong.any(axis=1).sum()), float(np.mean(gains)),
        errors[0].rate, errors[1].rate,
    )


def score_files(folder: Path, out: Path, name: str) -> Score:
    """Score a recording of a folder that ``make`` wrote."""
    mixture = read_all([folder / f"{name}.wav"])[0]
    talkers = sorted((folder / "truth" / name).glob("spk*.wav"), key=lambda file: int(file.stem[3:]))
    content = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    outputs = read_all([out / each for each in content["outputs"]])
    sources = read_all(talkers)
    frames = -(-len(mixture) // FRAME)
    active = frames_of(read_rttm(folder / "truth" / f"{name}.rttm"), [file.stem for file in talkers], frames)
    rttm = out / f"{name}.rttm"
    if rttm.exists():
        turns = read_rttm(rttm)
        spoken = frames_of(turns, sorted({turn.speaker for turn in turns}), frames)
    else:
        spoken = active_outputs(frame_power(outputs, RATE))
    return score_one(mixture, sources, outputs, active, spoken)


def summary(scores: Sequence[Score]) -> dict[str, Any]:
    """Of all recordings."""
    windows, swaps = sum(score.windows for score in scores), sum(score.swaps for score in scores)
    return {
        "recordings": len(scores),
        "count_right": sum(score.outputs == score.talkers for score in scores) / len(scores),
        "windows": windows,
        "swaps": swaps / windows if windows else 0.0,
        **{key: float(np.mean([getattr(score, key) for score in scores])) for key in ("si_snri", "der", "der_collar")},
    }


def score(args: argparse.Namespace) -> None:
    """Print a table of scores."""
    found = {file.stem: None for file in sorted(args.dir.glob("*.wav")) if (args.out / f"{file.stem}.json").exists()}
    if not found:
        raise ContrasepError(f"{args.out}: no separation of a recording of {args.dir}")
    print("| recording | talkers | outputs | windows | swaps | SI-SNRi, overlap [dB] | DER [%] | DER, collar 0.25 s [%] |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    scores = {}
    for name in found:
        s = scores[name] = score_files(args.dir, args.out, name)
        print(
            f"| {name} | {s.talkers} | {s.outputs} | {s.windows} | {s.swaps} | {s.si_snri:.1f} | {100 * s.der:.1f} "
            f"| {100 * s.der_collar:.1f} |", flush=True,
        )
    whole = summary(list(scores.values()))
    print(
        f"| all {whole['recordings']} | right: {whole['count_right']:.0%} | | {whole['windows']} | "
        f"{100 * whole['swaps']:.2f} % | {whole['si_snri']:.1f} | {100 * whole['der']:.1f} | {100 * whole['der_collar']:.1f} |"
    )
    if args.json:
        content = {**whole, "scores": {name: dataclasses.asdict(each) for name, each in scores.items()}}
        write_text(args.json, json.dumps(content, indent=1) + "\n")


def main() -> None:
    """Entry point."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("make", help="make conversations")
    one.set_defaults(run=make)
    one.add_argument("dir", type=Path, metavar="DIR")
    one.add_argument("--corpus", type=Path, required=True, help="folder with LibriSpeech's parts and SPEAKERS.TXT")
    one.add_argument("--split", default="conf/splits/librispeech.tsv", help="split file (default %(default)s)")
    one.add_argument("--part", choices=PARTS, default="dev", help="whose speakers (default %(default)s)")
    one.add_argument("--number", type=positive, default=6, help="of conversations (default %(default)s)")
    one.add_argument("--talkers", type=positive, nargs="+", default=[2, 3, 4], help="in turn (default 2 3 4)")
    one.add_argument(
        "--minutes", type=within(Annotated[float, Range(0, 600, "(]")]), default=10.0, help="default %(default)g"
    )
    one.add_argument("--least", type=positive, default=20, help="utterances that a speaker has to have (default 20)")
    one.add_argument("--seed", type=within(Seed), default=0)
    two = commands.add_parser("score", help="score separated conversations")
    two.set_defaults(run=score)
    two.add_argument("dir", type=Path, metavar="DIR", help="of make")
    two.add_argument("out", type=Path, metavar="OUT", help="of contrasep separate")
    two.add_argument("--json", help="write the scores here")
    args = parser.parse_args()
    try:
        args.run(args)
    except ContrasepError as error:
        sys.exit(f"conversations.py: {error}")


if __name__ == "__main__":
    main()
