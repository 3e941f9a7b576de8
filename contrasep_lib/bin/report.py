"""Write RESULTS.md and results.json of a tag, a recipe's comparison of its tags, or a page to listen to.

    contrasep report exp/best exp/small --html listen.html      # experiments, side by side
    contrasep report separated --html listen.html               # recordings that contrasep separate separated

With folders and --html: one file that a browser opens without a server, with the audio and spectrograms of mixtures,
sources and outputs, communities in colour, what speaks for the counts, and tables, worst cases first.

With --exp: the tag's pages from its score tables, then the RESULTS.md beside its folder, which compares the tags there.
With --recipe-dir: that page alone, DIR/EXPDIR/RESULTS.md, from all DIR/EXPDIR/*/results.json. With --publish besides:
the recipe's committed DIR/results.json and DIR/RESULTS.md, whose rows of these tags are replaced.
"""

from __future__ import annotations

import argparse
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from contrasep_lib.bin.common import add_config, within
from contrasep_lib.config import Range
from contrasep_lib.config.bounds import Count
from contrasep_lib.errors import ContrasepError

if typing.TYPE_CHECKING:
    import numpy as np

    from contrasep_lib.separate.separation import Separation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep report``."""
    parser.set_defaults(refuse=parser.error)
    parser.add_argument(
        "folders", nargs="*", metavar="DIR", help="exp/TAG.., or folders that contrasep separate wrote; with --html"
    )
    _add_page(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--exp", metavar="DIR", help="exp/TAG; write its RESULTS.md and results.json")
    which.add_argument("--recipe-dir", metavar="DIR", help="recipe; write EXPDIR/RESULTS.md, comparing the tags")
    parser.add_argument(
        "--expdir", default="exp", metavar="DIR", help="folder of the tags, below --recipe-dir (default: exp)"
    )
    parser.add_argument(
        "--publish", nargs="*", metavar="TAG",
        help="put these tags into the recipe's committed results, or with none of them write its page again",
    )
    parser.add_argument("--recipe", metavar="NAME", help="name of the recipe")
    add_config(parser, required=False)
    parser.add_argument("--sets", nargs="+", metavar="DIR", help="dump/SET of every test set")
    parser.add_argument("--label", metavar="TEXT", help="the corpus, e.g. 'real speech (LibriSpeech)'")
    parser.add_argument(
        "--system",
        metavar="FILE",
        help="where the outputs are not ours: what made them (JSON; docs/experiments/benchmarks.md)",
    )
    parser.add_argument("--model", metavar="FILE", help="model.pth that separated, for its size and time of training")
    parser.add_argument("--modularity", metavar="DIR", help="exp/TAG/modularity, by which it counted, for the page")
    parser.add_argument("--command", metavar="TEXT", help="the command that repeats the run")
    parser.add_argument(
        "--seconds", type=within(Annotated[float, Range(0, 1e9)]), metavar="S",
        help="how long the run took, for RESULTS.md",
    )


def _add_page(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--html", metavar="FILE", help="write the page to listen to; with --exp of that tag")
    parser.add_argument(
        "--mixtures", type=within(Count), default=20, metavar="N",
        help="mixtures that can be heard: the worst, the best, median ones (default %(default)s)",
    )
    parser.add_argument(
        "--megabytes", type=within(Annotated[float, Range(0.1, 2000)]), default=20, metavar="M",
        help="size of the page; mixtures that do not fit are left out (default %(default)s)",
    )
    parser.add_argument(
        "--recordings", metavar="DIR", help="folder of the separated recordings, to be heard next to their outputs"
    )


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep report``."""
    from contrasep_lib.report.compare import publish, write_comparison

    if args.folders:
        if args.html is None or args.exp is not None or args.recipe_dir is not None:
            args.refuse("folders are shown by --html FILE, without --exp and --recipe-dir")
        print(f"report: {args.html}: {_write_page(args)}")
        return
    if args.exp is None and args.recipe_dir is None:
        args.refuse("expected folders and --html FILE, --exp or --recipe-dir")
    if args.recipe_dir is None:
        if args.publish is not None:
            raise ContrasepError("--publish: expected together with --recipe-dir")
        for option in ("recipe", "config", "sets", "label", "command"):
            if getattr(args, option) is None:
                raise ContrasepError(f"--{option}: expected together with --exp")
        print(f"report: {_report_tag(args)}")
        write_comparison(Path(args.exp).parent, ".")
        return
    if args.publish is None:
        print(f"report: {write_comparison(args.recipe_dir, args.expdir)}")
    else:
        print(f"report: {publish(args.recipe_dir, args.publish, args.expdir)}")


