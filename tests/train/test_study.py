"""Tools that train in the background: the study's configurations, runner and comparison, the long training."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from contrasep_lib.config import load_config
from contrasep_lib.errors import ContrasepError

ROOT = Path(__file__).resolve().parents[2]
STUDY = sorted((ROOT / "conf/study").glob("*.yaml"))
SHORT = {"finetune": {
    "segment_seconds": 0.3, "batch_size": 2, "batches_per_epoch": 2, "valid_batches": 1, "probe": 2, "epochs": 2,
}}


@pytest.fixture(scope="module")
def tools():
    """Modules ``study``, ``long_training`` and ``training_tools``."""
    sys.path.insert(0, str(ROOT / "tools"))
    import long_training
    import study
    import training_tools

    yield study, long_training, training_tools
    sys.path.remove(str(ROOT / "tools"))


def test_the_study_has_a_baseline_that_is_the_long_training():
    assert "baseline" in {path.stem for path in STUDY} and len(STUDY) == 5
    assert load_config(ROOT / "conf/study/baseline.yaml") == load_config(ROOT / "conf/long.yaml")
    models = {path.stem: load_config(path) for path in STUDY}
    assert all(config["finetune"] == models["baseline"]["finetune"] for config in models.values())
    assert len({(config["features"], str(config["model"])) for config in models.values()}) == len(STUDY)


@pytest.mark.parametrize("path", STUDY, ids=lambda path: path.stem)
def test_each_configuration_learns(path, two_corpora, tools):
    from contrasep_lib.models.checkpoint import load_model
    from contrasep_lib.train import task

    short = {**SHORT["finetune"], "batches_per_epoch": 1, "epochs": 1, "probe": 0}
    config = load_config(path, [f"finetune.{key}={value}" for key, value in short.items()])
    sets, corpora = {"tr": [], "cv": []}, {}
    for corpus, name in tools[2].CORPORA.items():
        for part, dumps in sets.items():
            dumps.append(two_corpora / "data/dump" / name / f"{part}_single")
            corpora[str(dumps[-1])] = corpus
    out = two_corpora / "out"
    model = task.train(task.build_arguments(config, "finetune", sets["tr"], sets["cv"], out, corpora=corpora))
    assert load_model(model).decoder is not None


@pytest.mark.slow
def test_variants_are_trained_compared_and_done_once(two_corpora, tools, capsys, monkeypatch):
    folder, (study, long_training, training_tools) = two_corpora, tools
    # beside other tests the least urgent of all would never end
    monkeypatch.setattr(training_tools, "NICENESS", 0)
    (folder / "study").mkdir()
    (folder / "study/code").symlink_to(ROOT)
    configs = folder / "conf"
    configs.mkdir()
    small = {"backbone": {"layers": 1, "width": 8}, "decoder": {"layers": 1, "width": 8}}
    shared = {"name": "iterated", "layers": 1, "width": 8, "band": 8, "passes": 2}
    for name, model in (("baseline", small), ("other", {**small, "backbone": shared})):
        tree = {"base": str(ROOT / "conf/long.yaml"), "model": model, **SHORT}
        (configs / f"{name}.yaml").write_text(yaml.safe_dump(tree))
    core = min(os.sched_getaffinity(0))
    args = ["--configs", str(configs), "--core", str(core), "--minutes", "0.0001"]
    options = study.parse([str(folder), *args])
    options.folder = folder
    study.train(options)
    assert capsys.readouterr().out.splitlines() == ["baseline: 0.0001 minutes", "other: 0.0001 minutes"]
    study.train(options)
    assert capsys.readouterr().out.splitlines() == ["baseline: done", "other: done"]
    log = (folder / "study/other/train.log").read_text()
    assert "time is up" in log and "epoch 2/2" not in log

    options.limit, options.passes = 2, [3]
    study.compare(options)
    table = (folder / "study/comparison.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in table[2:5]] == ["baseline", "other", "other, 3 passes"]
    assert table[3].split("|")[4] != table[4].split("|")[4]
    cells = [cell.strip() for cell in table[3].strip("|").split("|")]
    # the two mixtures of three share a speaker: no interval
    assert cells[4][0] in "+-" and float(cells[6]) > 0
    assert len(cells) == len(study.HEADER)
    assert table[6].startswith("8 development mixtures of 2 speakers and more, the number given, and 12 for")
    assert (folder / "study/curves.png").stat().st_size > 1000
    rows = [line.split("\t") for line in (folder / "study/other/development.tsv").read_text().splitlines()]
    names = [f"{corpus}_{number}mix" for corpus in ("commonvoice", "librispeech") for number in (1, 2, 3)]
    assert [row[0] for row in rows] == ["set", *(name for name in names for _ in range(2))]

    # the long training's tool reads a training of the same form
    (folder / "exp").mkdir()
    (folder / "exp/finetune").symlink_to(folder / "study/baseline")
    (folder / "commit").write_text("0\n")
    (folder / "code").symlink_to(ROOT)
    monkeypatch.setattr(long_training, "DECAY_STEPS", 2)
    counter = folder / "counter.yaml"
    phase = {
        **SHORT["finetune"], "freeze": ["backbone", "decoder"], "epochs": 1, "best": "counted", "best_mode": "max",
        "scheduler_conf": {"max_lr": 0.001, "total_steps": 3, "pct_start": 0.5, "cycle_momentum": False},
    }
    counter.write_text(yaml.safe_dump({"finetune": phase}))
    monkeypatch.setattr(long_training, "COUNTER", str(counter))
    for action in (["status"], ["score", "--limit", "1"], ["snapshot", "--out", str(folder / "next")]):
        getattr(long_training, action[0])(long_training.parse([action[0], str(folder), *action[1:]]))
    header, row = [line.split("\t") for line in (folder / "curve.tsv").read_text().splitlines()]
    assert len(header) == len(row) and "librispeech_3mix_si_snri" in header and "librispeech_1mix_count" in header
    assert (folder / "next/model.pth").is_file() and (folder / "next/curve.tsv").is_file()

    # phases of a release: all weights change, then those of the counter alone
    from contrasep_lib.models.checkpoint import read_model

    words = ["finish", str(folder), "--config", str(configs / "baseline.yaml"), "--core", str(core)]
    finish = long_training.parse(words)
    for _ in range(2):
        long_training.finish(finish)
        files = [folder / "finish" / name / "model.pth" for name in ("begun", "decay", "count")]
        begun, decay, count = map(read_model, files)
        pairs = ((begun["state"], decay["state"]), (decay["state"], count["state"]))
        changed = [{name for name in two if not two[name].equal(one[name].float())} for one, two in pairs]
        assert changed[0] > changed[1] > set() and all(name.startswith("counter.") for name in changed[1])
        assert len(count["training"]["spent"]) == 3
        # done once
        monkeypatch.setattr(long_training, "training", None)


def test_differences_are_paired(tools):
    study, _, training_tools = tools
    scores = [
        training_tools.Score("a_2mix", (f"s{n % 5}", f"t{n % 3}"), 2.0, n % 2 == 0, 10.0 * n, 0.5) for n in range(12)
    ]
    better = [dataclasses.replace(score, si_snri=score.si_snri + 0.5) for score in scores]
    states = {
        "seconds": 600.0, "identity": {"train": {"batch_size": 3, "segment_seconds": 4.0}},
        "reporter": {"epoch": 2, "stats": {2: {"train": {"total_count": 900}}}},
    }
    row = dict(zip(study.HEADER, study.row_of("better", states, better, scores)))
    assert row["difference, dB"] == "+0.50 [+0.50, +0.50]" and row["SI-SNRi, dB"] == "55.50"
    assert row["minutes"] == "10.0" and row["hours heard"] == "3.0"
    assert row["count accuracy, %"] == "50" and row["real-time factor"] == "0.250"


def test_the_code_is_frozen_once(tools, tmp_path):
    if subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True).returncode:
        pytest.skip("not a git checkout")
    code = tools[2].freeze(tmp_path)
    assert (code / "contrasep_lib/bin/main.py").is_file() and len((tmp_path / "commit").read_text().strip()) == 40
    (code / "mark").touch()
    assert tools[2].freeze(tmp_path) == code and (code / "mark").exists()


def test_errors_are_one_line(tools, tmp_path):
    study, _, training_tools = tools
    with pytest.raises(ContrasepError, match="expected names among baseline, .* got 'gru'"):
        study.names_in(ROOT / "conf/study", ["gru"], "baseline")
    with pytest.raises(ContrasepError, match="expected configurations, got none"):
        study.names_in(tmp_path, None, "baseline")
    with pytest.raises(ContrasepError, match="no such checkpoint"):
        training_tools.states_of(tmp_path)
    with pytest.raises(ContrasepError, match="expected development sets"):
        list(training_tools.development(None, tmp_path, 1))
