"""AudioMNIST: every error of a copy, the strings, the split."""

from __future__ import annotations

import collections
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from contrasep_lib.corpus.audiomnist import META, WORDS, plan_strings
from contrasep_lib.corpus.options import AudiomnistOptions
from contrasep_lib.io.scp import invert_utt2spk, read_table
from tests.corpus.files import contents

PART = {"speakers": 6, "takes": 4, "test_speakers": ("03", "06"), "valid_fraction": 0.25}
OPTIONS = AudiomnistOptions(**PART)
# as the corpus publishes them: women; all others are men
WOMEN = {"12", "26", "28", "36", "43", "47", "52", "56", "57", "58", "59", "60"}


@pytest.fixture
def command(contrasep, tmp_path):
    """``command(corpus, ...)`` with `PART`; writes ``out``."""
    (tmp_path / "c.yaml").write_text(
        "corpus: {audiomnist: {speakers: 6, takes: 4, test_speakers: ['03', '06'], valid_fraction: 0.25}}\n"
    )

    def call(corpus, *more, out="out", **how):
        return contrasep(
            "prepare-corpus", "audiomnist", "--config", "c.yaml", "--out", out, "--corpus", corpus, *more, **how
        )

    return call


@pytest.fixture
def copy(audiomnist, tmp_path):
    """A copy to be spoilt: its folder of speakers."""
    shutil.copytree(audiomnist, tmp_path / "copy")
    return tmp_path / "copy" / "data"


def test_default_split_is_balanced():
    options = AudiomnistOptions()
    women = WOMEN & set(options.test_speakers)
    assert len(options.test_speakers) == 10 and len(women) == 5
    planned = plan_strings(Path("data"), "out", options)
    used = collections.Counter(path for string in planned for path in string.recordings)
    assert len(used) == 30000 and set(used.values()) == {1}
    counts = collections.Counter()
    for string in planned:
        counts[string.set_name] += len(string.digits)
    assert counts == {"tr": 50 * 450, "cv": 50 * 50, "tt": 10 * 500}
    lengths = collections.Counter(len(string.digits) for string in planned)
    assert set(lengths) == {3, 4, 5, 6, 7} and min(lengths.values()) > 0.15 * len(planned)


def test_sets(audiomnist, command, tmp_path):
    done = command(audiomnist, "--nj", 2, check=True)
    assert done.stdout == "out: tr 23 utterances, cv 8 utterances, tt 17 utterances\n"
    speakers, used = {}, []
    for name in ("tr", "cv", "tt"):
        folder = tmp_path / "out" / name
        tables = {
            table: read_table(folder / table) for table in ("wav.scp", "utt2spk", "text", "utt2dur", "spk2gender")
        }
        speakers[name] = set(tables["utt2spk"].values())
        assert read_table(folder / "spk2utt") == invert_utt2spk(tables["utt2spk"])
        assert all(utt.startswith("audiomnist") and utt.startswith(spk + "-") for utt, spk in tables["utt2spk"].items())
        assert tables["spk2gender"] == {spk: "f" if int(spk[-2:]) % 2 else "m" for spk in speakers[name]}
        for utt, path in tables["wav.scp"].items():
            info = soundfile.info(tmp_path / path)
            assert info.samplerate == 16000 and abs(info.duration - float(tables["utt2dur"][utt])) < 1e-4
            assert 1 <= len(tables["text"][utt].split()) <= 7 and set(tables["text"][utt].split()) <= set(WORDS)
        used += list(tables["wav.scp"])
    assert speakers["tr"] == speakers["cv"] and not speakers["tr"] & speakers["tt"]
    assert speakers["tt"] == {"audiomnist03", "audiomnist06"} and len(used) == len(set(used))
    # every digit of every take is said once
    words = collections.Counter(
        word for name in ("tr", "cv", "tt") for text in read_table(tmp_path / "out" / name / "text").values()
        for word in text.split()
    )
    assert words == {word: 6 * 4 for word in WORDS}


def test_takes_of_validation_are_not_in_training():
    takes = collections.defaultdict(set)
    for string in plan_strings(Path("data"), "out", OPTIONS):
        takes[string.set_name] |= {path.rpartition("_")[2] for path in string.recordings}
    assert not takes["tr"] & takes["cv"] and len(takes["cv"]) == 1 and len(takes["tt"]) == 4


