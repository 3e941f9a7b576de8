"""Validation of data directories: Kaldi's rules and rules on the audio; all violations listed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import INT16_SCALE, read_audio
from contrasep_lib.io.dumpset import UTT2SPKS, speaker_tables
from contrasep_lib.io.ids import RULE, is_id
from contrasep_lib.io.scp import invert_utt2spk, parse_table


def validate_tables(folder: str | os.PathLike) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Check the tables of a data directory by Kaldi's rules.

    Ids by `contrasep_lib.io.ids`. C-locale order, unique keys, a final newline, a value for each key, the
    same keys everywhere, the speaker id a prefix of the utterance id, ``spk2utt`` the inverse of ``utt2spk``,
    in ``utt2spks`` (where it is there) as many speakers as sources, which joined by ``_`` are the
    speaker of ``utt2spk``, positive durations.

    Returns:
        the violations, one line each (none: valid), and the tables that could be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return [f"{folder}: no such data directory; run stage 1 first"], {}
    errors: list[str] = []
    tables: dict[str, dict[str, str]] = {}
    required = ["wav.scp", "utt2spk", "spk2utt", "utt2dur"]
    spk = [path.name for path in speaker_tables(folder)]
    gaps = sorted(path.name for path in folder.glob("spk*.scp") if path.name not in spk)
    if gaps:
        errors.append(f"{folder}: {gaps[0]} is there but not spk{len(spk) + 1}.scp; number sources from 1")
    optional = [UTT2SPKS, "text", *(f"text_spk{number}" for number in range(1, len(spk) + 1))]
    for name in required + spk + [name for name in optional if (folder / name).is_file()]:
        try:
            pairs, found = parse_table(folder / name)
        except ContrasepError as error:
            errors.append(str(error))
            continue
        errors += found
        if not pairs:
            errors.append(f"{folder / name}: empty")
        tables[name] = dict(pairs)
    wav, utt2spk = tables.get("wav.scp", {}), tables.get("utt2spk", {})
    for name, table in tables.items():
        if name in ("wav.scp", "spk2utt") or not wav:
            continue
        errors += [f"{folder / name}: key '{key}' missing" for key in wav if key not in table]
        errors += [f"{folder / name}: key '{key}' is not in wav.scp" for key in table if key not in wav]
    for utt, speaker in utt2spk.items():
        if not utt.startswith(speaker):
            errors.append(f"{folder}/utt2spk: speaker '{speaker}' is no prefix of utterance '{utt}'")
    named = {"utt2spk": set(utt2spk.values()), UTT2SPKS: set(" ".join(tables.get(UTT2SPKS, {}).values()).split())}
    errors += [
        f"{folder / name}: expected a speaker of {RULE}, got '{speaker}'"
        for name, speakers in named.items() for speaker in sorted(speakers) if not is_id(speaker)
    ]
    for utt, names in tables.get(UTT2SPKS, {}).items():
        errors += _speaker_errors(folder, utt, names.split(), max(1, len(spk)), utt2spk.get(utt))
    if "spk2utt" in tables and utt2spk and tables["spk2utt"] != invert_utt2spk(utt2spk):
        errors.append(f"{folder}/spk2utt: not the inverse of utt2spk; make it again")
    for utt, seconds in tables.get("utt2dur", {}).items():
        try:
            positive = float(seconds) > 0
        except ValueError:
            positive = False
        if not positive:
            errors.append(f"{folder}/utt2dur: '{utt}' has the duration '{seconds}'; a positive number is expected")
    return errors, tables


def _speaker_errors(folder: Path, utt: str, names: list[str], expected: int, speaker: str | None) -> list[str]:
    """Violations of a line of ``utt2spks``, given the number of sources and the utterance's ``utt2spk``."""
    if len(names) != expected:
        return [f"{folder / UTT2SPKS}: '{utt}': expected {expected} speakers, one for each source, got {len(names)}"]
    if speaker is not None and "_".join(names) != speaker:
        return [f"{folder / UTT2SPKS}: '{utt}': expected the speakers of utt2spk, '{speaker}', got '{' '.join(names)}'"]
    return []


def validate_audio(utt: str, paths: list[str], rate: int | None, seconds: str | None) -> tuple[list[str], int]:
    """Check the audio of one utterance.

    Mono, finite, not empty, not truncated, of the rate; sources not all zero, of the length of the
    mixture, and adding up to it within the rounding of PCM16.

    Args:
        utt: its id, for the messages.
        paths: the utterance or mixture first, then its sources (none for a single speaker).
        rate: expected, Hz; None takes any, but sources must have that of the mixture.
        seconds: duration as ``utt2dur`` has it; None where unknown.

    Returns:
        the violations, one line each, and the rate of the first file (0 if it could not be read).
    """
    tracks, errors, own_rate = [], [], 0
    for path in paths:
        try:
            samples, found = read_audio(path, rate or own_rate or None)
        except ContrasepError as error:
            errors.append(f"{utt}: {error}")
            continue
        own_rate = own_rate or found
        if not samples.any():
            errors.append(f"{utt}: {path}: all zero; leave it out")
        tracks.append(samples)
    if errors:
        return errors, own_rate
    mixture, sources = tracks[0], tracks[1:]
    # utt2dur keeps six digits, so a long file may be off by more than a sample
    if seconds is not None and abs(len(mixture) / own_rate - float(seconds)) > 2e-6 * float(seconds) + 1 / own_rate:
        errors.append(f"{utt}: {len(mixture) / own_rate:.6g} s long, utt2dur says {seconds}")
    for number, source in enumerate(sources, 1):
        if len(source) != len(mixture):
            errors.append(f"{utt}: source {number} has {len(source)} samples, the mixture {len(mixture)}")
    if sources and not errors:
        off = np.abs(np.sum(sources, axis=0) - mixture).max() * INT16_SCALE
        # each of the N sources and the mixture is rounded by at most half a step
        if off > (len(sources) + 1) / 2 + 1e-6:
            errors.append(f"{utt}: the sources do not add up to the mixture (off by {off:.0f} steps of 16 bits)")
    return errors, own_rate
