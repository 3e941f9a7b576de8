"""The bench of representations: rows, columns and differences for features that tell speakers apart."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from contrasep_lib.config import build
from contrasep_lib.models.checkpoint import save_model
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.nodes.options import FeatureOptions

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "bench"))
import representations  # noqa: E402

FEATURES = FeatureOptions(64, 16)


class Turns:
    """Three mixtures of two tones that take turns."""

    keys = ["a", "b", "c"]
    speakers = {"a": ("x", "y"), "b": ("x", "z"), "c": ("y", "z")}

    def __init__(self, folder):
        pass

    def sources(self, key):
        time = np.arange(6000) / 8000
        gate = (time * 8).astype(int) % 2
        low, high = (np.sin(2 * np.pi * hertz * time) for hertz in (300, 2100))
        return 0.1 * np.stack([gate * low, (1 - gate) * high]).astype(np.float32)

    def mixture(self, key):
        return self.sources(key).sum(0)


def saved(folder, **values):
    torch.manual_seed(0)
    tree = {"granularity": "frame", "backbone": {"name": "encoder", "layers": 2, "width": 8}, "embedding_dim": 6}
    model = SeparationModel(build(ModelOptions, {**tree, **values}, "model"), FEATURES)
    path = folder / "some_tag" / "pretrain" / "model.pth"
    path.parent.mkdir(parents=True)
    spent = [{"phase": "pretrain", "minutes": 1.5, "device": "a core"}]
    save_model(path, model.state_dict(), FEATURES, model.options, {"spent": spent})
    return path, sum(part.numel() for part in model.parameters())


def test_models_and_raw_features_stand_in_one_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("contrasep_lib.io.dumpset.DumpSet", Turns)
    path, size = saved(tmp_path)
    table = tmp_path / "out.tsv"
    arguments = ["--model", str(path), "--untrained", "--raw", "spectrum", "mfcc", "--dump", "one", "--tsv", str(table)]
    representations.run(representations.parse(arguments))
    rows = list(csv.DictReader(table.open(), delimiter="\t"))
    names = ["some_tag", "encoder, untrained", "spectrum", "mfcc"]
    assert [row["representation"] for row in rows] == [name for name in names for _ in range(3)]
    assert [rows[place]["parameters"] for place in (0, 3, 6)] == [str(size), str(size), "0"]
    assert [rows[place]["minutes"] for place in (0, 3)] == ["1.5", "0"]
    # two tones are told apart by what they are
    for row in rows[6:]:
        assert min(float(row[name]) for name in ("nearest, %", "probe, %")) > 90 and row["set"] == "one"
    for row in rows[9:]:
        assert min(float(row[name]) for name in ("k-means, %", "network, %")) > 85 and float(row["network, dB"]) > 5
        assert float(row["k-means, dB"]) < float(row["bound, dB"])
    # the same weights before and after no training at all
    assert [list(row.values())[5:] for row in rows[:3]] == [list(row.values())[5:] for row in rows[3:6]]
    printed = capsys.readouterr().out
    assert "Differences to the first row" in printed and f"| some_tag | {size:,} | 1.5 |" in printed


def test_what_it_cannot_compare_is_refused(tmp_path, monkeypatch):
    path, _ = saved(tmp_path, granularity="tf", backbone={"name": "blstm", "layers": 1, "width": 4})
    with pytest.raises(representations.ContrasepError, match=r"expected a model of frames, got granularity 'tf'"):
        representations.run(representations.parse(["--model", str(path), "--dump", "d"]))
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    with pytest.raises(representations.ContrasepError, match="resemblyzer: .*is not installed; pip install"):
        representations.run(representations.parse(["--raw", "resemblyzer", "--dump", "d"]))
    for arguments in (["--dump", "d"], ["--raw", "mfcc", "--dump", "d", "--window", "99"]):
        with pytest.raises(SystemExit):
            representations.parse(arguments)


def test_the_speaker_encoder_hears_windows_around_frames():
    pytest.importorskip("resemblyzer", reason="the speaker encoder is the package resemblyzer's")
    encoder = representations.SpeakerEncoder(0.4)
    with torch.inference_mode():
        nodes, _ = encoder.analyse(torch.from_numpy(Turns("").mixture("a"))[None])
    assert nodes.z.shape == (1, nodes.shape[0], 256)
    assert torch.allclose(nodes.z.norm(dim=-1), torch.ones(nodes.z.shape[:2]), atol=1e-4)
