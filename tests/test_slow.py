"""Slow tests are left out unless they are asked for, and never in silence."""

import re
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


class Item:
    """A test, with or without the mark."""

    def __init__(self, slow):
        self.slow = slow

    def get_closest_marker(self, name):
        return True if name == "slow" and self.slow else None


@pytest.mark.parametrize("given, fast_alone", [
    ({}, True), ({"args": ["tests/score", "tests/io"]}, True), ({"all": True}, False), ({"markexpr": "slow"}, False),
    ({"args": ["tests/io/test_ark.py::test_one"]}, False),
])
def test_slow_tests_run_when_they_are_asked_for_and_are_never_left_out_in_silence(pytestconfig, given, fast_alone):
    hooks = next(each for each in pytestconfig.pluginmanager.get_plugins() if hasattr(each, "pytest_testnodedown")
                 and hasattr(each, "burst"))
    option = types.SimpleNamespace(all=given.get("all", False), markexpr=given.get("markexpr", ""))
    items, left, lines = [Item(False), Item(True), Item(False), Item(True)], [], []
    config = types.SimpleNamespace(
        option=option, args=given.get("args", []), workeroutput={},
        hook=types.SimpleNamespace(pytest_deselected=lambda items: left.extend(items)),
    )
    hooks.pytest_collection_modifyitems(config, items)
    assert [item.slow for item in items] == ([False] * 2 if fast_alone else [False, True] * 2)
    assert len(left) == (2 if fast_alone else 0)
    # what a process of several collected reaches the one that reports
    reporting = types.SimpleNamespace(left_out=0)
    hooks.pytest_testnodedown(types.SimpleNamespace(config=reporting, workeroutput=config.workeroutput), None)
    hooks.pytest_terminal_summary(types.SimpleNamespace(write_line=lines.append), reporting)
    says = ["2 slow tests left out; tools/run_tests.sh --all runs them too"]
    assert lines == (says if fast_alone else [])


def test_a_mark_that_nobody_registered_is_an_error(pytestconfig):
    assert "slow" in {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    for path in (ROOT / "tests").rglob("test_*.py"):
        marks = re.findall(r"pytest\.mark\.(\w+)", path.read_text(encoding="utf-8"))
        assert set(marks) <= {"parametrize", "skipif", "slow", "filterwarnings", "usefixtures", "skip", "xfail"}, path


@pytest.mark.parametrize("program", [".ci/run"])
def test_continuous_integration_runs_all(program):
    assert "run_tests.sh\" --all" in (ROOT / program).read_text()
