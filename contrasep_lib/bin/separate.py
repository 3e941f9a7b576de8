"""Separate recordings of your own.

    contrasep separate meeting.m4a interview.mp3 --out separated

Of each recording NAME: NAME_spk1.wav, NAME_spk2.wav, .., and NAME.json with what speaks for the count, and warnings.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

from contrasep_lib.bin.common import add_config, add_ngpu, device_of, within
from contrasep_lib.config import Range
from contrasep_lib.config.bounds import Speakers
from contrasep_lib.errors import ContrasepError, one_line
from contrasep_lib.io.parallel import progress_of

if TYPE_CHECKING:
    from contrasep_lib.enrol.naming import Naming
    from contrasep_lib.enrol.voices import Voice
    from contrasep_lib.separate.inputs import Input
    from contrasep_lib.separate.shipped import NamedSeparator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep separate``."""
    from contrasep_lib.separate.arguments import WINDOW, Channel, Threads

    parser.set_defaults(refuse=parser.error)
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="recordings, or folders of recordings; - is standard input"
    )
    parser.add_argument("--out", metavar="DIR", help="where the audio goes")
    parser.add_argument(
        "--model", metavar="NAME|DIR", help="a model of the package, or the folder of an experiment (default: best)"
    )
    parser.add_argument(
        "--num-spk", type=within(Speakers), metavar="K", help="speakers of each recording (default: estimated)"
    )
    parser.add_argument(
        "--channel", type=within(Channel), metavar="C", help="take channel C (default: the mean of all)"
    )
    parser.add_argument(
        "--window", type=within(Annotated[int, WINDOW]), default=30, metavar="S",
        help="longer recordings are separated by windows of so many seconds (default %(default)s)",
    )
    parser.add_argument("--recursive", action="store_true", help="take the folders within folders too")
    _add_output(parser)
    _add_voices(parser)
    parser.add_argument(
        "--threads", type=within(Threads), default=1, metavar="N",
        help="of the processor (default %(default)s: more wait for one another where cores are shared)",
    )
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32",
        help="of the networks, in long recordings (default %(default)s)",
    )
    add_ngpu(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace earlier outputs")
    parser.add_argument("--list-models", action="store_true", help="list the models of the package")
    add_config(parser, required=False)


def _add_output(parser: argparse.ArgumentParser) -> None:
    """What the outputs are like."""
    from contrasep_lib.separate.outputs import FORMATS

    parser.add_argument(
        "--format", choices=FORMATS, default="wav",
        help="of the outputs: wav and flac have 16 bits, float is wav of 32-bit floats (default %(default)s)",
    )
    parser.add_argument(
        "--rate", choices=("model", "original"), default="model",
        help="of the outputs: the model's, or the recording's (default %(default)s)",
    )
    parser.add_argument("--normalize", action="store_true", help="bring each output to a peak of 0.9")
    parser.add_argument(
        "--rest", action="store_true", help="write NAME_rest too, what no output holds: with it they add up"
    )


def _add_voices(parser: argparse.ArgumentParser) -> None:
    """How speakers are told apart, and which are looked for."""
    parser.add_argument(
        "--speakers", metavar="NAME",
        help="speaker encoder that distinguishes the talkers of long recordings and finds enrolled voices, in addition "
        "to or in place of the model's own embeddings: resemblyzer, with the extra 'speakers' (default: none)",
    )
    parser.add_argument(
        "--enroll", action="append", default=[], metavar="NAME=FILE",
        help="a sample of a speaker alone: the most similar output is named after NAME, if it is similar enough; may "
        "be repeated. Nothing of the voice is kept",
    )
    parser.add_argument(
        "--enroll-threshold", type=within(Annotated[float, Range(0, 1)]), metavar="T",
        help="required similarity (default: as measured for the model best, with the speaker encoder or without)",
    )


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep separate``."""
    if args.list_models:
        from contrasep_lib.separate.shipped import headline, names

        print("\n".join(f"{name:10} {headline(name)}" for name in names()))
        return
    if not args.files:
        args.refuse("recordings are needed; a dumped set is separated by contrasep separate-set")
    if not args.out:
        args.refuse("--out DIR is needed")
    from contrasep_lib.io.machine import forget_shapes, keep_freed_memory

    forget_shapes()
    import torch

    from contrasep_lib.separate.inputs import STDIN, inputs_of, skipped_words, spooled

    torch.set_num_threads(args.threads)
    if not args.ngpu:
        keep_freed_memory()
    inputs, skipped = inputs_of([file for file in args.files if file != STDIN], args.out, args.recursive)
    if skipped:
        print(f"contrasep separate: {one_line(skipped_words(skipped))}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        if STDIN in args.files:
            inputs.append(spooled(folder))
        failed = _separate(args, inputs)
    if failed:
        raise ContrasepError(f"{failed} of {len(inputs)} recordings not separated, see above")


def _separate(args: argparse.Namespace, inputs: list[Input]) -> int:
    """Separate all; how many could not be."""
    from contrasep_lib.separate.earlier import recordings_kept
    from contrasep_lib.separate.files import Request, seconds_in, separate_files
    from contrasep_lib.separate.shipped import DEFAULT, load_separator

    chosen = [] if args.speakers is None else [f"separate.speakers={args.speakers}"]
    overrides = [*args.overrides, *chosen]
    separator = load_separator(args.model or DEFAULT, device_of(args.ngpu, 0), args.config, overrides)
    separator.separator.precision = args.precision
    voices, samples = _voices(args, separator)
    kept = {**samples, **recordings_kept(inputs)}
    request = Request(
        args.out, args.num_spk, args.channel, args.window, args.overwrite, args.format, args.rate == "original",
        args.normalize, args.rest, kept,
    )
    with progress_of(seconds_in(inputs), "separating", in_logs=False) as bar:

        def say(line: str, file: TextIO) -> None:
            with bar.external_write_mode(file=file):
                print(line, file=file)

        def report(line: str, error: bool) -> None:
            if error:
                say(f"contrasep separate: {line}", sys.stderr)
            else:
                say(line, sys.stdout)

        def warn(line: str) -> None:
            say(f"contrasep separate: warning: {one_line(line)}", sys.stderr)

        naming = _naming(args, separator, inputs, voices, kept)
        failed = separate_files(separator, inputs, request, report, bar.update, warn)
        for line in naming.lines() if naming else ():
            report(line, False)
        return failed


def _voices(args: argparse.Namespace, separator: NamedSeparator) -> tuple[list[Voice], dict[Path, str]]:
    """Enrolled voices, and the files of their samples, which outputs never replace."""
    if not args.enroll:
        return [], {}
    from contrasep_lib.enrol.voices import read_voices, samples_kept

    voices = read_voices(args.enroll, separator.rate)
    return voices, samples_kept(voices)


def _naming(
    args: argparse.Namespace, separator: NamedSeparator, inputs: list[Input], voices: list[Voice], kept: dict[Path, str]
) -> Naming | None:
    """Names outputs after enrolled voices, where there are any."""
    if not voices:
        return None
    from contrasep_lib.enrol.naming import Naming
    from contrasep_lib.enrol.voices import threshold_of

    threshold = threshold_of(separator) if args.enroll_threshold is None else args.enroll_threshold
    places = [Path(args.out) / each.folder / each.name for each in inputs]
    return Naming(separator, voices, threshold, places, args.overwrite, kept)
