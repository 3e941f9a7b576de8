"""The study of positive pairs: what positives.sh would run, and the table it makes."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STUDY = ROOT / "egs/mini_librispeech_2mix/experiments"


def study(*arguments):
    return subprocess.run([STUDY / "positives.sh", *arguments], capture_output=True, text=True)


def test_each_setting_seed_and_solver_is_a_run():
    done = study("--dry-run", "--seeds", "0", "1", "--settings", "overlap50", "other", "--nj", "2")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 8, done.stderr
    assert all("--nj 2" in line and "conf/positives.yaml" in line for line in lines)
    assert sum("positives=other" in line for line in lines) == sum("lag=[2,2]" in line for line in lines) == 4
    assert {word for line in lines for word in line.split() if word.startswith("finetune.seed=")} == {
        "finetune.seed=0", "finetune.seed=1"
    }
    wrong = study("--dry-run", "--settings", "nearest")
    assert wrong.returncode == 2 and "unknown setting 'nearest'" in wrong.stderr


def test_rows_are_replaced(tmp_path):
    def sweep(value, error=None):
        means = {"si_snri": value, "si_snri_ci95": [value - 1, value + 1], "bound": 5.0, "n": 9}
        run = {"values": {"modularity.solver": "kmeans"}, "tag": "t", "error": error, "sets": {"dev": means}}
        (tmp_path / "s").mkdir(exist_ok=True)
        (tmp_path / "t").mkdir(exist_ok=True)
        (tmp_path / "s/results.json").write_text(json.dumps({"runs": [run]}))
        options = {"finetune": {"epochs": 3, "batches_per_epoch": 100}}
        (tmp_path / "t/results.json").write_text(json.dumps({"options": options}))

    def add(setting):
        return subprocess.run(
            [sys.executable, STUDY / "positives_table.py", tmp_path / "s", setting, "0", tmp_path / "table.tsv"],
            capture_output=True, text=True, cwd=ROOT,
        )

    for setting, value in (("near", 1.0), ("any", 2.0), ("near", 3.0)):
        sweep(value)
        assert add(setting).returncode == 0
    assert (tmp_path / "table.tsv").read_text().splitlines()[1:] == [
        "any\t0\t300\tkmeans\t2.0\t1.0\t3.0\t5.0\t9", "near\t0\t300\tkmeans\t3.0\t2.0\t4.0\t5.0\t9"
    ]
    sweep(1.0, error="training failed")
    done = add("any")
    assert done.returncode == 1 and done.stderr.endswith("training failed\n")