def test_strings_are_the_recordings_with_pauses(audiomnist, command, tmp_path):
    """Against arithmetic of its own: what lies between pauses is the recording, resampled, without its mean, faded."""
    command(audiomnist, check=True)
    options = OPTIONS
    for string in plan_strings(audiomnist / "data", "out", options)[::9]:
        made, rate = soundfile.read(tmp_path / string.path)
        text = read_table(tmp_path / "out" / string.set_name / "text")[string.utt_id]
        assert text.split() == [WORDS[digit] for digit in string.digits]
        start = 0
        for digit, path, pause in zip(string.digits, string.recordings, (*string.pauses, None)):
            assert Path(path).name.startswith(f"{digit}_{string.speaker[-2:]}_")
            original, _ = soundfile.read(path)
            expected = resample_poly(original, 1, 3)
            expected -= expected.mean()
            inner = slice(start + 80, start + len(expected) - 80)
            assert np.abs(made[inner] - expected[80:-80]).max() <= 0.51 / 32768
            edge = made[start : start + 80]
            assert abs(edge[0]) < 1e-4 and np.abs(edge).max() <= np.abs(expected[:80]).max() + 1e-4
            start += len(expected)
            if pause is not None:
                samples = round(pause * rate)
                assert 0.05 * rate - 1 <= samples <= 0.35 * rate + 1 and not made[start : start + samples].any()
                start += samples
        assert start == len(made)


@pytest.mark.parametrize("bounds", [(1, 1), (1, 5), (3, 5), (3, 7), (4, 7)])
@pytest.mark.parametrize("takes", [2, 5, 50])
def test_every_recording_is_in_one_string(bounds, takes):
    options = AudiomnistOptions(takes=takes, digits=bounds, speakers=3, test_speakers=("02",))
    strings = plan_strings(Path("data"), "out", options)
    used = [path for string in strings for path in string.recordings]
    assert len(used) == len(set(used)) == 3 * 10 * takes
    assert all(bounds[0] <= len(string.digits) <= bounds[1] for string in strings)


def test_strings_depend_on_the_seed_alone(audiomnist, command, tmp_path):
    command(audiomnist, "--nj", 1, out="a", check=True)
    once = contents(tmp_path / "a")
    for folder in ("b", "c"):
        command(audiomnist, "--nj", 2, out=folder, check=True)
        # what a kill left out is made again
        for path in sorted((tmp_path / folder / "wav").rglob("*.wav"))[:: 2 if folder == "c" else 99]:
            path.unlink()
        shutil.rmtree(tmp_path / folder / "tt")
        command(audiomnist, out=folder, check=True)
        assert {name: value for name, value in contents(tmp_path / folder).items() if "wav.scp" not in name} == {
            name: value for name, value in once.items() if "wav.scp" not in name
        }
    command(audiomnist, "--set", "corpus.audiomnist.seed=1", out="d", check=True)
    assert contents(tmp_path / "d")["tr/text"] != once["tr/text"]
    done = command(audiomnist, "--set", "corpus.audiomnist.seed=1", out="a")
    assert done.returncode == 1 and "a: holds a corpus of other options" in done.stderr
    assert contents(tmp_path / "a") == once


def edit_meta(data, change):
    meta = json.loads((data / META).read_text())
    change(meta)
    (data / META).write_text(json.dumps(meta))


def wave(path, samples, rate=48000):
    soundfile.write(path, samples, rate, subtype="PCM_16")


