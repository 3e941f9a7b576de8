"""Done markers: a stage is done when its ``.done`` holds the key of what it depends on.

The key is a SHA-256 over the sections of the configuration that the stage reads, the contents
of its input files, named values from the command line, and the version of the toolkit; never a
time stamp. Because the ``.done`` of earlier stages are among the inputs, a change anywhere
upstream changes every later key.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from contrasep_lib import __version__
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text

MARKER = ".done"
BEGUN = ".begun"


def stage_key(sections: Mapping[str, Any], inputs: Iterable[str | os.PathLike], values: Mapping[str, str]) -> str:
    """Key of a stage.

    Args:
        sections: configuration subtrees that the stage reads, as plain values.
        inputs: files whose contents the stage depends on; their order does not matter.
        values: further dependencies, e.g. the number of speakers.

    Raises:
        ContrasepError: an input is not there, which means that an earlier stage has not run.
    """
    digests = []
    for path in inputs:
        try:
            digests.append([Path(path).name, hashlib.sha256(Path(path).read_bytes()).hexdigest()])
        except FileNotFoundError:
            raise ContrasepError(f"{path}: not there; run the earlier stage that makes it first") from None
    document = {"version": __version__, "sections": sections, "inputs": sorted(digests), "values": dict(values)}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def is_done(folder: str | os.PathLike, key: str) -> bool:
    """Whether the marker of ``folder`` holds ``key``."""
    try:
        return (Path(folder) / MARKER).read_text(encoding="utf-8").strip() == key
    except (FileNotFoundError, NotADirectoryError):
        return False


def begin(folder: str | os.PathLike, key: str, refuse_other: bool = False) -> None:
    """Make a stage's folder ready for a run under ``key``.

    What an interrupted run under the same key left is kept. What another configuration made is
    removed, or refused; a folder that no stage made is always refused.

    Args:
        refuse_other: refuse instead of removing (for output that is dear to make).

    Raises:
        ContrasepError: the folder holds something else; the mend is in the message.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        begun = (folder / BEGUN).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        if any(folder.iterdir()):
            raise ContrasepError(f"{folder}: not empty and not made by a stage; move it or name another") from None
        begun = ""
    if begun not in ("", key):
        if refuse_other:
            raise ContrasepError(
                f"{folder}: made with other settings or by another version; delete it, or name another folder"
            )
        (folder / MARKER).unlink(missing_ok=True)
        for entry in folder.iterdir():
            # the note of what was begun goes last, so that a kill leaves a folder known as a stage's
            if entry.name != BEGUN:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    write_text(folder / BEGUN, key + "\n")


def mark_done(folder: str | os.PathLike, key: str) -> None:
    """Write the marker atomically."""
    write_text(Path(folder) / MARKER, key + "\n")
