"""Compare two experiments over the mixtures that both scored: mean paired difference, its interval, wins and losses.

A and B are exp/TAG, or folders score_SET of them, with the tables of stage 6. The difference is B - A, by number of
speakers and jointly. It is an error where the test sets of one name hold other mixtures.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep compare``."""
    parser.add_argument("a", metavar="A", help="exp/TAG or exp/TAG/score_SET, the baseline")
    parser.add_argument("b", metavar="B", help="exp/TAG or exp/TAG/score_SET")
    parser.add_argument("--sets", nargs="+", metavar="SET", help="test sets, e.g. tt_2mix (default: all of both)")
    parser.add_argument(
        "--metric", metavar="NAME",
        help="column of scores.tsv, or count_accuracy (default: si_snri, si_snri_count_estimated or si_snr, the first "
        "that both have)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the comparison as JSON")
    parser.add_argument("--plot", metavar="FILE", help="draw it (png)")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep compare``."""
    from contrasep_lib.errors import ContrasepError
    from contrasep_lib.io.atomic import write_text
    from contrasep_lib.report.paired import compare, comparison_text, comparison_tree
    from contrasep_lib.report.results import to_json

    if args.plot is not None and not args.plot.endswith(".png"):
        raise ContrasepError(f"--plot: expected a file name that ends in .png, got '{args.plot}'")
    comparison = compare(args.a, args.b, args.sets, args.metric)
    if args.json is not None:
        write_text(args.json, to_json(comparison_tree(comparison)))
    if args.plot is not None:
        from contrasep_lib.report.paired_plot import draw_comparison

        draw_comparison(args.plot, comparison)
    print(comparison_text(comparison))
