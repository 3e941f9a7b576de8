"""Check data directories by Kaldi's rules and check their audio; every violation is listed."""

from __future__ import annotations

import argparse
import sys

from contrasep_lib.bin.common import positive
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.parallel import in_processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep validate-data``."""
    parser.add_argument("folders", nargs="+", metavar="DIR", help="data directory")
    parser.add_argument(
        "--rate", type=positive, metavar="HZ", help="sampling rate expected of mixtures (default: one for all)"
    )
    parser.add_argument("--no-audio", action="store_true", help="check the tables alone")
    parser.add_argument("--nj", type=positive, default=1, help="processes")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep validate-data``."""
    faulty = sum(_validate(folder, args) for folder in args.folders)
    if faulty:
        raise ContrasepError(f"{faulty} of {len(args.folders)} data directories have violations, listed above")


def _validate(folder: str, args: argparse.Namespace) -> bool:
    import collections

    from contrasep_lib.io.dumpset import speaker_tables
    from contrasep_lib.io.validate import validate_audio, validate_tables

    errors, tables = validate_tables(folder)
    wav = tables.get("wav.scp", {})
    names = ["wav.scp", *(path.name for path in speaker_tables(folder))] if wav else []
    if wav and not args.no_audio:
        durations = tables.get("utt2dur", {})
        # single speakers keep the rate of their corpus
        rate = args.rate if len(names) > 1 else None
        work = [
            (utt, [tables[name][utt] for name in names if utt in tables.get(name, {})], rate, durations.get(utt))
            for utt in wav
        ]
        checked = in_processes(validate_audio, work, args.nj, f"checking {folder}")
        rates = collections.Counter(rate for _, rate in checked if rate)
        errors += [error for found, _ in checked for error in found]
        if len(rates) > 1:
            errors.append(f"{folder}: several sampling rates ({', '.join(f'{rate} Hz' for rate in sorted(rates))})")
    for error in errors:
        print(error, file=sys.stderr)
    if not errors:
        kind = f"{len(names) - 1} speakers" if len(names) > 1 else "single speakers"
        print(f"validate-data: {folder} is valid ({len(wav)} utterances, {kind})")
    return bool(errors)
