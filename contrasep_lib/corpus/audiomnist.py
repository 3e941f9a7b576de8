"""AudioMNIST (github.com/soerenab/AudioMNIST, MIT licence): 60 speakers, 50 takes of each digit.

The corpus is ``data/SS/D_SS_T.wav`` (speaker 01 to 60, digit 0 to 9, take 0 to 49; mono, 48 kHz)
with ``data/audioMNIST_meta.txt``, JSON: speaker -> gender and more. Checked are all files, their
audio included, and the meta file against the folders, before anything is made of them.

A recording lasts well under a second, so the digits of a speaker are joined to strings with
pauses; each recording is in one string. ``tr`` and ``cv`` share their speakers and no take, the
speakers of ``tt`` are its own. Ids begin with the corpus and the speaker: ``audiomnist05-0001``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from contrasep_lib.corpus.librispeech import spread_choice
from contrasep_lib.corpus.options import AudiomnistOptions
from contrasep_lib.corpus.single import Utterance, write_single_set
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import remove_tree
from contrasep_lib.io.audio import read_audio, resample_audio, write_wav
from contrasep_lib.io.datadir import audio_length

REPOSITORY = "https://github.com/soerenab/AudioMNIST.git"
TOP, META = "AudioMNIST", "audioMNIST_meta.txt"
RATE = 48000
WORDS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
SPEAKERS = tuple(f"{number:02d}" for number in range(1, 61))
TAKES = 50
GENDERS = {"male": "m", "female": "f"}
SETS = ("tr", "cv", "tt")
# a recording begins and ends in room noise: faded, so that nothing clicks
FADE_SECONDS = 0.005
FILES_NAMED = 10


@dataclasses.dataclass(frozen=True)
class DigitString:
    """A string of digits to be made.

    Attributes:
        set_name: ``tr``, ``cv`` or ``tt``.
        speaker: ``audiomnistSS``.
        utt_id: ``audiomnistSS-NNNN``.
        digits: what is said.
        recordings: file of each digit.
        pauses: seconds between two digits.
        path: wav file to write.
    """

    set_name: str
    speaker: str
    utt_id: str
    digits: tuple[int, ...]
    recordings: tuple[str, ...]
    pauses: tuple[float, ...]
    path: str


# ---------------------------------------------------------------- download


def fetch(
    folder: str | os.PathLike,
    speakers: Sequence[str] = SPEAKERS,
    repository: str = REPOSITORY,
    attempts: int = 4,
    pause: float = 2.0,
) -> Path:
    """Fetch the corpus from its git repository, speaker by speaker; what is there is kept.

    The corpus has no archive with a checksum, and the archives that GitHub makes on demand cannot
    be resumed. git fetches single folders and checks all it fetches by hash: a transfer that breaks
    loses the speaker it was at.

    Args:
        folder: receives ``AudioMNIST/data``.
        speakers: ids of the speakers that are read.
        repository: address that git understands.
        attempts: tries of each step before giving up.
        pause: seconds before the second try; doubles each time.

    Returns:
        ``folder/AudioMNIST/data``, as `read_corpus` takes it.

    Raises:
        ContrasepError: git is missing or fails, or the disk is full.
    """
    from tqdm import tqdm

    data, clone = Path(folder) / TOP / "data", Path(folder) / f".{TOP}.git"
    missing = [speaker for speaker in speakers if not (data / speaker).is_dir()]
    if not missing and (data / META).is_file():
        return data
    data.mkdir(parents=True, exist_ok=True)

    def git(*arguments: str) -> None:
        for attempt in range(1, attempts + 1):
            # left by a kill; nobody else works in this folder
            (clone / ".git" / "index.lock").unlink(missing_ok=True)
            reason = _git(arguments)
            if not reason:
                return
            if attempt < attempts:
                time.sleep(min(pause * 2 ** (attempt - 1), 60.0))
        raise ContrasepError(
            f"{repository}: git fails ({reason}); {len(list(data.glob('[0-9]*')))} speakers are in {data} and the next "
            "run goes on from there, or take a local copy with --corpus DIR"
        )

    # the mark of a clone that is whole comes last: made by a rename
    if not clone.is_dir():
        begun = clone.with_name(clone.name + ".tmp")
        remove_tree(begun)
        options = ("--quiet", "--depth=1", "--filter=blob:none", "--sparse", "--config=core.sparseCheckoutCone=true")
        git("clone", *options, "--", repository, os.fspath(begun))
        os.replace(begun, clone)
    with tqdm(missing, desc="AudioMNIST", unit="speaker", disable=None) as bar:
        for speaker in bar:
            # git leaves files alone that it finds in its way, and those of a kill may be half written
            shutil.rmtree(clone / "data", ignore_errors=True)
            git("-C", os.fspath(clone), "sparse-checkout", "set", f"data/{speaker}")
            # where an earlier run was killed after that, it finds nothing to do
            git("-C", os.fspath(clone), "checkout", "--quiet", "--", "data")
            if not (clone / "data" / speaker).is_dir():
                raise ContrasepError(f"{repository}: no data/{speaker} in it; take a local copy with --corpus DIR")
            os.replace(clone / "data" / META, data / META)
            os.replace(clone / "data" / speaker, data / speaker)
    shutil.rmtree(clone)
    return data


def _git(arguments: Sequence[str]) -> str:
    """Run git; returns the last line of what went wrong, or nothing."""
    try:
        done = subprocess.run(
            ["git", "-c", "core.autocrlf=false", "-c", "gc.auto=0", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise ContrasepError("git: no such program; install it, or take a local copy with --corpus DIR") from None
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"status {done.returncode}"


# ---------------------------------------------------------------- checking


def find_data(corpus: str | os.PathLike) -> Path:
    """The folder of speakers: ``corpus`` itself or ``corpus/data``.

    Raises:
        ContrasepError: neither holds speakers or the meta file.
    """
    for folder in (Path(corpus), Path(corpus) / "data"):
        if (folder / META).is_file() or any((folder / speaker).is_dir() for speaker in SPEAKERS):
            return folder
    raise ContrasepError(
        f"{corpus}: no AudioMNIST in it; give the folder that holds 01, 02, .. and {META}, or leave the "
        "option out to download it"
    )


def check_layout(data: Path, options: AudiomnistOptions) -> tuple[dict[str, str], list[str]]:
    """Check meta file, folders and file names; audio is checked by `check_recording`.

    Args:
        data: folder of speakers.
        options: how many speakers and takes have to be there; others are left alone.

    Returns:
        speaker -> ``m`` or ``f``, and the errors, one line each.
    """
    entries, errors = _read_meta(data / META)
    folders = {path.name for path in data.iterdir() if path.is_dir() and not path.name.startswith(".")}
    errors += [
        f"{data / name}: no speaker of AudioMNIST (01 to 60); move the folder away"
        for name in sorted(folders - {*SPEAKERS})
    ]
    errors += [
        f"{data / META}: '{name}' is no speaker of AudioMNIST (01 to 60); fetch the file again"
        for name in sorted(entries.keys() - {*SPEAKERS})
    ]
    # a meta file that cannot be read is one error, not one for each speaker
    readable = bool(entries)
    for speaker in SPEAKERS[: options.speakers]:
        if speaker not in folders:
            known = f"though {META} describes speaker {speaker}" if speaker in entries else f"nor an entry in {META}"
            errors.append(f"{data / speaker}: no such folder, {known}; fetch it again")
            continue
        if readable and speaker not in entries:
            errors.append(
                f"{data / META}: no speaker '{speaker}', though the folder {speaker} exists; fetch the file again"
            )
        errors += _check_names(data / speaker, options.takes)
    return {speaker: gender for speaker, gender in entries.items() if gender}, errors


def _read_meta(path: Path) -> tuple[dict[str, str], list[str]]:
    """Speaker -> ``m``, ``f`` or nothing (of the meta file), and errors."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, [f"{path}: no such file; fetch it again"]
    except (ValueError, RecursionError) as error:
        return {}, [f"{path}: not JSON ({error}); fetch it again"]
    if not isinstance(content, dict) or not content:
        return {}, [f"{path}: no speakers in it; fetch it again"]
    entries: dict[str, str] = {}
    errors = []
    for speaker, entry in content.items():
        gender = entry.get("gender") if isinstance(entry, dict) else None
        entries[speaker] = GENDERS.get(gender, "") if isinstance(gender, str) else ""
        if not entries[speaker]:
            errors.append(
                f"{path}: gender of speaker '{speaker}' is {gender!r}, expected 'male' or 'female'; fix the file"
            )
    return entries, errors


