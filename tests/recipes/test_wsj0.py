"""The recipes of WSJ0 on a rehearsal tree of scale 0.02: whole, both counts jointly, beside
other corpora, killed, and called wrongly.

CONTRASEP_KILLS=20 tools/run_tests.sh tests/recipes/test_wsj0.py -k kills    kills at 20 random moments.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"mixdir": "mixtures", "datadir": "data", "dumpdir": "dump", "expdir": "exp"}
BOTH = ["--set", "pretrain.balance={mini: 0.5, wsj0: 0.5}"]
KILLS = int(os.environ.get("CONTRASEP_KILLS", "3"))


def command(recipe, folder, *options):
    places = [word for name, sub in FOLDERS.items() for word in (f"--{name}", str(folder / sub))]
    return [str(ROOT / f"egs/{recipe}/run.sh"), "--config", "conf/toy.yaml", "--nj", "2", *places, *map(str, options)]


def run(recipe, folder, *options):
    return subprocess.run(command(recipe, folder, *options), cwd="/", capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A rehearsal of scale 0.02: 400, 100 and 60 mixtures of two and of three talkers."""
    folder = tmp_path_factory.mktemp("tree") / "wsj0"
    done = subprocess.run(
        [sys.executable, ROOT / "tools/rehearse_wsj0.py", "--out", folder, "--scale", "0.02", "--nj", "2"],
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def given(tree):
    return ["--wsj0", tree, "--mix-lists", tree / "lists"]


@pytest.fixture(scope="module")
def two(tree, given, tmp_path_factory):
    """wsj0_2mix with the toy configuration, stages 0 to 6."""
    folder = tmp_path_factory.mktemp("two")
    done = run("wsj0_2mix", folder, *given)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done


def test_the_whole_recipe(two):
    folder, done = two
    assert "files found" in done.stdout and "stage 3: pretraining" in done.stdout
    for name, lines in (("tr", 400), ("cv", 100), ("tt", 4)):
        lists = (folder / f"mixtures/2mix/lists/{name}.txt").read_text().splitlines()
        assert len(lists) == lines
        for track in ("mix", "s1", "s2"):
            assert len(list((folder / f"mixtures/2mix/wav8k/min/{name}/{track}").glob("*.wav"))) == lines
        first = lists[0].split()
        stems = [Path(source).stem for source in first[::2]]
        assert (
            folder / f"mixtures/2mix/wav8k/min/{name}/mix/{stems[0]}_{first[1]}_{stems[1]}_{first[3]}.wav"
        ).is_file()
    assert not (folder / "mixtures/2mix/cache").exists()
    results = json.loads((folder / "exp/toy/results.json").read_text())
    assert results["recipe"] == "wsj0_2mix" and results["sets"]["tt_2mix"]["n"] == 4 and results["num_spk"] == 2
    # nobody may take a rehearsal for WSJ0
    assert results["label"].startswith("rehearsal with synthetic speech (eSpeak NG) in place of WSJ0")
    assert results["label"] in (folder / "exp/toy/RESULTS.md").read_text()


@pytest.mark.slow
def test_joint_test_of_both_counts(two, given, tmp_path):
    three = tmp_path / "three"
    options = ["--set", "mix.sets={tr: 20, cv: 8, tt: 3}", "--set", "pretrain.epochs=0", "--set", "finetune.epochs=1"]
    options += ["--init-param", two[0] / "exp/toy/finetune/model.pth", "--tag", "joint"]
    tests = f"{two[0]}/dump/tt_2mix,{three}/dump/tt_3mix"
    done = run("wsj0_3mix", three, *given, *options, "--test-sets", tests)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((three / "exp/joint/results.json").read_text())
    sets = results["sets"]
    assert results["num_spk"] == [2, 3] and sets.keys() == {"tt_2mix", "tt_3mix", "joint"}
    assert [sets[name]["n"] for name in ("tt_2mix", "tt_3mix", "joint")] == [4, 3, 7]
    assert sets["joint"]["num_spk"] == [2, 3] and sets["joint"]["si_snri"] is None
    for score in ("si_snri_penalised", "si_snri_count_estimated", "count_accuracy"):
        # each number of speakers has the same share
        both = (sets["tt_2mix"][score] + sets["tt_3mix"][score]) / 2
        assert sets["joint"][score] == pytest.approx(both, abs=1e-4)
    page = (three / "exp/joint/RESULTS.md").read_text()
    assert "## joint: 7 mixtures of 2, 3 speakers" in page and "score_joint" not in page


# what the toy of audiomnist_2mix reads of that corpus
DIGITS = [
    word
    for value in ("speakers=6", "takes=4", 'test_speakers=["03","06"]')
    for word in ("--set", f"corpus.audiomnist.{value}")
]


def speakers(folder, name):
    return {line.split()[1] for line in (folder / f"dump/{name}/utt2spk").read_text().splitlines()}


@pytest.mark.slow
def test_pretraining_on_a_further_corpus(given, tree, audiomnist, tmp_path):
    options = [*given, "--audiomnist", audiomnist, *DIGITS, "--set", "pretrain.balance={wsj0: 0.5, audiomnist: 0.5}"]
    done = run(
        "wsj0_2mix", tmp_path, *options, "--set", "mix.sets={tr: 20, cv: 8, tt: 3}", "--tag", "both", "--stop-stage", 3
    )
    assert done.returncode == 0, done.stdout + done.stderr
    log = (tmp_path / "exp/both/pretrain/log/train.log").read_text()
    assert "--train-sets wsj0=tr_single,audiomnist=tr_audiomnist_single" in log
    assert (tmp_path / "exp/both/pretrain/model.pth").is_file()
    own = speakers(tmp_path, "tr_single")
    assert own and own <= {path.name for path in tree.glob("11-*/wsj0/si_tr_s/*")}
    assert speakers(tmp_path, "tr_audiomnist_single") == {f"audiomnist0{number}" for number in (1, 2, 4, 5)}


@pytest.mark.slow
def test_as_a_further_corpus(given, tree, tmp_path):
    options = [*given, "--tag", "both", "--stop-stage", 3, "--set", "pretrain.balance={mini: 0.5, wsj0: 0.5}"]
    done = run("mini_2mix", tmp_path, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    log = (tmp_path / "exp/both/pretrain/log/train.log").read_text()
    assert "--train-sets mini=tr_single,wsj0=tr_wsj0_single" in log
    further = speakers(tmp_path, "tr_wsj0_single")
    assert further and further <= {path.name for path in tree.glob("11-*/wsj0/si_tr_s/*")}
    # the mixtures are the recipe's own
    assert not further & speakers(tmp_path, "tr_single")
    done = run("mini_2mix", tmp_path, *options)
    assert done.returncode == 0 and done.stdout.count("is done") == 3 + 7 + 7 + 1, done.stdout
    # lists of another folder are other sources, and those that are there are kept
    (tmp_path / "lists").mkdir()
    done = run("mini_2mix", tmp_path, *options, "--mix-lists", tmp_path / "lists")
    assert done.returncode != 0 and "sources_wsj0" in done.stderr and "made with other settings" in done.stderr


def digest(folder):
    """Contents of all files but logs and locks, which tell times and processes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*")) if path.is_file() and "log" not in path.parts and path.name != ".lock"
    }


@pytest.mark.slow
def test_kills_in_stages_0_to_2_leave_no_trace(tree, given, tmp_path):
    folder = tmp_path / "run"
    options = [*given, "--stop-stage", 2, "--set", "mix.sets={tr: 60, cv: 20, tt: 10}", "--set", "dump.shard=7"]
    begun = time.monotonic()
    done = run("wsj0_2mix", folder, *options)
    took = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    undisturbed = digest(folder)
    shutil.rmtree(folder)
    chance, killed = random.Random(0), 0
    while killed < KILLS:
        process = subprocess.Popen(
            command("wsj0_2mix", folder, *options),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            # an attempt passes quickly over what is done, so later kills hit later stages
            status = process.wait(chance.uniform(0.02, 0.6) * took)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
            # workers of a killed pool end when they find their parent gone
            time.sleep(0.3)
            continue
        assert status == 0 and digest(folder) == undisturbed
        shutil.rmtree(folder)
    done = run("wsj0_2mix", folder, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert digest(folder) == undisturbed


def test_a_missing_disk_is_reported_before_anything_is_mixed(tree, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for entry in tree.iterdir():
        if entry.name != "11-5.1":
            (broken / entry.name).symlink_to(entry)
    done = run("wsj0_2mix", tmp_path, "--wsj0", broken, "--mix-lists", tree / "lists", "--stop-stage", 0)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "of si_et_05 are missing" in done.stderr and "a disk is missing" in done.stderr
    assert "missing" in (tmp_path / "mixtures/sources/wsj0_files.tsv").read_text()
    assert not list((tmp_path / "mixtures").rglob("*mix/*.wav"))


def test_what_db_sh_names_serves_where_options_do_not(tree, tmp_path):
    (tmp_path / "db.sh").write_text(f"WSJ0='{tree}'\nMIX_LISTS='{tree}/lists'\n")
    (tmp_path / "c.yaml").write_text("mix: {active_level: published}\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [ROOT / "egs/wsj0_3mix/local/prepare_sources.sh", "--config", "c.yaml", "--out", "out", "--num-spk", "3"],
        cwd=tmp_path, env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out/lists").iterdir()) == [
        f"mix_3_spk_{s}.txt" for s in ("cv", "tr", "tt")
    ]


@pytest.mark.parametrize(
    "recipe, options, says",
    [
        ("wsj0_2mix", [], "--wsj0 DIR, or once in db.sh"),
        ("wsj0_2mix", ["--wsj0", "no/such/disks"], "--wsj0 no/such/disks: no such folder"),
        ("wsj0_2mix", ["--mix-lists", "no/such/lists"], "--mix-lists no/such/lists: no such folder"),
        ("wsj0_2mix", ["--activlev", "loud"], "mix.active_level: expected one of p56, rms, published"),
        ("wsj0_2mix", ["--stage", 5, "--test-sets", "no/such/set"], "--test-sets: no/such/set: no such folder"),
        ("mini_2mix", ["--mix-lists", "/"], "this corpus has no lists of its own"),
        (
            "mini_2mix",
            ["--wsj0", "/"],
            "--wsj0 /: conf/toy.yaml does not train on it; add --set 'pretrain.balance={mini: 0.5, wsj0: 0.5}'",
        ),
        ("mini_2mix", [*BOTH, "--wsj0", "no/such"], "--wsj0 no/such: no such folder"),
        ("mini_2mix", [*BOTH, "--wsj0", "/", "--mix-lists", "no/such"], "--mix-lists no/such: no such folder"),
        (
            "mini_2mix",
            [*BOTH, "--mix-lists", "/"],
            "WSJ0 comes from the LDC (LDC93S6A): name the folder that holds it by --wsj0 DIR",
        ),
    ],
)
def test_wrong_calls(tmp_path, recipe, options, says):
    lists = ["--mix-lists", tmp_path] if recipe == "wsj0_2mix" and "--mix-lists" not in options else []
    done = run(recipe, tmp_path / "run", *lists, *options)
    assert done.returncode != 0 and says in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_another_configuration_is_refused(two, given):
    folder, _ = two
    before = digest(folder / "mixtures")
    for options in (["--num-spk", 3], ["--activlev", "p56"], ["--set", "mix.mode=max"]):
        done = run("wsj0_2mix", folder, *given, "--stop-stage", 0, *options)
        assert done.returncode != 0 and "made with other settings" in done.stderr
    assert digest(folder / "mixtures") == before


@pytest.mark.parametrize("same_name", [True, False])
def test_sets_of_one_name(two, tmp_path, same_name):
    other = tmp_path / ("tt_2mix" if same_name else "tt_other")
    shutil.copytree(two[0] / "dump/tt_2mix", other)
    tests = f"{two[0]}/dump/tt_2mix,{other}"
    options = ["--separator", "mixture", "--test-sets", tests, "--stage", 5]
    done = run("wsj0_2mix", two[0], *options, "--expdir", tmp_path / "exp")
    if same_name:
        assert done.returncode != 0 and "two sets of the name tt_2mix" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        results = json.loads((tmp_path / "exp/toy_mixture/results.json").read_text())
        assert results["sets"].keys() == {"tt_2mix", "tt_other"} and results["num_spk"] == 2
