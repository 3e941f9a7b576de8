"""Noise of recordings: files below a folder, shared out among training, development and test."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import read_audio, resample_audio

SUFFIXES = {".wav", ".flac", ".ogg", ".aiff", ".aif"}
SETS = ("tr", "cv", "tt")
FADE_SECONDS = 0.05
LEAST_SECONDS = 0.1
# a subfolder of fewer recordings has none for development
FEW = 10


def noise_files(folder: str | os.PathLike, name: str) -> list[str]:
    """Recordings of a set, as paths relative to the folder, sorted.

    Folders ``tr``, ``cv`` and ``tt`` in it, as WHAM! has them, hold those of the sets. Without them the recordings of
    each subfolder (a class of ESC-10) are shared out in the order of their names: three quarters for training, a
    quarter for test (6 and 2 of 8); of ten and more 60 % for training, 20 % for development, 20 % for test. ``cv`` has
    the recordings of ``tr``, as WSJ0-mix has its speakers; ``dev`` and ``tt_dev`` those for development, and of small
    subfolders those of training.

    Args:
        folder: holds recordings.
        name: of the set.

    Raises:
        ContrasepError: no such folder, no recordings in it, a path with blanks.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ContrasepError(f"noise.folder {folder}: no such folder; name one that holds recordings of noise")
    part = "dev" if name in ("dev", "tt_dev") else "tt" if name.startswith("tt") else "tr"
    given = [entry for entry in SETS if (folder / entry).is_dir()]
    if given:
        wanted = "cv" if part == "dev" else name if name in given else part
        found = _below(folder, folder / wanted)
    else:
        by_class: dict[str, list[str]] = {}
        for file in _below(folder, folder):
            by_class.setdefault(os.path.dirname(file), []).append(file)
        found = [file for files in by_class.values() for file in _share(files, part)]
    if not found:
        raise ContrasepError(
            f"noise.folder {folder}: no recordings (wav, flac, ogg, aiff) for the set {name}; name another folder"
        )
    blank = next((file for file in found if len(file.split()) != 1 or "|" in file), None)
    if blank is not None:
        raise ContrasepError(f"noise.folder {folder}: '{blank}': lists hold no names with blanks or bars; rename it")
    return sorted(found)


def _below(folder: Path, part: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in part.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )


def _share(files: list[str], part: str) -> list[str]:
    count = len(files)
    if count < FEW:
        train = -(-3 * count // 4)
        return files[train:] if part == "tt" else files[:train]
    train, develop = count * 6 // 10, count * 8 // 10
    return {"tr": files[:train], "dev": files[train:develop], "tt": files[develop:]}[part]


def read_noise(folder: str | os.PathLike, file: str, rate: int) -> np.ndarray:
    """A recording ``(samples,)`` float64 at a rate, without its mean and without digital silence at its ends.

    Raises:
        ContrasepError: also for one of zeros alone, or of less than 0.1 s.
    """
    path = Path(folder).expanduser() / file
    samples, own_rate = read_audio(path)
    sounding = np.flatnonzero(samples)
    if len(sounding) == 0 or np.ptp(samples) == 0:
        raise ContrasepError(f"{path}: noise without a sound; take it out of the folder and run stage 0 again")
    samples = samples[sounding[0] : sounding[-1] + 1]
    if len(samples) < LEAST_SECONDS * own_rate:
        raise ContrasepError(f"{path}: noise of less than {LEAST_SECONDS} s; take it out and run stage 0 again")
    return resample_audio(samples - samples.mean(), own_rate, rate)


def cut(noise: np.ndarray, samples: int, offset: int, rate: int) -> tuple[np.ndarray, bool]:
    """A part of a recording; a shorter one is looped with a cross-fade of equal power over 50 ms.

    Args:
        noise: ``(own samples,)``.
        samples: of the part.
        offset: its first sample, modulo what the recording leaves.

    Returns:
        ``(samples,)``, and whether it was looped.
    """
    looped = len(noise) < samples
    if looped:
        fade = min(round(FADE_SECONDS * rate), len(noise) // 2)
        angle = (np.arange(fade) + 0.5) / fade * np.pi / 2
        loop = noise[: len(noise) - fade].copy()
        loop[:fade] = noise[:fade] * np.sin(angle) + noise[len(noise) - fade :] * np.cos(angle)
        part = loop[(offset + np.arange(samples)) % len(loop)]
    else:
        start = offset % (len(noise) - samples + 1)
        part = noise[start : start + samples]
    if not part.any():
        # a pause of the recording: the part begins with its loudest sample, where that leaves enough
        start = min(int(np.abs(noise).argmax()), max(0, len(noise) - samples))
        part = np.resize(noise[start:], samples)
    return part, looped