def recording_name(speaker: str, digit: int, take: int) -> str:
    """File name of a recording."""
    return f"{digit}_{speaker}_{take}.wav"


def _check_names(folder: Path, takes: int) -> list[str]:
    found = {path.name for path in folder.glob("*.wav") if not path.name.startswith(".")}
    possible = {recording_name(folder.name, digit, take) for digit in range(10) for take in range(TAKES)}
    errors = [
        f"{folder / name}: wrong name, expected DIGIT_{folder.name}_TAKE.wav (0 to 9, 0 to {TAKES - 1}); "
        "rename it or move it away"
        for name in sorted(found - possible)
    ]
    expected = [recording_name(folder.name, digit, take) for digit in range(10) for take in range(takes)]
    missing = [name for name in expected if name not in found]
    if missing:
        more = f" and {len(missing) - FILES_NAMED} more" if len(missing) > FILES_NAMED else ""
        errors.append(
            f"{folder}: {len(missing)} of {len(expected)} recordings missing: {', '.join(missing[:FILES_NAMED])}{more}"
            "; fetch them again"
        )
    return errors


def recordings(data: Path, options: AudiomnistOptions) -> list[Path]:
    """The recordings that the options name and that are there."""
    paths = (
        data / speaker / recording_name(speaker, digit, take)
        for speaker in SPEAKERS[: options.speakers] for digit in range(10) for take in range(options.takes)
    )
    return [path for path in paths if path.is_file()]


