"""Kinds of bad input: each is made of a good one, given to the command or function that a user would run, and refused
in one line. `tools/make_bad_input.py` writes the kinds with their messages to ``docs/reference/bad_input.md``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from contrasep_lib.bin.main import main
from contrasep_lib.errors import ContrasepError, one_line
from contrasep_lib.io.scp import invert_utt2spk, write_table

ROOT = Path(__file__).resolve().parents[2]
RATE = 8000
MODULES = (
    "tables", "audio", "arks", "lists", "packs", "checkpoints", "model_packs", "model_packing", "archives",
    "configurations", "corpora", "mixtures", "results",
)
# what validate-data prints after the violations
SUMMARY = "data directories have violations, listed above"

# the words of a call of ``contrasep``, or a function
Call = tuple[Any, ...] | Callable[[], object]
Spoil = Callable[[Path], Call]


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of bad input.

    Attributes:
        family: what the input is.
        what: what is wrong with it.
        names: the file, folder or option that the message names.
        says: further words of the message.
        spoil: makes it in a folder with good input, which is the current one; returns what is run on it.
    """

    family: str
    what: str
    names: str
    says: str
    spoil: Spoil


KINDS: list[Kind] = []


def kind(family: str, what: str, names: str, says: str = "") -> Callable[[Spoil], Spoil]:
    """Declare a kind; see `Kind`."""

    def declare(spoil: Spoil) -> Spoil:
        KINDS.append(Kind(family, what, names, says, spoil))
        return spoil

    return declare


def all_kinds() -> list[Kind]:
    """The kinds of all families, in the order of the page."""
    modules = [importlib.import_module(f"tests.bad_input.{name}").__name__ for name in MODULES]
    # other tests may have imported some of them before
    return sorted(KINDS, key=lambda each: modules.index(each.spoil.__module__))


# ---------------------------------------------------------------- good input


def noise(rng: np.random.Generator, samples: int = 2400) -> np.ndarray:
    """Something that is no silence, ``(samples,)``."""
    return 0.1 * rng.standard_normal(samples).clip(-3, 3)


def make_good(root: Path) -> None:
    """A folder with good input of every family but checkpoints: data, lists, mixtures, dumps, a pack."""
    rng, folder = np.random.default_rng(0), root / "sources/tt"
    wav, utt2spk = {}, {}
    for speaker in "abcd":
        for number in (1, 2):
            utt = f"{speaker}-{number}"
            path = root / f"audio/{utt}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, noise(rng), RATE, subtype="PCM_16")
            wav[utt], utt2spk[utt] = f"audio/{utt}.wav", speaker
    write_table(folder / "wav.scp", wav)
    write_table(folder / "utt2spk", utt2spk)
    write_table(folder / "spk2utt", invert_utt2spk(utt2spk))
    write_table(folder / "utt2dur", dict.fromkeys(wav, "0.3"))
    write_table(folder / "text", dict.fromkeys(wav, "WORDS"))
    write_table(folder / "spk2gender", dict.fromkeys("abcd", "f"))
    (root / "c.yaml").write_text("mix:\n  sets: {tt: 3}\ndump:\n  shard: 2\nseparate: {separator: oracle_ibm}\n")
    for words in (
        "make-lists --config c.yaml --sources sources --num-spk 2 --out lists",
        "mix --config c.yaml --list lists/tt.txt --sources sources/tt --out tree/tt",
        "prepare-data --sources sources/tt sources/tt --list lists/tt.txt --mixtures tree/tt "
        "--out data/tt_2mix data/tt",
        "dump --config c.yaml --data data/tt_2mix data/tt --out dump/tt_2mix dump/tt",
        "dump --config c.yaml --data data/tt_2mix data/tt --out dump/tt_2mix dump/tt --merge",
    ):
        status, said = run(words.split())
        assert status == 0, (words, said)


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder, whose path then stands in no message."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run(words: Any) -> tuple[int | str | None, list[str]]:
    """Exit status of a call of ``contrasep``, and what it says to stderr beside progress."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(word) for word in words])
        except SystemExit as end:
            status = end.code
    lines = re.split(r"[\r\n]+", err.getvalue())
    return status, [line for line in lines if line.strip() and not re.search(r"\d+%\|", line) and "it/s]" not in line]


def refusal(kind: Kind, good: Path, folder: Path) -> tuple[int | str | None, list[str]]:
    """Spoil a copy of good input and run what meets it: exit status and lines of error, without the folder's path."""
    shutil.copytree(good, folder, symlinks=True)
    with inside(folder):
        call = kind.spoil(folder)
        if callable(call):
            try:
                call()
            except ContrasepError as error:
                return 1, [_placeless(one_line(error), folder)]
            return 0, []
        status, lines = run(call)
    return status, [_placeless(line, folder) for line in lines if SUMMARY not in line]


def _placeless(line: str, folder: Path) -> str:
    """A message without the folder of the input, and where the toolkit lies."""
    return line.replace(f"{folder}/", "").replace(str(ROOT), "TOOLKIT")


# ---------------------------------------------------------------- spoiling


def edit(path: str, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of a text file."""
    lines = Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
    Path(path).write_text("".join(change(lines)), encoding="utf-8")


def put(path: str, content: str | bytes) -> None:
    """Write a file as it is."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content.encode() if isinstance(content, str) else content)


def first(path: str, old: str, new: str) -> None:
    """Replace the first occurrence of a text, which must be there."""
    content = Path(path).read_bytes()
    assert old.encode() in content, (path, old)
    Path(path).write_bytes(content.replace(old.encode(), new.encode(), 1))


def skeleton(message: str) -> str:
    """A message without what differs from one instance of a kind to the next: quotations, numbers, names of files."""
    words = re.sub(r"'[^']*'", "'..'", message)
    words = re.sub(r"\S*/\S*", "FILE", words)
    return re.sub(r"[0-9]+", "#", words)


# ---------------------------------------------------------------- the page

INTRODUCTION = """\
Each kind is made of good input, given to the command or function that meets it, and refused with exit status 1 and one
line on stderr. `tests/bad_input` makes them and checks the messages; how to add one is told in
`tests/bad_input/kinds.py`. What files from others may hold is told in
[concepts/security.md](../concepts/security.md).
"""


def page(said: dict[Kind, str]) -> str:
    """The reference page of kinds and their messages."""
    from contrasep_lib.report.markdown import escaped

    lines = ["# Bad input", "", "<!-- Generated by tools/make_bad_input.py; not edited by hand. -->", ""]
    lines += [*INTRODUCTION.splitlines(), "", f"{len(said)} kinds.", ""]
    for family in dict.fromkeys(kind.family for kind in said):
        lines += [f"## {family}", "", "| what is wrong | message |", "| --- | --- |"]
        lines += [f"| {escaped(kind.what)} | {escaped(line)} |" for kind, line in said.items() if kind.family == family]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


