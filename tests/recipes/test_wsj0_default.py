"""The recipes of WSJ0 by their default configuration, stages 0 to 6, on a rehearsal tree, made small by settings."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from contrasep_lib.models.checkpoint import read_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"mixdir": "mixtures", "datadir": "data", "dumpdir": "dump", "expdir": "exp"}
RECIPES = {"wsj0_2mix": 2, "wsj0_3mix": 3}
SMALL = {
    "mix.sets": "{tr: 12, cv: 4, tt: 3}",
    "model.backbone.layers": 1,
    "model.backbone.width": 16,
    "model.decoder.layers": 1,
    "model.decoder.width": 16,
    **{f"{phase}.{key}": value for phase in ("pretrain", "finetune") for key, value in {
        "epochs": 1, "segment_seconds": 0.5, "batches_per_epoch": 2, "valid_batches": 1, "num_workers": 0,
    }.items()},
    "finetune.probe": 0,
    "modularity.solver.train_pool": 2,
    "modularity.solver.train_steps": 2,
    "modularity.counting.utterances": 2,
    "score.plots": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A rehearsal of 60, 15 and 9 mixtures of two and of three speakers."""
    folder = tmp_path_factory.mktemp("tree") / "wsj0"
    words = [sys.executable, ROOT / "tools/rehearse_wsj0.py", "--out", folder, "--scale", "0.003", "--nj", "2"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def run(recipe, folder, *options, settings=SMALL):
    places = [word for name, sub in FOLDERS.items() for word in (f"--{name}", str(folder / sub))]
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    words = [str(ROOT / f"egs/{recipe}/run.sh"), "--nj", "1", *places, *sets, *map(str, options)]
    return subprocess.run(words, cwd="/", capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module", params=RECIPES)
def done(request, tree, tmp_path_factory):
    """Name of the recipe, the folder of its run, and the run."""
    folder = tmp_path_factory.mktemp(request.param)
    given = ("--wsj0", tree, "--mix-lists", tree / "lists")
    made = run(request.param, folder, *given, "--refuse-unread", "--tag", "default")
    assert made.returncode == 0, made.stdout + made.stderr
    return request.param, folder, made


def test_both_phases_learn_what_the_default_says(done):
    recipe, folder, _ = done
    count = RECIPES[recipe]
    pretrain, finetune = (read_model(folder / f"exp/default/{phase}/model.pth") for phase in ("pretrain", "finetune"))
    assert pretrain["training"]["train"]["data"] == "single"
    assert pretrain["training"]["train_sets"] == ["tr_single"] == finetune["training"]["train_sets"]
    assert finetune["training"]["init_param"] == "default/pretrain/model.pth"
    # one speaker, the recipe's count, and one more
    assert finetune["training"]["train"]["num_spk"] == sorted([*range(1, count + 2), count])
    log = (folder / "exp/default/pretrain/train.log").read_text()
    assert "nt_xent=" in log and "deep_clustering=" not in log and "counted=" not in log
    log = (folder / "exp/default/finetune/train.log").read_text()
    assert all(f"{name}=" in log for name in ("deep_clustering", "whitened_deep_clustering", "si_snr", "counted"))
    assert "nt_xent=" not in log


def test_the_table_has_an_estimated_count_and_oracle_rows(done):
    recipe, folder, made = done
    results = json.loads((folder / "exp/default/results.json").read_text())
    scores = results["sets"][f"tt_{RECIPES[recipe]}mix"]
    assert scores["n"] == 3 and scores["si_snri_count_estimated"] is not None and scores["count_accuracy"] is not None
    assert scores["oracle"].keys() == {"frame", "ibm", "irm", "psm"}
    assert results["granularity"] == "tf, attractor decoder"
    assert "speaker labels in pretraining" in results["supervision"]
    assert results["options"]["modularity"]["counting"]["name"] == "classifier"
    assert "oracle, binary mask per T-F unit (IBM)" in made.stdout


@pytest.mark.parametrize("done", ["wsj0_2mix"], indirect=True)
def test_oracles_are_one_configuration_away(done):
    recipe, folder, _ = done
    options = ("--config", "conf/oracle.yaml", "--stage", 5, "--set", "score.plots=0", "--tag", "oracle_ibm")
    made = run(recipe, folder, *options, settings={})
    assert made.returncode == 0, made.stderr
    results = json.loads((folder / "exp/oracle_ibm/results.json").read_text())
    assert results["separator"] == "oracle_ibm"


def test_one_setting_leaves_pretraining_out_and_gives_its_time_to_finetuning(done):
    recipe, folder, _ = done
    words = [sys.executable, "-m", "contrasep_lib.bin.main", "resolve", "--config", "conf/default.yaml"]
    words += ["--recipe", str(ROOT / "egs" / recipe), "--budget-minutes", "8"]
    plain, without = (
        subprocess.run([*words, *more], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for more in ([], ["--set", "pretrain.epochs=0"])
    )
    assert "pretrains=true" in plain and "pretrain.budget_minutes=2 " in plain and "finetune.budget_minutes=4)" in plain
    assert "pretrains=false" in without and "finetune.budget_minutes=6)" in without
