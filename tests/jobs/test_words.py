"""Where the range's name is replaced, and commands as logs show them."""

import shlex
import subprocess

import pytest

from utils.jobs.words import quoted, ranges, substitute

COMMAND = ["mix", "--list", "/a/JOB/list", "JOBS/mix", "aJOB", "JOB/4"]


def test_kaldis_rule_replaces_everywhere():
    log, command = substitute("JOB", 3, "JOBS/JOB/x.JOB.log", COMMAND, None)
    assert log == "3S/3/x.3.log" and command == ["mix", "--list", "/a/3/list", "3S/mix", "a3", "3/4"]


@pytest.mark.parametrize("folder", ["JOBS/mix", "/a/JOB/mix", "JOB", "a b/JOB.d"])
def test_marked_words_alone_are_replaced(folder):
    log, command = substitute("JOB", 3, f"{folder}/mix.JOB.log", [folder, f"{folder}/JOB", "JOB/4"], 1)
    assert log == f"{folder}/mix.3.log" and command == [folder, f"{folder}/JOB", "3/4"]


@pytest.mark.parametrize("word, replaced", [
    ("JOB", "7"), ("JOB/4", "7/4"), ("x.JOB-JOB", "x.7-7"), ("(JOB)", "(7)"),
    ("JOBS", "JOBS"), ("myJOB", "myJOB"), ("JOB_1", "JOB_1"), ("JOB2", "JOB2"), ("2JOB", "2JOB"), ("éJOB", "éJOB"),
])
def test_a_whole_word_stands_between_other_characters(word, replaced):
    assert substitute("JOB", 7, "x.JOB.log", ["p", word], 1)[1] == ["p", replaced]
    if "/" not in word:
        assert substitute("JOB", 7, f"JOB/{word}.log", ["p"], 1)[0] == f"JOB/{replaced}.log"


def test_several_marked_words():
    assert substitute("n", 2, "n.log", ["n", "n", "n"], 2) == ("2.log", ["n", "2", "2"])


def test_without_a_range_nothing_is_replaced():
    assert substitute(None, 1, "x.JOB.log", ["JOB"], None) == ("x.JOB.log", ["JOB"])


@pytest.mark.parametrize("words", [
    ["a b", "c"], ["it's", '"x"'], ["$HOME", "`x`", "a\\b"], [""], ["*", "~", "#x"], ["two\nlines", "tab\there"],
    ["\x01'\\\r", "é"], ["a\\\n'b"],
])
def test_a_shell_reads_a_quoted_command_back(words):
    line = quoted(["printf", "%s\\0", *words])
    assert "\n" not in line
    done = subprocess.run(["bash", "-c", line], capture_output=True)
    assert done.stdout.decode().split("\0")[:-1] == words
    assert quoted(["a b"]) == shlex.join(["a b"])


def test_ranges():
    assert ranges([1]) == "1" and ranges([3, 1, 2, 7, 9, 10]) == "1-3,7,9-10"
