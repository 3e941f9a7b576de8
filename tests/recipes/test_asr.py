"""utils/asr.sh: what it passes to run.sh and to which command; the stages themselves are in tests/asr."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "utils/asr.sh"


@pytest.fixture
def recipe(tmp_path):
    """A recipe whose run.sh and contrasep write their words, one line a call, into `calls`."""
    folder = tmp_path / "a recipe"
    (folder / "bin").mkdir(parents=True)
    (folder / "path.sh").write_text(f'export PATH="$PWD/bin:{ROOT}/utils:$PATH"\n')
    (folder / "cmd.sh").write_text(f'. "{ROOT}/conf/cmd.sh"\n')
    record = f"#!/usr/bin/env bash\nprintf '%s|' \"${{0##*/}}\" \"$@\" >>'{folder}/calls'; echo >>'{folder}/calls'\n"
    said = "[ $1 != transcribe ] || echo 'transcribe: word error rate 12.3% of 4 recordings by text'\n"
    for name, words in (("run.sh", record), ("bin/contrasep", record + said)):
        (folder / name).write_text(words)
        (folder / name).chmod(0o755)
    return folder


def asr(recipe, *words, cwd=None):
    command = ["bash", SCRIPT, "--recipe-dir", str(recipe), *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd or recipe, timeout=60)


def calls(recipe):
    return [line.rstrip("|").split("|") for line in (recipe / "calls").read_text().splitlines()]


@pytest.mark.parametrize("words, passed", [
    (["--nj=4"], ["--nj", "4"]),
    (["--extra-train", "--nj", "2"], ["--extra-train"]),
    (["--refuse-unread", "--extra-train"], ["--refuse-unread", "--extra-train"]),
    (["--noise=a b"], ["--noise", "a b"]),
    (["--set", "mix.seed=3", "--snr", "0 5"], ["--set", "mix.seed=3", "--snr", "0 5"]),
])
def test_options_of_run_sh_are_passed_on(recipe, words, passed):
    done = asr(recipe, "--stop-stage", "0", *words)
    assert done.returncode == 0, done.stderr
    (call,) = calls(recipe)
    assert call[0] == "run.sh" and all(word in call for word in passed)
    first = call.index(passed[0])
    assert call[first : first + len(passed)] == passed or passed[0] == "--set"


@pytest.mark.parametrize("words, said", [
    (["stray"], "unexpected 'stray'"), (["--nj"], "--nj needs a value"), (["--set"], "--set needs a value"),
    (["--stage", "x"], "--stage: expected a whole number"),
])
def test_wrong_words_are_named(recipe, words, said):
    done = asr(recipe, *words)
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1


def test_training_and_transcripts_go_through_the_commands_of_the_site(recipe):
    fake = recipe / "bin/site.sh"
    fake.write_text(f"#!/usr/bin/env bash\nprintf '%s|' site \"$@\" >>'{recipe}/calls'; echo >>'{recipe}/calls'\n")
    fake.chmod(0o755)
    commands = "export train_cmd='site.sh --train' cuda_cmd='site.sh --cuda' separate_cmd='site.sh --sep'\n"
    (recipe / "cmd.sh").write_text(commands)
    assert asr(recipe, "--stage", "2", "--stop-stage", "3", "--nj", "3").returncode == 0
    train, *heard = calls(recipe)
    assert train[:7] == ["site", "--train", "--gpu", "0", "--num-threads", "3", "exp/asr/model/log/train.log"]
    assert train[7:9] == ["contrasep", "train-asr"]
    assert [line[1] for line in heard] == ["--sep", "--sep"] and heard[0][3:5] == ["contrasep", "transcribe"]
    (recipe / "exp/asr/model/.done").unlink()
    (recipe / "calls").unlink()
    assert asr(recipe, "--stage", "2", "--stop-stage", "2", "--ngpu", "1").returncode == 0
    assert calls(recipe)[0][:4] == ["site", "--cuda", "--gpu", "1"]


def test_rates_are_shown_and_logs_are_kept(recipe):
    done = asr(recipe, "--stage", "3", "--stop-stage", "3", "--test-sets", "tt")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("word error rate 12.3%") == 2
    assert "word error rate" in (recipe / "exp/asr/model/log/transcribe_tt.log").read_text()


def test_systems_are_found_from_where_one_stands(recipe, tmp_path):
    model = tmp_path / "my models/fine one"
    model.mkdir(parents=True)
    (model / "config.yaml").write_text("{}\n")
    words = ["--stage", "4", "--stop-stage", "4", "--systems", "my models/fine one,oracle_psm"]
    done = asr(recipe, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = [call for call in calls(recipe) if call[0] == "run.sh"]
    assert run[0][run[0].index("--model-dir") + 1] == str(model) and run[0][run[0].index("--tag") + 1] == "fine one"
    assert [call[call.index("--separator") + 1] for call in run if "--separator" in call] == ["oracle_psm"] * 2
    (model / "config.yaml").unlink()
    done = asr(recipe, *words, cwd=tmp_path)
    assert done.returncode == 2 and "no config.yaml in it; pack it" in done.stderr