def _write_page(args: argparse.Namespace) -> str:
    """The page of the folders; what it holds."""
    from contrasep_lib.report.listening.experiments import experiment_content
    from contrasep_lib.report.listening.page import write_page
    from contrasep_lib.report.listening.separated import is_separated, separated_content

    kinds = {is_separated(folder): folder for folder in args.folders}
    if len(kinds) > 1:
        raise ContrasepError(
            f"{kinds[True]}: separated recordings, and {kinds[False]} is an experiment; give each a page of its own"
        )
    if True in kinds:
        content = separated_content(args.folders, args.mixtures, args.label, args.recordings)
    else:
        content = experiment_content(args.folders, args.mixtures, args.sets or ())
    return write_page(args.html, content, round(1e6 * args.megabytes))


def _draw_page(args: argparse.Namespace, results: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """The page of a tag whose results are being written; a line where the packages for it are missing."""
    from contrasep_lib.extras import missing_extra

    page = Path(args.html)
    try:
        # an import that fails does so before evidence is measured
        import av  # noqa: F401
        import jinja2  # noqa: F401

        from contrasep_lib.report.listening.experiments import experiment_content
        from contrasep_lib.report.listening.page import write_page

        content = experiment_content([args.exp], args.mixtures, args.sets, results)
        _keep_evidence(args, config, [(choice.group, choice.name) for choice in content.choices])
        print(f"report: {page}: {write_page(page, content, round(1e6 * args.megabytes))}")
    except ImportError as error:
        # tables are worth having without a page; one of earlier results would be wrong
        page.unlink(missing_ok=True)
        print(f"report: no page: {missing_extra(error) or error}")


def _keep_evidence(args: argparse.Namespace, config: Mapping[str, Any], chosen: Sequence[tuple[str, str]]) -> None:
    """The evidence of the counts of mixtures, where a model estimated them."""
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.report.listening.counted import FILE, keep_evidence

    options = config["separate"]
    estimated = options.separator == "model" and options.count == "estimated" and args.model and args.modularity
    separator = None
    for dump in map(DumpSet, args.sets):
        if not estimated:
            # of an earlier run
            (Path(args.exp) / f"score_{dump.name}" / FILE).unlink(missing_ok=True)
            continue
        separator = separator or _separator(args, config)
        mixtures = ((utt, dump.mixture(utt)) for name, utt in chosen if name == dump.name)
        keep_evidence(args.exp, dump.name, mixtures, separator)


def _separator(args: argparse.Namespace, config: Mapping[str, Any]) -> Callable[[str, np.ndarray], Separation]:
    import torch

    from contrasep_lib.models.checkpoint import load_model
    from contrasep_lib.separate.clustering_state import ClusteringState
    from contrasep_lib.separate.model_separator import ModelSeparator

    torch.set_num_threads(1)
    model = load_model(args.model, "cpu", config["features"], config["model"])
    clustering = ClusteringState.load(args.modularity, config["modularity"], model.counter)
    separator = ModelSeparator(model, clustering, config["modularity"], config["separate"])
    return lambda key, mixture: separator.separate(key, mixture, None, with_evidence=True)


def _draw_counts(exp: Path, results: Mapping[str, Any]) -> None:
    """``counts.png`` of a tag where the number of speakers was estimated."""
    from contrasep_lib.extras import missing_extra
    from contrasep_lib.report.counts import confusion_of

    plot, confusion = exp / "counts.png", confusion_of(results)
    if not confusion:
        plot.unlink(missing_ok=True)
        return
    try:
        from contrasep_lib.report.counts_plot import draw_confusion

        draw_confusion(plot, confusion, f"{results['recipe']}: {exp.resolve().name}")
    except ImportError as error:
        # tables are worth having without plots
        print(f"report: no plot: {missing_extra(error) or error}")


def _report_tag(args: argparse.Namespace) -> Path:
    from datetime import datetime

    from contrasep_lib.bin.common import read_config
    from contrasep_lib.report.cost import of_system, write_cost
    from contrasep_lib.report.results import build_results, read_system, write_results

    system = None if args.system is None else read_system(args.system)
    config = read_config(args)
    results = build_results(args.exp, args.sets, args.recipe, args.config[-1], config, args.label, system)
    _draw_counts(Path(args.exp), results)
    if args.html is not None:
        _draw_page(args, results, config)
    cost = None if system is None else of_system(system)
    if cost is None and args.model is not None:
        from contrasep_lib.train.record import cost_of_model

        cost = cost_of_model(args.model)
    if cost is not None:
        write_cost(args.exp, cost, [Path(folder).name for folder in args.sets])
    when = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    took = None if args.seconds is None else f"{args.seconds:.0f} s"
    return write_results(args.exp, results, args.command, when, took)
