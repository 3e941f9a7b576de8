"""Trained models as files: ``model.pth``, the product of a training phase.

A file holds plain values and tensors alone and is read with ``weights_only=True``, so reading a
file from somebody else runs none of its code. It holds the options that build the model too;
whoever reads it needs no other file.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from contrasep_lib.config import as_tree, build, legacy
from contrasep_lib.config.choices import loaded_plugins
from contrasep_lib.errors import ContrasepError, is_out_of_memory
from contrasep_lib.io.atomic import atomic_path
from contrasep_lib.io.ids import shown
from contrasep_lib.io.zips import DAMAGES
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.nodes.options import FeatureOptions

FORMAT = "contrasep model"
# 1: options in the spelling of before parts were chosen by name
VERSION, READABLE = 2, (1, 2)
# weights of a training state that are no part of the model: those of objectives
_OBJECTIVES = "objectives."
# bytes that show why a checkpoint could not be written
_PROBE = 1 << 20


def plain(tree: Any) -> Any:
    """Options as YAML has them: mappings, lists and scalars."""
    if isinstance(tree, Mapping):
        return {key: plain(value) for key, value in tree.items()}
    return [plain(value) for value in tree] if isinstance(tree, (list, tuple)) else tree


def write_states(path: str | os.PathLike, states: Mapping[str, Any]) -> None:
    """Write a checkpoint that a kill cannot leave half done."""
    with atomic_path(path) as temporary:
        try:
            torch.save(dict(states), temporary)
        except RuntimeError:
            # torch reports the state of its file ("unexpected pos"); a plain write says what it met
            with open(temporary, "ab", buffering=0) as file:
                if file.write(bytes(_PROBE)) < _PROBE:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
            raise


def require_device(device: str | torch.device) -> None:
    """Raise ContrasepError, which names the device and the reason, unless this machine computes on it."""
    try:
        # a number comes back only from a device that computes
        torch.ones(1, device=torch.device(device)).item()
    except Exception as error:
        # each kind of device has an error of its own; a full one is there
        if is_out_of_memory(error):
            raise
        reason = shown(next(iter(str(error).splitlines()), type(error).__name__))
        raise ContrasepError(
            f"device '{shown(device)}': not usable here ({reason}); use 'cpu', or 'cuda:0' where there is a GPU"
        ) from None


def read_states(
    path: str | os.PathLike, device: str | torch.device = "cpu", safe: Sequence[Any] = ()
) -> dict[str, Any]:
    """Read a checkpoint without running code from it.

    Args:
        device: where its tensors go.
        safe: further types that it may hold.

    Raises:
        ContrasepError: the file is missing, truncated or something else; names the file. A device that is not there.
    """
    require_device(device)
    _require_stored(path)
    try:
        _require_sums(path)
        # of what a foreign file is made of the error below tells enough
        with torch.serialization.safe_globals(list(safe)), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            states = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise ContrasepError(f"{path}: no such checkpoint; run the training that makes it first") from None
    except Exception as error:
        # a foreign file makes the readers trip over anything; an invalid argument is theirs too
        if isinstance(error, torch.OutOfMemoryError) or getattr(error, "errno", errno.EINVAL) != errno.EINVAL:
            raise
        if _begins_as_checkpoint(path):
            if isinstance(error, pickle.UnpicklingError):
                raise ContrasepError(
                    f"{path}: not read, as it is damaged or holds objects other than tensors and plain values, which "
                    "could run code; name another file"
                ) from None
            raise ContrasepError(f"{path}: truncated or damaged; delete it and train again") from None
        raise ContrasepError(f"{path}: not a checkpoint of contrasep; name another file") from None
    if not isinstance(states, dict):
        raise ContrasepError(f"{path}: not a checkpoint of contrasep; name another file")
    return states


def _require_stored(path: str | os.PathLike) -> None:
    """Refuse compressed entries: torch writes none, and a few bytes of them unpack to any number."""
    try:
        with zipfile.ZipFile(path) as file:
            packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in file.infolist())
    # no zip file, which the reader names
    except (*DAMAGES, OSError):
        return
    if packed:
        raise ContrasepError(
            f"{path}: a checkpoint with compressed entries, which no training writes; name another file"
        )


def _require_sums(path: str | os.PathLike) -> None:
    """Compare the checksums that torch writes with every tensor, and does not read."""
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            return
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"checksum of {damaged}")


def _begins_as_checkpoint(path: str | os.PathLike) -> bool:
    with open(path, "rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"")


def save_model(
    path: str | os.PathLike,
    state: Mapping[str, torch.Tensor],
    features: FeatureOptions,
    options: ModelOptions,
    training: Mapping[str, Any],
) -> None:
    """Write ``model.pth``.

    Args:
        state: state dict of the model; weights of objectives are left out.
        features, options: what the model was built from.
        training: what it was trained on and how, plain values; for the record.
    """
    write_states(path, {
        "format": FORMAT, "version": VERSION, "features": plain(as_tree(features)), "model": plain(as_tree(options)),
        "training": plain(training),
        "state": {name: value for name, value in state.items() if not name.startswith(_OBJECTIVES)},
    })


def read_model(path: str | os.PathLike, device: str | torch.device = "cpu") -> dict[str, Any]:
    """The content of ``model.pth``: see `save_model`; options as they were, state as tensors.

    Returns:
        ``features`` (FeatureOptions), ``model`` (ModelOptions), ``training`` and ``state``.

    Raises:
        ContrasepError: missing, truncated or foreign file, or one of another version; a device that is not there.
    """
    content = read_states(path, device)
    if content.get("format") != FORMAT:
        raise ContrasepError(f"{path}: not a checkpoint of contrasep; expected a model.pth")
    version = content.get("version")
    if not isinstance(version, int) or version not in READABLE:
        raise ContrasepError(f"{path}: expected a model of version {VERSION}, got version {version}; train again")
    missing = [name for name in ("features", "model", "training", "state") if name not in content]
    if missing:
        raise ContrasepError(f"{path}: no '{missing[0]}' in it, so not a model of contrasep; name another file")
    try:
        features, model = _options(content, f"{path}: checkpoint of another version: ")
    except ContrasepError as error:
        raise ContrasepError(f"{error}{_plugins_words(content['training'])}") from None
    if wrong := no_weight(content["state"]):
        raise ContrasepError(f"{path}: expected finite weights by name, got {wrong}; train again, or name another file")
    return {"features": features, "model": model, "training": content["training"], "state": content["state"]}


def no_weight(state: Any) -> str | None:
    """What in a state is no dense tensor of finite values, in words; None if all are."""
    if not isinstance(state, Mapping):
        return type(state).__name__
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            return f"{type(value).__name__} under {shown(repr(name))}"
        if value.layout != torch.strided or value.is_meta or value.is_complex():
            return f"'{shown(name)}' without plain values"
        # numbers that a file repeats by its strides alone take no room in it
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            return f"'{shown(name)}' of more values than the file holds"
        if not torch.isfinite(value).all():
            return f"NaN or infinity in '{shown(name)}'"
    return None


def _options(content: Mapping[str, Any], where: str) -> tuple[FeatureOptions, ModelOptions]:
    """What a file says a model was built from, whatever the version of its spelling."""
    sections = {name: content[name] for name in ("features", "model")}
    if content["version"] == 1:
        sections, paths = legacy.modernise({**sections, "separate": {"silence_db": content.get("silence_db")}})
        try:
            legacy.settle(sections, paths)
        except ContrasepError as error:
            raise ContrasepError(f"{where}{error}") from None
    features = build(FeatureOptions, sections["features"], f"{where}features")
    return features, build(ModelOptions, sections["model"], f"{where}model")


def _plugins_words(training: Any) -> str:
    """Which plugins to name where parts are not known; a file that names some is no reason to import them."""
    named = training.get("plugins") if isinstance(training, Mapping) else None
    absent = sorted(set(map(str, named)) - set(loaded_plugins())) if isinstance(named, (list, tuple)) else []
    return f"; parts of it come from plugins: --set 'plugins=[{', '.join(absent)}]'" if absent else ""


def first_difference(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> str | None:
    """The first key, dotted, at which two plain trees differ, with both values; None if none does."""
    for key in sorted({*one, *other}, key=str):
        these, those = one.get(key), other.get(key)
        if isinstance(these, Mapping) and isinstance(those, Mapping):
            inner = first_difference(these, those, f"{prefix}{key}.")
            if inner:
                return inner
        elif these != those:
            return f"{prefix}{key} is {these} there, {those} here"
    return None


def refuse_other(
    path: str | os.PathLike, content: Mapping[str, Any], features: FeatureOptions, options: ModelOptions
) -> None:
    """Raise ContrasepError, naming the first difference, unless a trained model is what these options describe.

    How it learned may differ: that does not change what it computes.
    """
    difference = first_difference(
        {"features": plain(as_tree(content["features"])), "model": plain(content["model"].trained())},
        {"features": plain(as_tree(features)), "model": plain(options.trained())},
    )
    if difference:
        raise ContrasepError(f"{path}: checkpoint of another configuration ({difference}); train again")


def load_model(
    path: str | os.PathLike,
    device: str | torch.device = "cpu",
    features: FeatureOptions | None = None,
    options: ModelOptions | None = None,
) -> SeparationModel:
    """Build a trained model from its file.

    Example:
        >>> import contrasep_lib
        >>> folder = Path(contrasep_lib.__file__).parent / "pretrained/small"
        >>> load_model(folder / "finetune/model.pth").training
        False

    Args:
        path: ``model.pth``.
        device: where it computes.
        features, options: the configuration in use, if it is to be the model's own; what a trained model is free in,
            such as the passes of a backbone, is as it says.

    Returns:
        the model in evaluation mode.

    Raises:
        ContrasepError: missing, truncated or foreign file, another version or configuration; a device that is not
            there.
    """
    require_device(device)
    # weights take their place in the model before it moves, so that no error of a device is one of the file
    content = read_model(Path(path))
    refuse_other(path, content, features or content["features"], options or content["model"])
    # how it learned is its own; what it is free in is the configuration's
    options = content["model"] if options is None else dataclasses.replace(content["model"], backbone=options.backbone)
    try:
        model = SeparationModel(options, content["features"])
        model.load_state_dict(content["state"])
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split(":", 1)[-1].split())
        raise ContrasepError(f"{path}: checkpoint of another version ({shown(reason, 200)}); train again") from None
    return model.to(device).eval()
