"""The benches of frames: their measures against brute force, and tables for models whose embeddings are known."""

import itertools
import json
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
from contrasep_lib.score.intervals import speaker_interval

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "bench"))
import frame_choices  # noqa: E402
import frames  # noqa: E402

FEATURES = FeatureOptions(64, 16)


def drawn(nodes, dim=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.nn.functional.normalize(torch.randn(nodes, dim, generator=generator), dim=-1)
    return z, torch.randint(3, (nodes,), generator=generator)


def model_of(**values):
    torch.manual_seed(0)
    tree = {"granularity": "frame", "backbone": {"name": "encoder", "layers": 2, "width": 8}, "embedding_dim": 6}
    return SeparationModel(build(ModelOptions, {**tree, **values}, "model"), FEATURES).eval()


def tones(samples=8000):
    """Two sources that take turns."""
    time = np.arange(samples) / 8000
    gate = (time * 8).astype(int) % 2
    low, high = (np.sin(2 * np.pi * hertz * time) for hertz in (300, 2100))
    return 0.1 * np.stack([gate * low, (1 - gate) * high]).astype(np.float32)


@pytest.mark.parametrize("apart", [1, 4, 40])
def test_nearest_neighbours_leave_out_the_node_and_those_beside_it(apart, monkeypatch):
    monkeypatch.setattr(frames, "CHUNK", 7)
    z, labels = drawn(60)
    place = torch.arange(60) * 2 // 3
    right = []
    for i in range(60):
        others = [j for j in range(60) if abs(int(place[i] - place[j])) >= apart]
        if others:
            best = max(others, key=lambda j: float(z[i] @ z[j]))
            right.append(labels[best] == labels[i])
    expected = np.mean(right) if right else np.nan
    assert frames.nearest(z, labels, place, apart) == pytest.approx(expected, nan_ok=True)


def test_the_linear_probe_finds_what_is_linear_and_nothing_else():
    rng = np.random.default_rng(0)
    z, places = rng.standard_normal((300, 5)), np.arange(300)
    labels = (z @ rng.standard_normal((5, 3))).argmax(1)
    assert frames.linear_probe(z, labels, places, 5) > 0.9
    # what is predicted was not learned from
    assert frames.linear_probe(z, rng.integers(2, size=300), places, 5) == pytest.approx(0.5, abs=0.1)
    assert frames.linear_probe(z, np.zeros(300, int), places, 5) == 1.0
    # a fold of a label that the others lack is wrong throughout
    assert frames.linear_probe(z[:10], np.arange(10) // 5, places[:10], 2) == 0.0


def test_logistic_regression_is_that_of_another_library():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(1)
    z = rng.standard_normal((200, 4))
    labels = (z @ rng.standard_normal((4, 3)) + rng.standard_normal((200, 3))).argmax(1)
    scaled = (z - z.mean(0)) / z.std(0)
    model = linear_model.LogisticRegression(C=1 / (frames.RIDGE * 200), max_iter=1000).fit(scaled, labels)
    others = rng.standard_normal((500, 4))
    expected = model.predict((others - z.mean(0)) / z.std(0))
    assert np.mean(frames._predicted(z, labels, others) == expected) > 0.99


def test_accuracy_is_that_of_the_best_permutation():
    found, truth = drawn(50)[1], drawn(50, seed=1)[1]
    pairs = list(zip(found.tolist(), truth.tolist()))
    best = max(sum(order[a] == b for a, b in pairs) for order in itertools.permutations(range(3)))
    assert frames.accuracy(found, truth) == pytest.approx(best / 50)
    assert frames.accuracy(2 - truth, truth) == 1.0
    # one community for all has its largest speaker
    whole, largest = torch.zeros(50, dtype=torch.int64), truth.bincount().max().item()
    assert frames.accuracy(whole, truth) == pytest.approx(largest / 50)


def test_perfect_embeddings_reach_the_bound_of_the_masks():
    sources, model = tones(), model_of()
    analyse = model.analyse

    def learned(mixture):
        nodes, seen = analyse(mixture)
        nodes.z.copy_(torch.eye(6)[model.granularity.targets(torch.from_numpy(sources)[None])])
        return nodes, seen

    model.analyse = learned
    args = frames.parse(["--model", "m", "--dump", "d"])
    with torch.no_grad():
        values = frames.measures(model, sources.sum(0), sources, 0, args, frames.Clustering(args))
    # neighbours and blocks of time are not the same at the turns, so these are exact too
    assert values["nearest neighbour, %"] == values["linear probe, %"] == 100
    for name in ("k-means", "kernel", "{name: threshold, tau: 0.5}", "{name: threshold, tau: 0.0, centre: true}"):
        assert values[f"{name}, %"] == pytest.approx(100)
        assert values[f"{name}, dB"] == pytest.approx(values["true dominance, dB"])
    assert values["true dominance, dB"] > 5 and 45 < values["largest speaker, %"] < 60


def test_a_file_gives_a_table_and_what_is_read_is_chosen(tmp_path, monkeypatch, capsys):
    model = model_of(projection=3)
    save_model(tmp_path / "model.pth", model.state_dict(), FEATURES, model.options, {})
    sources = tones()

    class Dump:
        keys, speakers = ["a", "b"], {"a": ("x", "y"), "b": ("x", "z")}

        def __init__(self, folder):
            pass

        def mixture(self, key):
            return sources.sum(0)

        def sources(self, key):
            return sources

    monkeypatch.setattr("contrasep_lib.io.dumpset.DumpSet", Dump)
    path = str(tmp_path / "model.pth")
    arguments = ["--model", path, "--dump", "one", "two", "--graphs", "kernel", "--json", str(tmp_path / "out.json")]
    frames.run(frames.parse(arguments))
    rows = json.loads((tmp_path / "out.json").read_text())
    assert [(row["set"], row["mixtures"]) for row in rows] == [("one", 2), ("two", 2), ("all", 4)]
    assert "| linear probe, % |" in capsys.readouterr().out
    assert frames.model_at(Path(path), True, False).embed(torch.randn(1, 900)).z.shape[-1] == 3
    plain = model_of()
    save_model(tmp_path / "plain.pth", plain.state_dict(), FEATURES, plain.options, {})
    with pytest.raises(frames.ContrasepError, match="--projection: expected a model with a projection head"):
        frames.model_at(tmp_path / "plain.pth", True, False)


class Turns:
    """Three mixtures of sources that take turns."""

    keys = ["a", "b", "c"]
    speakers = {"a": ("x", "y"), "b": ("x", "z"), "c": ("y", "z")}

    def __init__(self, folder):
        pass

    def sources(self, key):
        return tones() * np.array([[1.0], [{"a": 0.5, "b": 1.0, "c": 2.0}[key]]], np.float32)

    def mixture(self, key):
        return self.sources(key).sum(0)


@pytest.mark.parametrize("context", [0, 1, 5, 100])
def test_averages_leave_silent_frames_out(context):
    z, _ = drawn(40)
    valid = torch.arange(40) % 3 > 0
    z[0] = torch.nan
    found = frame_choices.averaged(z, valid, context)
    for place in range(1, 40):
        near = [other for other in range(40) if abs(other - place) <= context and (valid[other] or not context)]
        mean = z[near].sum(0)
        assert torch.allclose(found[place], mean / mean.norm(), atol=1e-5), place


def test_rows_are_compared_with_the_first_by_pairs(tmp_path, monkeypatch, capsys):
    model = model_of()
    analyse = type(model).analyse

    def learned(self, mixture):
        """Embeddings that know the speaker of three frames of four."""
        nodes, seen = analyse(self, mixture)
        [key] = [key for key in Turns.keys if np.allclose(Turns("").mixture(key), mixture[0])]
        truth = self.granularity.targets(torch.from_numpy(Turns("").sources(key))[None])
        wrong = torch.arange(truth.shape[1]) % 4 == 0
        nodes.z.copy_(torch.eye(6)[torch.where(wrong, 1 - truth, truth)])
        return nodes, seen

    monkeypatch.setattr(type(model), "analyse", learned)
    monkeypatch.setattr("contrasep_lib.io.dumpset.DumpSet", Turns)
    path = tmp_path / "model.pth"
    save_model(path, model.state_dict(), FEATURES, model.options, {})
    rows = ["plain={}", "same={weight: uniform}", "unsure={mask: posterior, temperature: 1.0}", "loud={silence_db: 3}"]
    words = ["--model", str(path), "--dump", "one", "--rows", *rows, "--json", str(tmp_path / "out.json")]
    frame_choices.run(frame_choices.parse(words))
    tree = json.loads((tmp_path / "out.json").read_text())["rows"]
    values = {name: np.array([line[1:] for line in row["values"]]) for name, row in tree.items()}
    assert values["plain"][:, 0] == pytest.approx(75, abs=2)
    assert (values["same"] == values["plain"]).all()
    # the partition is the same, the masks are not
    assert (np.abs(values["unsure"][:, 2] - values["plain"][:, 2]) > 0.1).all()
    assert (values["unsure"][:, :2] == values["plain"][:, :2]).all()
    # a source far under the other's level is silent
    assert values["loud"][0, 0] != values["plain"][0, 0]
    change = values["unsure"][:, 2] - values["plain"][:, 2]
    [(low, high)] = speaker_interval(change, list(Turns.speakers.values()))
    assert f"| {change.mean():+.2f} [{low:+.2f}, {high:+.2f}] |" in capsys.readouterr().out


@pytest.mark.parametrize("row", ["plain", "x={graphs: kernel}", "x=[1]", "x={"])
def test_rows_that_cannot_be_read_are_one_line(row):
    with pytest.raises(frame_choices.ContrasepError, match="--rows: expected NAME={KEY: VALUE, ..} with keys among"):
        frame_choices.Row(row)
