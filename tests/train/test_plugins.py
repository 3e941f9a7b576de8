"""Parts from outside of the package: one file in local/ of a recipe declares backbone, decoder and objective."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from contrasep_lib.models.checkpoint import read_states

PARTS = '''
import dataclasses
from typing import ClassVar

import torch

from contrasep_lib.config import choice
from contrasep_lib.decode.attractor import shares_of
from contrasep_lib.decode.decoders.base import Decoder
from contrasep_lib.decode.decoders.options import DecoderOptions
from contrasep_lib.embedding.backbones.base import SpectralBackbone
from contrasep_lib.embedding.backbones.options import BackboneOptions
from contrasep_lib.objectives.base import Objective
from contrasep_lib.objectives.options import ObjectiveOptions


@choice("backbone", "linear", target="Linear")
@dataclasses.dataclass(frozen=True)
class LinearOptions(BackboneOptions):
    """One linear layer per frame."""

    width: int = 8


class Linear(SpectralBackbone):
    def __init__(self, freq, dim, width):
        super().__init__()
        self.freq, self.places, self.channels = freq, 1, width
        self.first, self.second = torch.nn.Linear(freq, width), torch.nn.Linear(width, freq * dim)

    def hidden(self, x, frames):
        return torch.tanh(self.first(x)).unsqueeze(2)

    def units(self, hidden):
        return self.second(hidden.squeeze(2)).unflatten(-1, (self.freq, -1))


@choice("decoder", "scaled", target="Scaled")
@dataclasses.dataclass(frozen=True)
class ScaledOptions(DecoderOptions):
    """The shares themselves, at another scale."""

    scale: float = 1.0


class Scaled(Decoder):
    def __init__(self, freq, dim, places, channels, scale):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(scale))

    def forward(self, hidden, spectrum, level, frames, z, centroids, present):
        return self.scale * shares_of(z, centroids, present)[0].unflatten(-1, spectrum.shape[1:])


@choice("objective", "spread", target="Spread")
@dataclasses.dataclass(frozen=True)
class SpreadOptions(ObjectiveOptions):
    """Mean cosine of all pairs of nodes, behind a layer of its own."""

    outputs: int = 3


class Spread(Objective):
    def __init__(self, options, dim):
        super().__init__(options)
        self.layer = torch.nn.Linear(dim, options.outputs)

    @classmethod
    def from_options(cls, options, model):
        return cls(options, model.options.embedding_dim)

    def forward(self, step):
        z = torch.nn.functional.normalize(self.layer(step.nodes.z), dim=-1)
        return z.mean(1).square().sum(-1).mean(), {"outputs": z.new_tensor(float(z.shape[-1]))}
'''
CONFIG = {
    "plugins": ["my_parts"],
    "features": {"win": 64, "hop": 32},
    "model": {
        "backbone": {"name": "linear", "width": 6}, "embedding_dim": 4, "decoder": {"name": "scaled", "scale": 0.5},
        "objectives": {"deep_clustering": 1.0, "spread": {"weight": 0.5, "outputs": 2}, "si_snr": 0.1},
    },
    "finetune": {
        "data": "dynamic", "num_spk": [2], "segment_seconds": 0.2, "batch_size": 4, "batches_per_epoch": 3,
        "valid_batches": 1, "epochs": 1, "num_workers": 0, "probe": 1, "best": "spread", "ema_decay": 0.5,
    },
}


@pytest.mark.slow
def test_parts_of_a_local_file_learn_and_separate(tmp_path, single_dump):
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "my_parts.py").write_text(PARTS)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    root = Path(__file__).resolve().parents[2]
    # in two processes, which have to find the parts again
    command = [
        sys.executable, "-m", "contrasep_lib.bin.main", "train", "--config", "c.yaml", "--phase", "finetune",
        "--dump", single_dump.parent, "--train-sets", single_dump.name, "--valid-sets", single_dump.name,
        "--out", "exp", "--processes", "2",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(root), "PATH": ""}
    )
    assert done.returncode == 0, done.stderr
    states = read_states(tmp_path / "exp" / "1epoch.pth")
    assert states["objectives.spread.layer.weight"].shape == (2, 4)
    # what an objective has of its own is no part of the model
    kept = read_states(tmp_path / "exp" / "model.pth")
    assert kept["model"]["backbone"] == {"name": "linear", "width": 6}
    assert {name.partition(".")[0] for name in kept["state"]} == {"inputs", "backbone", "decoder"}
    script = """
import numpy as np, torch
from contrasep_lib.config import load_config
from contrasep_lib.models.checkpoint import load_model
config = load_config("c.yaml")
model = load_model("exp/model.pth", features=config["features"], options=config["model"])
nodes, analysis = model.analyse(torch.randn(1, 900, generator=torch.Generator().manual_seed(0)))
np.save("audio.npy", model.decode(analysis, torch.eye(4)[None, :2], 900).detach().numpy())
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, env={"PYTHONPATH": str(root), "PATH": ""})
    audio = np.load(tmp_path / "audio.npy")
    assert audio.shape == (1, 2, 900) and np.abs(audio).max() > 0
