"""Commands in ``wav.scp`` (``cmd |``), which Kaldi runs; here they run only where the user allows it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.ids import shown


def is_command(entry: str | os.PathLike) -> bool:
    """Whether Kaldi would run a table's entry as a command, ``cmd |`` or ``| cmd``."""
    text = os.fspath(entry).strip()
    return text.startswith("|") or text.endswith("|")


def refuse_command(entry: str | os.PathLike) -> ContrasepError:
    """The error of a command that nobody allowed."""
    return ContrasepError(
        f"{os.fspath(entry)}: a command; commands in tables are never run, unless --allow-pipes says so "
        "(validate-data, mix and dump have it); write their output to a file"
    )


def require_no_commands(path: str | os.PathLike, table: Mapping[str, str]) -> None:
    """Raise ContrasepError, naming the table and the first key whose entry is a command."""
    for key, entry in table.items():
        if is_command(entry):
            raise ContrasepError(f"{path}: '{key}': {refuse_command(shown(entry))}")


def run_command(entry: str | os.PathLike) -> bytes:
    """What a command ``cmd |`` writes, run by ``sh -c`` as Kaldi does. For tables of one's own.

    Raises:
        ContrasepError: ``| cmd``, which writes; a command that fails or writes nothing.
    """
    text = os.fspath(entry).strip()
    if not text.endswith("|") or text.startswith("|"):
        raise ContrasepError(f"{text}: expected 'command |', which writes audio to its standard output")
    done = subprocess.run(["sh", "-c", text[:-1]], stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = f"status {done.returncode}" if done.returncode else "no output"
        raise ContrasepError(f"{text}: the command failed ({why}{f': {said[-1]}' if said else ''}); run it by hand")
    return done.stdout
