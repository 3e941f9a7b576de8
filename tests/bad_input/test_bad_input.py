"""Every kind of bad input is refused in one line that is its own, names the file, and stands on the reference page."""

import shutil

import pytest

from tests.bad_input.kinds import ROOT, all_kinds, inside, make_good, page, refusal, run, skeleton

PAGE = ROOT / "docs/reference/bad_input.md"
LEAST = 60
said = {}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    with inside(folder):
        make_good(folder)
    return folder


def test_the_good_input_is_good(good, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(good, tmp_path / "x"))
    assert run(["validate-data", "data/tt", "data/tt_2mix", "sources/tt"])[0] == 0
    assert run("separate-set --config c.yaml --dump dump/tt_2mix --out out".split())[0] == 0


@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: f"{kind.family}: {kind.what}")
def test_it_is_refused_in_one_line(kind, good, tmp_path):
    status, lines = refusal(kind, good, tmp_path / "x")
    assert status == 1, lines
    [line] = lines
    assert kind.names in line and kind.says in line, line
    assert line.isprintable() and "Traceback" not in line and str(tmp_path) not in line, line
    assert not list(tmp_path.glob("**/ESCAPED*"))
    said[kind] = line


def test_each_kind_has_a_message_of_its_own():
    if len(said) < len(all_kinds()):
        pytest.skip("only some of the kinds ran")
    assert len(set(said.values())) == len(said) >= LEAST
    # quotations, numbers and names of files aside
    assert len(set(map(skeleton, said.values()))) >= LEAST


def test_the_page_is_up_to_date():
    if len(said) < len(all_kinds()):
        pytest.skip("only some of the kinds ran")
    assert str(ROOT) not in page(said) and PAGE.read_text(encoding="utf-8") == page(said), "run tools/make_bad_input.py"
