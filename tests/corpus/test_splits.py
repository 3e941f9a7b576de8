"""Split files: the committed ones, and what a reader refuses."""

from collections import Counter
from pathlib import Path

import pytest

from contrasep_lib.corpus.commonvoice_table import list_languages, read_clips
from contrasep_lib.corpus.splits import Held, find_split, read_split, speakers_of, write_split
from contrasep_lib.errors import ContrasepError

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "corpora"
HEADER = "speaker\tpart\tgroup\n"


def test_librispeech():
    held = read_split(ROOT / "conf/splits/librispeech.tsv")
    assert Counter((entry.part, entry.group) for entry in held) == {
        ("test", "f"): 4, ("test", "m"): 4, ("dev", "f"): 8, ("dev", "m"): 8
    }
    assert set(speakers_of(held, "test")) == set("19 1970 226 4680 1867 2136 3242 3664".split())


def test_commonvoice():
    held = read_split(ROOT / "conf/splits/commonvoice.tsv")
    counts = Counter((entry.part, entry.group) for entry in held)
    assert set(counts.values()) == {20} and len(counts) == 10
    assert {"de", "zh-TW", "ca", "tr"} < {entry.group for entry in held}
    assert all(len(entry.speaker) == 16 and set(entry.speaker) <= set("0123456789abcdef") for entry in held)


@pytest.mark.skipif(not (SHARED / "CommonVoice").is_dir(), reason="no ../shared/corpora/CommonVoice")
def test_commonvoice_takes_those_with_most_clips():
    held = read_split(ROOT / "conf/splits/commonvoice.tsv")
    corpus = SHARED / "CommonVoice"
    clips = {name: Counter(clip.speaker[2:] for clip in read_clips(corpus / name)) for name in list_languages(corpus)}
    for language in {entry.group for entry in held}:
        counts = clips[language]
        assert len(counts) >= 50
        parts = [[counts[e.speaker] for e in held if (e.part, e.group) == (part, language)] for part in ("dev", "test")]
        chosen = {entry.speaker for entry in held if entry.group == language}
        others = [n for speaker, n in counts.items() if speaker not in chosen and all(
            clips[other][speaker] <= n for other in clips if other != language)]
        assert min(map(min, parts)) >= max(others) and abs(sum(parts[0]) - sum(parts[1])) <= 5


def test_round_trip(tmp_path):
    held = [Held("b", "test", "m"), Held("a", "dev", "zh-TW")]
    write_split(tmp_path / "s.tsv", "one\ntwo", held)
    assert (tmp_path / "s.tsv").read_text() == "# one\n# two\n" + HEADER + "b\ttest\tm\na\tdev\tzh-TW\n"
    assert read_split(tmp_path / "s.tsv") == held


@pytest.mark.parametrize("content, says", [
    ("", "expected the header 'speaker part group'"),
    ("a\tdev\tf\n", "expected the header"),
    (HEADER + "a\tdev\n", "s.tsv:2: expected 3 fields separated by tabs, got 2"),
    ("# c\n" + HEADER + "a dev f\n", "s.tsv:3: expected 3 fields"),
    (HEADER + "a\ttrain\tf\n", "s.tsv:2: expected part dev or test, got 'train'"),
    (HEADER + "a\tdev\tf\na\ttest\tf\n", "s.tsv:3: speaker 'a' stands twice"),
    (HEADER + "../a\tdev\tf\n", "s.tsv:2: expected letters, digits"),
    (HEADER + "a\tdev\t\n", "s.tsv:2: expected letters, digits"),
])  # fmt: skip
def test_errors(tmp_path, content, says):
    (tmp_path / "s.tsv").write_text(content)
    with pytest.raises(ContrasepError) as caught:
        read_split(tmp_path / "s.tsv")
    assert says in str(caught.value)


def test_where_it_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "conf/splits/librispeech.tsv"
    assert find_split(name).samefile(ROOT / name)
    write_split(tmp_path / name, "own", [Held("a", "dev", "f")])
    assert find_split(name).samefile(tmp_path / name)
    with pytest.raises(ContrasepError, match="no/such.tsv: no such split file, here or in"):
        find_split("no/such.tsv")
