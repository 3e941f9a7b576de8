"""Packs of `contrasep_lib.packs.writing`, read as files from anyone.

Before anything is written, the table of a pack's entries is checked: names, kinds, sizes. Entries are stored as they
are, so none is larger than the pack. All is written to a temporary folder, compared with the checksums, and loaded
once; then the folder is renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import PREFIX
from contrasep_lib.io.ids import shown
from contrasep_lib.io.zips import DAMAGES
from contrasep_lib.packs import layout
from contrasep_lib.packs.card import read_card
from contrasep_lib.packs.layout import Manifest
from contrasep_lib.packs.settings import require_settings

# of the table of entries, bytes; ours has some hundreds
MOST_TABLE = 1 << 16
# the record that ends a zip file: PKWARE's APPNOTE 6.3.10, section 4.3.16
_END = struct.Struct("<4s4H2LH")
_END_MARK, _END_OF_64 = b"PK\x05\x06", b"PK\x06\x07"
_ENCRYPTED, _BLOCK = 0x1, 1 << 20


def unpack(path: str | os.PathLike, out: str | os.PathLike) -> Manifest:
    """Make the folder of a packed model.

    Args:
        path: of `contrasep_lib.packs.writing.pack`.
        out: the model's folder; refused where it is there.

    Returns:
        what the pack says of itself.

    Raises:
        ContrasepError: no pack or a damaged one; unsafe names, links, compressed or encrypted entries; contents that do
            not have their checksum; weights or settings that no model has; a folder that is there already.
    """
    out = Path(out)
    if not out.name:
        raise ContrasepError(f"{out}: expected the folder to make; name one, e.g. {Path(path).stem}")
    if out.exists() or out.is_symlink():
        raise ContrasepError(f"{out}: already there; remove it, or name another folder")
    with _opened(path) as file:
        manifest = read_manifest(path, file)
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=PREFIX, dir=out.parent))
        try:
            for name in manifest.files:
                _extract(path, file, name, manifest.files[name], work / name)
            _require_model(path, work, manifest)
            # the rights of any new folder
            umask = os.umask(0)
            os.umask(umask)
            work.chmod(0o777 & ~umask)
            os.rename(work, out)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    return manifest


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[zipfile.ZipFile]:
    """A zip file, for which no more memory was taken than for a small table of entries."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            file.seek(max(0, size - _END.size - 20))
            tail = file.read()
    except IsADirectoryError:
        raise ContrasepError(f"{path}: a folder, not a pack; name a file") from None
    except FileNotFoundError:
        raise ContrasepError(f"{path}: no such file") from None
    if len(tail) < _END.size or not tail[-_END.size:].startswith(_END_MARK):
        raise _foreign(path)
    _, _, _, _, entries, length, offset, comment = _END.unpack(tail[-_END.size:])
    # readers of zip files differ in what they take from such files
    if tail.startswith(_END_OF_64):
        raise ContrasepError(f"{path}: sizes of 64 bits, which no pack has; name another file")
    if comment or offset + length + _END.size != size:
        raise ContrasepError(f"{path}: bytes that belong to no entry; name another file")
    if length > MOST_TABLE or entries > layout.MOST_ENTRIES:
        raise ContrasepError(f"{path}: {entries} entries, more than a model has; name another file")
    try:
        with zipfile.ZipFile(path) as opened:
            yield opened
    except DAMAGES:
        raise _foreign(path) from None


def _foreign(path: str | os.PathLike) -> ContrasepError:
    return ContrasepError(f"{path}: no pack of a model, or a damaged one; name another file")


