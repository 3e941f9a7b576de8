"""Separate recordings of your own, or a dumped set.

    contrasep separate meeting.wav interview.mp3 --out separated
    contrasep separate --config FILE --dump DIR --out DIR          (stage 5 of the recipes)

Of each recording NAME: NAME_spk1.wav, NAME_spk2.wav, .., and NAME.json with what speaks for the count.
"""

from __future__ import annotations

import argparse
import sys
import typing
from pathlib import Path
from typing import Any, Callable

from contrasep_lib.bin.common import add_config, add_part, positive, read_config, share
from contrasep_lib.io.parallel import progress, progress_of
from contrasep_lib.errors import ContrasepError, is_out_of_memory

if typing.TYPE_CHECKING:
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.separate.separation import Separation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep separate``."""
    parser.set_defaults(refuse=parser.error)
    parser.add_argument("files", nargs="*", metavar="FILE", help="recordings, or folders of recordings")
    parser.add_argument("--out", metavar="DIR", help="where the audio goes")
    parser.add_argument(
        "--model", metavar="NAME|DIR",
        help="recordings: a model of the package or folder of an experiment (default best); set: model.pth of stage 4",
    )
    parser.add_argument("--ngpu", type=int, default=0, metavar="N", help="GPUs (default 0: the CPU)")
    add_config(parser, required=False)
    own = parser.add_argument_group("recordings")
    own.add_argument("--num-spk", type=positive, metavar="K", help="talkers of each recording (default: estimated)")
    own.add_argument("--channel", type=positive, metavar="C", help="take channel C (default: the mean of all)")
    own.add_argument(
        "--window", type=positive, default=30, metavar="S",
        help="longer recordings are separated by windows of so many seconds (default %(default)s)",
    )
    own.add_argument("--overwrite", action="store_true", help="replace earlier outputs")
    own.add_argument("--list-models", action="store_true", help="list the models of the package")
    dumped = parser.add_argument_group("dumped set (--config is needed)")
    add_part(dumped)
    dumped.add_argument("--dump", metavar="DIR", help="dump directory of the set")
    dumped.add_argument("--modularity", metavar="DIR", help="exp/TAG/modularity, for the separator 'model'")
    dumped.add_argument("--merge", type=positive, metavar="N", help="join N parts after all are written")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep separate``."""
    if args.list_models:
        from contrasep_lib.separate.shipped import headline, names

        print("\n".join(f"{name:10} {headline(name)}" for name in names()))
        return
    if not args.files and not args.dump:
        args.refuse("recordings, or --dump DIR, are needed")
    if args.files and args.dump:
        args.refuse("recordings or --dump DIR, not both")
    if not args.out:
        args.refuse("--out DIR is needed")
    if args.files:
        _recordings(args)
        return
    if not args.config:
        args.refuse("--config FILE is needed with --dump")
    _dumped(args)


def _recordings(args: argparse.Namespace) -> None:
    from contrasep_lib.io.machine import keep_freed_memory
    from contrasep_lib.separate.files import Request, files_in, seconds_in, separate_files
    from contrasep_lib.separate.shipped import DEFAULT, load_separator

    if not args.ngpu:
        keep_freed_memory()
    files = files_in(args.files)
    separator = load_separator(args.model or DEFAULT, _device(args, 0), args.config, args.overrides)
    request = Request(args.out, args.num_spk, args.channel, args.window, args.overwrite)
    with progress_of(seconds_in(files), "separating") as bar:

        def tell(line: str, fault: bool) -> None:
            with bar.external_write_mode(file=sys.stderr if fault else sys.stdout):
                print(f"contrasep separate: {line}" if fault else line, file=sys.stderr if fault else sys.stdout)

        failed = separate_files(separator, files, request, tell, bar.update)
    if failed:
        raise ContrasepError(f"{failed} of {len(files)} recordings not separated, see above")


def _dumped(args: argparse.Namespace) -> None:
    if args.merge:
        from contrasep_lib.separate.writer import merge_parts

        print(f"separate: {merge_parts(args.out, args.merge)} utterances in {args.out}")
        return
    config = read_config(args)

    import torch

    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.io.machine import device_words, work_clock
    from contrasep_lib.separate.writer import Writer

    # the set is parted over jobs, so more threads in each would only compete
    torch.set_num_threads(1)
    dump = DumpSet(args.dump)
    dump.require_rate(config["mix"].rate)
    separate = (_learned if config["separate"].separator == "model" else _oracle)(args, config, dump)
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
                raise ContrasepError(f"'{key}': out of memory with {seconds:.1f} s of speech; use a smaller --nj") from None
    if kept:
        print(f"separate: {kept} utterances of an interrupted run kept")


def _device(args: argparse.Namespace, job: int) -> str:
    import torch

    if not args.ngpu:
        return "cpu"
    if not torch.cuda.is_available():
        raise ContrasepError("--ngpu: no GPU is available here; leave it out")
    return f"cuda:{job % torch.cuda.device_count()}"


def _identity(args: argparse.Namespace, config: dict[str, Any]) -> str:
    """Key of all that the separation of an utterance depends on."""
    from contrasep_lib.config import as_tree
    from contrasep_lib.io.done import FORMATS, stage_key
    from contrasep_lib.io.dumpset import speaker_tables

    names, inputs = ["features", "separate"], [Path(args.dump) / "wav.scp", *speaker_tables(args.dump)]
    if config["separate"].separator == "model":
        from contrasep_lib.separate.learned import NETWORK, NULL

        names += ["model", "modularity"]
        trained = (Path(args.modularity) / name for name in (NETWORK, NULL))
        inputs += [args.model, *(path for path in trained if path.is_file())]
    return stage_key({name: as_tree(config[name]) for name in names}, inputs, {"format": str(FORMATS["separate"].format)})


def _oracle(args: argparse.Namespace, config: dict[str, Any], dump: DumpSet) -> Callable[[str], Separation]:
    from contrasep_lib.config import create
    from contrasep_lib.oracles.base import Scene, oracle_options
    from contrasep_lib.separate.separation import Separation

    options, features = config["separate"], config["features"]
    oracle = create(oracle_options(options.separator))

    def separate(key: str) -> Separation:
        try:
            scene = Scene(dump.mixture(key), dump.sources(key), features, options.silence_db)
        except ContrasepError as error:
            raise ContrasepError(f"{args.dump}: '{key}': {error}; run stage 2 again") from None
        return Separation(**vars(oracle.separate(scene)), num_spk_given=True)

    return separate


def _learned(args: argparse.Namespace, config: dict[str, Any], dump: DumpSet) -> Callable[[str], Separation]:
    from contrasep_lib.models.checkpoint import load_model
    from contrasep_lib.separate.learned import Communities, Learned

    if not args.model or not args.modularity:
        raise ContrasepError("--model FILE and --modularity DIR are needed with separate.separator: model")
    # jobs of one machine take its GPUs in turn
    device = _device(args, args.part[0] - 1)
    options = config["separate"]
    communities = Communities.load(args.modularity, config["modularity"])
    model = load_model(args.model, device, config["features"], config["model"])
    learned = Learned(model, communities, config["modularity"], options)
    count = dump.num_spk if options.count == "given" else None
    return lambda key: learned.separate(key, dump.mixture(key), count)
