"""Kinds of file: the length that ffmpeg decodes, or one line that says why not."""

import struct
from pathlib import Path

import pytest

from contrasep_lib.io.audio import wav_length
from contrasep_lib.io.recording import FileSource, read_recording, seconds_by_header
from tests.io import kinds_coded
from tests.io.kinds_of_file import SECONDS, all_kinds
from tests.io.reading_of_kinds import ffmpeg, page, reading, versions

pytest.importorskip("av")
PAGE = Path(__file__).resolve().parents[2] / "docs/reference/formats.md"
# seconds: other versions of FFmpeg's libraries cut an encoder's padding elsewhere
MOST_APART = 0.03
# fast ones of each reader, streams and damage among them
FAST = [
    "wav", "wav_float", "wav_alaw", "wav_sox", "wav_ffmpeg", "wav_zero", "wav_cut", "au_streamed", "flac_streamed",
    "flac_cut", "ogg_joined", "mp3_joined", "m4a", "webm", "mkv_two", "mp4_cut", *(
        kind.make.__name__ for kind in all_kinds() if kind.refused
    ),
]
found = {}


def check(kind, each):
    assert kind.words in each.said and "\n" not in each.said, each
    assert kind.refused == (each.samples == 0), each
    if not kind.words:
        assert not each.said
    if each.judge is not None:
        assert abs(each.samples - each.judge) <= MOST_APART * each.rate, each


def test_there_are_forty():
    assert len([kind for kind in all_kinds() if not kind.refused]) >= 40
    assert len({kind.what for kind in all_kinds()}) == len(all_kinds())


@pytest.mark.parametrize(
    "kind", [kind for kind in all_kinds() if kind.make.__name__ in FAST], ids=lambda kind: kind.what
)
def test_a_kind_is_read_or_refused(kind, tmp_path):
    check(kind, reading(kind, tmp_path / "x", judge=False))


@pytest.mark.slow
@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.what)
def test_its_length_is_that_of_ffmpeg(kind, tmp_path):
    if ffmpeg() is None:
        pytest.skip("no ffmpeg to judge; pip install imageio-ffmpeg")
    found[kind] = reading(kind, tmp_path / "x", judge=True)
    check(kind, found[kind])


@pytest.mark.slow
def test_the_page_is_up_to_date():
    if len(found) < len(all_kinds()):
        pytest.skip("only some of the kinds ran")
    text = PAGE.read_text(encoding="utf-8")
    if versions() not in text:
        pytest.skip(f"made with other versions than {versions()}")
    assert page(found, versions()) == text, "run tools/make_formats.py"


FMT = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)


@pytest.mark.parametrize(
    "behind, samples",
    [
        (b"", None), (b"fmt ", None), (FMT[:12], None), (FMT, None), (FMT + b"data", None),
        (FMT + b"data" + struct.pack("<I", 8) + bytes(4), 4), (FMT + b"data" + struct.pack("<I", 0) + bytes(4), None),
        (FMT + b"data" + struct.pack("<I", 0x7FFFF000) + bytes(4), None), (b"odd " + FMT[4:], None),
    ],
)
def test_what_a_header_of_wav_announces(tmp_path, behind, samples):
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + bytes(4) + b"WAVE" + behind)
    assert wav_length(path) == samples


def test_joined_mp3_files_are_read_to_their_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = kinds_coded.mp3_joined()
    assert read_recording(name, 8000).seconds == pytest.approx(2 * SECONDS, abs=0.1)
    assert 0 < seconds_by_header(name) < 10


def test_without_pyav_libsndfile_says_what_it_may_have_missed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = kinds_coded.mp3_variable()
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    source = FileSource(name)
    assert read_recording(source, 8000).seconds == pytest.approx(SECONDS, abs=0.1)
    assert source.reader == "libsndfile" and "contrasep[media]" in source.notes[0]
