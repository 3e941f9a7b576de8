"""The models of the package: they load, separate, and say nothing of the machine they were made on."""

import re

import numpy as np
import pytest

from contrasep_lib.models.checkpoint import read_model
from contrasep_lib.separate.shipped import CARD, DEFAULT, FOLDER, MODEL, headline, load_separator, names


@pytest.mark.parametrize("name", names())
def test_a_model_of_the_package_separates(name):
    separator = load_separator(name)
    model, folder = separator.separator, FOLDER / name
    time = np.arange(8000) / separator.rate
    mixture = 0.1 * (np.sin(2 * np.pi * 200 * time) + np.sign(np.sin(2 * np.pi * 310 * time))).astype(np.float32)
    assert 1 <= len(model.separate("utt", mixture, None).outputs) <= model.clustering.counter.null.known
    given = model.separate("utt", mixture, 2).outputs
    assert len(given) == 2
    np.testing.assert_allclose(given.sum(axis=0), mixture, atol=1e-4)

    training = read_model(folder / MODEL)["training"]
    assert training["phase"] == "finetune" and training["train_sets"]
    assert all(part["minutes"] > 0 and part["device"] for part in training["spent"])
    for path in folder.rglob("*.*"):
        assert not re.search(rb"/(work|root|home|tmp|usr)/", path.read_bytes()), path
    assert (folder / CARD).read_text().startswith(f"# {name}: ") and headline(name)


def test_there_is_a_default():
    assert DEFAULT in names()
