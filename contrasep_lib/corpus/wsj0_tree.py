"""Finding the files of WSJ0 in whatever form a group keeps it.

A file is known by its last three names, ``si_tr_s/01a/01ac0201``, in upper or lower case, wherever
they begin: on copied disks (``11-1.1/wsj0/si_tr_s/...``), in one flat tree (``wsj0/si_tr_s/...``), as
``.wv1`` or converted to wav or flac. The recordings of the far microphone (``.wv2``) have the
same names otherwise and are never taken.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from contrasep_lib.errors import ContrasepError

# in the order of preference: what is on the disks goes before what somebody made of it
SUFFIXES = (".wv1", ".sph", ".flac", ".wav")
FAR_MICROPHONE = ".wv2"
# speech in place of WSJ0 has this file at its top (tools/rehearse_wsj0.py); it holds what it is
REHEARSAL = "REHEARSAL.txt"


def file_key(source: str) -> str:
    """Folder, speaker and utterance of a list's source: ``wsj0/si_tr_s/01a/01ac0201.wav`` is ``si_tr_s/01a/01ac0201``.

    Raises:
        ContrasepError: fewer names, or an utterance that does not begin with its speaker.
    """
    names = PurePosixPath(source.lower()).with_suffix("").parts[-3:]
    if len(names) < 3 or not names[2].startswith(names[1]):
        raise ContrasepError(f"source '{source}': no file of WSJ0; expected 'wsj0/FOLDER/SPEAKER/UTTERANCE.wav'")
    return "/".join(names)


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        files: key (see `file_key`) -> file.
        far_only: keys of which there is only the far microphone's recording.
    """

    files: dict[str, Path]
    far_only: set[str]


def find_files(tree: str | os.PathLike, expected: Iterable[str]) -> Found:
    """Look for files below a folder; links are followed.

    Args:
        tree: the folder.
        expected: keys to look for.

    Raises:
        ContrasepError: no such folder.
    """
    tree, expected = Path(tree), set(expected)
    if not tree.is_dir():
        raise ContrasepError(f"{tree}: no such folder; --wsj0 (or WSJ0 in db.sh) names the one that holds WSJ0")
    best: dict[str, tuple[int, Path]] = {}
    far: set[str] = set()
    seen: set[str] = set()
    for folder, below, names in os.walk(tree, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            # a link that leads back up
            below.clear()
            continue
        seen.add(real)
        below.sort()
        place = Path(folder)
        prefix = f"{place.parent.name}/{place.name}/".lower()
        for name in sorted(names):
            # disk images may show versions: 01AC0201.WV1;1
            stem, suffix = os.path.splitext(name.partition(";")[0].lower())
            key = prefix + stem
            if key not in expected:
                continue
            if suffix == FAR_MICROPHONE:
                far.add(key)
            elif suffix in SUFFIXES:
                rank = SUFFIXES.index(suffix)
                if key not in best or rank < best[key][0]:
                    best[key] = (rank, place / name)
    return Found({key: path for key, (_, path) in best.items()}, far - best.keys())


def completeness(expected: Mapping[str, set[str]], found: Found) -> list[str]:
    """How much is there, a line for each set and folder.

    Args:
        expected: set -> keys that its list names.
    """
    lines = []
    for name, keys in expected.items():
        named = Counter(key.partition("/")[0] for key in keys)
        there = Counter(key.partition("/")[0] for key in keys if key in found.files)
        lines += [f"  {name}  {folder}: {there[folder]} of {named[folder]} files found" for folder in sorted(named)]
    return lines


def missing_errors(tree: str | os.PathLike, expected: Iterable[str], found: Found) -> list[str]:
    """What is missing, one line for each folder of the corpus."""
    by_folder: dict[str, list[str]] = {}
    for key in sorted(expected):
        if key not in found.files:
            by_folder.setdefault(key.partition("/")[0], []).append(key)
    present = {key.rpartition("/")[0] for key in found.files}
    errors = []
    for folder, keys in by_folder.items():
        empty = sorted({speaker for speaker in (key.rpartition("/")[0] for key in keys) if speaker not in present})
        whole = not any(speaker.startswith(f"{folder}/") for speaker in present)
        what = f"{tree}: {len(keys)} files of {folder} are missing, e.g. {', '.join(keys[:3])}"
        far = sum(key in found.far_only for key in keys)
        if far:
            what += f"; of {far} there is only the far microphone's .wv2, which is never taken"
        if whole:
            what += "; there is none at all: a disk is missing"
        elif empty:
            what += f"; {len(empty)} speakers have no file at all: a disk is missing"
        errors.append(what)
    return errors
