"""Validation of data directories: Kaldi's rules and rules on the audio; all violations listed.

Kaldi's rules are those of ``utils/validate_data_dir.sh``, which are not its own alone: files are read whole, so
``segments`` is refused, and words are separated by one space.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import INT16_SCALE, read_audio
from contrasep_lib.io.datadir import is_duration
from contrasep_lib.io.dumpset import NOISE, UTT2SPKS, source_tables, speaker_tables
from contrasep_lib.io.ids import RULE, is_id, mixture_speaker, shown
from contrasep_lib.io.pipes import is_command, refuse_command
from contrasep_lib.io.scp import invert_utt2spk, parse_table

Tables = dict[str, dict[str, str]]
REQUIRED = ("wav.scp", "utt2spk", "spk2utt", "utt2dur")
# keyed by speaker
OF_SPEAKERS = ("spk2utt", "spk2gender")
GENDERS = ("m", "f")


def validate_tables(folder: str | os.PathLike, pipes: bool = False) -> tuple[list[str], Tables]:
    """Check the tables of a data directory by Kaldi's rules.

    Ids by `contrasep_lib.io.ids`. C-locale order, unique keys, a final newline, a value for each key, the
    same keys everywhere, the speaker id a prefix of the utterance id, of single speakers ``utt2spk`` in the order of
    speakers too, ``spk2utt`` the inverse of ``utt2spk``, in ``utt2spks`` (where it is there) as many speakers as
    sources, which joined by ``_`` are the speaker of ``utt2spk``, positive finite durations, genders ``m`` or ``f``,
    no ``segments``.

    Args:
        folder: data directory.
        pipes: allow entries ``cmd |`` in ``wav.scp``.

    Returns:
        the violations, one line each (none: valid), and the tables that could be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return [f"{folder}: no such data directory; run stage 1 first"], {}
    spk = [path.name for path in speaker_tables(folder)]
    errors, tables = _read_tables(folder, spk)
    if (folder / "segments").exists():
        errors.append(f"{folder}/segments: parts of files are not read; cut them first (Kaldi's extract-segments)")
    wav, utt2spk = tables.get("wav.scp", {}), tables.get("utt2spk", {})
    speakers = dict.fromkeys(utt2spk.values())
    for name, table in tables.items():
        expected, of = (speakers, "utt2spk") if name in OF_SPEAKERS else (wav, "wav.scp")
        if name not in ("wav.scp", "spk2utt") and expected:
            errors += [f"{folder / name}: key '{key}' missing, which {of} has" for key in expected if key not in table]
            errors += [f"{folder / name}: key '{key}' is not in {of}" for key in table if key not in expected]
    errors += _speaker_errors(folder, tables, len(spk))
    for name in ("wav.scp", *(path.name for path in source_tables(folder))):
        errors += _entry_errors(folder / name, tables.get(name, {}), pipes)
    errors += [
        f"{folder}/utt2dur: '{utt}': expected a positive number of seconds, got '{shown(seconds)}'"
        for utt, seconds in tables.get("utt2dur", {}).items() if not is_duration(seconds)
    ]
    errors += [
        f"{folder}/spk2gender: '{speaker}': expected m or f, got '{shown(gender)}'"
        for speaker, gender in tables.get("spk2gender", {}).items() if gender not in GENDERS
    ]
    return errors, tables


def _read_tables(folder: Path, spk: list[str]) -> tuple[list[str], Tables]:
    """The tables of a folder that can be read, and violations of their format."""
    errors: list[str] = []
    tables: Tables = {}
    gaps = sorted(path.name for path in folder.glob("spk*.scp") if path.name not in spk)
    if gaps:
        errors.append(f"{folder}: {gaps[0]} exists but not spk{len(spk) + 1}.scp; number sources from 1")
    texts = [f"text_spk{number}" for number in range(1, len(spk) + 1)]
    if (folder / NOISE).is_file() and not spk:
        errors.append(f"{folder / NOISE}: noise of mixtures whose sources, spk1.scp .., are not there")
    optional = (NOISE, UTT2SPKS, "text", "utt2lang", "spk2gender", *texts)
    for name in (*REQUIRED, *spk, *(name for name in optional if (folder / name).is_file())):
        try:
            pairs, found = parse_table(folder / name)
        except ContrasepError as error:
            errors.append(str(error))
            continue
        errors += found
        if not pairs:
            errors.append(f"{folder / name}: empty, expected a line for each key")
        tables[name] = dict(pairs)
        if name.startswith("text"):
            errors += [
                f"{folder / name}: '{key}': a control sign or white space other than a space ({bad!r}); remove it"
                for key, text in pairs if (bad := next((sign for sign in text if not sign.isprintable()), None))
            ]
    return errors, tables


def _entry_errors(path: Path, table: Mapping[str, str], pipes: bool) -> Iterator[str]:
    """Violations of the entries of a ``.scp``."""
    for key, entry in table.items():
        if is_command(entry):
            if not pipes:
                yield f"{path}: '{key}': {refuse_command(shown(entry))}"
        elif entry.startswith("~"):
            yield f"{path}: '{key}': expected a path, got '{shown(entry)}'; no shell reads the ~, write the folder out"


