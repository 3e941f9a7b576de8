"""A sweep through the real run.sh, and wrong calls of utils/sweep.sh."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "egs/mini_2mix"
FOLDERS = {"mixdir": "mixtures", "datadir": "data", "dumpdir": "dump", "expdir": "exp"}
# less than conf/toy.yaml: what is swept over here needs a test set alone
TINY = """
corpus: {espeak: {train_voices: 2, test_voices: 3, sentences_per_voice: 2}}
mix: {sets: {tt: 2}}
score: {plots: 0}
"""


def sweep(*words, cwd=RECIPE):
    command = [str(ROOT / "utils/sweep.sh"), *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900)


def test_oracles_and_a_failure(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    places = [word for name, sub in FOLDERS.items() for word in (f"--{name}", tmp_path / sub)]
    words = ["--recipe", RECIPE, "--name=oracles", "separate.separator=oracle_ibm,oracle_none,oracle_frame",
             "--config", "tiny.yaml", "--nj", 1, *places]
    done = sweep(*words, cwd=tmp_path)
    assert done.returncode == 1 and "1 of 3 runs failed" in done.stderr, done.stdout + done.stderr
    assert "separate.separator: unknown oracle 'none'" in done.stderr and "Traceback" not in done.stderr
    folder = tmp_path / "exp/sweep_oracles"
    written = (folder / "results.json").read_bytes()
    ibm, none, frame = json.loads(written)["runs"]
    assert ibm["tag"] == "tiny_oracle_ibm" and frame["tag"] == "tiny_oracle_frame"
    assert ibm["sets"]["tt_2mix"]["si_snri"] > frame["sets"]["tt_2mix"]["si_snri"] > 2
    # through files, an oracle is its own bound
    assert frame["sets"]["tt_2mix"]["si_snri"] == pytest.approx(frame["sets"]["tt_2mix"]["bound"], abs=0.02)
    assert none["tag"] is None and "separate.separator: unknown oracle 'none'" in none["error"]
    assert str(tmp_path).encode() not in written.replace(str(tmp_path / "tiny.yaml").encode(), b"")
    assert (folder / "sweep.png").read_bytes()[:4] == b"\x89PNG"
    assert (folder / "RESULTS.md").read_text() in done.stdout
    # the second run found what the first had made of stages 0 to 2
    assert done.stdout.count("dump/tt_2mix is done") == 1


def test_a_value_that_nothing_reads_is_an_error(tmp_path):
    done = sweep(
        "model.width=8,16", "--config", "conf/toy.yaml", "--separator", "oracle_ibm", "--expdir", tmp_path / "exp"
    )
    assert done.returncode == 1 and "2 of 2 runs failed" in done.stderr
    runs = json.loads((tmp_path / "exp/sweep_model.width/results.json").read_text())["runs"]
    assert [run["error"] for run in runs] == [
        "contrasep resolve: --set model.width: nothing reads it here, the separator 'oracle_ibm' has no model; "
        "leave it out"
    ] * 2
    assert list((tmp_path / "exp").iterdir()) == [tmp_path / "exp/sweep_model.width"]


def test_a_dry_run_prints_commands_for_a_shell():
    done = sweep(
        "dump.shard=32,64", "model.objectives={affinity: 1.0, supcon: 1.0},{supcon: 1.0}", "--nj", 2, "--dry_run"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4 and lines[0] == (
        "./run.sh --nj 2 --set dump.shard=32 --set 'model.objectives={affinity: 1.0, supcon: 1.0}' "
        "--dumpdir dump/dump.shard=32")
    assert not (RECIPE / "exp/sweep_dump.shard_model.objectives").exists()


def test_runs_of_one_tag_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.yaml").write_text(TINY)
    done = sweep(f"config={tmp_path}/a/same.yaml,{tmp_path}/b/same.yaml", "--expdir", tmp_path / "exp")
    assert done.returncode == 2 and "two runs share the tag same" in done.stderr


def test_help():
    done = sweep("--help", cwd="/")
    assert done.returncode == 0 and done.stdout.startswith("Usage: sweep.sh KEY=V1,V2") and done.stderr == ""


@pytest.mark.parametrize("words, says", [
    ([], "no KEY=VALUE,VALUE to sweep over"),
    (["features.hop="], "features.hop=: no values"),
    (["hop=1,2"], "expected SECTION.KEY=VALUE,VALUE or config=FILE,FILE"),
    (["features.hop=1", "--recipe", "egs/none"], "egs/none/run.sh: no such recipe"),
    (["features.hop=1", "--recipe"], "--recipe needs a value"),
    (["features.hop=1", "--name", "a b"], "--name: expected letters, digits"),
    (["features.hop=1", "--tag=x"], "--tag: every run of a sweep has a tag of its own"),
])
def test_wrong_calls(words, says):
    done = sweep(*words)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1
    assert done.stdout == ""
