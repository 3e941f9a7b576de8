"""Validation of data directories: each rule broken once, and all at once."""

import numpy as np
import pytest
import soundfile

from contrasep_lib.io.scp import read_table


@pytest.fixture
def validate(contrasep, mixed):
    data = mixed[2]

    def call(*options):
        return contrasep("validate-data", data, *options)

    call.data = data
    call.utt = next(iter(read_table(data / "wav.scp")))
    return call


def edit(path, function):
    path.write_text("".join(function(path.read_text().splitlines(keepends=True))))


def test_what_prepare_data_makes_is_valid(validate, contrasep, sources_dir):
    done = validate("--rate", 8000, "--nj", 2)
    assert done.returncode == 0 and "5 utterances, 2 speakers" in done.stdout and done.stderr.count("\n") <= 2
    assert contrasep("validate-data", sources_dir).returncode == 0
    text = read_table(validate.data / "text_spk2")
    assert set(text) == set(read_table(validate.data / "wav.scp")) and set(text.values()) <= {
        f"WORD {n}" for n in range(3)
    }
    for utt, speaker in read_table(validate.data / "utt2spk").items():
        assert utt.startswith(speaker + "_") and len(speaker.split("_")) == 2


@pytest.mark.parametrize("name, function, says", [
    ("wav.scp", lambda lines: lines[::-1], "not sorted"),
    ("spk2.scp", lambda lines: lines[1:], "missing"),
    ("spk1.scp", lambda lines: lines + ["zzz nowhere.wav\n"], "'zzz' is not in wav.scp"),
    ("utt2spk", lambda lines: [lines[0].split()[0] + " nobody\n", *lines[1:]], "no prefix"),
    ("spk2utt", lambda lines: lines[:-1], "not the inverse"),
    ("utt2dur", lambda lines: [lines[0].split()[0] + " 0\n", *lines[1:]], "positive"),
    ("utt2dur", lambda lines: [lines[0].split()[0] + " 7.25\n", *lines[1:]], "utt2dur says 7.25"),
    ("utt2spk", lambda lines: [*lines[:-1], lines[-1].rstrip()], "no newline"),
    ("text_spk1", lambda lines: lines[1:], "text_spk1.*missing"),
])
def test_broken_tables(validate, name, function, says):
    import re

    edit(validate.data / name, function)
    done = validate()
    assert done.returncode == 1
    assert re.search(says, done.stderr), done.stderr


@pytest.mark.parametrize("name", ["wav.scp", "utt2spk", "spk2utt", "utt2dur"])
def test_missing_tables(validate, name):
    (validate.data / name).unlink()
    done = validate()
    assert done.returncode == 1 and name in done.stderr


def test_broken_audio(validate):
    source = read_table(validate.data / "spk1.scp")[validate.utt]
    samples, rate = soundfile.read(source, dtype="int16")
    cases = [
        (np.roll(samples, 3), rate, "do not add up"),
        (samples[:-1], rate, f"has {len(samples) - 1} samples, the mixture {len(samples)}"),
        (samples, 16000, "expected 8000 Hz, got 16000 Hz"),
        (np.stack([samples, samples], axis=1), rate, "2 channels"),
        (samples * 0, rate, "all zero"),
    ]
    for audio, audio_rate, says in cases:
        soundfile.write(source, audio, audio_rate)
        done = validate()
        assert done.returncode == 1 and says in done.stderr, (says, done.stderr)
    soundfile.write(source, samples.astype(float) / 2**15, rate, subtype="PCM_16")
    assert validate().returncode == 0


def test_a_sum_within_rounding_is_valid(validate):
    source = read_table(validate.data / "spk1.scp")[validate.utt]
    samples, rate = soundfile.read(source, dtype="int16")
    soundfile.write(source, samples + (np.arange(len(samples)) == 5).astype(np.int16) * 4, rate)
    assert "do not add up" in validate().stderr


def test_all_violations_are_listed(validate):
    edit(validate.data / "spk2.scp", lambda lines: lines[1:])
    edit(validate.data / "utt2dur", lambda lines: [lines[0].split()[0] + " -1\n", *lines[1:]])
    (validate.data / "spk2utt").write_text("x y\n")
    done = validate()
    for says in ("spk2.scp", "utt2dur", "spk2utt", "1 of 1 data directories"):
        assert says in done.stderr


def test_no_such_directory(contrasep):
    done = contrasep("validate-data", "nowhere")
    assert done.returncode == 1 and "run stage 1 first" in done.stderr