def _speaker_errors(folder: Path, tables: Tables, num_sources: int) -> Iterator[str]:
    """Violations of the rules on speakers."""
    utt2spk, spk2utt, utt2spks = (tables.get(name, {}) for name in ("utt2spk", "spk2utt", UTT2SPKS))
    for utt, speaker in utt2spk.items():
        if not utt.startswith(speaker):
            yield f"{folder}/utt2spk: speaker '{shown(speaker)}' is no prefix of utterance '{utt}'"
    for name, values in (("utt2spk", utt2spk.values()), (UTT2SPKS, utt2spks.values())):
        words: Iterable[str] = values if name == "utt2spk" else itertools.chain.from_iterable(map(str.split, values))
        for speaker in dict.fromkeys(words):
            if not is_id(speaker):
                yield f"{folder / name}: expected a speaker of {RULE}, got '{shown(speaker)}'"
    if not num_sources and (words_of := speaker_order(utt2spk)):
        yield f"{folder}/utt2spk: {words_of}"
    for utt, names in utt2spks.items():
        yield from _sources_errors(folder, utt, names.split(), max(1, num_sources), utt2spk.get(utt))
    if spk2utt and utt2spk and spk2utt != invert_utt2spk(utt2spk):
        yield f"{folder}/spk2utt: not the inverse of utt2spk; make it again"


def speaker_order(utt2spk: Mapping[str, str]) -> str | None:
    """Why Kaldi's ``sort -k2 -C`` refuses a ``utt2spk`` that is sorted by utterance; None if it does not.

    Example:
        >>> speaker_order({"13_1": "13", "1_2": "1", "1_4": "1"})  # doctest: +ELLIPSIS
        "not in the order of speakers, as Kaldi's sort -k2 wants it: '13_1' of '13' stands before '1_2' of '1'; ..."
        >>> speaker_order({"1-2": "1", "1-4": "1", "13-1": "13"})
    """
    for (utt, speaker), (following, another) in itertools.pairwise(utt2spk.items()):
        if (speaker, utt) > (another, following):
            return (
                f"not in the order of speakers, as Kaldi's sort -k2 wants it: '{utt}' of '{shown(speaker)}' stands "
                f"before '{following}' of '{shown(another)}'; begin ids with the speaker and '-', or give speakers "
                "equal lengths"
            )
    return None


def _sources_errors(folder: Path, utt: str, names: list[str], expected: int, speaker: str | None) -> Iterator[str]:
    """Violations of a line of ``utt2spks``, given the number of sources and the utterance's ``utt2spk``."""
    if len(names) != expected:
        yield f"{folder / UTT2SPKS}: '{utt}': expected {expected} speakers, one for each source, got {len(names)}"
    elif speaker is not None and mixture_speaker(names) != speaker:
        yield f"{folder / UTT2SPKS}: '{utt}': expected the speakers of utt2spk, '{speaker}', got '{' '.join(names)}'"


def validate_audio(
    utt: str, paths: list[str], rate: int | None, seconds: str | None, pipes: bool = False, noise: bool = False
) -> tuple[list[str], int]:
    """Check the audio of one utterance.

    Mono, finite, within [-1, 1], not empty, not truncated, of the rate; sources not all zero, of the length of the
    mixture, and adding up to it within the rounding of PCM16.

    Args:
        utt: its id, for the messages.
        paths: the utterance or mixture first, then its sources (none for a single speaker), noise last.
        rate: expected, Hz; None takes any, but sources must have that of the mixture.
        seconds: duration as ``utt2dur`` has it; None where unknown.
        pipes: run entries ``cmd |``.
        noise: whether the last path is noise, which adds to the mixture but is no talker; it may be all zero.

    Returns:
        the violations, one line each, and the rate of the first file (0 if it could not be read).
    """
    tracks, errors, own_rate = [], [], 0
    for place, path in enumerate(paths):
        try:
            samples, found = read_audio(path, rate or own_rate or None, full_scale=True, pipes=pipes)
        except ContrasepError as error:
            errors.append(f"{utt}: {error}")
            continue
        own_rate = own_rate or found
        if not samples.any() and not (noise and place == len(paths) - 1):
            errors.append(f"{utt}: {path}: all zero; leave it out")
        tracks.append(samples)
    if errors:
        return errors, own_rate
    mixture, sources = tracks[0], tracks[1:]
    # utt2dur keeps six digits, so a long file may be off by more than a sample
    length = len(mixture) / own_rate
    # one that is no number is an error of its table
    expected = float(seconds) if seconds is not None and is_duration(seconds) else length
    if abs(length - expected) > 2e-6 * expected + 1 / own_rate:
        errors.append(f"{utt}: {length:.6g} s long, utt2dur says {seconds}")
    names = [f"source {number}" for number in range(1, len(sources) + 1 - noise)] + ["noise"] * noise
    for name, source in zip(names, sources):
        if len(source) != len(mixture):
            errors.append(f"{utt}: {name} has {len(source)} samples, the mixture {len(mixture)}")
    if sources and not errors:
        off = np.abs(np.sum(sources, axis=0) - mixture).max() * INT16_SCALE
        # each of the N sources and the mixture is rounded by at most half a step
        if off > (len(sources) + 1) / 2 + 1e-6:
            parts = "the sources and the noise" if noise else "the sources"
            errors.append(f"{utt}: {parts} do not add up to the mixture (off by {off:.0f} steps of 16 bits)")
    return errors, own_rate
