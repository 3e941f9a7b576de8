"""The toy configuration with its model through the real run.sh: whole, resumed, killed in training."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "egs/mini_2mix/run.sh"
FOLDERS = {"mixdir": "mixtures", "datadir": "data", "dumpdir": "dump", "expdir": "exp"}


def command(data, exp, *options):
    """``data`` holds what stages 0 to 2 write, ``exp`` the experiments."""
    places = [word for name, sub in FOLDERS.items() for word in (f"--{name}", str(data / sub))]
    return [str(RUN), "--config", "conf/toy.yaml", "--nj", "2", *places, "--expdir", str(exp), *map(str, options)]


def run(data, exp, *options, environment=None):
    return subprocess.run(
        command(data, exp, *options), capture_output=True, text=True, timeout=900, env=environment
    )


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Stages 0 to 6, once."""
    folder = tmp_path_factory.mktemp("toy")
    done = run(folder, folder / "exp")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done


def product(exp):
    """All that a score depends on, without the folder's name."""
    kept = {}
    for path in sorted((exp / "toy").rglob("*")):
        name = str(path.relative_to(exp))
        if path.suffix == ".wav" or path.name in (
            "null.json",
            "evidence.tsv",
            "scores.tsv",
            "results.json",
            "assign.ark",
        ):
            kept[name] = path.read_bytes()
    states = {}
    for name in ("pretrain/model.pth", "finetune/model.pth", "modularity/network.pth"):
        states[name] = torch.load(exp / "toy" / name, weights_only=True)["state"]
    return kept, states


def test_the_whole_pipeline(toy):
    folder, done = toy
    exp = folder / "exp/toy"
    results = json.loads((exp / "results.json").read_text())
    assert results["separator"] == "model" and results["granularity"] == "tf"
    assert "speaker labels in pretraining" in results["supervision"] and "sources in training" in results["supervision"]
    assert results["sets"]["tt_2mix"]["n"] == 4
    for phase in ("pretrain", "finetune"):
        assert {path.name for path in (exp / phase / "images").glob("*.png")} >= {"learning_curves.png"}
        assert list((exp / phase / "tensorboard").rglob("events.*"))
        assert (exp / phase / "log/train.log").read_text().startswith("# contrasep train ")
    # the command that `run.sh --help` and docs/howto/training.md name
    program = Path(sys.executable).parent / "tensorboard"
    found = subprocess.run([program, "--logdir", folder / "exp", "--inspect"], capture_output=True, text=True).stdout
    assert all(str(exp / phase / "tensorboard/valid") in found for phase in ("pretrain", "finetune"))
    assert re.search(r"^ +loss$", found, flags=re.MULTILINE)
    assert (exp / "finetune/images/embeddings.png").is_file()
    evidence = (exp / "separate_tt_2mix/evidence.tsv").read_text().splitlines()
    assert len(evidence) == 5 and evidence[0].startswith("utt\tnum_spk_given\tnum_spk_est")
    assert "SI-SNRi" in done.stdout and "stage 3: pretraining" in done.stdout
    page = (exp / "listen.html").read_text(encoding="utf-8")
    assert "synthetic speech (eSpeak NG)" in page.splitlines()[0] and page.count("<template") == 4
    # by the model, for each of them
    assert len(json.loads((exp / "score_tt_2mix/evidence.json").read_text())) == 4
    assert page.count("quality of the best partition;") == 4
    cost = json.loads((exp / "cost.json").read_text())
    assert [part["phase"] for part in cost["training"]] == ["pretrain", "finetune"] and cost["parameters"] > 0
    assert 0 < cost["separation"]["seconds"] < 60 * cost["separation"]["audio_seconds"]


def test_slurm_gives_the_same_results(toy, node, tmp_path):
    """One changed variable, in a folder whose name is that of the arrays' range."""
    folder = tmp_path / "JOB/JOBS"
    done = run(folder, folder / "exp", environment={**node("slurm"), "cmd_backend": "slurm"})
    assert done.returncode == 0, done.stdout + done.stderr
    results = [place / "exp/toy/results.json" for place in (toy[0], folder)]
    assert results[0].read_bytes() == results[1].read_bytes()
    files, states = product(folder / "exp")
    expected_files, expected_states = product(toy[0] / "exp")
    assert files == expected_files and states.keys() == expected_states.keys()
    logs = {str(path.relative_to(folder)): path.read_text().splitlines() for path in folder.rglob("log/*.log")}
    names = ["mixtures/2mix/log/mix", "dump/log/dump"]
    names += [f"exp/toy/{name}_tt_2mix/log/{name}" for name in ("separate", "score")]
    assert logs.keys() == {f"{name}.{number}.log" for name in names for number in (1, 2)} | {
        f"exp/toy/{phase}/log/train.log" for phase in ("pretrain", "finetune", "modularity")}
    assert [name for name, lines in logs.items() if "(Slurm " not in lines[1]] == []
    assert [name for name, lines in logs.items() if not lines[-1].startswith("# Ended (code 0)")] == []
    assert not list(folder.rglob("log/.jobs*"))


def test_a_second_run_does_nothing(toy):
    folder, _ = toy
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pth")}
    done = run(folder, folder / "exp")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is done") == 2 + 5 + 5 + 3 + 2
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.pth")}


