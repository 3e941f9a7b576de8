#!/usr/bin/env python3
"""Experiments: judge the trainings of a sweep, keep their results, write the page of all.

    tools/experiments.py judge exp/sweep_NAME --dump dump/dev_2mix [--phase finetune] [--partitions 'NAME={solver: kmeans}' ..]
    tools/experiments.py count exp/sweep_NAME --data data --dump dump --numbers DIR    numbers of speakers, by each counter
    tools/experiments.py scores exp/sweep_NAME --runs SETTING,SEED,TALKERS=exp/TAG/score_SET/scores.tsv ..    of systems that were scored
    tools/experiments.py words --files SPEECH,SYSTEM=exp/asr/exp/TAG/score_SET/wer.json ..    word error rates into docs/experiments/results
    tools/experiments.py publish NAME [--recipe DIR]        results of exp/sweep_NAME into docs/experiments/results, and the page
    tools/experiments.py page [--check]                     docs/experiments.md; --check: is it up to date?

`judge` writes exp/sweep_NAME/judged.tsv, a line for each mixture under each partition: the share of nodes whose nearest
neighbour, and whose linear probe, has their speaker (tools/bench/frames.py), then accuracy, purity and SI-SNR improvement
of binary masks, the number of speakers given. `count` writes exp/sweep_NAME/counted.tsv, a line for each mixture of one
to five speakers, and for each pair of utterances of one voice at two speeds. What the tables have is not made again;
judged.json and counted.json beside them say what with, and the same sweep with other values is refused.
`scores` writes exp/sweep_NAME/judged.tsv of systems that stage 6, or tools/bench/peers/run.py, has scored.
The entries of the page, their questions and answers, are docs/experiments/entries/*.yaml.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from experimentkit.untrained import NAMES  # noqa: E402

from contrasep_lib.bin.common import Parser, positive  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True, parser_class=Parser)
    judge = parts.add_parser("judge", help="judge the trainings of a sweep")
    judge.add_argument("sweep", type=Path, metavar="DIR", help="exp/sweep_NAME")
    judge.add_argument("--dump", type=Path, nargs="+", required=True, metavar="DIR", help="dumped sets of mixtures")
    judge.add_argument("--phase", choices=["pretrain", "finetune"], default="finetune", help="whose model (finetune)")
    judge.add_argument("--raw", nargs="+", default=[], choices=NAMES, metavar="NAME",
                       help=f"features without training too: {', '.join(NAMES)} (tools/experimentkit/untrained.py)")
    judge.add_argument("--mixtures", type=positive, default=100, metavar="N", help="of each set, evenly spread (100)")
    judge.add_argument("--partitions", nargs="+", default=[], metavar="NAME=YAML",
                       help="values of the section modularity (k-means, and the network on Qn)")
    count = parts.add_parser("count", help="count speakers with the trainings of a sweep")
    count.add_argument("sweep", type=Path, metavar="DIR", help="exp/sweep_NAME")
    count.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of data directories; PART_single has the speakers' tables")
    count.add_argument("--dump", type=Path, required=True, metavar="DIR", help="folder of the dumped sets tr_single and PART_single")
    count.add_argument("--numbers", type=Path, required=True, metavar="DIR", help="folder of the dumped sets PART_1mix, PART_2mix, ..")
    count.add_argument("--part", dest="whose", default="dev", metavar="PART", help="whose mixtures (dev)")
    count.add_argument("--phase", choices=["pretrain", "finetune"], default="finetune", help="whose model (finetune)")
    count.add_argument("--mixtures", type=positive, default=50, metavar="N", help="of each number of speakers, evenly spread (50)")
    count.add_argument("--singles", type=positive, default=100, metavar="N", help="training pieces of one speaker, for the bars (100)")
    count.add_argument("--twins", type=positive, default=40, metavar="N", help="pairs of utterances of one voice, at each speed (40)")
    scores = parts.add_parser("scores", help="collect scores of trained systems")
    scores.add_argument("sweep", type=Path, metavar="DIR", help="exp/sweep_NAME")
    scores.add_argument("--runs", nargs="+", required=True, metavar="RUN", help="SETTING,SEED,TALKERS=exp/TAG/score_SET/scores.tsv")
    words = parts.add_parser("words", help="keep word error rates, and write the page")
    words.add_argument("--files", nargs="+", required=True, metavar="FILE", help="SPEECH,SYSTEM=exp/asr/exp/TAG/score_SET/wer.json")
    publish = parts.add_parser("publish", help="keep results, and write the page")
    publish.add_argument("name", metavar="NAME", help="of the sweep and of the results file")
    publish.add_argument("--recipe", type=Path, default=Path("."), metavar="DIR", help="whose exp has the sweep (.)")
    page = parts.add_parser("page", help="write the page")
    page.add_argument("--check", action="store_true", help="exit status 1 where the page is not up to date")
    return parser.parse_args(arguments)


def judge(args: argparse.Namespace) -> int:
    """Judge what a sweep trained."""
    from experimentkit import judging

    partitions = judging.partitions_of(args.partitions)
    print(judging.judge(args.sweep, args.phase, args.raw, args.dump, args.mixtures, partitions))
    return 0


def count(args: argparse.Namespace) -> int:
    """Count speakers with what a sweep trained."""
    from experimentkit import counting

    print(counting.count(
        args.sweep, args.phase, args.data, args.dump, args.numbers, args.whose, args.mixtures, args.singles, args.twins
    ))
    return 0


def scores(args: argparse.Namespace) -> int:
    """Collect scores."""
    from experimentkit import scored

    print(scored.score(args.sweep, args.runs))
    return 0


def publish(args: argparse.Namespace) -> int:
    """Copy the judged table of a sweep, or sum up its counts, and write the page and its pictures."""
    from experimentkit import counted, counting, judging, page

    from contrasep_lib.io.atomic import write_text

    sweep, name = args.recipe / "exp" / f"sweep_{args.name}", args.name
    if (sweep / "counted.tsv").is_file():
        rows = counting.read_counted(sweep / "counted.tsv")
        if not rows:
            raise ContrasepError(f"{sweep / 'counted.tsv'}: expected rows, got none; tools/experiments.py count makes them")
        numbers, conditions = counted.by_numbers(rows), counted.by_conditions(rows)
        for of, lines, columns in (
            ("numbers", numbers, counted.number_columns(rows)), ("conditions", conditions, counted.condition_columns(rows)),
        ):
            write_text(page.RESULTS / f"{name}_{of}.tsv", judging.as_text(lines, columns))
        counted.draw_counted(rows, page.PICTURES / f"{name}.png")
    else:
        write_text(page.RESULTS / f"{name}.tsv", judging.as_text(judging.read_rows(sweep / "judged.tsv")))
    return write(args)


def words(args: argparse.Namespace) -> int:
    """Keep word error rates and their picture, and write the page."""
    from experimentkit import judging, page
    from experimentkit import words as kit

    from contrasep_lib.io.atomic import write_text

    lines = kit.collected(args.files)
    write_text(page.RESULTS / "words.tsv", judging.as_text(lines, kit.COLUMNS))
    kit.draw(lines, page.PICTURES / "words.png")
    return write(args)


def write(args: argparse.Namespace) -> int:
    """Write the page; with ``--check`` say whether it is up to date."""
    from experimentkit import entries, page

    from contrasep_lib.io.atomic import write_text

    found = entries.read_entries()
    text = page.page_of(found)
    if getattr(args, "check", False):
        if page.PAGE.is_file() and page.PAGE.read_text(encoding="utf-8") == text:
            return 0
        print(f"{page.PAGE}: not up to date; tools/experiments.py page writes it", file=sys.stderr)
        return 1
    write_text(page.PAGE, text)
    for entry in found:
        draw(entry)
    return 0


def draw(entry: Any) -> None:
    """The pictures of an entry."""
    from experimentkit import page, pictures

    for place, (table, results) in enumerate(zip(entry.settings, page.judged_of(entry))):
        if results is not None:
            path = page.picture_of(entry, place)
            path.parent.mkdir(parents=True, exist_ok=True)
            pictures.draw_settings(results, table, path)


def main() -> int:
    """Entry point; errors of the user in one line."""
    args = parse()
    try:
        return {"judge": judge, "count": count, "scores": scores, "words": words, "publish": publish, "page": write}[args.part](args)
    except ContrasepError as error:
        print(f"experiments.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
