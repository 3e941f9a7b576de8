"""Word error rates of several systems in one table."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools")]
from experimentkit import words  # noqa: E402

from contrasep_lib.errors import ContrasepError  # noqa: E402


def rates(path, separated, clean=0.1):
    each = {"clean": clean, "mixed": 0.8, "separated": separated}
    parts = dict.fromkeys(words.PARTS, 5)
    found = {kind: {"rate": rate, "ci95": [rate - 0.05, rate + 0.05], **parts} for kind, rate in each.items()}
    path.write_text(json.dumps({"recogniser": "x", "n": 3, "word_error_rate": found, "unit_error_rate": found}))
    return path


def test_what_systems_share_stands_once(tmp_path):
    one, two = rates(tmp_path / "one.json", 0.4), rates(tmp_path / "two.json", 0.3)
    lines = words.collected([f"a,best={one}", f"a,oracle={two}", f"b,best={two}"])
    heard = [(line["speech"], line["heard"], line["rate"]) for line in lines if line["of"] == "word"]
    assert heard == [
        ("a", "clean", 0.1), ("a", "mixed", 0.8), ("a", "best", 0.4), ("a", "oracle", 0.3),
        ("b", "clean", 0.1), ("b", "mixed", 0.8), ("b", "best", 0.3),
    ]
    assert [line["heard"] for line in lines if line["of"] == "unit"] == [name for _, name, _ in heard]
    words.draw(lines, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_other_sets_and_files_are_one_line(tmp_path):
    one, two = rates(tmp_path / "one.json", 0.4), rates(tmp_path / "two.json", 0.3, clean=0.2)
    with pytest.raises(ContrasepError, match="'clean' of 'a' differs from that of an earlier file"):
        words.collected([f"a,best={one}", f"a,oracle={two}"])
    (tmp_path / "three.json").write_text("{}")
    empty = json.loads(one.read_text())
    empty["word_error_rate"]["mixed"] |= {"rate": None, "ci95": None}
    (tmp_path / "four.json").write_text(json.dumps(empty))
    empty["word_error_rate"]["mixed"]["rate"] = "high"
    (tmp_path / "five.json").write_text(json.dumps(empty))
    for word, line in (
        (f"a={one}", "expected SPEECH,SYSTEM=FILE"), ("a,b=none.json", "No such file"),
        (f"a,b={tmp_path}/three.json", "not what contrasep score --wer writes"),
        (f"a,b={tmp_path}/four.json", "four.json: no word error rate of 'mixed': its transcripts hold no word"),
        (f"a,b={tmp_path}/five.json", "five.json: not what contrasep score --wer writes"),
    ):
        with pytest.raises(ContrasepError, match=line):
            words.collected([word])
