"""A metric and an oracle from outside the package, from separation to the page."""

import json
import sys

import pytest

PLUGIN = '''
import dataclasses

import numpy as np
import torch

from contrasep_lib.config import choice
from contrasep_lib.oracles.base import Oracle, OracleOptions
from contrasep_lib.score.metrics.base import Column, Metric


@choice("oracle", "toy_equal", target="Equal")
@dataclasses.dataclass(frozen=True)
class EqualOptions(OracleOptions):
    "Equal shares."
    title = "oracle, equal shares"


class Equal(Oracle):
    def assign(self, scene, nodes):
        return torch.full((*nodes.power.shape, scene.num_spk), 1 / scene.num_spk, dtype=torch.double)


@choice("metric", "toy_outputs", target="Outputs")
@dataclasses.dataclass(frozen=True)
class OutputsOptions:
    "Number of outputs times a factor."
    factor: float = 1.0


class Outputs(Metric):
    columns = (Column("toy_outputs", title="toy score"),)

    def score(self, mixture):
        return {"toy_outputs": self.options.factor * len(mixture.outputs)}
'''


@pytest.fixture
def settings(config, tmp_path, monkeypatch, plugins):
    """Options of the commands for a recipe whose ``local/`` holds the plugin."""
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "toy_scores.py").write_text(PLUGIN)
    monkeypatch.setattr(sys, "path", list(sys.path))
    config.write_text(
        config.read_text()
        + (
            "plugins: [toy_scores]\nseparate: {separator: oracle_toy_equal}\n"
            "score: {metrics: {si_snr: {}, toy_outputs: {factor: 1.5}}, oracles: [ibm, toy_equal], plots: 0}\n"
        )
    )
    return ["--config", config]


def test_a_metric_and_an_oracle_from_outside_reach_the_page(mixed, settings, contrasep, tmp_path):
    dump, exp = mixed[3], tmp_path / "exp" / "toy"
    out, score = exp / f"separate_{dump.name}", exp / f"score_{dump.name}"
    contrasep("separate-set", *settings, "--dump", dump, "--out", out, check=True)
    contrasep("separate-set", *settings, "--dump", dump, "--out", out, "--merge", 1, check=True)
    contrasep("score", *settings, "--dump", dump, "--separated", out, "--out", score, check=True)
    contrasep(
        "report",
        *settings,
        "--exp",
        exp,
        "--recipe",
        "toy_2mix",
        "--sets",
        dump,
        "--label",
        "noise",
        "--command",
        "c",
        check=True,
    )
    means = json.loads((exp / "results.json").read_text())["sets"][dump.name]
    assert means["toy_outputs"] == 3.0 and means["toy_outputs_ci95"] == [3.0, 3.0]
    assert set(means["oracle"]) == {"ibm", "toy_equal"} and means["oracle"]["toy_equal"] == pytest.approx(0, abs=0.01)
    assert "sdri" not in means and means["si_snri"] == pytest.approx(0, abs=0.01)
    for page in (exp / "RESULTS.md", tmp_path / "exp" / "RESULTS.md"):
        if page.parent != exp:
            contrasep("report", "--recipe-dir", tmp_path, check=True)
        text = page.read_text()
        assert "| SI-SNRi | toy score |" in text and "3.00 [3.00, 3.00]" in text
        assert "oracle, equal shares, win 256, hop 64" in text and "(IRM)" not in text