def read_manifest(path: str | os.PathLike, file: zipfile.ZipFile) -> Manifest:
    """Check names, kinds and sizes of a pack's entries, and what it says of them.

    Raises:
        ContrasepError: see `unpack`.
    """
    entries = file.infolist()
    # the names as they stand in the file: the reader cuts them at a zero
    layout.require_names(path, [entry.orig_filename for entry in entries])
    for entry in entries:
        _require_plain(path, entry)
    total, size = sum(entry.file_size for entry in entries), os.path.getsize(path)
    if total > size:
        raise ContrasepError(f"{path}: {total} bytes in a file of {size}; name another file")
    sizes = {entry.filename: entry.file_size for entry in entries}
    if layout.MANIFEST not in sizes:
        raise ContrasepError(f"{path}: no {layout.MANIFEST} in it, so no pack of a model; name another file")
    manifest = Manifest.parse(path, file.read(layout.MANIFEST))
    del sizes[layout.MANIFEST]
    for name in sorted({*sizes, *manifest.files, *layout.NEEDED}):
        if name not in sizes or name not in manifest.files:
            where = "the pack" if name not in sizes else layout.MANIFEST
            raise ContrasepError(f"{path}: '{shown(name)}' is not in {where}; pack it again")
        if sizes[name] != manifest.files[name][0]:
            raise ContrasepError(
                f"{path}: '{name}': expected {manifest.files[name][0]} bytes, got {sizes[name]}; pack it again"
            )
    return manifest


def _require_plain(path: str | os.PathLike, entry: zipfile.ZipInfo) -> None:
    """Raise ContrasepError unless an entry is a file of a pack's kind and size, stored as it is."""
    kind, most = stat.S_IFMT(entry.external_attr >> 16), layout.limit_of(entry.filename) or 0
    if kind not in (0, stat.S_IFREG):
        words = "a link" if kind == stat.S_IFLNK else "no file"
    elif entry.flag_bits & _ENCRYPTED:
        words = "encrypted"
    elif entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        words = "compressed, and packs of models are not"
    elif entry.file_size > most:
        words = f"of {entry.file_size} bytes, more than {most}"
    else:
        return
    raise ContrasepError(f"{path}: '{entry.filename}' is {words}; name another file")


def _extract(
    path: str | os.PathLike, file: zipfile.ZipFile, name: str, expected: tuple[int, str], target: Path
) -> None:
    """Write one entry, and compare it with its checksum."""
    size, digest, held = expected[0], hashlib.sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "xb") as out:
        try:
            with file.open(name) as source:
                while block := source.read(_BLOCK):
                    held += len(block)
                    digest.update(block)
                    out.write(block)
        except DAMAGES:
            held = -1
    if held != size or digest.hexdigest() != expected[1]:
        raise ContrasepError(f"{path}: '{name}' is damaged: not the content that its checksum is of; fetch it again")


def _require_model(path: str | os.PathLike, folder: Path, manifest: Manifest) -> None:
    """Raise ContrasepError unless a folder holds a model that separates, and nothing beside plain values."""
    from contrasep_lib.models.checkpoint import read_states
    from contrasep_lib.separate.shipped import load_separator

    with layout.named(f"--model {folder}", path), layout.named(f"{folder}/", f"{path}: "):
        card = read_card(folder / layout.CARD)
        if card.licence != manifest.licence:
            raise ContrasepError(f"{folder / layout.CARD}: another licence than in {layout.MANIFEST}; pack it again")
        require_settings(folder / layout.CONFIG, folder / layout.CONFIG)
        _require_own_weights(folder / layout.MODEL)
        for file in sorted((folder / "modularity").glob("*")):
            if file.suffix == ".pth":
                read_states(file)
                continue
            try:
                json.loads(file.read_bytes())
            except (ValueError, RecursionError):
                raise ContrasepError(f"{file}: not a JSON file; pack it again") from None
        load_separator(f"{folder}")


def _require_own_weights(path: Path) -> None:
    """Raise ContrasepError unless the options of a model describe its weights, before a network is made of them."""
    import torch

    from contrasep_lib.models.checkpoint import read_model
    from contrasep_lib.models.separation import SeparationModel

    content = read_model(path)
    try:
        with torch.device("meta"):
            described = SeparationModel(content["model"], content["features"]).state_dict()
    except (ValueError, RuntimeError) as error:
        raise ContrasepError(f"{path}: options that describe no model ({shown(error, 100)}); pack it again") from None
    given = {name: tuple(tensor.shape) for name, tensor in content["state"].items()}
    expected = {name: tuple(tensor.shape) for name, tensor in described.items()}
    if wrong := sorted({*given.items()} ^ {*expected.items()}):
        name = wrong[0][0]
        raise ContrasepError(
            f"{path}: '{shown(name)}': expected the shape {expected.get(name)} by its options, got {given.get(name)}; "
            "pack it again"
        )
