"""Word error rates on result pages."""

import json

import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.report.words import read_words, word_lines

RATES = {
    "clean": {"rate": 0.1, "ci95": [0.05, 0.15]}, "mixed": {"rate": 1.25, "ci95": None},
    "separated": {"rate": None, "ci95": None},
}
WORDS = {"recogniser": "own|one", "unit": "characters", "n": 3, "word_error_rate": RATES, "unit_error_rate": RATES}


def test_a_table_has_both_rates_with_intervals():
    lines = word_lines({"words": WORDS})
    assert lines[0] == "| own\\|one | clean | mixed | separated |"
    assert lines[2] == "| words | 10.0 [5.0, 15.0] | 125.0 | - |" and lines[3].startswith("| characters | 10.0")
    assert word_lines({}) == []


@pytest.mark.parametrize(
    "change", [{"unit": 3}, {"word_error_rate": []}, {"unit_error_rate": {"clean": {"rate": "x"}}},
               {"word_error_rate": {"clean": {"rate": 0.1, "ci95": [1]}}}],
)
def test_a_foreign_file_is_refused(tmp_path, change):
    assert read_words(tmp_path) is None
    (tmp_path / "wer.json").write_text(json.dumps(WORDS))
    assert read_words(tmp_path) == WORDS
    (tmp_path / "wer.json").write_text(json.dumps({**WORDS, **change}))
    with pytest.raises(ContrasepError, match=r"wer.json: not of contrasep score --wer"):
        read_words(tmp_path)
