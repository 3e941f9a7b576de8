"""tools/results.sh: which recipes a model is scored by, and what it says of a wrong call."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools/results.sh"


def call(*words):
    return subprocess.run([SCRIPT, *words], capture_output=True, text=True, cwd=ROOT)


def test_every_count_of_both_corpora_is_scored_and_published(tmp_path):
    corpora = {name: tmp_path / f"a {name}" for name in ("librispeech", "commonvoice")}
    for folder in corpora.values():
        folder.mkdir()
    words = [word for name, folder in corpora.items() for word in (f"--{name}", folder)]
    done = call("--dry-run", *words, "--nj", "2")
    assert done.returncode == 0, done.stderr
    runs = [line for line in done.stdout.splitlines() if line.startswith("./run.sh")]
    assert [str(folder) in run for folder, run in zip(corpora.values(), runs)] == [True, True] and len(runs) == 2
    for run in runs:
        # the committed results name no folder of this machine
        assert "--model-dir ../../contrasep_lib/pretrained/best --tag best" in run
        assert "--test-spk 1,2,3,4,5" in run and run.endswith("--nj 2")
    assert done.stdout.count("contrasep report --recipe-dir . --publish best") == 2


@pytest.mark.parametrize("words, message", [
    ((), "--librispeech DIR is needed"), (("--librispeech", "nowhere"), "--librispeech nowhere: no such folder"),
    (("--model",), "--model needs a value"), (("x", "y"), "unexpected 'x'"),
    (("--librispeech", "docs", "--commonvoice", "docs", "--model", "docs"), "no config.yaml there"),
])
def test_a_wrong_call_is_one_line(words, message):
    done = call(*words)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1


def test_flags_and_values_reach_run_sh(tmp_path):
    corpora = ("--librispeech", tmp_path, "--commonvoice", tmp_path)
    found = call(*corpora, "--dry-run", "--extra-train", "--nj=2", "--refuse-unread")
    assert found.returncode == 0, found.stderr
    lines = [line for line in found.stdout.splitlines() if line.startswith("./run.sh")]
    assert len(lines) == 2 and all(line.endswith("--extra-train --nj 2 --refuse-unread") for line in lines)
