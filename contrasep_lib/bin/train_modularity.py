"""Train the solver over mixtures and calibrate the counter."""

from __future__ import annotations

import argparse
import dataclasses
import typing

from contrasep_lib.bin.common import add_config, read_config

if typing.TYPE_CHECKING:
    from contrasep_lib.models.separation import SeparationModel
    from contrasep_lib.train.clustering import DrawnMixtures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep train-modularity``."""
    add_config(parser)
    parser.add_argument("--model", required=True, metavar="FILE", help="model.pth of stage 4")
    parser.add_argument("--mixtures", required=True, nargs="+", metavar="DIR", help="dumped training mixtures")
    parser.add_argument("--singles", metavar="DIR", help="dumped single speakers, from which the counter learns")
    parser.add_argument(
        "--train-singles", nargs="+", metavar="DIR",
        help="dumped single speakers, of which solvers that learn from sources draw mixtures as finetuning does, "
        "in the place of --mixtures; CORPUS=DIR names its corpus",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="exp/TAG/modularity")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep train-modularity``."""
    config = read_config(args)

    from contrasep_lib.errors import ContrasepError, is_out_of_memory
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.models.checkpoint import load_model
    from contrasep_lib.train.clustering import train_clustering

    model = load_model(args.model, features=config["features"], options=config["model"])
    singles = DumpSet(args.singles) if args.singles else None
    mixtures = [DumpSet(folder) for folder in args.mixtures]
    for dump in (*mixtures, *([singles] if singles else ())):
        dump.require_rate(config["mix"].rate)
    options = config["modularity"]
    trained = config["finetune"]
    most = max([dump.num_spk for dump in mixtures] if trained.data == "fixed" else trained.num_spk)
    drawn = _drawn(args.train_singles, model, config) if args.train_singles else None
    try:
        clustering = train_clustering(model, mixtures, singles, options, config["mix"], max(most, 2), drawn)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ContrasepError(
            f"out of memory with modularity.solver {_words(options.solver)} and modularity.counting "
            f"{_words(options.counting)}; lower the sizes among these"
        ) from None
    clustering.save(args.out)


def _drawn(words: list[str], model: SeparationModel, config: dict[str, typing.Any]) -> DrawnMixtures:
    """Mixtures of single speakers, of words ``DIR`` or ``CORPUS=DIR``."""
    from contrasep_lib.errors import ContrasepError
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.train.clustering import DrawnMixtures

    options = config["finetune"]
    if options.data != "dynamic":
        raise ContrasepError(f"--train-singles: expected finetune.data 'dynamic' with it, got '{options.data}'")
    named = [word.partition("=") if "/" not in word.partition("=")[0] else ("", "", word) for word in words]
    pairs = [(corpus, folder) if equals else (None, corpus or folder) for corpus, equals, folder in named]
    sets = [DumpSet(folder) for _, folder in pairs]
    corpora = [corpus for corpus, _ in pairs]
    return DrawnMixtures(model, sets, options, config["mix"], config["modularity"].seed, corpora)


def _words(options: object) -> str:
    """The options of a part, e.g. ``network (train_pool 60, train_steps 200)``."""
    fields = dataclasses.fields(options)  # type: ignore[arg-type]
    values = ", ".join(f"{field.name} {getattr(options, field.name)}" for field in fields)
    return f"{options.name} ({values})"  # type: ignore[attr-defined]
