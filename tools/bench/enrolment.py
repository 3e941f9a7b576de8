#!/usr/bin/env python3
"""Enrolled voices: how often a model finds the output of a speaker, and finds none where there is none.

    tools/bench/enrolment.py --librispeech DIR --commonvoice DIR --out docs/experiments/bench_enrolment.json
    tools/bench/enrolment.py .. --speakers resemblyzer --out docs/experiments/bench_enrolment_resemblyzer.json
    tools/bench/enrolment.py --table docs/experiments/bench_enrolment.json

A case is a mixture of two or three development speakers (`conf/splits/`), 6 s at most, and a sample of 5 s at most: in
half of the cases of one of them, from another utterance (where LibriSpeech has one alone, from another part of it), in half
of somebody else. The mixture is separated, its speakers counted, and each output scored. The score of a case is that
of its best output. The equal error rate is where as many speakers are missed as others are taken for them; a speaker who
is found on a wrong output counts as missed in the second figure.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from contrasep_lib.bin.common import Parser, positive, within  # noqa: E402
from contrasep_lib.config.bounds import Seed  # noqa: E402
from contrasep_lib.io.atomic import write_text  # noqa: E402

SAMPLE, SPEECH, LEVEL, GAIN_DB = 5.0, 6.0, 0.05, 2.5
RESAMPLINGS = 2000


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--librispeech", type=Path, metavar="DIR", help="LibriSpeech, with train-clean-5 and train-clean-100")
    parser.add_argument("--commonvoice", type=Path, metavar="DIR", help="Common Voice, with its languages")
    parser.add_argument("--model", default="best", metavar="NAME|DIR", help="(best)")
    parser.add_argument("--speakers", metavar="NAME", help="speaker encoder that scores, in place of the model's embeddings")
    parser.add_argument("--cases", type=positive, default=200, metavar="N", help="in all (200)")
    parser.add_argument("--seed", type=within(Seed), default=0, metavar="N", help="of all draws (0)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="scores of all cases (JSON)")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the figures of such a file, and run nothing")
    args = parser.parse_args(arguments)
    if not args.table and not (args.out and (args.librispeech or args.commonvoice)):
        parser.error("--out and a corpus are needed, or --table")
    return args


def utterances(args: argparse.Namespace) -> dict[str, dict[str, list[Path]]]:
    """Corpus -> development speaker -> audio files."""
    from contrasep_lib.corpus.commonvoice_table import list_languages, read_clips
    from contrasep_lib.corpus.splits import read_split

    found: dict[str, dict[str, list[Path]]] = {}
    if args.librispeech:
        own = {row.speaker for row in read_split(ROOT / "conf/splits/librispeech.tsv") if row.part == "dev"}
        found["LibriSpeech"] = {speaker: sorted(args.librispeech.glob(f"*/{speaker}/*/*.flac")) for speaker in sorted(own)}
    if args.commonvoice:
        own = {row.speaker for row in read_split(ROOT / "conf/splits/commonvoice.tsv") if row.part == "dev"}
        clips: dict[str, list[Path]] = {}
        for language in list_languages(args.commonvoice):
            for clip in read_clips(args.commonvoice / language):
                if clip.speaker.removeprefix("cv") in own and clip.path.is_file():
                    clips.setdefault(clip.speaker, []).append(clip.path)
        found["Common Voice"] = {speaker: paths for speaker, paths in sorted(clips.items()) if len(paths) > 1}
    return {corpus: {speaker: paths for speaker, paths in own.items() if paths} for corpus, own in found.items()}


def spoken(paths: list[Path], rate: int, rng: Any) -> tuple[Any, Any]:
    """A sample and other speech of a speaker, each of the same power."""
    import numpy as np

    from contrasep_lib.io.recording import read_recording

    if len(paths) > 1:
        one, other = (read_recording(paths[number], rate).samples for number in rng.choice(len(paths), 2, replace=False))
    else:
        whole = read_recording(paths[0], rate).samples
        one, other = np.split(whole, [len(whole) * 2 // 5])
    parts = one[: round(SAMPLE * rate)], other[: round(SPEECH * rate)]
    return tuple(LEVEL * part / max(float(np.sqrt(np.mean(part**2))), 1e-9) for part in parts)  # type: ignore[return-value]


def case(number: int, corpora: dict[str, dict[str, list[Path]]], loaded: Any, seed: int) -> dict[str, Any]:
    """Draw a case and score it."""
    import numpy as np

    from contrasep_lib.enrol.voices import scores_of

    rng = np.random.default_rng([seed, number])
    names = sorted(corpora)
    corpus, count, present = names[number % len(names)], 2 + number // 2 % 2, number // 4 % 2 == 0
    speakers = rng.choice(sorted(corpora[corpus]), count + 1, replace=False)
    speech = [spoken(corpora[corpus][speaker], loaded.rate, rng) for speaker in speakers]
    length = min(len(own) for _, own in speech[:count])
    gains = 10 ** (rng.uniform(-GAIN_DB, GAIN_DB, (count, 1)) / 20)
    sources = np.stack([own[:length] for _, own in speech[:count]]) * gains
    sample = speech[0 if present else count][0]
    outputs = np.asarray(loaded.separator.separate(str(number), sources.sum(axis=0).astype(np.float32), None).outputs)
    scores = scores_of(loaded, sample, outputs).tolist()
    right = int((outputs @ sources[0] / np.linalg.norm(outputs + 1e-12, axis=1)).argmax())
    return {
        "corpus": corpus, "speakers": count, "found": len(outputs), "present": present,
        "right": right if present else None, "scores": [round(value, 4) for value in scores],
    }


def figures(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Equal error rates of cases, and the threshold of the first."""
    import numpy as np

    best = np.array([max(row["scores"]) for row in rows])
    present = np.array([row["present"] for row in rows])
    correct = np.array([row["right"] == int(np.argmax(row["scores"])) for row in rows])
    places = np.unique(best)
    alarms = np.array([(best[~present] >= place).mean() for place in places])
    missed = np.array([(best[present] < place).mean() for place in places])
    misplaced = np.array([1 - ((best >= place) & correct)[present].mean() for place in places])
    at, among = int(np.abs(alarms - missed).argmin()), int(np.abs(alarms - misplaced).argmin())
    return {
        "cases": len(rows), "eer": (alarms[at] + missed[at]) / 2, "threshold": float(places[at]),
        "eer_output": (alarms[among] + misplaced[among]) / 2, "right_output": float(correct[present].mean()),
    }


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of a Markdown table."""
    import numpy as np

    from contrasep_lib.report.markdown import markdown_table

    groups = {"all": rows}
    groups |= {corpus: [row for row in rows if row["corpus"] == corpus] for corpus in sorted({row["corpus"] for row in rows})}
    groups |= {f"{count} speakers": [row for row in rows if row["speakers"] == count] for count in (2, 3)}
    lines = []
    for name, own in groups.items():
        if {row["present"] for row in own} != {True, False}:
            # few cases: no rate of errors without both kinds
            lines.append([name, str(len(own)), "-", "-", "-", "-"])
            continue
        known = figures(own)
        rng = np.random.default_rng(0)
        drawn = []
        for _ in range(RESAMPLINGS):
            some = [own[number] for number in rng.choice(len(own), len(own))]
            if {row["present"] for row in some} == {True, False}:
                drawn.append(figures(some)["eer"])
        low, high = np.quantile(drawn, [0.025, 0.975])
        lines.append([
            name, str(known["cases"]), f"{100 * known['eer']:.1f} [{100 * low:.1f}, {100 * high:.1f}]",
            f"{100 * known['eer_output']:.1f}", f"{100 * known['right_output']:.1f}", f"{known['threshold']:.3f}",
        ])
    header = ["cases", "number", "equal error rate, %", "with the right output, %", "best output is right, %", "threshold"]
    return markdown_table(header, lines)


def read(path: Path) -> list[dict[str, Any]]:
    """Cases that are done: the same command goes on from them."""
    return json.loads(path.read_text(encoding="utf-8"))["rows"]


def main() -> int:
    args = parse()
    if args.table:
        print("\n".join(table(read(args.table))))
        return 0
    import torch
    from tqdm import tqdm

    from contrasep_lib.io.machine import keep_freed_memory
    from contrasep_lib.separate.shipped import load_separator

    torch.set_num_threads(1)
    keep_freed_memory()
    chosen = [f"separate.speakers={args.speakers}"] if args.speakers else []
    loaded, corpora = load_separator(args.model, overrides=chosen), utterances(args)
    rows = read(args.out) if args.out.is_file() else []
    for number in tqdm(range(len(rows), args.cases), disable=None):
        rows.append(case(number, corpora, loaded, args.seed))
        lines = ",\n".join(map(json.dumps, rows))
        head = json.dumps({"model": loaded.name, "speakers": args.speakers, "seed": args.seed})[:-1]
        write_text(args.out, f'{head}, "rows": [\n{lines}\n]}}\n')
    print("\n".join(table(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
