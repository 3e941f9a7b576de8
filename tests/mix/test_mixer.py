"""Mixing: bytes against arithmetic written out, resuming, errors."""

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import read_audio
from contrasep_lib.mix.level import active_level
from contrasep_lib.mix.lists import Mixture, read_list
from contrasep_lib.mix.mixer import Mixer, mix_signals, mixture_files, write_mixture
from contrasep_lib.mix.options import MixOptions

ROOT = Path(__file__).resolve().parents[2]


def digest(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("num_spk", [1, 2, 3, 5])
def test_bytes_follow_the_rule(tmp_path, rng, mode, num_spk):
    gains = ["2.1", "-2.1", "0.45012", "-0.45012", "0"][:num_spk]
    wav, originals = {}, []
    for index in range(num_spk):
        rate = (16000, 8000, 22050)[index % 3]
        path = tmp_path / f"u{index}.wav"
        soundfile.write(path, rng.standard_normal(rate + 100 * index) * 0.05, rate, subtype="PCM_16")
        wav[f"u{index}"] = str(path)
        originals.append(soundfile.read(path))
    mixture = Mixture(tuple(wav), tuple(gains))
    mixer = Mixer(wav, MixOptions(mode=mode))
    assert write_mixture(tmp_path / "set", mixture, mixer)

    ratios = {16000: (1, 2), 8000: (1, 1), 22050: (160, 441)}
    scaled = []
    for (samples, rate), gain in zip(originals, gains):
        if rate != 8000:
            samples = resample_poly(samples, *ratios[rate])
        scaled.append(samples / np.sqrt(active_level(samples, 8000)[0]) * 10 ** (float(gain) / 20))
    lengths = [len(samples) for samples in scaled]
    total = min(lengths) if mode == "min" else max(lengths)
    scaled = np.array([np.pad(s, (0, max(0, total - len(s))))[:total] for s in scaled])
    tracks = np.vstack([scaled.sum(axis=0), scaled])
    tracks = np.round(tracks * (0.9 / np.abs(tracks).max()) * 2**15).astype(np.int16)
    for path, expected in zip(mixture_files(tmp_path / "set", mixture), tracks):
        written, rate = soundfile.read(path, dtype="int16")
        assert rate == 8000 and soundfile.info(path).subtype == "PCM_16"
        np.testing.assert_array_equal(written, expected)
    assert np.abs(tracks).max() == round(0.9 * 2**15)


def test_level_of_sources_before_the_common_gain(rng):
    quiet, loud = rng.standard_normal(8000) * 1e-3, rng.standard_normal(8000)
    wav = Mixer({}, MixOptions(active_level="rms"))
    wav._normalised = {"q": quiet / quiet.std(), "l": loud / loud.std()}.__getitem__
    wav.wav = {"q": "", "l": ""}
    mixed = wav.mix(Mixture(("q", "l"), ("1", "-1")))
    power = np.square(mixed.sources.astype(float)).mean(axis=1)
    assert 10 * np.log10(power[0] / power[1]) == pytest.approx(2.0, abs=0.02)


def test_same_bytes_on_any_number_of_jobs(sources_dir, config, contrasep, tmp_path):
    contrasep(
        "make-lists", "--config", config, "--sources", sources_dir.parent, "--num-spk", 3, "--out", "l", check=True
    )
    for jobs in (1, 3):
        for job in range(1, jobs + 1):
            contrasep("mix", "--config", config, "--list", "l/tt.txt", "--sources", sources_dir, "--out", f"out{jobs}",
                      "--part", f"{job}/{jobs}", check=True)
    assert digest(tmp_path / "out1") == digest(tmp_path / "out3")
    assert len(digest(tmp_path / "out1")) == 5 * 4


def test_a_killed_run_ends_with_the_same_bytes(sources_dir, config, contrasep, tmp_path):
    config.write_text("mix:\n  sets: {tt: 300}\n")
    contrasep(
        "make-lists", "--config", config, "--sources", sources_dir.parent, "--num-spk", 2, "--out", "l", check=True
    )
    whole = ["mix", "--config", config, "--list", tmp_path / "l/tt.txt", "--sources", sources_dir, "--out"]
    contrasep(*whole, tmp_path / "undisturbed", check=True)
    command = [sys.executable, "-m", "contrasep_lib.bin.main", *map(str, whole), str(tmp_path / "killed")]
    killed = 0
    for attempt in range(3):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        enough = time.monotonic() + 60
        while len(list((tmp_path / "killed").rglob("*.wav"))) < 60 * (attempt + 1) and time.monotonic() < enough:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed
    contrasep(*whole, tmp_path / "killed", check=True)
    assert digest(tmp_path / "killed") == digest(tmp_path / "undisturbed")


def test_all_zero_within_the_mixture():
    late = np.r_[np.zeros(100), np.ones(50)]
    with pytest.raises(ValueError, match="source 2 is all zero"):
        mix_signals([np.ones(80), late], [0, 0], "min")
    assert mix_signals([np.ones(80), late], [0, 0], "max").mixture.shape == (150,)


def faulty(kind, path, rng):
    noise = rng.standard_normal(8000) * 0.1
    if kind == "zero":
        soundfile.write(path, np.zeros(800), 8000)
    elif kind == "stereo":
        soundfile.write(path, np.stack([noise, noise], axis=1), 8000)
    elif kind == "empty":
        soundfile.write(path, np.zeros(0), 8000)
    elif kind == "nan":
        soundfile.write(path, np.where(np.arange(8000) == 5, np.nan, noise), 8000, subtype="FLOAT")
    elif kind == "no bytes":
        path.write_bytes(b"")
    elif kind == "truncated":
        soundfile.write(path, noise, 8000)
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "truncated flac":
        soundfile.write(path.with_suffix(".flac"), noise, 8000)
        path.write_bytes(path.with_suffix(".flac").read_bytes()[:5000])


@pytest.mark.parametrize("kind, says", [
    ("zero", "all-zero source"), ("stereo", "expected mono, got 2 channels"), ("empty", "no samples"), ("nan", "NaN"),
    ("no bytes", "cannot be read"), ("truncated", "truncated"), ("truncated flac", "truncated|cannot be read"),
    ("missing", "no such audio file"),
])
def test_faulty_sources(tmp_path, rng, kind, says):
    path = tmp_path / "bad.wav"
    faulty(kind, path, rng)
    good = tmp_path / "good.wav"
    soundfile.write(good, rng.standard_normal(8000) * 0.1, 8000)
    mixer = Mixer({"a": str(good), "b": str(path)}, MixOptions())
    with pytest.raises(ContrasepError, match=says) as error:
        write_mixture(tmp_path / "set", Mixture(("a", "b"), ("1", "-1")), mixer)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert not list((tmp_path / "set").rglob("*.wav"))


def test_unknown_sources_are_reported_before_mixing(sources_dir, config, contrasep, tmp_path):
    (tmp_path / "l").write_text("a-0 1 b-0 -1\na-1 1 nobody-7 -1\n")
    done = contrasep("mix", "--config", config, "--list", "l", "--sources", sources_dir, "--out", "o")
    assert done.returncode == 1 and "nobody-7" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "o").exists()
    assert len(read_list(tmp_path / "l")) == 2


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("level", ["p56", "published"])
def test_the_level_is_that_of_8_khz_at_any_rate(tmp_path, rng, rate, level):
    # much of this signal lies above 4 kHz, which has no part in the level
    wav, originals = {}, {}
    for utt, seconds in (("a", 1.0), ("b", 1.2)):
        originals[utt] = np.round(rng.standard_normal(round(16000 * seconds)) * 2000) / 2**15
        wav[utt] = str(tmp_path / f"{utt}.wav")
        soundfile.write(wav[utt], originals[utt], 16000, subtype="PCM_16")
    levels = {"a": 1e-4, "b": 3e-3}
    mixed = Mixer(wav, MixOptions(rate=rate, active_level=level), levels).mix(Mixture(("a", "b"), ("1.5", "-1.5")))
    scaled = []
    for utt, gain in (("a", 1.5), ("b", -1.5)):
        at_8k = resample_poly(originals[utt], 1, 2)
        measured = active_level(at_8k, 8000)[0] if level == "p56" else levels[utt]
        scaled.append((at_8k if rate == 8000 else originals[utt]) / np.sqrt(measured) * 10 ** (gain / 20))
    length = min(map(len, scaled))
    tracks = np.array([s[:length] for s in scaled])
    tracks *= 0.9 / max(np.abs(tracks).max(), np.abs(tracks.sum(axis=0)).max())
    np.testing.assert_array_equal(mixed.sources, np.round(tracks * 2**15))