def check_recording(path: str | os.PathLike) -> str:
    """What is wrong with a recording, in one line; nothing if all is well."""
    try:
        samples, _ = read_audio(path, RATE)
    except ContrasepError as error:
        return str(error)
    return "" if samples.any() else f"{path}: all zero; fetch it again"


# ---------------------------------------------------------------- strings


def plan_strings(
    data: Path, folder: str | os.PathLike, options: AudiomnistOptions
) -> list[DigitString]:
    """The strings of all sets: a matter of the options alone.

    Args:
        data: folder of speakers, checked.
        folder: sources folder; strings go to ``wav/SPEAKER/``.
        options: see `AudiomnistOptions`.
    """
    planned: list[DigitString] = []
    valid = set(spread_choice(options.takes, options.valid_fraction))
    takes = range(options.takes)
    for name in SPEAKERS[: options.speakers]:
        speaker = f"audiomnist{name}"
        parts = {"tt": list(takes)}
        if name not in options.test_speakers:
            parts = {"tr": [take for take in takes if take not in valid], "cv": sorted(valid)}
        number = 0
        for set_name, own in parts.items():
            rng = random.Random(f"{options.seed} {set_name} {speaker}")
            pairs = [(digit, take) for digit in range(10) for take in own]
            for part in _cut(rng.sample(pairs, len(pairs)), options.digits, rng):
                number += 1
                utt_id = f"{speaker}-{number:04d}"
                planned.append(DigitString(
                    set_name, speaker, utt_id,
                    digits=tuple(digit for digit, _ in part),
                    recordings=tuple(os.fspath(data / name / recording_name(name, *pair)) for pair in part),
                    pauses=tuple(round(rng.uniform(*options.pause_seconds), 4) for _ in part[1:]),
                    path=os.path.join(folder, "wav", speaker, f"{utt_id}.wav"),
                ))
    return planned


def _cut(
    items: list[tuple[int, int]], bounds: Sequence[int], rng: random.Random
) -> Iterator[list[tuple[int, int]]]:
    """Consecutive parts of random lengths within the bounds; all of fewer than the least."""
    least, most = bounds
    start = 0
    while left := len(items) - start:
        length = left
        if left > most:
            # the rest is never too short for a string of its own
            length = rng.randint(least, min(most, left - least))
        yield items[start : start + length]
        start += length


def make_string(string: DigitString, rate: int) -> int:
    """Join the recordings of a string, unless its file is there already (it is whole then).

    Each recording is resampled (polyphase), freed of its mean, faded in and out over 5 ms and left
    at its level; pauses are zeros.

    Args:
        string: what to make.
        rate: sampling rate of the string, Hz.

    Returns:
        samples of the string.

    Raises:
        ContrasepError: a recording that changed since it was checked.
    """
    if os.path.isfile(string.path):
        return audio_length(string.path)[0]
    ramp = np.sin(np.linspace(0, np.pi / 2, round(FADE_SECONDS * rate))) ** 2
    parts = []
    for number, path in enumerate(string.recordings):
        samples = resample_audio(read_audio(path, RATE)[0], RATE, rate)
        samples = samples - samples.mean()
        edge = min(len(ramp), len(samples) // 2)
        samples[:edge] *= ramp[:edge]
        samples[len(samples) - edge :] *= ramp[:edge][::-1]
        if number:
            parts.append(np.zeros(round(string.pauses[number - 1] * rate)))
        parts.append(samples)
    joined = np.concatenate(parts)
    write_wav(string.path, joined, rate)
    return len(joined)


def write_sets(
    folder: str | os.PathLike,
    strings: Sequence[DigitString],
    lengths: Sequence[int],
    genders: dict[str, str],
    rate: int,
) -> dict[str, int]:
    """Write the single-speaker sets ``tr``, ``cv`` and ``tt``, with the digits as ``text``.

    Args:
        folder: sources folder.
        strings: see `plan_strings`.
        lengths: samples of each.
        genders: speaker of the corpus -> ``m`` or ``f``.
        rate: of the strings, Hz.

    Returns:
        set -> number of utterances.
    """
    sets: dict[str, list[Utterance]] = {name: [] for name in SETS}
    for string, samples in zip(strings, lengths):
        text = " ".join(WORDS[digit] for digit in string.digits)
        gender = genders[string.speaker.removeprefix("audiomnist")]
        sets[string.set_name].append(
            Utterance(string.utt_id, string.speaker, string.path, text, gender, samples, rate)
        )
    for name, utterances in sets.items():
        write_single_set(Path(folder) / name, utterances)
    return {name: len(utterances) for name, utterances in sets.items()}
