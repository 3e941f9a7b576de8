"""Test sets of several counts of talkers in one recipe: mini_librispeech_mixed on a corpus made on the spot."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"mixdir": "mixtures", "datadir": "data", "dumpdir": "dump", "expdir": "exp"}
SETTINGS = {
    "mix.sets": "{tr: 3, cv: 2, tt: 3}", "corpus.librispeech.test_speakers": "['1', '2', '3', '4', '5']",
    "corpus.librispeech.valid_fraction": "0.5", "score.plots": "1",
}
TESTED = [f"tt_{count}mix" for count in range(1, 6)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A train-clean-5 of seven speakers with two utterances each: harmonics of their own pitch, with pauses."""
    folder, rng = tmp_path_factory.mktemp("corpus") / "LibriSpeech", np.random.default_rng(0)
    for speaker in range(1, 8):
        place = folder / "train-clean-5" / str(speaker) / "1"
        place.mkdir(parents=True)
        for number in range(2):
            time = np.arange(16000 + 1600 * number) / 16000
            tone = sum(np.sin(2 * np.pi * (80 + 31 * speaker) * k * time + speaker) / k for k in range(1, 12))
            pauses = np.sin(2 * np.pi * (1.5 + 0.4 * speaker) * time + number) > -0.4
            sound = 0.1 * tone * pauses + 0.001 * rng.standard_normal(len(time))
            soundfile.write(place / f"{speaker}-1-{number:04d}.flac", sound, 16000, subtype="PCM_16")
    return folder


def run(folder, *options, recipe="mini_librispeech_mixed", settings=SETTINGS):
    words = [word for name, sub in FOLDERS.items() for word in (f"--{name}", str(folder / sub))]
    words += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    words = [str(ROOT / "egs" / recipe / "run.sh"), "--nj", "2", *words, *map(str, options)]
    return subprocess.run(words, cwd="/", capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, corpus):
    """Stage 0 alone, then all the others, by the oracle."""
    folder = tmp_path_factory.mktemp("mixed")
    done = run(folder, "--corpus", corpus, "--config", "conf/oracle.yaml", "--tag", "ibm", "--stop-stage", 0)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["mixtures"]
    done = run(folder, "--corpus", corpus, "--config", "conf/oracle.yaml", "--tag", "ibm")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("is done") == 1 + 5
    return folder


def test_sets_of_all_counts(mixed):
    # mixtures to train on are those of the recipe's count, whatever is tested
    assert {path.name for path in (mixed / "dump").iterdir()} - {"log"} == {
        "tr_2mix",
        "cv_2mix",
        "tr_single",
        "cv_single",
        *TESTED,
    }
    for count in range(1, 6):
        lists = {path.stem: path.read_text().splitlines() for path in (mixed / f"mixtures/{count}mix/lists").iterdir()}
        assert lists.keys() == ({"tr", "cv", "tt"} if count == 2 else {"tt"})
        assert len(lists["tt"]) == 3 and all(len(line.split()) == 2 * count for line in lists["tt"])
        dump = mixed / f"dump/tt_{count}mix"
        assert len(list(dump.glob("spk?.scp"))) == count
        speakers = [line.split()[1].split("_") for line in (dump / "utt2spk").read_text().splitlines()]
        assert all(len(set(names)) == count and set(names) <= set("12345") for names in speakers)


def test_scores_of_all_counts_and_jointly(mixed):
    results = json.loads((mixed / "exp/ibm/results.json").read_text())
    sets = results["sets"]
    assert results["num_spk"] == [1, 2, 3, 4, 5] and sets.keys() == {*TESTED, "joint"}
    assert [sets[name]["n"] for name in (*TESTED, "joint")] == [3, 3, 3, 3, 3, 15]
    # one talker: the mixture is the source
    assert sets["tt_1mix"]["si_snri"] is None and sets["tt_1mix"]["si_snr"] == 30
    for score in ("si_snri", "sdri"):
        several = [sets[name][score] for name in TESTED[1:]]
        assert min(several) > 3 and sets["joint"][score] == pytest.approx(np.mean(several), abs=1e-3)
    assert sets["joint"]["oracle"]["ibm"] == pytest.approx(sets["joint"]["si_snri"], abs=0.02)
    page = (mixed / "exp/ibm/RESULTS.md").read_text()
    assert not re.search(r"\b(nan|inf|none)\b", page, re.IGNORECASE)
    assert "## tt_1mix: 3 single-speaker mixtures (" in page and "A single-speaker mixture is its own source" in page
    assert "## joint: 15 mixtures of 1, 2, 3, 4, 5 speakers (" in page
    assert "In joint sets, improvements are means over the mixtures of two and more speakers" in page