ERRORS = {
    "meta gone": (lambda data: (data / META).unlink(), [f"{META}: no such file"]),
    "meta broken": (lambda data: (data / META).write_text("{'01'"), [f"{META}: not JSON"]),
    "meta empty": (lambda data: (data / META).write_text("{}"), [f"{META}: no speakers in it"]),
    "meta a list": (lambda data: (data / META).write_text("[1]"), [f"{META}: no speakers in it"]),
    "meta without a speaker": (
        lambda data: edit_meta(data, lambda meta: meta.pop("04")),
        [f"{META}: no speaker '04', though the folder 04 exists"],
    ),
    "meta with a strange speaker": (
        lambda data: edit_meta(data, lambda meta: meta.update({"61": meta["01"], "1": meta["01"]})),
        [f"{META}: '1' is no speaker", f"{META}: '61' is no speaker"],
    ),
    "meta without genders": (
        lambda data: edit_meta(
            data, lambda meta: (meta["02"].pop("gender"), meta["05"].update(gender="x"), meta.update({"06": 3}))
        ),
        ["speaker '02' is None", "speaker '05' is 'x'", "speaker '06' is None"],
    ),
    "a folder gone": (
        lambda data: shutil.rmtree(data / "05"),
        [f"data/05: no such folder, though {META} describes speaker 05"],
    ),
    "a speaker gone altogether": (
        lambda data: (shutil.rmtree(data / "05"), edit_meta(data, lambda meta: meta.pop("05"))),
        [f"data/05: no such folder, nor an entry in {META}"],
    ),
    "a strange folder": (lambda data: (data / "99").mkdir(), ["data/99: no speaker of AudioMNIST"]),
    "recordings gone": (
        lambda data: [(data / "01" / f"{digit}_01_2.wav").unlink() for digit in (3, 8)],
        ["data/01: 2 of 40 recordings missing: 3_01_2.wav, 8_01_2.wav; fetch them again"],
    ),
    "many recordings gone": (
        lambda data: [path.unlink() for path in (data / "02").glob("[0-4]*.wav")],
        ["data/02: 20 of 40 recordings missing: 0_02_0.wav, ", " and 10 more; fetch"],
    ),
    "wrong names": (
        lambda data: [
            (data / "03" / f"0_03_{take}.wav").rename(data / "03" / name)
            for take, name in enumerate(("0_04_0.wav", "10_03_1.wav", "0_03_50.wav", "x.wav"))
        ],
        [
            "03/0_04_0.wav: wrong name",
            "03/10_03_1.wav: wrong name",
            "03/0_03_50.wav: wrong name",
            "03/x.wav: wrong name",
            "data/03: 4 of 40 recordings missing",
        ],
    ),
    "empty file": (lambda data: (data / "04" / "1_04_1.wav").write_bytes(b""), ["1_04_1.wav: cannot be read as audio"]),
    "no audio": (
        lambda data: (data / "04" / "1_04_1.wav").write_bytes(b"text" * 99),
        ["1_04_1.wav: cannot be read as audio"],
    ),
    "truncated": (
        lambda data: os.truncate(data / "04" / "1_04_1.wav", 3000),
        ["1_04_1.wav: truncated"],
    ),
    "zero length": (lambda data: wave(data / "04" / "1_04_1.wav", np.zeros(0)), ["1_04_1.wav: no samples in it"]),
    "all zero": (lambda data: wave(data / "04" / "1_04_1.wav", np.zeros(99)), ["1_04_1.wav: all zero"]),
    "wrong rate": (
        lambda data: wave(data / "04" / "1_04_1.wav", np.ones(99) / 9, 8000),
        ["1_04_1.wav: expected 48000 Hz, got 8000 Hz"],
    ),
    "stereo": (
        lambda data: wave(data / "04" / "1_04_1.wav", np.ones((99, 2)) / 9),
        ["1_04_1.wav: expected mono, got 2 channels"],
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_has_its_line(copy, command, tmp_path, name):
    spoil, says = ERRORS[name]
    spoil(copy)
    done = command(copy.parent)
    lines = [line for line in done.stderr.splitlines() if line and "checking" not in line]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert len(lines) == len(set(lines)) and lines[-1].endswith(
        f"{len(lines) - 1} errors found, listed above; nothing was made"
    )
    for words in says:
        assert sum(words in line for line in lines) == 1, (words, lines)
    assert not (tmp_path / "out").exists()


def test_all_errors_are_reported_at_once(copy, command):
    for name in (
        "meta without a speaker",
        "a strange folder",
        "recordings gone",
        "wrong names",
        "wrong rate",
        "a folder gone",
    ):
        ERRORS[name][0](copy)
    done = command(copy, "--nj", 2)
    for name in (
        "meta without a speaker",
        "a strange folder",
        "recordings gone",
        "wrong names",
        "wrong rate",
        "a folder gone",
    ):
        assert all(words in done.stderr for words in ERRORS[name][1]), name
    assert "10 errors found, listed above" in done.stderr


def test_speakers_and_takes_beyond_the_options_are_left_alone(copy, command):
    (copy / "05" / "notes.txt").write_text("two of them are copies")
    wave(copy / "05" / "9_05_49.wav", np.zeros(0))
    shutil.copytree(copy / "01", copy / "60")
    assert command(copy, check=True).stdout.startswith("out: tr 23 utterances")


def test_a_corpus_that_is_not_there(command, tmp_path):
    (tmp_path / "empty").mkdir()
    for place in ("empty", "nowhere"):
        done = command(place)
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert f"{place}: no AudioMNIST in it; give the folder that holds 01, 02" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        {"speakers": 2},
        {"speakers": 61},
        {"takes": 1},
        {"takes": 51},
        {"test_speakers": ()},
        {"test_speakers": ("1",)},
        {"speakers": 3, "test_speakers": ("01", "02", "03")},
        {"valid_fraction": 1.0},
        {"digits": (3, 4)},
        {"digits": (0, 4)},
        {"digits": (3,)},
        {"pause_seconds": (0.5, 0.1)},
        {"pause_seconds": (-0.1, 0.1)},
        {"rate": 96000},
    ],
)
def test_wrong_options(options):
    with pytest.raises(ValueError):
        AudiomnistOptions(**options)
