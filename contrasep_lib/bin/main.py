"""The console command ``contrasep``: one subcommand per stage program."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys

from contrasep_lib import __version__
from contrasep_lib.bin.common import Parser
from contrasep_lib.errors import ContrasepError, one_line
from contrasep_lib.extras import missing_extra

# name -> (stage, one line of help); the module is contrasep_lib.bin.NAME with underscores
COMMANDS = {
    "prepare-corpus": ("0", "make single-speaker sets of a corpus: downloaded, spoken or a local copy"),
    "import-mixtures": ("0", "refer to mixtures that others have made: LibriMix, WHAM!, any tree of mix/ s1/ s2/"),
    "make-lists": ("0", "draw the mixtures: speakers, utterances, gains; or take the corpus's lists"),
    "mix": ("0", "mix the sources of a list"),
    "prepare-data": ("1", "make Kaldi-style data directories"),
    "validate-data": ("1", "check data directories and their audio"),
    "dump": ("2", "write audio, spectra and statistics to ark"),
    "train": ("3", "train the embedding: pretrain (stage 3) or finetune (stage 4)"),
    "train-modularity": ("4", "train the solver, calibrate the counter"),
    "separate-set": ("5", "separate a dumped set"),
    "score": ("6", "score separated audio"),
    "report": ("6", "write RESULTS.md and results.json"),
    "compare": ("6", "compare two experiments mixture by mixture"),
    "train-asr": ("any", "train a small speech recogniser, for word error rates"),
    "transcribe": ("any", "write what recordings say"),
    "separate": ("any", "separate recordings of your own"),
    "models": ("any", "list trained models: speakers, size, licence, what they were trained on"),
    "pack": ("any", "pack a model with its card and licence into one file"),
    "unpack": ("any", "unpack a model"),
    "prosody": ("any", "measure pitch, timbre and speaking rate: what of them is the speaker's own"),
    "sweep-plan": ("any", "list the runs of a sweep over configuration values"),
    "sweep-report": ("any", "write table and plot of a sweep"),
    "new-recipe": ("any", "make a recipe for a corpus of your own"),
    "check-config": ("any", "check a configuration and print it whole"),
    "list": ("any", "list backbones, objectives, solvers and other parts that a configuration chooses"),
    "resolve": ("any", "print what a run of a recipe takes from its configuration"),
}

AGAIN = "then run the same command again"
REMEDIES = {
    errno.ENOSPC: f"; make room there, {AGAIN}", errno.EDQUOT: f"; make room there, {AGAIN}",
    errno.EMFILE: f"; raise the limit (ulimit -n), {AGAIN}",
    errno.EACCES: "; change its mode or name another place", errno.EPERM: "; change its mode or name another place",
    errno.EROFS: "; name another place",
}


def overview() -> str:
    """The help text: commands listed by stage."""
    width = max(map(len, COMMANDS))
    lines = [
        "usage: contrasep COMMAND [options]      contrasep COMMAND --help      contrasep --version",
        "",
        "Speech separation by contrastive learning and deep modularity clustering.",
        "",
    ]
    heading = None
    for name, (stage, line) in COMMANDS.items():
        if stage != heading:
            lines.append("any stage" if stage == "any" else f"stage {stage}")
            heading = stage
        lines.append(f"  {name:{width}}  {line}")
    return "\n".join(lines)


def normalise(arguments: list[str]) -> list[str]:
    """Write option names with dashes: ``--num_spk=2`` becomes ``--num-spk=2``."""
    dashed = []
    for argument in arguments:
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            argument = name.replace("_", "-") + equals + value
        dashed.append(argument)
    return dashed


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand.

    Returns:
        exit status: 0, 1 for an error in one line, 2 for a wrong call, 130 when interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return _called(arguments)
    except BrokenPipeError:
        # the reader of a pipe has seen enough; keep the interpreter from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _called(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview(), flush=True)
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"contrasep {__version__}")
        return 0
    name = arguments[0].replace("_", "-")
    if name not in COMMANDS:
        print(f"contrasep: unknown command '{arguments[0]}'; see contrasep --help", file=sys.stderr)
        return 2
    module = importlib.import_module(f"contrasep_lib.bin.{name.replace('-', '_')}")
    parser = Parser(
        prog=f"contrasep {name}", description=module.__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parsed = parser.parse_args(normalise(arguments[1:]))
    try:
        module.run(parsed)
    except ContrasepError as error:
        print(f"contrasep {name}: {one_line(error)}", file=sys.stderr)
        return 1
    except ImportError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        print(f"contrasep {name}: {missing}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:
        # e.g. no space left, permission denied: an error of the place, not of the program
        words = f"{error.filename or 'file'}: {error.strerror or error}{REMEDIES.get(error.errno or 0, '')}"
        print(f"contrasep {name}: {one_line(words)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
