"""Separate a dumped set and write audio, assignments and evidence."""

from __future__ import annotations

import argparse
import typing
from pathlib import Path
from typing import Any, Callable

from contrasep_lib.bin.common import add_config, add_part, positive, progress, read_config, share
from contrasep_lib.errors import ContrasepError, is_out_of_memory

if typing.TYPE_CHECKING:
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.separate.separation import Separation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep separate``."""
    add_config(parser)
    add_part(parser)
    parser.add_argument("--dump", required=True, metavar="DIR", help="dump directory of the set")
    parser.add_argument("--out", required=True, metavar="DIR", help="where the audio goes")
    parser.add_argument("--model", metavar="FILE", help="model.pth of stage 4, for the separator 'model'")
    parser.add_argument("--modularity", metavar="DIR", help="exp/TAG/modularity, for the separator 'model'")
    parser.add_argument("--ngpu", type=int, default=0, metavar="N", help="GPUs (default 0: the CPU)")
    parser.add_argument("--merge", type=positive, metavar="N", help="join N parts after all are written")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep separate``."""
    if args.merge:
        from contrasep_lib.separate.writer import merge_parts

        print(f"separate: {merge_parts(args.out, args.merge)} utterances in {args.out}")
        return
    config = read_config(args)

    import torch

    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.separate.writer import Writer

    # the set is parted over jobs, so more threads in each would only compete
    torch.set_num_threads(1)
    dump = DumpSet(args.dump)
    dump.require_rate(config["mix"].rate)
    separate = (_learned if config["separate"].separator == "model" else _oracle)(args, config, dump)
    kept = 0
    with (
        Writer(args.out, args.part[0], dump.rate, _identity(args, config)) as writer,
        progress(share(dump.keys, args.part), "separating") as keys,
    ):
        for key in keys:
            if writer.has(key):
                kept += 1
                continue
            try:
                writer.write(key, separate(key))
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                seconds = len(dump.mixture(key)) / dump.rate
                raise ContrasepError(f"'{key}': out of memory with {seconds:.1f} s of speech; use a smaller --nj") from None
    if kept:
        print(f"separate: {kept} utterances of an interrupted run kept")


def _identity(args: argparse.Namespace, config: dict[str, Any]) -> str:
    """Key of all that the separation of an utterance depends on."""
    from contrasep_lib.config import as_tree
    from contrasep_lib.io.done import stage_key
    from contrasep_lib.io.dumpset import speaker_tables

    names, inputs = ["features", "separate"], [Path(args.dump) / "wav.scp", *speaker_tables(args.dump)]
    if config["separate"].separator == "model":
        from contrasep_lib.separate.learned import NETWORK, NULL

        names += ["model", "modularity"]
        trained = (Path(args.modularity) / name for name in (NETWORK, NULL))
        inputs += [args.model, *(path for path in trained if path.is_file())]
    return stage_key({name: as_tree(config[name]) for name in names}, inputs, {})


def _oracle(args: argparse.Namespace, config: dict[str, Any], dump: DumpSet) -> Callable[[str], Separation]:
    from contrasep_lib.separate.oracle import Oracle

    options, features = config["separate"], config["features"]

    def separate(key: str) -> Separation:
        try:
            oracle = Oracle(dump.mixture(key), dump.sources(key), features, options.silence_db)
        except ContrasepError as error:
            raise ContrasepError(f"{args.dump}: '{key}': {error}; run stage 2 again") from None
        return oracle.separate(options.separator)

    return separate


def _learned(args: argparse.Namespace, config: dict[str, Any], dump: DumpSet) -> Callable[[str], Separation]:
    import torch

    from contrasep_lib.models.checkpoint import load_model
    from contrasep_lib.separate.learned import Communities, Learned

    if not args.model or not args.modularity:
        raise ContrasepError("--model FILE and --modularity DIR are needed with separate.separator: model")
    if args.ngpu and not torch.cuda.is_available():
        raise ContrasepError("--ngpu: no GPU is available here; leave it out")
    # jobs of one machine take its GPUs in turn
    device = f"cuda:{(args.part[0] - 1) % torch.cuda.device_count()}" if args.ngpu else "cpu"
    options = config["separate"]
    communities = Communities.load(args.modularity, config["modularity"])
    model = load_model(args.model, device, config["features"], config["model"])
    learned = Learned(model, communities, config["modularity"], options)
    count = dump.num_spk if options.count == "given" else None
    return lambda key: learned.separate(key, dump.mixture(key), count)