def test_a_cache_changes_no_byte_and_decodes_once(sources_dir, config, contrasep, tmp_path, monkeypatch):
    contrasep(
        "make-lists", "--config", config, "--sources", sources_dir.parent, "--num-spk", 2, "--out", "l", check=True
    )
    whole = ["mix", "--config", config, "--list", "l/tt.txt", "--sources", sources_dir]
    contrasep(*whole, "--out", "plain", check=True)
    read = []
    monkeypatch.setattr("contrasep_lib.mix.mixer.read_audio", lambda path, pipes: read.append(path) or read_audio(path))
    for job in (1, 2, 3):
        contrasep(*whole, "--out", "kept", "--cache", "cache", "--part", f"{job}/3", check=True)
    assert digest(tmp_path / "kept") == digest(tmp_path / "plain")
    used = {utt for mixture in read_list(tmp_path / "l/tt.txt") for utt in mixture.utterances}
    assert len(read) == len(set(read)) == len(used)
    assert sorted(path.name for path in (tmp_path / "cache/kept").iterdir()) == sorted(f"{utt}.npy" for utt in used)


def test_published_levels_that_are_not_there(sources_dir, config, contrasep, tmp_path):
    contrasep(
        "make-lists", "--config", config, "--sources", sources_dir.parent, "--num-spk", 2, "--out", "l", check=True
    )
    whole = ["mix", "--config", config, "--list", "l/tt.txt", "--sources", sources_dir, "--out", "o",
             "--set", "mix.active_level=published"]
    table = sources_dir / "utt2level"
    utts = sorted(path.stem for path in (tmp_path / "audio").iterdir())
    for content, says in (
        (None, "this corpus has no published levels"),
        ("".join(f"{utt} 1e-3\n" for utt in utts[:-1]), f"no level of 1 utterances, e.g. '{utts[-1]}'"),
        (
            "".join(f"{utt} 1e-3\n" for utt in utts[:-1]) + f"{utts[-1]} 0\n",
            "expected a positive level of 'd-2', got '0'",
        ),
        (
            "".join(f"{utt} 1e-3\n" for utt in utts[:-1]) + f"{utts[-1]} loud\n",
            "expected a positive level of 'd-2', got 'loud'",
        ),
    ):
        if content is not None:
            table.write_text(content)
        done = contrasep(*whole)
        assert done.returncode == 1 and says in done.stderr and done.stderr.count("\n") == 1
        assert not (tmp_path / "o").exists()
