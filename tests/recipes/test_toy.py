"""The toy configuration with an oracle through the real run.sh: whole, resumed, killed, and called wrongly."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "egs/mini_2mix/run.sh"
FOLDERS = {"mixdir": "mixtures", "datadir": "data", "dumpdir": "dump", "expdir": "exp"}


def command(folder, *options):
    places = [word for name, sub in FOLDERS.items() for word in (f"--{name}", str(folder / sub))]
    toy = ["--config", "conf/toy.yaml", "--separator", "oracle_ibm", "--nj", "2"]
    return [str(RUN), *toy, *places, *map(str, options)]


def run(folder, *options, cwd="/", **environment):
    return subprocess.run(
        command(folder, *options),
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )


# every interpreter imports it as it starts: jobs, their workers, programs of any name
COUNTER = """
import os, sys
with open(os.environ["STARTS"], "a") as file:
    print(" ".join(sys.orig_argv).replace(chr(10), " "), file=file)
"""


def digest(folder):
    """Contents of all files but logs and locks, which tell times and processes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*")) if path.is_file() and "log" not in path.parts and path.name != ".lock"
    }


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Stages 0 to 6, once; interpreters that start are listed in ``starts``."""
    counter = tmp_path_factory.mktemp("counter")
    (counter / "sitecustomize.py").write_text(COUNTER)
    folder = tmp_path_factory.mktemp("toy")
    done = run(folder, PYTHONPATH=str(counter), STARTS=str(folder / "starts"))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done


def table(path):
    return dict(line.split(" ", 1) for line in path.read_text().splitlines())


def test_transcripts_reach_data_and_dump(toy):
    folder, _ = toy
    for name in ("tr", "cv"):
        said = table(folder / f"mixtures/sources/{name}/text")
        assert table(folder / f"data/{name}_single/text") == table(folder / f"dump/{name}_single/text") == said
    for name in ("tr", "cv", "tt"):
        said = table(folder / f"mixtures/sources/{name}/text")
        lists = (folder / f"mixtures/2mix/lists/{name}.txt").read_text().splitlines()
        pairs = {tuple(Path(word).stem for word in line.split()[::2]) for line in lists}
        heard = [table(folder / f"dump/{name}_2mix/text_spk{number}") for number in (1, 2)]
        assert sorted(zip(*(each.values() for each in heard))) == sorted(tuple(map(said.get, pair)) for pair in pairs)
        assert heard == [table(folder / f"data/{name}_2mix/text_spk{number}") for number in (1, 2)]


def test_the_whole_pipeline(toy):
    folder, done = toy
    results = json.loads((folder / "exp/toy_oracle_ibm/results.json").read_text())
    expected = {"recipe", "config", "granularity", "separator", "supervision", "num_spk", "sets"}
    assert expected <= results.keys() and results["separator"] == "oracle_ibm"
    scores = results["sets"]["tt_2mix"]
    assert {"n", "si_snri", "si_snri_ci95", "sdri", "si_snri_count_estimated", "si_snri_penalised", "count_accuracy",
            "mean_modularity", "mean_conductance", "oracle"} <= scores.keys()
    assert scores["n"] == 4 and scores["oracle"].keys() == {"frame", "ibm", "irm", "psm"}
    # through int16 files and stage 5, the separator is the oracle that stage 6 computes in memory
    assert scores["si_snri"] == pytest.approx(scores["oracle"]["ibm"], abs=0.02) and scores["si_snri"] > 8
    assert scores["oracle"]["frame"] < scores["oracle"]["irm"] < scores["oracle"]["psm"]
    assert str(folder) not in (folder / "exp/toy_oracle_ibm/results.json").read_text()
    assert "synthetic speech" in done.stdout and "SI-SNRi" in done.stdout and "Audio: " in done.stdout
    assert "| toy_oracle_ibm |" in (folder / "exp/RESULTS.md").read_text()
    score = folder / "exp/toy_oracle_ibm/score_tt_2mix"
    assert len((score / "scores.tsv").read_text().splitlines()) == 5
    assert (score / "histogram.png").read_bytes()[:4] == b"\x89PNG" and list((score / "plots").glob("*.png"))
    log = (folder / "dump/log/dump.1.log").read_text().splitlines()
    assert log[0].startswith("# contrasep dump") and "code 0" in log[-1]


def test_a_second_run_does_nothing(toy):
    folder, _ = toy
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.ark")}
    results = (folder / "exp/toy_oracle_ibm/results.json").read_bytes()
    done = run(folder, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is done") == 2 + 5 + 5 + 1 + 1
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.ark")}
    assert (folder / "exp/toy_oracle_ibm/results.json").read_bytes() == results


def test_a_run_starts_few_interpreters(toy):
    starts = (toy[0] / "starts").read_text().splitlines()
    assert sum(" resolve " in start for start in starts) == 1 and sum("run.py " in start for start in starts) == 4
    assert len(starts) <= 25, "\n".join(starts)


def test_a_run_leaves_the_repository_as_it_is(toy):
    status = ["git", "status", "--porcelain", "--untracked-files=all", "--", "egs", "conf", "utils"]
    try:
        before = subprocess.run(status, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout here")
    # with the recipe's own exp/, whose experiments its page compares
    tag = "test-of-a-clean-checkout"
    command = [
        str(RUN),
        "--config",
        "conf/toy.yaml",
        "--separator",
        "mixture",
        "--tag",
        tag,
        "--nj",
        "1",
        "--stage",
        "5",
    ]
    try:
        done = subprocess.run(
            [*command, "--dumpdir", str(toy[0] / "dump")], capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, done.stderr
        assert subprocess.run(status, cwd=ROOT, capture_output=True, text=True).stdout == before
    finally:
        shutil.rmtree(RUN.parent / "exp" / tag, ignore_errors=True)


def test_a_damaged_output_is_made_again(toy, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(toy[0], folder, symlinks=True)
    audio = {path: path.read_bytes() for path in folder.rglob("*") if path.suffix in (".ark", ".wav")}
    (folder / "dump/tr_2mix/spk1.2.ark").unlink()
    damaged = next((folder / "mixtures/2mix/wav8k/min/tt/mix").glob("*.wav"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    done = run(folder, "--stop-stage", 2)
    assert done.returncode == 0, done.stderr
    assert f"an output is missing or damaged: wav8k/min/tt/mix/{damaged.name}; made again" in done.stdout
    assert "an output is missing or damaged: spk1.2.ark; made again" in done.stdout
    assert done.stdout.count("is done") == 1 + 5 + 4
    assert all(path.read_bytes() == content for path, content in audio.items())


def test_a_changed_value_redoes_what_depends_on_it(toy, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(toy[0], folder, symlinks=True)
    done = run(folder, "--stage", 2, "--stop_stage", 2, "--set", "dump.shard=3")
    # the marker of a copied data directory still holds; its paths lead to the original
    assert done.returncode == 0 and "is done" not in done.stdout, done.stdout + done.stderr
    assert (folder / "dump/tt_2mix/wav.2.ark").exists() and not (folder / "dump/tt_2mix/wav.3.ark").exists()
    done = run(folder, "--stop-stage", 0, "--set", "mix.seed=7")
    assert done.returncode != 0 and "made with other settings" in done.stderr
    assert (folder / "mixtures/2mix/.done").exists()


@pytest.mark.slow
def test_kills_in_stages_0_to_2_leave_no_trace(tmp_path):
    folder = tmp_path / "run"
    begun = time.monotonic()
    done = run(folder, "--stop-stage", 2)
    seconds = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    undisturbed = digest(folder)
    shutil.rmtree(folder)
    killed = 0
    # parts of the time that a run takes on this machine; the first two are early enough to meet one
    for share in (0.15, 0.35, 0.5, 0.25, 0.6, 0.4):
        process = subprocess.Popen(
            command(folder, "--stop-stage", 2),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(share * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
        time.sleep(0.05)
    assert killed >= 2
    done = run(folder, "--stop-stage", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert digest(folder) == undisturbed


@pytest.mark.parametrize("options, says", [
    (["--stage", 5], "run stage 2 first"),
    (["--stage", 1, "--stop-stage", 1], "run stage 0 first"),
    (["--stage", 2, "--stop-stage", 2], "run stage 0 first"),
    (["--no-such-option", 1], "unknown option '--no-such-option'"),
    (["--nj"], "--nj needs a value"),
    (["--nj", "many"], "--nj: expected a whole number"),
    (["--nj", 0], "expected 1 to 1024 jobs, got 0"), (["--nj", 99999], "expected 1 to 1024 jobs, got 99999"),
    (["--nj", "9" * 30], "--nj: expected a whole number"), (["--num-spk", "nan"], "--num-spk: expected a whole number"),
    (["--stage", "-1"], "--stage: expected a whole number"), (["--ngpu", "08"], "--ngpu: expected a whole number"),
    (["--num-spk", 0], "at least 1 talker"),
    (["--stage", 3, "--stop-stage", 2], "lies after"),
    (["--separator", "oracle_best"], "separate.separator: unknown oracle 'best'; known: frame, ibm"),
    (["--set", "mix.sed=1"], "unknown key 'sed'; did you mean 'seed'"),
    (["--config", "conf/none.yaml"], "no such configuration"),
    (["--tag", "a/b"], "--tag: expected letters"),
    (["--corpus", "no/such/corpus"], "no such folder"),
    (["--corpus", "/"], "--corpus: the corpus 'espeak' has no use for it"),
    (["--corpus-dir", "/"], "--corpus-dir: expected NAME=DIR, got '/'"),
    (["--corpus-dir", "timit=/"], "no recipe ../timit_Nmix prepares the corpus 'timit'"),
    (["--corpus-dir=wsj0=no/such"], "--corpus-dir wsj0=no/such: no such folder"),
    (["--timit", "/"], "unknown option '--timit'"),
    (["--mini-librispeech"], "--mini-librispeech needs a value"),
    (["--num-spk", 40, "--stop-stage", 0], "at least 40 speakers for 40 talkers in a mixture"),
])
def test_wrong_calls(tmp_path, options, says):
    done = run(tmp_path, *options)
    assert done.returncode != 0
    assert says in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob(".done")) or "--num-spk" in options


def test_librispeech_recipe_without_a_corpus(tmp_path):
    (tmp_path / "empty").mkdir()
    run_sh = ROOT / "egs/mini_librispeech_3mix/run.sh"
    done = subprocess.run(
        [run_sh, "--corpus", "empty", "--mixdir", tmp_path / "m"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0 and "train-clean-5" in done.stderr and "Traceback" not in done.stderr
