"""The mean of models: weights by shares, what is shared to the bit, and other structures refused."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from contrasep_lib.config import build
from contrasep_lib.models.checkpoint import load_model, read_model, save_model
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.nodes.options import FeatureOptions

TOOL = Path(__file__).resolve().parents[2] / "tools" / "average_models.py"
FEATURES = FeatureOptions(64, 16)


def write(path, seed, shared=None, **values):
    backbone = {"name": "dual_path", "layers": 1, "width": 8, "band": 8}
    options = build(ModelOptions, {"backbone": backbone, "embedding_dim": 4, **values}, "model")
    torch.manual_seed(seed)
    state = SeparationModel(options, FEATURES).state_dict()
    state.update(shared or {})
    save_model(path, state, FEATURES, options, {"phase": "finetune", "seed": seed})
    return state


def run(*arguments):
    return subprocess.run([sys.executable, TOOL, *map(str, arguments)], capture_output=True, text=True)


def test_the_mean_of_three(tmp_path):
    first = write(tmp_path / "a.pth", 0)
    name = next(name for name, value in first.items() if value.ndim == 2)
    shared = {name: first[name]}
    states = [first, write(tmp_path / "b.pth", 1, shared), write(tmp_path / "c.pth", 2, shared)]
    done = run("--models", *(tmp_path / f"{n}.pth" for n in "abc"), "--shares", 1, 2, 5, "--out", tmp_path / "mean.pth")
    assert done.returncode == 0, done.stderr
    content = read_model(tmp_path / "mean.pth")
    for key, value in content["state"].items():
        if value.is_floating_point():
            parts = [share * state[key].double() for share, state in zip((1, 2, 5), states)]
            torch.testing.assert_close(value.double(), sum(parts) / 8, rtol=1e-5, atol=1e-6)
    assert torch.equal(content["state"][name], first[name])
    assert content["training"]["seed"] == 2 and len(content["training"]["average_of"]) == 3
    load_model(tmp_path / "mean.pth")


@pytest.mark.parametrize(
    "shares, words",
    [((1, 2), "embedding_dim is 4 there, 6 here"), ((1,), "--shares"), ((0, 0), "--shares"), ((2, -1), "--shares")],
)
def test_what_cannot_be_averaged_is_one_line(tmp_path, shares, words):
    write(tmp_path / "a.pth", 0)
    write(tmp_path / "b.pth", 1, embedding_dim=6)
    done = run("--models", tmp_path / "a.pth", tmp_path / "b.pth", "--shares", *shares, "--out", tmp_path / "mean.pth")
    assert done.returncode in (1, 2) and words in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "mean.pth").exists()
