"""Recipes of finished mixtures through the real run.sh, on tiny trees of their layouts."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.corpus.trees import write_librimix, write_wham

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"mixdir": "mixtures", "datadir": "data", "dumpdir": "dump", "expdir": "exp"}
ORACLE = ["--separator", "oracle_ibm", "--set", "score.plots=0", "--set", "score.metrics=[si_snr]"]
BOTH = ["--set", "corpus.mixtures.mixture=mix_both"]


def run(recipe, folder, *options):
    places = [word for name, sub in FOLDERS.items() for word in (f"--{name}", str(folder / sub))]
    words = [str(ROOT / "egs" / recipe / "run.sh"), "--config", "conf/toy.yaml", "--nj", "2", *places]
    words += map(str, options)
    return subprocess.run(words, cwd="/", capture_output=True, text=True, timeout=1800)


@pytest.fixture(scope="module")
def libri(tmp_path_factory):
    folder = tmp_path_factory.mktemp("libri")
    write_librimix(folder)
    return folder


@pytest.mark.slow
def test_libri2mix_with_noise_from_trees_to_scores(libri, tmp_path):
    done = run("libri2mix", tmp_path, "--corpus", libri, *BOTH, "--tag", "toy", *ORACLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tt: 4 mixtures of 2 talkers and noise" in done.stdout
    assert "data/tt_2mix is valid (4 utterances, 2 speakers and noise)" in done.stdout
    results = json.loads((tmp_path / "exp/toy/results.json").read_text())
    scores = results["sets"]["tt_2mix"]
    # noise is no talker: neither among the true ones nor among what is matched
    assert results["label"] == "read speech (LibriMix)" and scores["num_spk"] == 2 and scores["n"] == 4
    assert (tmp_path / "dump/tt_2mix/noise.scp").is_file() and not (tmp_path / "mixtures/2mix").exists()
    # mixtures lie where they were
    first = (tmp_path / "data/tt_2mix/wav.scp").read_text().split()[1]
    assert first.startswith(str(libri / "Libri2Mix/wav8k/min/test/mix_both"))
    outputs = tmp_path / "exp/toy/separate_tt_2mix"
    assert sorted(path.name for path in outputs.glob("*.scp")) == ["assign.scp", "noise.scp", "spk1.scp", "spk2.scp"]
    done = run("libri2mix", tmp_path, "--corpus", libri, *BOTH, "--tag", "toy", *ORACLE, "--stop-stage", 2)
    assert done.returncode == 0 and done.stdout.count("is done") == 1 + 5 + 5, done.stdout
    # another kind of mixture is another import, and what is there is kept
    done = run("libri2mix", tmp_path, "--corpus", libri, "--stop-stage", 0)
    assert done.returncode != 0 and "made with other settings" in done.stderr


@pytest.mark.slow
def test_a_model_learns_the_noise_of_fixed_mixtures(libri, tmp_path):
    model = [
        "--set", "model.decoder={name: attractor, layers: 1, width: 8, noise: true}", "--set",
        "model.objectives={deep_clustering: 1.0, si_snr: 0.1}", "--set", "finetune.data=fixed", "--noise", "pink",
        "--set", "score.plots=0", "--set", "score.metrics=[si_snr]",
    ]
    done = run("libri2mix", tmp_path, "--corpus", libri, *BOTH, "--tag", "toy", *model)
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = tmp_path / "exp/toy/separate_tt_2mix"
    tables = {path.name for path in outputs.glob("*.scp")}
    # never a talker: as many outputs as were counted
    rows = [line.split("\t") for line in (outputs / "evidence.tsv").read_text().splitlines()[1:]]
    assert "noise.scp" in tables and f"spk{max(int(row[2]) for row in rows) + 1}.scp" not in tables
    assert json.loads((tmp_path / "exp/toy/results.json").read_text())["sets"]["tt_2mix"]["n"] == 4
    # without noise in the sets there is none to learn
    done = run("libri2mix", tmp_path / "clean", "--corpus", libri, "--tag", "toy", *model, "--stop-stage", 4)
    assert done.returncode != 0, done.stdout
    assert "tr_2mix: expected noise.scp for noise with data 'fixed'" in done.stderr, done.stderr


@pytest.mark.slow
def test_wham_to_data_directories(tmp_path):
    write_wham(tmp_path / "wham")
    done = run("wham_2mix", tmp_path, "--wham", tmp_path / "wham", "--stop-stage", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("tr_2mix", "cv_2mix", "tt_2mix"):
        assert (tmp_path / "data" / name / "noise.scp").is_file()
    assert (tmp_path / "data/tr_single/utt2spk").read_text().startswith("01aa0100 01a\n")


@pytest.mark.slow
@pytest.mark.parametrize("recipe, options, says", [
    ("libri2mix", [], "--corpus: name the folder that holds the mixtures; nothing is downloaded"),
    ("libri2mix", ["--num-spk", 3, "--corpus", "LIBRI"], "expected sources of 3 talkers"),
    ("libri2mix", ["--test-spk", "2,3"], "--test-spk: the mixtures are finished and have one count"),
    ("libri2mix", ["--stage", 1], "mixtures/sources: no mixtures there; run stage 0 first"),
    ("mini_2mix", ["--corpus-dir", "libri2mix=/"], "does not train on it"),
])
def test_wrong_calls(libri, tmp_path, recipe, options, says):
    done = run(recipe, tmp_path, *[libri / "Libri2Mix/wav8k" if word == "LIBRI" else word for word in options])
    assert done.returncode != 0 and "Traceback" not in done.stderr, done.stderr
    assert says in done.stderr
