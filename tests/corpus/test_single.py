"""Transcripts of sentences: what is kept of any script, and that English ones stay as they are."""

import re
import unicodedata

import pytest

from contrasep_lib.asr.data import read_spoken
from contrasep_lib.corpus.commonvoice_table import words
from contrasep_lib.corpus.sentences import SENTENCES
from contrasep_lib.corpus.single import normalise_text
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.io.scp import write_table


@pytest.mark.parametrize("sentence, text", [
    ("In 1998, 20 dogs!", "IN 1998 20 DOGS"), ("über alles", "ÜBER ALLES"), ("в доме — тепло…", "В ДОМЕ ТЕПЛО"),
    ("don\u2019t, don\u02bct, 'tis", "DON'T DON'T 'TIS"), ("straße", "STRASSE"), ("x\u0302 u\u0308ber", "X\u0302 ÜBER"),
    ("हिन्दी में", "हिन्दी में"), ("٣ كتب", "٣ كتب"), ("你好,世界", "你好 世界"), ("snake_case-name", "SNAKE CASE NAME"),
    ("", ""), ("?! …", ""), ("a\u00a0\tb", "A B"),
])
def test_letters_marks_and_digits_of_any_script_stay(sentence, text):
    assert normalise_text(sentence) == text
    assert normalise_text(normalise_text(sentence)) == text
    # composed and decomposed spellings are one
    assert normalise_text(unicodedata.normalize("NFD", sentence)) == text


def test_english_sentences_stay_as_they_were():
    for sentence in SENTENCES:
        assert normalise_text(sentence) == " ".join(re.sub(r"[^A-Z' ]+", " ", sentence.upper()).split())


def test_transcripts_of_common_voice_pass_as_they_are():
    for sentence in ("Über 20 Hunde?", "l\u2019été d'après", "тепло"):
        assert normalise_text(words(sentence)) == words(sentence)


def test_a_set_without_any_word_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(DumpSet, "rate", 8000)
    folder = tmp_path / "tr_single"
    folder.mkdir()
    for name, value in (("wav.scp", "a.wav"), ("utt2spk", "s"), ("utt2num_samples", "100"), ("text", "?! ...")):
        write_table(folder / name, {"s-1": value, "s-2": value})
    with pytest.raises(ContrasepError, match="tr_single/text: expected transcripts, got no word in any line"):
        read_spoken([folder])
    write_table(folder / "text", {"s-1": "7", "s-2": "?"})
    assert [one.text for one in read_spoken([folder])] == ["7", ""]
