"""A stand-in for WSJ0: its names, formats and durations, filled with other speech.

With it the whole recipe runs, at any scale, before or without the licensed disks. Nothing that is
measured on it says anything about WSJ0, and the file ``REHEARSAL.txt`` at its top makes every table
say so. Utterances are cut from a pool of speech, so that 12,000 of them take minutes: from the
recordings of ``corpus``, or from what eSpeak NG speaks.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.corpus.wsj0_lists import FOLDERS, SETS, levels_name, list_name
from contrasep_lib.corpus.wsj0_tree import REHEARSAL, file_key
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.audio import INT16_SCALE, read_audio, resample_audio, to_int16
from contrasep_lib.io.sphere import write_sphere
from contrasep_lib.mix.level import active_level
from contrasep_lib.mix.lists import Mixture, draw_list, read_list, write_list

RATE = 16000
LEVEL_RATE = 8000
# at scale 1: lines of the lists, and files of a speaker that the sets use
LINES = {"tr": 20000, "cv": 5000, "tt": 3000}
FILES_PER_SPEAKER = {"tr": 87, "cv": 35, "tt": 98}
TRAIN_SPEAKERS, TEST_SPEAKERS = 101, 18
# the mean of the shorter of two is then 5.5 s, which makes about 30, 8 and 5 hours of mixtures
SECONDS_MEAN, SECONDS_DEVIATION, SECONDS_BOUNDS = 7.0, 2.7, (1.5, 20.0)
GAINS_DB = (-12.0, 0.0)
POOL_SECONDS, POOL_PEAK = 40.0, 0.7
SENTENCES = 10
# of ten speakers one is not compressed
UNCOMPRESSED = 10
DISKS = {"si_tr_s": ("11-1.1", "11-2.1", "11-3.1"), "si_dt_05": ("11-4.1",), "si_et_05": ("11-5.1",)}
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

Run = Callable[[Callable[..., Any], Sequence[Sequence[Any]]], list[Any]]


@dataclasses.dataclass(frozen=True)
class Cut:
    """What is written of one utterance: its file, the voice that it is cut from, and how."""

    path: str
    voice: str
    seed: int
    shorten: bool


def make_rehearsal(
    out: str | os.PathLike,
    scale: float,
    counts: Sequence[int],
    mix_lists: str | os.PathLike | None,
    corpus: str | os.PathLike | None,
    seed: int,
    jobs: int,
    run: Run,
) -> dict[str, float]:
    """Write ``OUT/11-x.1/wsj0/...wv1`` and ``OUT/lists``, lists and levels as the recipe takes them.

    Args:
        out: folder to make.
        scale: share of the lists' lines, in (0, 1]; the files are those that the lines name.
        counts: talkers per mixture, a list of each set for each.
        mix_lists: folder with the lists of WSJ0-mix, of which the first lines are taken; None
            draws lists of names like WSJ0's.
        corpus: folder of recordings, of at least four speakers; None lets eSpeak NG speak.
        seed: draws durations, places and lists.
        jobs: processes of eSpeak NG.
        run: runs ``work(*item)`` for every item, in order.

    Returns:
        hours of mixtures (min mode) by list, e.g. ``mix_2_spk_tr``.

    Raises:
        ContrasepError: ``out`` is not empty, faulty lists, too few speakers in ``corpus``.
    """
    out = Path(out)
    if not 0 < scale <= 1:
        raise ContrasepError(f"--scale {scale:g}: expected a number above 0, at most 1")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ContrasepError(f"{out}: not empty; remove it or name another folder by --out")
    lists = {
        (num_spk, name): _lines(mix_lists, num_spk, name, scale, seed) for num_spk in counts for name in SETS
    }
    sources = {
        name: sorted(
            {file_key(s) for (_, of), mixtures in lists.items() if of == name for m in mixtures for s in m.sources}
        )
        for name in SETS
    }
    for (num_spk, name), mixtures in lists.items():
        write_list(out / "lists" / list_name(num_spk, name), mixtures)
    pool = out / ".pool"
    training, test, what = _fill_pool(pool, scale, corpus, seed, jobs, run)
    cuts: dict[str, Cut] = {}
    for name in SETS:
        voices = test if name == "tt" else training
        cuts.update({key: _cut_of(out, key, voices, seed) for key in sources[name]})
    made = run(write_utterance, [(str(pool), cut) for cut in cuts.values()])
    seconds = {key: length for key, (length, _) in zip(cuts, made)}
    levels = {key: level for key, (_, level) in zip(cuts, made)}
    for folder in FOLDERS:
        lines = [
            f"{key.rpartition('/')[2]} {level:.16e}\n" for key, level in levels.items() if key.startswith(f"{folder}/")
        ]
        write_text(out / "lists" / levels_name(folder), "".join(lines))
    shutil.rmtree(pool)
    # last: a folder without it is not whole
    write_text(out / REHEARSAL, f"rehearsal with {what} in place of WSJ0, scale {scale:g}\n")
    return {
        f"mix_{num_spk}_spk_{name}": sum(min(seconds[file_key(s)] for s in m.sources) for m in mixtures) / 3600
        for (num_spk, name), mixtures in lists.items()
    }


def _lines(folder: str | os.PathLike | None, num_spk: int, name: str, scale: float, seed: int) -> list[Mixture]:
    """The first lines of a list, or lines drawn in its manner."""
    count = max(2, round(LINES[name] * scale))
    if folder is not None:
        mixtures = read_list(Path(folder) / list_name(num_spk, name), num_spk)
        return mixtures[: max(2, round(len(mixtures) * scale))]
    names = _names(name, scale)
    utt2spk = {utt: utt[:3] for utt in names}
    drawn = draw_list(utt2spk, num_spk, count, 2.5, (seed, num_spk, zlib.crc32(name.encode())))
    return [Mixture(tuple(f"wsj0/{names[utt]}.wav" for utt in m.sources), m.gains) for m in drawn]


def _names(name: str, scale: float) -> dict[str, str]:
    """Utterance -> key, of as many speakers as WSJ0-mix has, in WSJ0's manner: ``01ac0201`` of ``01a``."""
    per_speaker = max(2, round(FILES_PER_SPEAKER[name] * scale))
    # cv has the speakers of tr and files of its own
    first = max(2, round(FILES_PER_SPEAKER["tr"] * scale)) if name == "cv" else 0
    if name == "tt":
        speakers = [f"44{DIGITS[i]}" if i < 8 else f"05{DIGITS[i]}" for i in range(TEST_SPEAKERS)]
    else:
        speakers = [f"{(1, 20, 40)[i % 3]:02d}{DIGITS[i // 3]}" for i in range(TRAIN_SPEAKERS)]
    keys = {}
    for speaker in speakers:
        folder = "si_tr_s" if name != "tt" else "si_et_05" if speaker.startswith("44") else "si_dt_05"
        for number in range(first, first + per_speaker):
            high, low = divmod(number, len(DIGITS))
            utt = f"{speaker}c02{DIGITS[high]}{DIGITS[low]}"
            keys[utt] = f"{folder}/{speaker}/{utt}"
    return keys


