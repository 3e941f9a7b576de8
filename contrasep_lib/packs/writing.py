"""Pack a trained model with its card and licence into one file, the same bytes for the same model."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.config.reading import configure, read_layers
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import atomic_path
from contrasep_lib.io.ids import require_ids, shown
from contrasep_lib.packs import layout
from contrasep_lib.packs.card import WHAT_TO_WRITE, Card, drafted, read_card
from contrasep_lib.packs.layout import Manifest
from contrasep_lib.packs.settings import settings_text
from contrasep_lib.separate.shipped import FOLDER, MODULARITY, folder_of, load_separator

# the earliest that a zip file knows
DATE = (1980, 1, 1, 0, 0, 0)


def pack(
    model: str, out: str | os.PathLike, licence: str | None = None,
    config: str | Sequence[str] | None = None, overrides: Sequence[str] = (),
) -> Manifest:
    """Write a model, its card and licence and what separation reads of its configuration to a zip file.

    Args:
        model: a model of the package, or the folder of a trained experiment.
        out: the file; one that is there is refused.
        licence: in words, where the card has none.
        config, overrides: as of `contrasep_lib.separate.shipped.load_separator`.

    Returns:
        what the pack says of itself.

    Raises:
        ContrasepError: no such model, or one that does not separate; no card or licence; parts from plugins, which are
            code; a pack that is there already.
    """
    out = Path(out)
    if out.exists() or out.is_symlink():
        raise ContrasepError(f"{out}: already there; remove it, or name another file")
    with layout.named(f"--model {model}", model):
        folder = folder_of(model)
        # all of it is read: what is packed can be used
        load_separator(model, "cpu", config, overrides)
    name = folder.resolve().name
    require_ids(f"{model}: name of its folder", [name])
    options = _settings(config or str(folder / layout.CONFIG), overrides)
    files = {layout.MODEL: folder / layout.MODEL, **_tables(folder), **_licence_of(folder)}
    card = _card(folder, name, options, licence)
    with tempfile.TemporaryDirectory() as work:
        for entry, text in ((layout.CARD, card.text), (layout.CONFIG, settings_text(options))):
            files[entry] = Path(work) / entry
            files[entry].write_bytes(text.encode())
        layout.require_names(model, sorted(files))
        for entry, path in files.items():
            if path.stat().st_size > (layout.limit_of(entry) or 0):
                raise ContrasepError(f"{path}: {path.stat().st_size} bytes are more than a pack holds of it")
        rows = {entry: (path.stat().st_size, layout.sha256_of(path)) for entry, path in files.items()}
        manifest = Manifest(name, card.licence, rows)
        with atomic_path(out) as temporary:
            _write(temporary, manifest, files)
    return manifest


def _settings(config: str | Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
    layers = read_layers(config, overrides)
    if layers.plugins:
        raise ContrasepError(
            f"{', '.join([config] if isinstance(config, str) else config)}: plugins: parts from {layers.plugins[0]}, "
            "which is code, and a pack holds none; pack a model of the package's parts"
        )
    return configure(layers, config)


def _tables(folder: Path) -> dict[str, Path]:
    """What stage 4 left in ``modularity/``."""
    found = sorted((folder / MODULARITY).glob("*.*"))
    entries = {f"{MODULARITY}/{path.name}": path for path in found if path.is_file()}
    return {entry: path for entry, path in entries.items() if layout.limit_of(entry)}


def _licence_of(folder: Path) -> dict[str, Path]:
    """The licence in full, where there is one; the package's models share theirs."""
    own, shared = folder / layout.LICENCE, FOLDER / layout.LICENCE
    path = shared if folder.parent == FOLDER and not own.is_file() else own
    return {layout.LICENCE: path} if path.is_file() else {}


def _card(folder: Path, name: str, options: Mapping[str, Any], licence: str | None) -> Card:
    """The card of a model, with a licence."""
    path = folder / layout.CARD
    if licence is not None and not layout.is_words(licence):
        raise ContrasepError(f"--licence: expected words on one line, got '{shown(licence, 60)}'")
    try:
        card = read_card(path)
    except FileNotFoundError:
        if licence is None:
            raise ContrasepError(f"{path}: no card; write one with {WHAT_TO_WRITE}, or give --licence") from None
        card = _drafted(folder, name, options)
    if licence is None and not card.licence:
        raise ContrasepError(f"{path}: no licence in it; write a line '- Licence: ..', or give --licence")
    if licence is None or licence == card.licence:
        return card
    if card.licence:
        raise ContrasepError(f"--licence: {path} has another, '{shown(card.licence, 60)}'; change one of them")
    return card.with_licence(licence)


def _drafted(folder: Path, name: str, options: Mapping[str, Any]) -> Card:
    from contrasep_lib.models.checkpoint import read_model

    content = read_model(folder / layout.MODEL)
    training = content["training"] if isinstance(content["training"], Mapping) else {}
    sets = training.get("train_sets") or ("not recorded",)
    parameters = sum(tensor.numel() for tensor in content["state"].values())
    words = ", ".join(map(str, sets if isinstance(sets, (list, tuple)) else (sets,)))
    return drafted(name, options["mix"].rate, parameters, f"the sets {words}")


def _write(path: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as pack:
        pack.writestr(_entry(layout.MANIFEST), manifest.text())
        for name in sorted(files):
            entry = _entry(name)
            entry.file_size = manifest.files[name][0]
            with open(files[name], "rb") as source, pack.open(entry, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry without a time, and with the rights of any file."""
    entry = zipfile.ZipInfo(name, DATE)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry
