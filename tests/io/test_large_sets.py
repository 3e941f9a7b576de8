"""The benchmark of large sets runs through all its steps, and its table says what was measured."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2] / "tools/bench/large_sets.py"


def test_every_step_is_measured(tmp_path):
    figures = tmp_path / "figures.json"
    # a program of its own: Linux counts the memory of the process that starts a step as the step's; pytest's is large
    command = [sys.executable, PROGRAM, "--utterances", "90", "--work", tmp_path, "--json", figures]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    [(size, found)] = json.loads(figures.read_text()).items()
    steps = ["write", "validate tables", "validate audio", "merge", "read dump", "mark", "check", "lost"]
    assert size == "90" and list(found) == steps
    assert all(row["clock"] > 0 and 0 < row["mib"] < 500 for row in found.values())
    rows = [line for line in run.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(found)
    # nothing of it is left
    assert list(tmp_path.iterdir()) == [figures]
