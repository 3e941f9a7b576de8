#!/usr/bin/env python3
"""What further framings bring (`separate.shifts`), and what they cost.

    tools/bench/shifts.py --data build/long/data/dump --tsv docs/experiments/shifts.tsv [--model best] [--mixtures 20]
    tools/bench/shifts.py --table docs/experiments/shifts.tsv

Development mixtures DATA/CORPUS/dev_Kmix of 2 to 5 talkers are separated with 1, 2 and 4 framings, the number of talkers given. The
table has SI-SNR improvements, differences paired by mixture with 95 % intervals over speakers, and real-time factors:
processor time over the length of the audio. What the file has is not made again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import numpy as np  # noqa: E402

from contrasep_lib.bin.common import Parser, positive  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402

CORPORA, COUNTS, SHIFTS = ("librispeech", "commonvoice"), (2, 3, 4, 5), (1, 2, 4)
COLUMNS = ("model", "corpus", "num_spk", "utterance", "speakers", "seconds", "shifts", "si_snri", "spent")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="dumped sets by corpus")
    parser.add_argument("--model", default="best", metavar="NAME|DIR", help="as for contrasep separate (best)")
    parser.add_argument("--mixtures", type=positive, default=20, metavar="N", help="of each set, drawn (20)")
    parser.add_argument("--tsv", type=Path, metavar="FILE", help="where the lines go")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the table of such a file, measure nothing")
    args = parser.parse_args(arguments)
    if args.table is None and (args.data is None or args.tsv is None):
        parser.error("--data DIR and --tsv FILE are needed, or --table FILE")
    return args


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The lines of the file, with those that were missing."""
    import torch
    from experimentkit.judging import as_text, hidden
    from tqdm import tqdm

    from contrasep_lib.io.atomic import write_text
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.io.machine import keep_freed_memory
    from contrasep_lib.separate.shipped import load_separator

    keep_freed_memory()
    torch.set_num_threads(1)
    loaded = [load_separator(args.model, overrides=[f"separate.shifts={shifts}"]) for shifts in SHIFTS]
    lines: list[dict[str, Any]] = list(read(args.tsv)) if args.tsv.is_file() else []
    done = {tuple(line[name] for name in COLUMNS[:4]) for line in lines}
    for corpus in CORPORA:
        for count in COUNTS:
            dump = DumpSet(args.data / corpus / f"dev_{count}mix")
            order = np.random.default_rng(0).permutation(len(dump.keys))[: args.mixtures]
            for place in tqdm(order, f"{corpus}, {count} talkers", disable=None):
                key = dump.keys[int(place)]
                names = (loaded[0].name, corpus, str(count), hidden(key))
                if names in done:
                    continue
                mixture, sources = dump.mixture(key), dump.sources(key)
                for shifts, each in zip(SHIFTS, loaded):
                    gain, spent = _separated(each.separator, key, mixture, sources)
                    lines.append({
                        **dict(zip(COLUMNS, names)), "speakers": ",".join(map(hidden, dump.speakers[key])),
                        "seconds": len(mixture) / dump.rate, "shifts": shifts, "si_snri": gain, "spent": spent,
                    })  # fmt: skip
            write_text(args.tsv, as_text(lines, COLUMNS))
    return read(args.tsv)


def _separated(separator: Any, key: str, mixture: np.ndarray, sources: np.ndarray) -> tuple[float, float]:
    """SI-SNRi, dB, and seconds of the processor."""
    from contrasep_lib.score.ratios import improvements

    begun = time.process_time()
    outputs = separator.separate(key, mixture, len(sources)).outputs
    spent = time.process_time() - begun
    return float(improvements(outputs.astype(np.float64), mixture.astype(np.float64), sources.astype(np.float64)).mean()), spent


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file.

    Raises:
        ContrasepError: not there, or other columns.
    """
    from experimentkit.judging import read_rows

    return list(read_rows(path, COLUMNS, "shifts.py --tsv"))


def table(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Markdown: SI-SNRi by corpus, count and framings."""
    from contrasep_lib.report.markdown import markdown_table
    from contrasep_lib.score.intervals import speaker_interval

    groups: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
    for line in lines:
        group = groups.setdefault((line["model"], line["corpus"], line["num_spk"]), {})
        group.setdefault(line["utterance"], {"speakers": tuple(line["speakers"].split(","))})[int(line["shifts"])] = line
    rows = []
    for (model, corpus, count), found in groups.items():
        each = list(found.values())
        who = [one["speakers"] for one in each]
        for shifts in SHIFTS:
            gains = np.array([float(one[shifts]["si_snri"]) for one in each])
            change = gains - np.array([float(one[SHIFTS[0]]["si_snri"]) for one in each])
            low, high = speaker_interval(change, who)[0] or (np.nan, np.nan)
            factor = sum(float(one[shifts]["spent"]) for one in each) / sum(float(one[shifts]["seconds"]) for one in each)
            over = "" if shifts == SHIFTS[0] else f"{change.mean():+.2f} [{low:+.2f}, {high:+.2f}]"
            rows.append([model, corpus, count, str(len(each)), str(shifts), f"{gains.mean():.2f}", over, f"{factor:.3f}"])
    yield from markdown_table(
        ["model", "corpus", "talkers", "mixtures", "framings", "SI-SNRi, dB", "difference, dB", "real-time factor"], rows, 2
    )


def main() -> None:
    """Errors of the user in one line."""
    args = parse()
    try:
        lines = read(args.table) if args.table else measure(args)
        print("\n".join(table(lines)))
    except ContrasepError as error:
        sys.exit(f"shifts.py: {error}")


if __name__ == "__main__":
    main()
