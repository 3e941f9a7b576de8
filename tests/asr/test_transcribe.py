"""contrasep transcribe: what is compared, and what is never written over."""

import os

import numpy as np
import pytest
import soundfile

pytest.importorskip("rapidfuzz", reason="rapidfuzz is not installed")
from contrasep_lib.asr.transcribers import Transcriber
from contrasep_lib.bin.main import main
from contrasep_lib.io.scp import write_table


class Says(Transcriber):
    """Hears the same in every recording."""

    rate, name = 8000, "says"

    def __init__(self, words):
        self.words = words

    def transcribe(self, batch):
        return dict.fromkeys(batch.keys, self.words)


@pytest.fixture
def transcribe(tmp_path, monkeypatch):
    """The command on two recordings of one folder: words that are heard, and --out -> its status."""
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    write_table(tmp_path / "wav.scp", {key: str(tmp_path / "a.wav") for key in ("r1", "r2")})

    def call(words, out):
        monkeypatch.setattr("contrasep_lib.asr.transcribers.transcriber_of", lambda model: Says(words))
        return main(["transcribe", "--model", "x", "--scp", str(tmp_path / "wav.scp"), "--out", str(out)])

    return call


@pytest.mark.parametrize("words, lines", [("", ""), ("SOME WORDS", "r1 SOME WORDS\nr2 SOME WORDS\n")])
def test_a_table_beside_the_recordings_is_not_compared_with_itself(transcribe, tmp_path, capsys, words, lines):
    assert transcribe(words, tmp_path / "text") == 0
    assert (tmp_path / "text").read_text() == lines and "error rate" not in capsys.readouterr().out


@pytest.mark.parametrize("made", ["text", "../FOLDER/text", "link", "hard", "wav.scp"])
def test_reference_transcripts_are_never_written_over(transcribe, tmp_path, capsys, made):
    write_table(tmp_path / "text", {"r1": "THE TRUE WORDS"})
    table = (tmp_path / "wav.scp").read_bytes()
    (tmp_path / "link").symlink_to("text")
    os.link(tmp_path / "text", tmp_path / "hard")
    assert transcribe("WRONG WORDS", tmp_path / made.replace("FOLDER", tmp_path.name)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "--out: " in line and "name another file" in line
    assert (tmp_path / "text").read_text() == "r1 THE TRUE WORDS\n"
    assert (tmp_path / "wav.scp").read_bytes() == table


def test_another_file_is_compared_with_the_references(transcribe, tmp_path, capsys):
    write_table(tmp_path / "text", {"r1": "The true words!"})
    assert transcribe("THE WRONG WORDS", tmp_path / "heard") == 0
    assert "word error rate 33.3% of 1 recordings" in capsys.readouterr().out
    # references without a word give no rate
    write_table(tmp_path / "text", {"r1": "?!"})
    assert transcribe("WORDS", tmp_path / "heard") == 0
    assert "error rate" not in capsys.readouterr().out
