"""Common Voice through the real run.sh: all stages on a corpus made on the spot, and wrong calls."""

import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.corpus.splits import Held, write_split

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"mixdir": "mixtures", "datadir": "data", "dumpdir": "dump", "expdir": "exp"}
LANGUAGES = ("aa", "bb")
HELD = {"dev": (0, 1), "test": (2, 3)}


def run(folder, *options, recipe="commonvoice_2mix", config="conf/toy.yaml"):
    places = [word for name, sub in FOLDERS.items() for word in (f"--{name}", str(folder / sub))]
    words = [str(ROOT / "egs" / recipe / "run.sh"), "--config", config, "--nj", "2", *places, *map(str, options)]
    return subprocess.run(words, cwd="/", capture_output=True, text=True, timeout=900)


def table(path):
    return dict(line.split(" ", 1) for line in path.read_text().splitlines())


def speaker(language, number):
    return hashlib.sha256(f"{language} {number}".encode()).hexdigest()[:16]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two languages of seven speakers with two clips each, and a split file: (folder, split file)."""
    folder, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0)
    held = []
    for language in LANGUAGES:
        clips = folder / "cv" / language / "clips"
        clips.mkdir(parents=True)
        rows = ["client_id\tpath\tsentence\tgender"]
        for number in range(7):
            pitch = 90 + 31 * number + 11 * LANGUAGES.index(language)
            for take in range(2):
                time = np.arange(16000 + 1600 * take) / 8000
                tone = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 12))
                pauses = np.sin(2 * np.pi * (1.5 + 0.4 * number) * time + take) > -0.4
                name = f"common_voice_{language}_{number}{take}.wav"
                soundfile.write(
                    clips / name, 0.1 * tone * pauses + 0.001 * rng.standard_normal(len(time)), 8000, subtype="PCM_16"
                )
                rows.append(f"{language} {number}\t{name}\tGood day\t")
        (clips.parent / "validated.tsv").write_text("\n".join(rows) + "\n")
        held += [
            Held(speaker(language, number), part, language) for part, numbers in HELD.items() for number in numbers
        ]
    write_split(folder / "split.tsv", "for a test", held)
    return folder / "cv", folder / "split.tsv"


@pytest.fixture(scope="module")
def toy(tmp_path_factory, corpus):
    """Stages 0 to 6, once."""
    folder = tmp_path_factory.mktemp("toy")
    options = ["--corpus", corpus[0], "--set", f"corpus.commonvoice.split={corpus[1]}", "--tag", "toy",
               "--set", "corpus.commonvoice.valid_fraction=0.4"]
    done = run(folder, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, options, done


def test_the_whole_pipeline(toy):
    folder, _, done = toy
    results = json.loads((folder / "exp/toy/results.json").read_text())
    assert (
        results["recipe"] == "commonvoice_2mix" and results["label"] == "read speech in many languages (Common Voice)"
    )
    assert results["sets"]["tt_2mix"]["n"] == 4 and results["sets"]["tt_2mix"]["oracle"]["ibm"] > 5
    assert "SI-SNRi" in done.stdout


def test_speakers_and_languages(toy):
    folder, _, _ = toy
    training = {f"cv{speaker(language, number)}" for language in LANGUAGES for number in range(4, 7)}
    for name in ("tr_single", "cv_single"):
        assert set(table(folder / f"dump/{name}/utt2spk").values()) <= training
        assert set(table(folder / f"dump/{name}/utt2lang").values()) <= set(LANGUAGES)
    assert set(table(folder / "dump/tr_single/utt2spk").values()) == training
    for name, part in (("dev_2mix", "dev"), ("tt_2mix", "test")):
        pairs = table(folder / f"dump/{name}/utt2spk").values()
        # two speakers of each language are kept for each part
        allowed = [{f"cv{speaker(language, number)}" for number in HELD[part]} for language in LANGUAGES]
        assert pairs and all(set(pair.split("_")) in allowed for pair in pairs)


def test_a_second_run_does_nothing(toy):
    folder, options, _ = toy
    done = run(folder, *options)
    assert done.returncode == 0, done.stderr
    # corpus and mixtures; 4 sets of mixtures and tr, cv, dev alone; as many dumps; training; separation and scores
    assert done.stdout.count("is done") == 2 + 7 + 7 + 3 + 2


@pytest.mark.parametrize("options, says", [
    ([], "name a local copy with --corpus DIR"),
    (["--corpus", "/tmp/no/such"], "--corpus /tmp/no/such: no such folder"),
    (["--corpus", ROOT / "conf"], "no LANG/validated.tsv in it"),
])  # fmt: skip
def test_wrong_calls(tmp_path, options, says):
    done = run(tmp_path, *options, "--stop-stage", 0)
    assert done.returncode != 0 and says in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not list(tmp_path.rglob(".done"))
