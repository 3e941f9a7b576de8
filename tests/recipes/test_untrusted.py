"""Nothing that a file holds is read by a shell: values of configurations, labels, names of sets, what .done says."""

import os
import subprocess
from pathlib import Path

import pytest

from contrasep_lib.bin.resolve import shell_value

ROOT = Path(__file__).resolve().parents[2]
PARTS = "for part in options locks markers steps stages_test"
SOURCED = f"set -euo pipefail; {PARTS}; do . {ROOT}/utils/$part.sh; done; recipe=toy; "
HOSTILE = [
    "$(touch X)", "`touch X`", "; touch X #", "a b\tc\nd", "'; touch X; '", '"; touch X; "', "-n", "--help", "*",
    "~", "\\", "", "${HOME}", "é\x1b[31m", "a=b", "| touch X", "!!",
]


@pytest.fixture
def bash(tmp_path):
    """``bash(command)``: run it after the shell pieces of the recipes; standard output, errors, status."""

    def run(command):
        path = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        done = subprocess.run(["bash", "-c", SOURCED + command], cwd=tmp_path, env=path, capture_output=True, text=True)
        assert not (tmp_path / "X").exists()
        return done

    return run


def test_values_of_a_configuration_are_words_of_the_shell(bash):
    words = f"one={shell_value(HOSTILE[0])}\nmany={shell_value(HOSTILE)}\n"
    done = bash(f'read_all() {{ eval "$1"; printf "%s\\0" "$one" "${{many[@]}}"; }}; read_all {shell_value(words)}')
    assert done.stdout.split("\0")[:-1] == [HOSTILE[0], *HOSTILE], done.stderr


def test_a_label_is_one_word_of_the_report(bash, tmp_path):
    label = "--help; $(touch X) `touch X` '\"*\nsecond line"
    for folder in ("sources", "exp/a/separate_tt/wavs", "exp/a/score_tt", "dump/tt"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "sources/label").write_text(label)
    (tmp_path / "exp/a/RESULTS.md").write_text("results\n")
    stubs = 'due() { is_due=false; }; contrasep() { printf "%s\\0" "$@" >words; }; '
    done = bash(f"{stubs} settings=() separator=mixture sources=sources exp=exp/a test_sets=dump/tt; stage_6")
    assert done.returncode == 0, done.stderr
    words = (tmp_path / "words").read_text().split("\0")
    assert f"--label={label}" in words and words[0] == "report" and "--help" not in words


@pytest.mark.parametrize("name", ["a b", ".hidden", "a;touch X", "$(touch X)", "a*", "a'b"])
def test_names_of_test_sets_are_ids(bash, tmp_path, name):
    (tmp_path / "sets" / name).mkdir(parents=True)
    done = bash(f"test_sets={shell_value(f'sets/{name}')}; read_tests")
    assert done.returncode == 2 and "rename it" in done.stderr and len(done.stderr.splitlines()) == 1
    (tmp_path / "sets/tt_2mix-é").mkdir()
    assert bash("test_sets=sets/tt_2mix-é; read_tests; printf %s ${tests[@]}").stdout.endswith("/sets/tt_2mix-é")


@pytest.mark.parametrize("name", ["../victim", "/victim", "a/../../victim", ".."])
def test_a_marker_names_nothing_outside_its_folder(bash, tmp_path, name):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "out").mkdir()
    name = str(tmp_path / "victim") if name == "/victim" else name
    key = bash("key_dump=1; key_of dump x").stdout.strip()
    (tmp_path / "out/.begun").write_text(f"dump {key}\n")
    (tmp_path / "out/wav.ark").write_text("xy")
    (tmp_path / "out/.done").write_text(f"dump {key}\n1 wav.ark\n9 {name}\n")
    done = bash("key_dump=1; due dump out clear x; if $is_due; then echo due; fi")
    assert "due" in done.stdout and (tmp_path / "victim").read_text() == "mine"
    # what lies in the folder and is not what .done says goes
    assert not (tmp_path / "out/wav.ark").exists()


def test_shells_evaluate_what_is_quoted_alone():
    """Each ``eval`` stands here: its words are quoted by `shell_value`, or by the sweep's plan."""
    places = ("utils/*.sh", "egs/*/*.sh", "egs/*/local/*", "tools/*.sh")
    scripts = [path for place in places for path in ROOT.glob(place) if path.is_file()]
    found = {
        line.strip() for path in scripts for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith(("eval ", "source <(", "bash -c", "sh -c"))
    }
    assert found == {'eval "$resolved"', 'eval "options=(${runs[n]})"', 'eval "options=(${runs[$1]})"'}
