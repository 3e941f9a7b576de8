"""Result pages show names and labels as text: no HTML, no links, no cells of their own."""

import re

import pytest

from contrasep_lib.report.markdown import code, escaped, markdown_table
from contrasep_lib.report.pages import comparison_page, tag_page
from contrasep_lib.report.plots import new_figure, save_figure

HOSTILE = "a|b <script>x</script> [click](javascript:x) ![i](http://x) `c` *d*\n# heading\n\n| e | \x1b[31m\u202e"
MEANS = {
    "n": 3, "num_spk": 2, "speakers": 4, "count_accuracy": 0.5, "oracle": {"ibm": 13.0}, "si_snri": None,
    "si_snri_count_estimated": 5.0, "mean_modularity": None, "mean_conductance": None, "confusion": {"2": {"2": 3}},
    "fallbacks": {HOSTILE: 1},
}
RESULTS = {
    "recipe": HOSTILE, "config": HOSTILE, "granularity": HOSTILE, "separator": HOSTILE, "supervision": HOSTILE,
    "num_spk": 2, "label": HOSTILE, "sets": {HOSTILE: MEANS},
    "system": {"parameters": 1, "minutes": 2, "device": HOSTILE},
}
COST = {"parameters": 1, "training": [{"minutes": 3, "device": HOSTILE}], "separation": None}


@pytest.mark.parametrize("page", [
    tag_page(HOSTILE, RESULTS, HOSTILE, "now", "1 s"),
    comparison_page({HOSTILE: {"results": RESULTS, "cost": COST}}, "origin"),
], ids=["tag", "comparison"])
def test_pages_hold_no_markup_of_a_name(page):
    prose = re.sub(r"`[^`\n]*`", "", re.sub(r"^ {6}.*$", "", page.replace("\\`", ""), flags=re.MULTILINE))
    assert "<script" not in prose and "](" not in prose and "\x1b" not in page and "\u202e" not in page
    assert [line for line in page.splitlines() if line.startswith("# ")] == [page.splitlines()[0]]
    tables = re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE)
    assert len(tables) >= 2
    for table in tables:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, table


def test_what_is_no_markup_stays_as_it_is():
    words = "tt_2mix: real speech (LibriSpeech), 3 speakers [2.5, 3.5] a_b-c.d é"
    assert escaped(words) == words and code("exp/a") == "`exp/a`"
    assert code("a`b|c") == "`a'b\u2223c`"
    assert markdown_table(["a", "b"], [["x", "1"]]) == ["| a | b |", "| --- | ---: |", "| x | 1 |"]


def test_a_dollar_in_a_title_is_no_formula(tmp_path):
    figure = new_figure(2, 2)
    figure.suptitle("$\\frac{ and more")
    save_figure(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 500
