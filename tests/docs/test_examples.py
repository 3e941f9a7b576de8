"""Examples in docstrings run, and print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "contrasep_lib"
MODULES = sorted(
    ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in PACKAGE.rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


def run(docstrings, names):
    """Failed and attempted examples of docstrings, each seeing its module's names."""
    finder, runner = doctest.DocTestFinder(recurse=True), doctest.DocTestRunner()
    for test in finder.find(docstrings, docstrings.__name__, globs=dict(names)):
        runner.run(test)
    return runner.summarize(verbose=False)


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    imported = importlib.import_module(module)
    failed, attempted = run(imported, vars(imported))
    assert attempted > 0 and failed == 0


def test_there_are_examples():
    assert len(MODULES) >= 4


def test_a_wrong_example_is_found(capsys):
    def wrong():
        """Adds.

        >>> 1 + 1
        3
        """

    assert run(wrong, {}) == (1, 1)
    assert "Expected:\n    3\nGot:\n    2" in capsys.readouterr().out
