"""Parts from outside the package through run.sh: the examples of CONTRIBUTING.md in local/, and an entry point."""

import json
import os
import re
import subprocess
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
import torch

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CODE = re.compile(r"```python\n# (\w+)\.py\n(.+?)^```", re.MULTILINE | re.DOTALL)
MODULES = dict(CODE.findall(PAGE))
# tiny mixtures of the speakers of `corpus`
TOY = """base: {root}/conf/toy.yaml
mix: {{sets: {{tr: 4, cv: 2, tt: 4}}}}
pretrain: {{segment_seconds: 0.5, batches_per_epoch: 2}}
finetune: {{segment_seconds: 0.5, batches_per_epoch: 2, epochs: 1, probe: 0}}
score: {{plots: 0}}
"""
PARTS = {
    "model.backbone": "{name: linear, width: 8}", "model.objectives": "{deep_clustering: 1.0, spread: 0.1}",
    "modularity.solver": "slices", "modularity.counting": "{name: fixed, number: 3}",
    "pretrain.best": "spread", "finetune.best": "spread",
    "score.metrics": "[si_snr, correlation]", "corpus.folders.test_every": "3",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder of wav files for each of six speakers."""
    folder, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0)
    for number in range(6):
        (folder / f"s{number}").mkdir()
        for take in range(4):
            time = np.arange(6400 + 400 * take) / 8000
            tone = sum(np.sin(2 * np.pi * (90 + 31 * number) * k * time) / k for k in range(1, 12))
            speech = 0.1 * tone * (np.sin(2 * np.pi * (1.5 + 0.4 * number) * time + take) > -0.4)
            path = folder / f"s{number}" / f"{take}.wav"
            soundfile.write(path, speech + 0.001 * rng.standard_normal(len(time)), 8000, subtype="PCM_16")
    return folder


def recipe_of(folder):
    """``folder/folders_2mix``: a recipe beside the toolkit whose corpus is the example's."""
    recipe = folder / "folders_2mix"
    recipe.mkdir()
    for name in ("run.sh", "path.sh", "cmd.sh"):
        text = (ROOT / "egs/mini_2mix" / name).read_text().replace("synthetic speech (eSpeak NG)", "tones")
        (recipe / name).write_text(text.replace("$here/../..", str(ROOT)).replace("../..", str(ROOT)))
        (recipe / name).chmod(0o755)
    (recipe / "conf").mkdir()
    (recipe / "conf/toy.yaml").write_text(TOY.format(root=ROOT))
    (recipe / "local").mkdir()
    script = recipe / "local/prepare_sources.sh"
    script.write_text('#!/usr/bin/env bash\nset -euo pipefail\nexec contrasep prepare-corpus folders "$@"\n')
    script.chmod(0o755)
    return recipe


def run(recipe, *options, **environment):
    command = [str(recipe / "run.sh"), "--config", "conf/toy.yaml", "--nj", "1", *map(str, options)]
    return subprocess.run(
        command, cwd="/", env={**os.environ, **environment}, capture_output=True, text=True, timeout=900
    )


@pytest.fixture(scope="module")
def toy(tmp_path_factory, corpus):
    """Stages 0 to 6 by parts of the recipe's local/ alone: (recipe, options)."""
    recipe = recipe_of(tmp_path_factory.mktemp("recipe"))
    for module, code in MODULES.items():
        (recipe / "local" / f"{module}.py").write_text(code)
    options = ["--corpus", corpus, "--set", f"plugins=[{', '.join(MODULES)}]"]
    options += [word for key, value in PARTS.items() for word in ("--set", f"{key}={value}")]
    done = run(recipe, *options, "--tag", "toy")
    assert done.returncode == 0, done.stdout + done.stderr
    return recipe, options


def table(path):
    """Rows of a tab-separated table by their header."""
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    return [dict(zip(header, row)) for row in rows]


def test_a_corpus_a_backbone_and_an_objective(toy):
    recipe, _ = toy
    spk2utt = (recipe / "dump/tt_2mix/spk2utt").read_text()
    # every third speaker is for tests
    assert {word for line in spk2utt.splitlines() for word in line.split()[0].split("_")} == {"s0", "s3"}
    for phase in ("pretrain", "finetune"):
        content = torch.load(recipe / f"exp/toy/{phase}/model.pth", weights_only=True)
        assert content["model"]["backbone"] == {"name": "linear", "width": 8}
        assert content["state"]["backbone.first.weight"].shape == (8, 129)
        assert re.search(r", spread 0\.\d+ in validation", (recipe / f"exp/toy/{phase}/log/train.log").read_text())


def test_a_solver_and_a_counter(toy):
    folder = toy[0] / "exp/toy/separate_tt_2mix"
    rows = table(folder / "evidence.tsv")
    assert len(rows) == 4 and {row["num_spk_est"] for row in rows} == {"3"}
    assert all(row["words"].startswith("a fixed number; ") for row in rows)
    for line in (folder / "assign.scp").read_text().splitlines():
        # paths of a recipe are relative to it
        labels = kaldiio.load_mat(str(toy[0] / line.split()[1]))
        sizes = np.bincount(labels.astype(int).ravel(), minlength=4)[1:]
        assert sizes.min() > 0 and np.ptp(sizes) <= 1


def test_a_metric(toy):
    recipe, _ = toy
    scores = table(recipe / "exp/toy/score_tt_2mix/scores.tsv")
    mean = np.mean([float(row["correlation"]) for row in scores])
    results = json.loads((recipe / "exp/toy/results.json").read_text())
    assert results["sets"]["tt_2mix"]["correlation"] == pytest.approx(mean, abs=1e-3) and 0 < mean < 1
    for page in ("exp/toy/RESULTS.md", "exp/RESULTS.md"):
        assert "| correlation |" in (recipe / page).read_text()


def test_an_oracle_and_the_rest_is_done(toy):
    recipe, options = toy
    oracles = ["--separator", "oracle_power", "--set", "score.oracles=[ibm, power]", "--tag", "power"]
    done = run(recipe, *options, *oracles)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("is done") == 2 + 5 + 5
    means = json.loads((recipe / "exp/power/results.json").read_text())["sets"]["tt_2mix"]
    # through files of 16 bits it is what stage 6 computes in memory
    assert means["si_snri"] == pytest.approx(means["oracle"]["power"], abs=0.02) and means["si_snri"] > 3
    assert "oracle, power mask, win 256, hop 128" in (recipe / "exp/RESULTS.md").read_text()


def test_parts_of_an_installed_package(toy, tmp_path):
    """Named by an entry point: neither the recipe nor its configuration knows the module."""
    site = tmp_path / "site"
    for name, text in {
        "toy_parts/__init__.py": "from toy_parts import masks, numbers\n",
        "toy_parts/masks.py": MODULES["my_power"],
        "toy_parts/numbers.py": MODULES["my_correlation"],
        "toy_parts-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: toy-parts\nVersion: 1.0\n",
        "toy_parts-1.0.dist-info/entry_points.txt": "[contrasep.plugins]\ntoy = toy_parts\n",
    }.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    recipe = recipe_of(tmp_path)
    options = ["--stage", 5, "--dumpdir", toy[0] / "dump", "--separator", "oracle_power", "--tag", "power"]
    options += ["--set", "score.metrics=[correlation]"]
    done = run(recipe, *options, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stdout + done.stderr
    means = json.loads((recipe / "exp/power/results.json").read_text())["sets"]["tt_2mix"]
    assert 0.5 < means["correlation"] < 1 and means["num_spk"] == 2
    done = run(recipe, *options)
    assert done.returncode != 0 and "unknown oracle 'power'" in done.stderr and "Traceback" not in done.stderr


def test_a_model_of_a_part_that_is_not_there(toy, tmp_path, contrasep):
    recipe, _ = toy
    recording = next((recipe / "mixtures/2mix/wav8k/min/tt/mix").glob("*.wav"))
    model = ["--model", recipe / "exp/toy", "--config", recipe / "conf/toy.yaml"]
    done = contrasep("separate", recording, "--out", "out", *model)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "finetune/model.pth: " in done.stderr and "unknown backbone 'linear'" in done.stderr
    assert "plugins=[" in done.stderr and "my_linear" in done.stderr