def _fill_pool(
    pool: Path, scale: float, corpus: str | os.PathLike | None, seed: int, jobs: int, run: Run
) -> tuple[list[str], list[str], str]:
    """Write ``pool/VOICE.npy``, int16 at `RATE`; returns voices for training and test, and what they are."""
    if corpus is None:
        files = _speak(pool / "espeak", scale, seed, jobs)
        what = "synthetic speech (eSpeak NG)"
        training, test = ([v for v in sorted(files) if v.startswith("esa") == trained] for trained in (True, False))
    else:
        files = _recordings(Path(corpus))
        what = f"other recordings ({Path(corpus).resolve().name})"
        by_length = sorted(files, key=lambda voice: (-sum(os.path.getsize(path) for path in files[voice]), voice))
        voices = by_length[: TRAIN_SPEAKERS + TEST_SPEAKERS]
        share = max(2, round(len(voices) * TEST_SPEAKERS / (TRAIN_SPEAKERS + TEST_SPEAKERS)))
        step = len(voices) / share
        test = [voices[int((index + 0.5) * step)] for index in range(share)]
        training = [voice for voice in voices if voice not in test]
        files = {voice: files[voice] for voice in voices}
    run(fill_voice, [(str(pool / f"{voice}.npy"), paths) for voice, paths in files.items()])
    return training, test, what


