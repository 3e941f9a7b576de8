"""Which recordings are asked for: files, folders, standard input."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from contrasep_lib.errors import ContrasepError

# what stands for standard input among the names of files, and its name
STDIN, STDIN_NAME = "-", "stdin"
SUFFIXES = {
    ".3g2", ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".asf", ".au", ".avi", ".caf", ".dts",
    ".eac3", ".flac", ".flv", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg",
    ".oga", ".ogg", ".ogv", ".opus", ".rf64", ".snd", ".sph", ".ts", ".tta", ".voc", ".w64", ".wav", ".wave", ".weba",
    ".webm", ".wma", ".wmv", ".wv", ".wv1",
}


@dataclasses.dataclass(frozen=True)
class Input:
    """A recording that is asked for.

    Attributes:
        path: of its file.
        folder: of its outputs, below ``--out``.
        label: names it in messages.
    """

    path: Path
    folder: Path = Path()
    label: str = ""

    @property
    def name(self) -> str:
        """What its outputs are named after."""
        return STDIN_NAME if self.label == STDIN else self.path.stem


def inputs_of(paths: Sequence[str], out: str | os.PathLike, recursive: bool = False) -> tuple[list[Input], list[Path]]:
    """The recordings named: files as they are, of a folder what looks like audio, sorted.

    Args:
        paths: files and folders; those of standard input are the caller's.
        out: where outputs go; nothing is taken from there where it lies in one of the folders.
        recursive: of folders within folders too; their outputs go to folders of the same names.

    Returns:
        the recordings, and what was skipped: files that are no audio by their names, and folders within folders.

    Raises:
        ContrasepError: a folder without audio.
    """
    found, skipped = [], []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(Input(path, label=str(path)))
            continue
        inside = []
        for folder, folders, files in os.walk(path):
            here = Path(folder)
            nested = sorted(name for name in folders if not _same(here / name, Path(out)))
            skipped += [] if recursive else [here / name for name in nested]
            folders[:] = nested if recursive else []
            # left by the file system's tools, named by nobody
            shown = [here / name for name in sorted(files) if not name.startswith(".")]
            audio = [file for file in shown if file.suffix.lower() in SUFFIXES]
            skipped += [file for file in shown if file.suffix.lower() not in SUFFIXES]
            inside += [Input(file, here.relative_to(path), str(file)) for file in audio]
        if not inside:
            more = "" if recursive else ", or take its folders too by --recursive"
            raise ContrasepError(f"{path}: no audio in this folder; name files, or another folder{more}")
        found += inside
    return found, skipped


def skipped_words(skipped: Iterable[Path], most: int = 20) -> str:
    """One line that names what was skipped; "" for nothing."""
    names = [f"{path}/" if path.is_dir() else str(path) for path in skipped]
    if not names:
        return ""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"skipped, no audio by name or a folder: {' '.join(names[:most])}{more}"


def spooled(folder: str) -> Input:
    """Standard input, copied into a file of a folder.

    Raises:
        ContrasepError: nothing comes.
    """
    source = getattr(sys.stdin, "buffer", sys.stdin)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".audio", delete=False) as file:
        shutil.copyfileobj(source, file)
        size = file.tell()
    if not size:
        raise ContrasepError("-: nothing came from standard input; pipe a recording into it, or name a file")
    return Input(Path(file.name), label=STDIN)


def _same(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()
