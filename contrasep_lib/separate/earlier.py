"""What an earlier run left in the place of outputs, and files that outputs never replace."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.ids import is_id
from contrasep_lib.separate.inputs import Input

SUFFIXES = (".wav", ".flac")


def outputs_of(out: Path, name: str) -> list[Path]:
    """Outputs of a recording of this name that are there, with those named after enrolled voices."""
    pattern = re.compile(re.escape(name) + r"(_(spk[0-9]+|rest)\.(wav|flac)|\.json|\.rttm)")
    found = [path for path in out.iterdir() if pattern.fullmatch(path.name)] if out.is_dir() else []
    return sorted({*found, *named_outputs(out, name)})


def named_outputs(out: Path, name: str) -> list[Path]:
    """Outputs named after enrolled voices that are there, as ``NAME.json`` lists them; no other file has its name."""
    try:
        content = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
        entries = {voice: entry["output"] for voice, entry in content["enrolled"].items() if is_id(voice)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        # none, without voices, or of another program
        return []
    named = {f"{name}_{voice}{suffix}" for voice in entries for suffix in SUFFIXES}
    files = (output for output in entries.values() if isinstance(output, str) and output in named)
    return sorted(out / file for file in files if os.path.lexists(out / file))


def recordings_kept(inputs: Iterable[Input]) -> dict[Path, str]:
    """The recordings among the files that outputs never replace, see `require_replaceable`."""
    return {each.path.resolve(): "a recording to separate" for each in inputs}


def require_replaceable(
    paths: Iterable[Path], kept: Mapping[Path, str], overwrite: bool, *, where: str = "", option: str = "--overwrite",
    other: str = "another --out",
) -> None:
    """Raise ContrasepError where files that are there must not be replaced.

    Args:
        paths: files that are there.
        kept: files that are never replaced, resolved, and what they are.
        overwrite: whether the others may be replaced.
        where: begins the message.
        option: replaces the others.
        other: place that the message proposes.
    """
    paths = list(paths)
    for path in paths:
        if what := kept.get(path.resolve()):
            raise ContrasepError(f"{where}{path} is {what}, and is not replaced; use {other}")
    if paths and not overwrite:
        raise ContrasepError(f"{where}{paths[0]} is already there; use {option}, or {other}")
