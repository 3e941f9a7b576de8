"""The bench of noise and rooms: what is given, what is counted, who takes part."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools/bench")]
import degradation  # noqa: E402

from contrasep_lib.errors import ContrasepError  # noqa: E402

rng = np.random.default_rng(0)
SOURCES = rng.standard_normal((2, 8000))
MIXTURE = SOURCES.sum(0)


@pytest.mark.parametrize("heard, counts, right", [(2, True, 1.0), (3, True, 0.0), (3, False, math.nan)])
def test_improvement_is_that_of_the_true_number(heard, counts, right):
    asked = []

    def separate(key, mixture, number):
        asked.append(number)
        noise = rng.standard_normal((number or heard, 8000))
        return 0.1 * noise + np.concatenate([SOURCES, SOURCES])[: number or heard]

    gained, reached, found = degradation.measure(separate, "a", MIXTURE, SOURCES, counts)
    # a hundredth of the power
    assert reached == pytest.approx(20.0, abs=0.5) and gained == pytest.approx(20.0, abs=0.7)
    assert found == pytest.approx(right, nan_ok=True)
    assert asked == ([None] if right == 1 else [None, 2] if counts else [2])


def test_a_mixture_keeps_its_talkers_and_meets_each_ratio():
    points = list(degradation.noisy_points("a", 0.1 * SOURCES, "white", 8000))
    clean = points[0][3]
    for axis, value, mixture, sources in points[:6]:
        assert axis == "snr"
        rest = mixture - sources.sum(0)
        # of one scale: none is clipped
        scale = np.vdot(sources, clean) / np.vdot(clean, clean)
        assert np.abs(sources - scale * clean).max() < 1e-3
        if math.isfinite(value):
            ratio = 10 * math.log10(np.square(sources).sum() / np.square(rest).sum())
            assert ratio == pytest.approx(value, abs=0.5)
        else:
            assert np.abs(rest).max() < 1e-3


class Dump:
    """A set of three mixtures."""

    num_spk, keys = 2, ["k1", "k2", "k3"]
    speakers = {"k1": ("a", "b"), "k2": ("b", "c"), "k3": ("a", "c")}

    def __init__(self, folder):
        self.folder = folder

    def require_rate(self, rate):
        pass

    def sources(self, key):
        return SOURCES


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """The command on exp/TAG of a peer: options -> the mixtures that it measured, and the rows."""
    (tmp_path / "peer").mkdir()
    (tmp_path / "peer/model.pth").write_bytes(b"one")
    measured = []

    def measure(separate, key, mixture, sources, counts):
        measured.append(key)
        return 1.0, 2.0, 1.0 if counts else math.nan

    monkeypatch.setattr("contrasep_lib.io.dumpset.DumpSet", Dump)
    monkeypatch.setattr(degradation, "loaded", lambda model, config: (None, 8000, True))
    monkeypatch.setattr(degradation, "noisy_points", lambda *_: iter([("snr", math.inf, MIXTURE, SOURCES)]))
    monkeypatch.setattr(degradation, "measure", measure)

    def call(*options):
        measured.clear()
        tsv = tmp_path / "new/folder/noise.tsv"
        words = ["--set", "dev_2mix", "--model", str(tmp_path / "peer"), "--noise", "white", "--tsv", str(tsv)]
        degradation.main([*words, *options])
        head, *rows = [line.split("\t") for line in tsv.read_text().splitlines()]
        return sorted(measured), [dict(zip(head, row)) for row in rows]

    return call


def test_a_run_goes_on_only_behind_mixtures_of_the_same_kind(bench, tmp_path):
    whole = bench("--given")
    assert whole[0] == Dump.keys and whole[1][0]["count_accuracy"] == "nan" and whole[1][0]["mixtures"] == "3"
    assert bench("--given") == ([], whole[1])
    # what was given was not counted
    mixtures, rows = bench()
    assert mixtures == Dump.keys and rows[0]["count_accuracy"] == "1"
    assert bench("--config", "other.yaml")[0] == bench("--noise", "pink")[0] == Dump.keys
    (tmp_path / "peer/model.pth").write_bytes(b"two")
    assert bench()[0] == Dump.keys and bench()[0] == []


@pytest.mark.parametrize("left", [1, 30])
def test_an_unfinished_line_is_measured_again(bench, tmp_path, left):
    whole = bench()
    path = tmp_path / "new/folder/noise.each.jsonl"
    path.write_text(path.read_text()[:-left])
    found = bench()
    assert len(found[0]) == 1 and found[1] == whole[1]
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 3 and bench()[0] == []


def test_errors_are_one_line(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(Dump, "num_spk", 1)
    with pytest.raises(SystemExit, match="^degradation.py: dev_2mix: expected a dumped set of mixtures"):
        bench()
    monkeypatch.setattr(Dump, "num_spk", 2)
    for foreign in ("nothing\n", "[1]\n", "7\n"):
        (tmp_path / "new/folder/noise.each.jsonl").write_text(foreign)
        with pytest.raises(SystemExit, match="noise.each.jsonl: not lines of this program"):
            bench()


def test_what_tells_a_model_of_ours_from_others(tmp_path):
    for name in ("finetune", "modularity"):
        (tmp_path / name).mkdir()
    paths = [tmp_path / name for name in ("finetune/model.pth", "config.yaml", "modularity/null.json", "given.yaml")]
    for path in paths:
        path.write_text("one")
    found = [degradation.digest_of(str(tmp_path), config) for config in (None, str(paths[3]))]
    for path in paths[:3]:
        path.write_text(f"other {path.name}")
        found.append(degradation.digest_of(str(tmp_path), None))
    assert len(set(found)) == 4 and found[0] == found[1]
    with pytest.raises(ContrasepError):
        degradation.digest_of("no such model", None)