def test_experiments_that_differ_in_separation_share_a_model(toy):
    folder, _ = toy
    done = run(folder, folder / "exp", "--stage", 3, "--set", "separate.count=given")
    assert done.returncode == 0, done.stderr
    exp = folder / "exp/toy_count=given"
    assert not (exp / "finetune").exists() and not (exp / "modularity").exists()
    scores = json.loads((exp / "results.json").read_text())["sets"]["tt_2mix"]
    assert scores["si_snri"] is not None and scores["n"] == 4
    done = run(folder, folder / "exp", "--stage", 3, "--stop-stage", 4, "--set", "modularity.train_steps=5")
    assert done.returncode == 0, done.stderr
    exp = folder / "exp/toy_train_steps=5"
    assert (exp / "modularity/network.pth").is_file() and not (exp / "finetune").exists()


def test_a_decoder_from_training_to_scores(toy):
    folder, _ = toy
    settings = {
        "model.decoder": "{name: attractor, layers: 1, width: 8}", "model.counter": "classifier",
        "model.objectives": "{deep_clustering: 1.0, whitened_deep_clustering: 1.0, si_snr: 0.1, count: 0.2}",
        "finetune.num_spk": "[1, 2, 3]", "finetune.optim": "muon", "modularity.counting": "counter",
        "modularity.counting.utterances": 2, "pretrain.epochs": 0,
    }
    options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    done = run(folder, folder / "exp", "--stage", 3, "--tag", "decoder", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((folder / "exp/decoder/results.json").read_text())
    assert results["granularity"] == "tf, attractor decoder" and "the sources themselves" in results["supervision"]
    assert results["sets"]["tt_2mix"]["n"] == 4


def test_a_model_is_taken_from_the_folder_of_an_experiment(toy):
    folder, _ = toy
    # stage 4 leaves its log beside the modularity network
    assert (folder / "exp/toy/modularity/log").is_dir()
    done = run(folder, folder / "exp", "--stage", 3, "--model-dir", folder / "exp/toy", "--tag", "borrowed")
    assert done.returncode == 0, done.stdout + done.stderr
    separated = [folder / f"exp/{tag}/separate_tt_2mix/evidence.tsv" for tag in ("toy", "borrowed")]
    assert separated[0].read_bytes() == separated[1].read_bytes()
    assert not (folder / "exp/borrowed/finetune").exists()


def test_a_model_of_another_experiment_is_kept(toy):
    folder, _ = toy
    before = (folder / "exp/toy/finetune/model.pth").read_bytes()
    done = run(folder, folder / "exp", "--stage", 3, "--model-tag", "toy", "--set", "finetune.learning_rate=0.1")
    assert done.returncode != 0 and "made with other settings" in done.stderr
    assert (folder / "exp/toy/finetune/model.pth").read_bytes() == before


@pytest.mark.parametrize("options, tag", [
    ([], "toy"),
    (["--set", "separate.count=given"], "toy_count=given"),
    (["--separator", "oracle_ibm"], "toy_oracle_ibm"),
    (["--tag", "mine"], "mine"),
    (["--num-spk", 3], "toy_3mix"),
])
def test_names_of_experiments(tmp_path, options, tag):
    done = run(tmp_path, tmp_path / "exp", *options, "--print-tag")
    assert done.returncode == 0 and done.stdout == f"{tag}\n"
    assert not list(tmp_path.iterdir())


def test_time_is_shared_between_phases(toy, tmp_path):
    folder, _ = toy
    # too little for more than one step of each phase
    done = run(folder, folder / "exp", "--budget-minutes", "0.001", "--set", "finetune.epochs=50")
    assert done.returncode == 0, done.stdout + done.stderr
    exp = folder / "exp/toy_epochs=50_0.001min"
    for phase, minutes in (("pretrain", 0.00025), ("finetune", 0.0005)):
        log = (exp / phase / "log/train.log").read_text()
        assert f"{phase}.budget_minutes={minutes:g}" in log.splitlines()[0]
    assert "time is up" in log
    assert json.loads((exp / "results.json").read_text())["sets"]["tt_2mix"]["n"] == 4
    for wrong in ("0", "0.0", "-1", "ten", "1e3"):
        done = run(tmp_path, tmp_path / "exp", "--budget-minutes", wrong)
        assert done.returncode == 2 and "--budget-minutes: expected a positive number" in done.stderr


def test_wrong_initial_weights(tmp_path):
    done = run(tmp_path, tmp_path / "exp", "--init-param", "no/model.pth")
    assert done.returncode != 0 and "--init-param no/model.pth: no such file" in done.stderr


@pytest.mark.slow
def test_kills_in_stages_3_to_5_leave_no_trace(toy, tmp_path):
    folder, _ = toy
    exp = tmp_path / "exp"
    chance, killed = random.Random(1), 0
    for _ in range(5):
        process = subprocess.Popen(
            command(folder, exp, "--stage", 3, "--stop-stage", 6),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        try:
            process.wait(chance.uniform(6.0, 22.0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
        time.sleep(0.05)
    assert killed >= 1
    done = run(folder, exp, "--stage", 3)
    assert done.returncode == 0, done.stdout + done.stderr
    files, states = product(exp)
    expected_files, expected_states = product(folder / "exp")
    assert files == expected_files
    for name, state in expected_states.items():
        assert state.keys() == states[name].keys()
        assert all(torch.equal(value, states[name][key]) for key, value in state.items()), name


def test_a_damaged_model_is_one_line(toy, tmp_path):
    folder, _ = toy
    exp = tmp_path / "exp"
    shutil.copytree(folder / "exp", exp)
    for path in exp.glob("toy/separate*"):
        shutil.rmtree(path)
    model = exp / "toy/finetune/model.pth"
    model.write_bytes(model.read_bytes()[:1000])
    done = run(folder, exp, "--stage", 5)
    assert done.returncode != 0 and "Traceback" not in done.stderr and "model.pth" in done.stderr
