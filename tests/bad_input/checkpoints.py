"""Checkpoints and folders of models, through ``contrasep separate``."""

import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import torch

from contrasep_lib.separate.shipped import FOLDER
from tests.bad_input.kinds import kind, put

FAMILY = "Models"
MODEL, CONFIG = "m/finetune/model.pth", "m/config.yaml"
NETWORK, NULL = "m/modularity/network.pth", "m/modularity/null.json"
SEPARATE = ("separate", "audio/a-1.wav", "--out", "out", "--model", "m")


class Attack:
    """Unpickled, it makes a file."""

    def __reduce__(self):
        return os.system, ("touch ESCAPED",)


def shipped():
    """A copy of a model of the package as ``m``."""
    shutil.copytree(FOLDER / "small", "m")
    return SEPARATE


def changed(path=MODEL, **parts):
    """Other values in a checkpoint."""
    shipped()
    content = torch.load(path, weights_only=True)
    torch.save({**content, **{name: part(content) if callable(part) else part for name, part in parts.items()}}, path)
    return SEPARATE


def replaced(path, content):
    """Another content of a file."""
    shipped()
    put(path, content)
    return SEPARATE


@kind(FAMILY, "no such folder or model", "--model nowhere", "nor a model of the package")
def no_model(folder):
    return "separate", "audio/a-1.wav", "--out", "out", "--model", "nowhere"


@kind(FAMILY, "a folder without a model", "--model audio", "no finetune/model.pth in it")
def other_folder(folder):
    return "separate", "audio/a-1.wav", "--out", "out", "--model", "audio"


@kind(FAMILY, "a model without its configuration", "--model m", "no config.yaml in it")
def no_config(folder):
    shipped()
    Path(CONFIG).unlink()
    return SEPARATE


@kind(FAMILY, "a truncated checkpoint", MODEL, "truncated or damaged")
def truncated(folder):
    shipped()
    os.truncate(MODEL, os.path.getsize(MODEL) // 2)
    return SEPARATE


@kind(FAMILY, "a pickle", MODEL, "not a checkpoint of contrasep; name another file")
def pickled(folder):
    return replaced(MODEL, pickle.dumps({"format": "contrasep model", "state": Attack()}))


@kind(FAMILY, "a checkpoint with objects, which could run code", MODEL,
      "holds objects other than tensors and plain values")
def objects(folder):
    return changed(training=Attack())


@kind(FAMILY, "compressed entries, which may expand to any size", MODEL, "compressed entries, which no training writes")
def compressed(folder):
    shipped()
    with zipfile.ZipFile(MODEL, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(2**24))
    return SEPARATE


@kind(FAMILY, "a checkpoint of something else", MODEL, "expected a model.pth")
def foreign(folder):
    return changed(format="another model")


@kind(FAMILY, "a checkpoint of another version", MODEL, "expected a model of version 2, got version 99")
def version(folder):
    return changed(version=99)


@kind(FAMILY, "a part of it missing", MODEL, "no 'training' in it")
def no_training(folder):
    shipped()
    content = torch.load(MODEL, weights_only=True)
    torch.save({name: value for name, value in content.items() if name != "training"}, MODEL)
    return SEPARATE


@kind(FAMILY, "weights that are no mapping", MODEL, "expected finite weights by name, got list")
def weights(folder):
    return changed(state=[torch.zeros(2)])


@kind(FAMILY, "weights that are not finite", MODEL, "got NaN or infinity in 'inputs.mean'")
def not_finite(folder):
    return changed(state=lambda content: {**content["state"], "inputs.mean": torch.full((129,), torch.nan)})


@kind(FAMILY, "a weight of more values than the file holds", MODEL, "'inputs.mean' of more values than the file holds")
def expanded(folder):
    return changed(state=lambda content: {**content["state"], "inputs.mean": torch.zeros(1).expand(2**40)})


@kind(FAMILY, "weights of another model", MODEL, "checkpoint of another version (Missing key(s)")
def other_weights(folder):
    return changed(state={"a": torch.zeros(2)})


@kind(FAMILY, "options that no model has", MODEL, "checkpoint of another version: model: unknown key 'colour'")
def other_options(folder):
    return changed(model=lambda content: {**content["model"], "colour": 3})


@kind(
    FAMILY, "another configuration than the model's", MODEL,
    "checkpoint of another configuration (model.embedding_dim",
)
def other_configuration(folder):
    shipped()
    return *SEPARATE, "--set", "model.embedding_dim=21"


@kind(FAMILY, "a modularity network that is none", NETWORK, "no modularity network in it")
def network(folder):
    return changed(NETWORK, dim=-1)


@kind(FAMILY, "a null that is not JSON", NULL, "not a JSON file")
def null(folder):
    return replaced(NULL, "[" * 100_000)


@kind(FAMILY, "a null that is no mapping", NULL, "expected a mapping, got list")
def null_list(folder):
    return replaced(NULL, "[]")


@kind(FAMILY, "a null with a value out of bounds", NULL, "ceiling: expected a finite value of at least 1, got -1")
def null_value(folder):
    shipped()
    put(NULL, json.dumps({**json.loads(Path(NULL).read_text()), "ceiling": -1}))
    return SEPARATE


@kind(FAMILY, "a null that is not there", NULL, "no such file; run stage 4 first")
def no_null(folder):
    shipped()
    Path(NULL).unlink()
    return SEPARATE
