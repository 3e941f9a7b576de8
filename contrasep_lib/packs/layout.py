"""What a pack of a model holds: a zip file of stored entries, ``manifest.json`` first.

The manifest has the model's name, its licence, and size and SHA-256 of every other entry. The entries are those of
`ENTRIES` and no others, so a pack has nothing to lead out of a folder with; names are checked all the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.ids import is_id, shown

FORMAT, VERSION = "contrasep model pack", 1
MANIFEST, CARD, CONFIG, LICENCE = "manifest.json", "README.md", "config.yaml", "LICENSE.txt"
MODEL = "finetune/model.pth"
# sections of a configuration that separation reads; of `mix` the rate alone
SECTIONS = ("features", "model", "modularity", "separate")
# bytes of an entry: weights are bounded by the pack, whose offsets have 32 bits
TEXT, TABLE, WEIGHTS = 1 << 20, 1 << 24, 2**32 - 2**24
ENTRIES = {
    **{re.escape(name): TEXT for name in (MANIFEST, CARD, CONFIG, LICENCE)},
    re.escape(MODEL): WEIGHTS,
    r"modularity/[a-z0-9_]{1,60}\.json": TABLE, r"modularity/[a-z0-9_]{1,60}\.pth": WEIGHTS,
}
NEEDED = (CARD, CONFIG, MODEL)
MOST_ENTRIES = 32
# of Windows, with any suffix
DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a pack says of itself.

    Attributes:
        name: of the model, an id.
        licence: in words.
        files: entry -> (bytes, SHA-256).
    """

    name: str
    licence: str
    files: Mapping[str, tuple[int, str]]

    def text(self) -> str:
        """As it stands in the pack."""
        files = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in sorted(self.files.items())}
        content = {"format": FORMAT, "version": VERSION, "name": self.name, "licence": self.licence, "files": files}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def parse(cls, path: object, content: bytes) -> Manifest:
        """Read a manifest, all of it checked.

        Raises:
            ContrasepError: no manifest, one of another version, or one that says what no pack has.
        """
        try:
            read = json.loads(content)
        except (ValueError, RecursionError):
            read = None
        if not isinstance(read, dict) or read.get("format") != FORMAT:
            raise ContrasepError(f"{path}: {MANIFEST}: no JSON of a pack of a model; name another file")
        if read.get("version") != VERSION or isinstance(read["version"], bool):
            version = shown(json.dumps(read.get("version")), 40)
            raise ContrasepError(f"{path}: expected a pack of version {VERSION}, got {version}; update contrasep")
        name, licence, files = read.get("name"), read.get("licence"), read.get("files")
        _require(path, "name", "an id", name, is_id(name) and not DEVICES.fullmatch(str(name)))
        _require(path, "licence", "words", licence, is_words(licence))
        _require(path, "files", "a mapping", files, isinstance(files, dict))
        for entry, row in files.items():
            right = isinstance(row, dict) and type(row.get("bytes")) is int and row["bytes"] >= 0
            right = right and isinstance(row.get("sha256"), str) and re.fullmatch("[0-9a-f]{64}", row["sha256"])
            _require(path, f"files: {shown(entry, 60)}", "bytes and SHA-256", row, bool(right))
        return cls(name, licence, {entry: (row["bytes"], row["sha256"]) for entry, row in files.items()})


def is_words(text: object) -> bool:
    """Whether a value can stand as a licence on one line."""
    return isinstance(text, str) and 0 < len(text.strip()) == len(text) <= 1000 and text.isprintable()


def _require(path: object, where: str, expected: str, got: Any, right: bool) -> None:
    if not right:
        words = shown(json.dumps(got), 80)
        raise ContrasepError(f"{path}: {MANIFEST}: {where}: expected {expected}, got {words}; pack it again")


def limit_of(name: str) -> int | None:
    """The most bytes of an entry; None for what is no part of a pack."""
    return next((most for form, most in ENTRIES.items() if re.fullmatch(form, name)), None)


def require_names(path: object, names: Iterable[str]) -> None:
    """Raise ContrasepError, naming pack and entry, unless all names are those of parts of a model, each once.

    A name must be safe wherever the pack may be unpacked: also where backslashes separate folders, case is ignored, or
    names stand for devices.
    """
    seen: dict[str, str] = {}
    for name in names:
        if wrong := unsafe(name):
            raise ContrasepError(f"{path}: unsafe entry '{shown(name)}' ({wrong}); name another file")
        other = seen.get(name.casefold())
        if other == name:
            raise ContrasepError(f"{path}: '{name}' stands twice; name another file")
        if other is not None:
            raise ContrasepError(f"{path}: '{other}' and '{name}' differ in case alone; name another file")
        seen[name.casefold()] = name
        if limit_of(name) is None:
            raise ContrasepError(f"{path}: '{shown(name)}' is no part of a model; name another file")


def unsafe(name: str) -> str:
    """Why no file may have the name of an entry, or nothing."""
    parts = name.split("/")
    if not name.isprintable():
        return "a control sign"
    if "\\" in name:
        return "a backslash"
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        return "an absolute path"
    if ".." in parts:
        return "it leads out of the folder"
    if name.endswith("/"):
        return "a folder"
    if any(part in ("", ".") or part.endswith((" ", ".")) for part in parts):
        return "a part of its path that some systems change"
    if any(DEVICES.fullmatch(part) for part in parts):
        return "the name of a device"
    return ""


@contextlib.contextmanager
def named(given: str, shown_as: object) -> Iterator[None]:
    """Errors about ``given`` (``--model MODEL``, a temporary folder) say another name."""
    try:
        yield
    except ContrasepError as error:
        raise ContrasepError(str(error).replace(given, str(shown_as))) from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
