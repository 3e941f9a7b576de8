"""Features that no training of ours made."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools")]
from experimentkit import untrained  # noqa: E402

from contrasep_lib.errors import ContrasepError  # noqa: E402
from tests.experiments.test_experiments import Turns  # noqa: E402


def test_tones_that_take_turns_are_apart_in_each():
    turns = Turns("")
    for name in untrained.MODELS:
        with torch.inference_mode():
            nodes, _ = untrained.features_of(name).analyse(torch.from_numpy(turns.mixture("a"))[None])
        z, sources = nodes.z[0].double(), torch.from_numpy(turns.sources("a")).double()
        size = 8000 // 16
        rows = len(z)
        # frames whose 32 ms lie within one turn, by the louder tone
        power = torch.stack([source.square().unfold(0, 256, 64).mean(1) for source in sources])
        middle = torch.arange(power.shape[1]) * 64 + 128
        inside = ((middle % size) - size / 2).abs() < size / 2 - 150
        share = power.argmax(0)[inside]
        offset = (rows - power.shape[1]) // 2
        kept = torch.nn.functional.normalize(z[offset : offset + power.shape[1]][inside], dim=1)
        cosines = kept @ kept.T
        same = share[:, None] == share[None]
        assert cosines[same].mean() > cosines[~same].mean() + 0.01, name


def test_the_speaker_encoder_hears_windows_around_frames():
    if importlib.util.find_spec("resemblyzer") is None:
        pytest.skip("the speaker encoder is the package Resemblyzer's")
    encoder = untrained.features_of(untrained.ENCODER)
    with torch.inference_mode():
        nodes, _ = encoder.analyse(torch.from_numpy(Turns("").mixture("a"))[None])
    assert nodes.z.shape == (1, nodes.shape[0], 256)
    assert torch.allclose(nodes.z.norm(dim=-1), torch.ones(nodes.z.shape[:2]), atol=1e-4)
    assert 1.0e6 < sum(part.numel() for part in encoder.parameters()) < 2.0e6


def test_without_its_package_one_line_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ContrasepError, match=r"resemblyzer.*not installed; pip install 'contrasep\[speakers\]'"):
        untrained.features_of(untrained.ENCODER)
