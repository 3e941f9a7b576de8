"""The models that recipes ship: they load, separate, and say nothing of the machine they were made on."""

import re
from pathlib import Path

import numpy as np
import pytest

from contrasep_lib.config import load_config
from contrasep_lib.models.checkpoint import load_model, read_model

RECIPES = Path(__file__).resolve().parents[2] / "egs"
MODELS = sorted(path.parents[1] for path in RECIPES.glob("*/models/*/finetune/model.pth"))


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: f"{folder.parts[-3]}-{folder.name}")
def test_a_shipped_model_serves_its_configuration(folder):
    from contrasep_lib.separate.learned import Communities, Learned

    config = load_config(folder.parents[1] / "conf" / f"{folder.name}.yaml")
    model = load_model(folder / "finetune" / "model.pth", features=config["features"], options=config["model"])
    communities = Communities.load(folder / "modularity", config["modularity"])
    time = np.arange(8000) / 8000
    mixture = 0.1 * (np.sin(2 * np.pi * 200 * time) + np.sign(np.sin(2 * np.pi * 310 * time))).astype(np.float32)
    separator = Learned(model, communities, config["modularity"], config["separate"])
    assert 1 <= len(separator.separate("utt", mixture, None).outputs) <= communities.null.known
    given = separator.separate("utt", mixture, 2).outputs
    np.testing.assert_allclose(given.sum(axis=0), mixture, atol=1e-4)

    training = read_model(folder / "finetune" / "model.pth")["training"]
    assert training["phase"] == "finetune" and training["train_sets"]
    for path in folder.rglob("*.*"):
        assert not re.search(rb"/(work|root|home|tmp|usr)/", path.read_bytes()), path
    assert folder.name in (folder.parent / "README.md").read_text()


def test_there_are_models():
    assert MODELS