def _speak(folder: Path, scale: float, seed: int, jobs: int) -> dict[str, list[str]]:
    """Let eSpeak NG speak; fewer voices at a small scale. Voice -> files."""
    from contrasep_lib.corpus.espeak import make_corpus
    from contrasep_lib.corpus.options import EspeakOptions
    from contrasep_lib.io.scp import read_table

    voices = [max(6, round(count * scale**0.5)) for count in (TRAIN_SPEAKERS, TEST_SPEAKERS)]
    make_corpus(EspeakOptions(*voices, sentences_per_voice=SENTENCES, seed=seed), folder, jobs)
    files: dict[str, list[str]] = {}
    for name in ("tr", "tt"):
        speakers = read_table(folder / name / "utt2spk")
        for utt, path in read_table(folder / name / "wav.scp").items():
            files.setdefault(speakers[utt], []).append(path)
    return files


def _recordings(corpus: Path) -> dict[str, list[str]]:
    """Speaker -> audio files below a folder; the speaker is the file's name up to ``-``, or its folder."""
    files: dict[str, list[str]] = {}
    for path in sorted(corpus.rglob("*")):
        if path.suffix.lower() in (".wav", ".flac"):
            speaker, dash, _ = path.stem.partition("-")
            files.setdefault(speaker if dash else path.parent.name, []).append(str(path))
    if len(files) < 4:
        raise ContrasepError(
            f"{corpus}: expected recordings (SPEAKER-NAME.flac or SPEAKER/NAME.wav) of at least 4 speakers, "
            f"got {len(files)}"
        )
    return files


def fill_voice(target: str, paths: Sequence[str]) -> None:
    """Join recordings of one speaker to about 40 s, of an even peak, ``(samples,)`` int16."""
    parts: list[np.ndarray] = []
    held = 0
    for path in paths:
        samples, rate = read_audio(path)
        samples = resample_audio(samples, rate, RATE)
        if not samples.any():
            continue
        parts.append(to_int16(samples * (POOL_PEAK / np.abs(samples).max())))
        held += len(samples)
        if held >= POOL_SECONDS * RATE:
            break
    if not parts:
        raise ContrasepError(f"{paths[0]}: nothing to hear in this speaker's recordings; leave them out")
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    np.save(target, np.concatenate(parts))


def _cut_of(out: Path, key: str, voices: Sequence[str], seed: int) -> Cut:
    folder, speaker, _ = key.split("/")
    number = zlib.crc32(speaker.encode())
    disks = DISKS[folder]
    path = out / disks[number % len(disks)] / "wsj0" / f"{key}.wv1"
    return Cut(
        str(path), voices[number // 7 % len(voices)], zlib.crc32(f"{seed} {key}".encode()), number % UNCOMPRESSED > 0
    )


def write_utterance(pool: str, cut: Cut) -> tuple[float, float]:
    """Cut an utterance from the pool and write it.

    Returns:
        its duration in seconds, and its active level at 8 kHz (P.56, unfiltered).
    """
    rng = np.random.default_rng(cut.seed)
    voice = np.load(Path(pool) / f"{cut.voice}.npy", mmap_mode="r")
    seconds = np.clip(rng.normal(SECONDS_MEAN, SECONDS_DEVIATION), *SECONDS_BOUNDS)
    gain = 10 ** (rng.uniform(*GAINS_DB) / 20)
    samples = np.empty(0)
    while not samples.any():
        start = int(rng.integers(len(voice)))
        samples = np.take(voice, np.arange(start, start + round(seconds * RATE)), mode="wrap") * gain
    pcm = np.round(samples).astype(np.int16)
    write_sphere(cut.path, pcm, RATE, shorten=cut.shorten)
    level, _ = active_level(resample_audio(pcm / INT16_SCALE, RATE, LEVEL_RATE), LEVEL_RATE)
    return len(pcm) / RATE, level
