#!/usr/bin/env python3
"""Experiments: judge the trainings of a sweep, keep their results, write the page of all.

    tools/experiments.py judge exp/sweep_NAME --dump dump/dev_2mix [--phase finetune] [--partitions 'NAME={solver: kmeans}' ..]
    tools/experiments.py publish NAME [--recipe DIR]        exp/sweep_NAME/judged.tsv into docs/experiments/results, and the page
    tools/experiments.py page [--check]                     docs/experiments.md; --check: is it up to date?

`judge` writes exp/sweep_NAME/judged.tsv, a line for each mixture under each partition: the share of nodes whose nearest
neighbour, and whose linear probe, has their speaker (tools/bench/frames.py), then accuracy, purity and SI-SNR improvement
of binary masks, the number of speakers given. What the table has is not made again. The entries of the page, their
questions and answers, are docs/experiments/entries/*.yaml.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

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
    judge.add_argument("--raw", nargs="+", default=[], choices=["spectrum", "mfcc", "random"], metavar="NAME",
                       help="features without training too: spectrum, mfcc, random (tools/bench/representations.py)")
    judge.add_argument("--mixtures", type=positive, default=100, metavar="N", help="of each set, evenly spread (100)")
    judge.add_argument("--partitions", nargs="+", default=[], metavar="NAME=YAML",
                       help="values of the section modularity (k-means, and the network on Qn)")
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


def publish(args: argparse.Namespace) -> int:
    """Copy the judged table of a sweep, and write the page and its pictures."""
    from experimentkit import judging, page

    from contrasep_lib.io.atomic import write_text

    path = args.recipe / "exp" / f"sweep_{args.name}" / "judged.tsv"
    write_text(page.RESULTS / f"{args.name}.tsv", judging.as_text(judging.read_rows(path)))
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
        return {"judge": judge, "publish": publish, "page": write}[args.part](args)
    except ContrasepError as error:
        print(f"experiments.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