def test_a_second_run_does_nothing(mixed, corpus):
    before = {path: path.stat().st_mtime_ns for path in mixed.rglob("*") if path.suffix in (".ark", ".wav", ".tsv")}
    results = (mixed / "exp/ibm/results.json").read_bytes()
    done = run(mixed, "--corpus", corpus, "--config", "conf/oracle.yaml", "--tag", "ibm")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is done") == 1 + 5 + 9 + 9 + 5 + 5
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert (mixed / "exp/ibm/results.json").read_bytes() == results


@pytest.mark.slow
def test_a_model_that_counts(mixed, corpus):
    given = ["--corpus", corpus, "--config", "../../conf/attractor_many.yaml", "--tag", "counted", "--test-spk", "1,2"]
    done = run(mixed, *given, "--model-dir", ROOT / "contrasep_lib/pretrained/best", "--stage", 5)
    assert done.returncode == 0, done.stdout + done.stderr
    sets = json.loads((mixed / "exp/counted/results.json").read_text())["sets"]
    assert sets.keys() == {"tt_1mix", "tt_2mix", "joint"}
    one, two, joint = (sets[name] for name in ("tt_1mix", "tt_2mix", "joint"))
    assert one["si_snri_count_estimated"] is None and one["si_snr"] <= 30
    assert joint["count_accuracy"] == pytest.approx((one["count_accuracy"] + two["count_accuracy"]) / 2, abs=1e-3)
    assert joint["si_snri_penalised"] == two["si_snri_penalised"]
    page = (mixed / "exp/counted/RESULTS.md").read_text()
    assert page.count("- count accuracy: ") == 3 and not re.search(r"\b(nan|inf|none)\b", page, re.IGNORECASE)


def test_sets_that_are_not_there(mixed, tmp_path):
    given = ["--config", "conf/oracle.yaml", "--tag", "more", "--test-spk", "2,6"]
    done = run(mixed, *given, "--stage", 5)
    assert done.returncode != 0 and "no test set of 6 talkers" in done.stderr and "run stage 2 first" in done.stderr
    done = run(mixed, *given, "--stage", 1, "--stop-stage", 1)
    assert done.returncode != 0 and "6mix: no mixtures there; run stage 0 first" in done.stderr
    assert all(path.name == ".lock" for path in (mixed / "exp/more").rglob("*"))


@pytest.mark.parametrize("recipe, options, says", [
    ("mini_2mix", ["--test-spk", "1,,2"], "--test-spk: expected counts of talkers, e.g. 2,3, got '1,,2'"),
    ("mini_2mix", ["--test-spk", "0"], "got '0'"),
    ("mini_2mix", ["--test-spk", "2,3,2"], "the same count twice in '2,3,2'"),
    ("mini_2mix", ["--test-spk", "2,3", "--set", "mix.sets={tr: 4, cv: 2}"], "has no test set; add one to mix.sets"),
    ("wsj0_2mix", ["--test-spk", "2,3"], "this corpus has a list for each count; test other counts by --test-sets"),
])
def test_wrong_calls(tmp_path, recipe, options, says):
    done = run(tmp_path, *options, recipe=recipe, settings={})
    assert done.returncode != 0 and says in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not list(tmp_path.rglob(".done"))


@pytest.mark.parametrize("options, tag", [
    ([], "default"),
    (["--num-spk", 3], "default_3mix"),
    (["--test-spk", "2,3"], "default"),
    (["--config", "conf/oracle.yaml"], "oracle_ibm"),
    (["--config", "conf/attractor_many.yaml", "--extra-train"], "attractor_many_extra_train"),
])
def test_names_of_experiments(tmp_path, options, tag):
    done = run(tmp_path, *options, "--print-tag", settings={})
    assert done.returncode == 0 and done.stdout == f"{tag}\n", done.stderr
