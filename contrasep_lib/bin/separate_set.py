"""Separate a dumped set by a trained model or an oracle."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contrasep_lib.bin.common import add_config, add_ngpu, add_part, device_of, positive, read_config, share
from contrasep_lib.errors import ContrasepError, is_out_of_memory
from contrasep_lib.io.parallel import progress

if typing.TYPE_CHECKING:
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.separate.separation import Separation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep separate-set``."""
    add_config(parser)
    parser.add_argument("--dump", required=True, metavar="DIR", help="dump directory of the set")
    parser.add_argument("--out", required=True, metavar="DIR", help="where audio, assignments and evidence go")
    parser.add_argument("--model", metavar="FILE", help="model.pth of stage 4, for the separator 'model'")
    parser.add_argument("--modularity", metavar="DIR", help="exp/TAG/modularity, for the separator 'model'")
    add_ngpu(parser)
    add_part(parser)
    parser.add_argument("--merge", type=positive, metavar="N", help="join N parts after all are written")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep separate-set``."""
    if args.merge:
        from contrasep_lib.separate.writer import merge_parts

        print(f"separate: {merge_parts(args.out, args.merge)} utterances in {args.out}")
        return
    config = read_config(args)

    import torch

    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.io.machine import device_words, work_clock
    from contrasep_lib.separate.writer import Writer

    # the set is divided among jobs, so more threads in each would only compete
    torch.set_num_threads(1)
    dump = DumpSet(args.dump)
    dump.require_rate(config["mix"].rate)
    separate = (_model if config["separate"].separator == "model" else _oracle)(args, config, dump)
    clock, kept = work_clock(args.ngpu), 0
    with (
        Writer(args.out, args.part[0], dump.rate, _identity(args, config), device_words(min(args.ngpu, 1))) as writer,
        progress(share(dump.keys, args.part), "separating") as keys,
    ):
        for key in keys:
            if writer.has(key):
                kept += 1
                continue
            try:
                begun = clock()
                separation = separate(key)
                writer.write(key, separation, clock() - begun)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                seconds = len(dump.mixture(key)) / dump.rate
                raise ContrasepError(
                    f"'{key}': out of memory with {seconds:.1f} s of speech; use a smaller --nj"
                ) from None
    if kept:
        print(f"separate: {kept} utterances of an interrupted run kept")


def _identity(args: argparse.Namespace, config: dict[str, Any]) -> str:
    """Key of all that the separation of an utterance depends on."""
    from contrasep_lib.io.done import stage_key, step_keys
    from contrasep_lib.io.dumpset import source_tables

    inputs = [Path(args.dump) / "wav.scp", *source_tables(args.dump)]
    if config["separate"].separator == "model":
        from contrasep_lib.separate.clustering_state import state_files

        trained = (Path(args.modularity) / name for name in state_files(config["modularity"]))
        inputs += [args.model, *(path for path in trained if path.is_file())]
    return stage_key({"separate": step_keys(config)["separate"]}, inputs, {})


def _oracle(args: argparse.Namespace, config: dict[str, Any], dump: DumpSet) -> Callable[[str], Separation]:
    from contrasep_lib.config import create
    from contrasep_lib.oracles.base import Scene, oracle_options
    from contrasep_lib.separate.separation import Separation

    options, features = config["separate"], config["features"]
    oracle = create(oracle_options(options.separator))

    def separate(key: str) -> Separation:
        try:
            scene = Scene(dump.mixture(key), dump.sources(key), features, dump.noise(key))
        except ContrasepError as error:
            raise ContrasepError(f"{args.dump}: '{key}': {error}; run stage 2 again") from None
        return Separation(**vars(oracle.separate(scene)), num_spk_given=True)

    return separate


def _model(args: argparse.Namespace, config: dict[str, Any], dump: DumpSet) -> Callable[[str], Separation]:
    from contrasep_lib.models.checkpoint import load_model
    from contrasep_lib.separate.clustering_state import ClusteringState
    from contrasep_lib.separate.model_separator import ModelSeparator

    if not args.model or not args.modularity:
        raise ContrasepError("--model FILE and --modularity DIR are needed with separate.separator: model")
    # jobs of one machine take its GPUs in turn
    device = device_of(args.ngpu, args.part[0] - 1)
    options = config["separate"]
    model = load_model(args.model, device, config["features"], config["model"])
    clustering = ClusteringState.load(args.modularity, config["modularity"], model.counter)
    separator = ModelSeparator(model, clustering, config["modularity"], options)
    count = dump.num_spk if options.count == "given" else None
    return lambda key: separator.separate(key, dump.mixture(key), count)
