"""Check data directories by Kaldi's rules and check their audio; every violation is listed.

Single speakers may have several sampling rates, as they are resampled; mixtures have one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from contrasep_lib.bin.common import add_pipes, within
from contrasep_lib.config.bounds import Jobs, Rate
from contrasep_lib.errors import ContrasepError, one_line
from contrasep_lib.io.parallel import in_processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep validate-data``."""
    parser.add_argument("folders", nargs="+", metavar="DIR", help="data directory")
    parser.add_argument(
        "--rate", type=within(Rate), metavar="HZ", help="sampling rate expected of mixtures (default: one for all)"
    )
    parser.add_argument("--no-audio", action="store_true", help="check the tables alone")
    add_pipes(parser)
    parser.add_argument("--nj", type=within(Jobs), default=1, help="processes")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep validate-data``."""
    faulty = sum(_validate(folder, args) for folder in args.folders)
    if faulty:
        raise ContrasepError(f"{faulty} of {len(args.folders)} data directories have violations, listed above")


def _validate(folder: str, args: argparse.Namespace) -> bool:
    import collections

    from contrasep_lib.io.dumpset import NOISE, source_tables
    from contrasep_lib.io.pipes import is_command
    from contrasep_lib.io.validate import speaker_order, validate_audio, validate_tables

    errors, tables = validate_tables(folder, args.allow_pipes)
    wav = tables.get("wav.scp", {})
    names = ["wav.scp", *(path.name for path in source_tables(folder))] if wav else []
    # what stands there is a command that must not run
    commands = any(is_command(entry) for name in names for entry in tables.get(name, {}).values())
    if wav and not args.no_audio and (args.allow_pipes or not commands):
        durations = tables.get("utt2dur", {})
        # single speakers keep the rate of their corpus
        rate = args.rate if len(names) > 1 else None
        work = [
            (utt, _tracks(tables, names, utt), rate, durations.get(utt), args.allow_pipes, names[-1] == NOISE)
            for utt in wav
        ]
        checked = in_processes(validate_audio, work, args.nj, f"checking {folder}")
        rates = collections.Counter(rate for _, rate in checked if rate)
        errors += [error for found, _ in checked for error in found]
        if len(rates) > 1 and len(names) > 1:
            errors.append(f"{folder}: several sampling rates ({', '.join(f'{rate} Hz' for rate in sorted(rates))})")
    for error in errors:
        print(one_line(error), file=sys.stderr)
    # ids of mixtures hold several speakers, whose names may have any lengths
    if len(names) > 1 and (words := speaker_order(tables.get("utt2spk", {}))):
        print(f"{folder}/utt2spk: warning: {one_line(words)}", file=sys.stderr)
    if not errors:
        noisy = names[-1:] == [NOISE]
        kind = f"{len(names) - 1 - noisy} speakers{' and noise' * noisy}" if len(names) > 1 else "single speakers"
        print(f"validate-data: {folder} is valid ({len(wav)} utterances, {kind})")
    return bool(errors)


def _tracks(tables: Mapping[str, Mapping[str, str]], names: Sequence[str], utt: str) -> list[str]:
    """Files of an utterance in the order of the tables, of those that have it."""
    return [tables[name][utt] for name in names if utt in tables.get(name, {})]
