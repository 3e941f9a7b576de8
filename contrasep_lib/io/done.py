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
from pathlib import Path
from typing import Any, Iterable, Mapping

from contrasep_lib import __version__
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text

MARKER = ".done"


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


def mark_done(folder: str | os.PathLike, key: str) -> None:
    """Write the marker atomically."""
    write_text(Path(folder) / MARKER, key + "\n")
