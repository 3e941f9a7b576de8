"""AudioMNIST through the real run.sh: alone, all stages, and beside another corpus in pretraining."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"mixdir": "mixtures", "datadir": "data", "dumpdir": "dump", "expdir": "exp"}
# what toy.yaml of audiomnist_2mix reads of the corpus
PART = ["speakers=6", "takes=4", 'test_speakers=["03"]']


def run(recipe, folder, *options, cwd="/"):
    places = [word for name, sub in FOLDERS.items() for word in (f"--{name}", str(folder / sub))]
    words = [
        str(ROOT / "egs" / recipe / "run.sh"),
        "--config",
        "conf/toy.yaml",
        "--nj",
        "2",
        *places,
        *map(str, options),
    ]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=900)


def table(path):
    return dict(line.split(" ", 1) for line in path.read_text().splitlines())


@pytest.fixture(scope="module")
def alone(tmp_path_factory, audiomnist):
    """egs/audiomnist_2mix, stages 0 to 6, once."""
    folder = tmp_path_factory.mktemp("alone")
    done = run("audiomnist_2mix", folder, "--corpus", audiomnist.name, cwd=audiomnist.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done


def test_the_whole_pipeline(alone):
    folder, done = alone
    results = json.loads((folder / "exp/toy/results.json").read_text())
    assert results["recipe"] == "audiomnist_2mix" and results["label"] == "spoken digits (AudioMNIST)"
    assert results["separator"] == "model" and results["sets"]["tt_2mix"]["n"] == 4
    assert results["sets"]["tt_2mix"]["oracle"]["ibm"] > 5
    training, test = (set(table(folder / f"data/{name}/utt2spk").values()) for name in ("tr_single", "tt_2mix"))
    assert training == {"audiomnist01", "audiomnist02", "audiomnist04", "audiomnist05"}
    assert all(set(pair.split("_")) == {"audiomnist03", "audiomnist06"} for pair in test)
    for number in (1, 2):
        said = table(folder / f"data/tt_2mix/text_spk{number}")
        assert len(said) == 4 and {word for text in said.values() for word in text.split()} <= set(
            "ZERO ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE".split()
        )
    assert "SI-SNRi" in done.stdout and "spoken digits" in done.stdout


def test_a_second_run_does_nothing(alone, audiomnist):
    folder, _ = alone
    # the corpus's own option does as well
    done = run("audiomnist_2mix", folder, "--audiomnist", audiomnist)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is done") == 2 + 5 + 5 + 3 + 2


@pytest.mark.slow
def test_pretraining_on_two_corpora(tmp_path, audiomnist):
    settings = [word for value in PART for word in ("--set", f"corpus.audiomnist.{value}")]
    balance = ["--set", "pretrain.balance={mini: 0.75, audiomnist: 0.25}", "--audiomnist", audiomnist, "--tag", "both"]
    done = run("mini_2mix", tmp_path, *settings, *balance, "--stop-stage", 3)
    assert done.returncode == 0, done.stdout + done.stderr
    log = (tmp_path / "exp/both/pretrain/log/train.log").read_text()
    assert "--train-sets mini=tr_single,audiomnist=tr_audiomnist_single" in log
    assert "--valid-sets mini=cv_single,audiomnist=cv_audiomnist_single" in log
    own, further = (set(table(tmp_path / f"dump/{name}/utt2spk")) for name in ("tr_single", "tr_audiomnist_single"))
    assert own and further and not own & further and all(key.startswith("audiomnist") for key in further)
    # test speakers of the other corpus are in none of its sets
    assert not any(key.startswith("audiomnist03") for key in further)
    assert (tmp_path / "exp/both/pretrain/model.pth").is_file()
    done = run("mini_2mix", tmp_path, *settings, *balance, "--stop-stage", 3)
    assert done.returncode == 0 and done.stdout.count("is done") == 3 + 7 + 7 + 1, done.stdout
    # another balance is another model, of the same data, however the corpus is named
    named = ["--corpus-dir", f"audiomnist={audiomnist}", "--tag", "both"]
    done = run(
        "mini_2mix", tmp_path, *settings, *named, "--stop-stage", 3, "--set", "pretrain.balance={audiomnist: 1.0}"
    )
    assert done.returncode == 0 and done.stdout.count("is done") == 3 + 7 + 7, done.stdout
    log = (tmp_path / "exp/both/pretrain/log/train.log").read_text()
    assert "--train-sets audiomnist=tr_audiomnist_single --valid-sets audiomnist=cv_audiomnist_single " in log


@pytest.mark.parametrize(
    "recipe, options, says",
    [
        (
            "mini_2mix",
            ["--audiomnist", "/"],
            "--audiomnist /: conf/toy.yaml does not train on it; "
            "add --set 'pretrain.balance={mini: 0.5, audiomnist: 0.5}'",
        ),
        (
            "mini_2mix",
            ["--corpus-dir", "audiomnist=/"],
            "--corpus-dir audiomnist=/: conf/toy.yaml does not train on it",
        ),
        ("mini_2mix", ["--audiomnist", "no/such"], "--audiomnist no/such: no such folder"),
        (
            "mini_2mix",
            ["--set", "pretrain.balance={mini: 0.5, timit: 0.5}"],
            "no recipe ../timit_Nmix prepares the corpus 'timit'",
        ),
        ("mini_2mix", ["--set", "pretrain.balance={mini: -1}"], "pretrain.balance.mini: expected a number above 0"),
        ("mini_2mix", ["--set", "pretrain.balance={'a b': 1}"], "pretrain.balance: expected a name of letters, digits"),
        ("audiomnist_2mix", ["--corpus", "/tmp"], "no AudioMNIST in it"),
    ],
)
def test_wrong_calls(tmp_path, recipe, options, says):
    done = run(recipe, tmp_path, *options, "--stop-stage", 0)
    assert done.returncode != 0 and says in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not list(tmp_path.rglob(".done"))
