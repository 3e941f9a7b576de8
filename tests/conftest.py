"""Fixtures: small corpora of noise-like speech, planted clouds and conversations with known speakers."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config, items):
    """Leave slow tests out, unless they are asked for: by --all, by a mark, or one by one."""
    if config.option.all or config.option.markexpr or any("::" in word for word in config.args):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    items[:] = [item for item in items if not item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    config.left_out = len(slow)
    if hasattr(config, "workeroutput"):  # a process of several: each collects all tests
        config.workeroutput["left_out"] = len(slow)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    node.config.left_out = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter, config):
    if count := getattr(config, "left_out", 0):
        terminalreporter.write_line(f"{count} slow tests left out; tools/run_tests.sh --all runs them too")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def burst(rng, seconds=1.0, rate=8000, level=0.1):
    """Noise of speech-like colour with a pause in the middle, ``(samples,)``."""
    samples = int(seconds * rate)
    noise = np.convolve(rng.standard_normal(samples), np.hanning(9), mode="same")
    noise[samples * 2 // 5 : samples // 2] *= 1e-3
    return level * noise / np.sqrt(np.mean(noise**2))


@pytest.fixture
def sources_dir(tmp_path, rng):
    """A single-speaker data directory: 4 speakers of 3 utterances."""
    from contrasep_lib.io.scp import invert_utt2spk, write_table

    folder = tmp_path / "sources" / "tt"
    wav, utt2spk, text, dur = {}, {}, {}, {}
    for speaker in "abcd":
        for number in range(3):
            utt = f"{speaker}-{number}"
            path = tmp_path / "audio" / f"{utt}.wav"
            path.parent.mkdir(exist_ok=True)
            seconds = 0.6 + 0.1 * number
            soundfile.write(path, burst(rng, seconds), 8000, subtype="PCM_16")
            wav[utt], utt2spk[utt], text[utt], dur[utt] = str(path), speaker, f"WORD {number}", f"{seconds:.6g}"
    for name, table in (("wav.scp", wav), ("utt2spk", utt2spk), ("text", text), ("utt2dur", dur)):
        write_table(folder / name, table)
    write_table(folder / "spk2utt", invert_utt2spk(utt2spk))
    return folder


@pytest.fixture
def config(tmp_path):
    """A configuration file with defaults."""
    path = tmp_path / "config.yaml"
    path.write_text("mix:\n  sets: {tt: 5}\ndump:\n  shard: 2\n")
    return path


@dataclasses.dataclass
class Finished:
    """What a command left: exit status and output."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def contrasep(tmp_path, monkeypatch):
    """The console command: ``contrasep('mix', '--list', ...)``, run in this process from ``tmp_path``."""
    from contrasep_lib.bin.main import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments, check=False):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main([str(argument) for argument in arguments])
            except SystemExit as end:
                status = end.code
        done = Finished(status, out.getvalue(), err.getvalue())
        assert not check or status == 0, done.stderr
        return done

    return call


@pytest.fixture
def mixed(sources_dir, config, contrasep, tmp_path):
    """Five two-talker mixtures, their data directory and their dump: (list, tree, data, dump)."""
    contrasep(
        "make-lists", "--config", config, "--sources", sources_dir.parent, "--num-spk", 2, "--out", "lists", check=True
    )
    lists, tree, data, dump = (tmp_path / name for name in ("lists/tt.txt", "tree/tt", "data/tt_2mix", "dump/tt_2mix"))
    contrasep("mix", "--config", config, "--list", lists, "--sources", sources_dir, "--out", tree, check=True)
    contrasep("prepare-data", "--sources", sources_dir, "--list", lists, "--mixtures", tree, "--out", data, check=True)
    contrasep("dump", "--config", config, "--data", data, "--out", dump, check=True)
    contrasep("dump", "--config", config, "--data", data, "--out", dump, "--merge", check=True)
    return lists, tree, data, dump


def write_audiomnist(folder, speakers=6, takes=4, seconds=0.12):
    """``folder/data`` with that many speakers and takes.

    Every speaker has a pitch of their own, every digit a colour.
    """
    rng, data = np.random.default_rng(0), folder / "data"
    meta = {}
    for number in range(1, speakers + 1):
        speaker, pitch = f"{number:02d}", 90 + 23 * number
        (data / speaker).mkdir(parents=True)
        meta[speaker] = {
            "accent": "German",
            "age": "1234",
            "gender": "female" if number % 2 else "male",
            "native speaker": "no",
        }
        for digit in range(10):
            for take in range(takes):
                time = np.arange(int(48000 * seconds * (1 + 0.05 * (digit + take)))) / 48000
                tone = sum(np.sin(2 * np.pi * pitch * k * time) / (1 + abs(k - digit)) for k in range(1, 12))
                sound = 0.05 * tone * np.hanning(len(time)) + 0.001 * rng.standard_normal(len(time)) + 0.02
                soundfile.write(data / speaker / f"{digit}_{speaker}_{take}.wav", sound, 48000, subtype="PCM_16")
    (data / "audioMNIST_meta.txt").write_text(json.dumps(meta, indent=4))
    (data / "02" / "notes.txt").write_text("no recording\n")
    (data / "02" / "._0_02_0.wav").write_bytes(b"")
    return data


@pytest.fixture(scope="session")
def audiomnist(tmp_path_factory):
    """Folder of an AudioMNIST of six speakers and four takes; not to be changed."""
    return write_audiomnist(tmp_path_factory.mktemp("corpus") / "AudioMNIST").parent


# ---------------------------------------------------------------- planted nodes
DIM = 20


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def simplex(groups, rng, dim=DIM):
    """Means ``(groups, dim)`` with cosine -1/(groups - 1)."""
    corners = unit(np.eye(groups) - 1 / groups) if groups > 1 else np.ones((1, 1))
    return corners @ np.linalg.qr(rng.standard_normal((dim, dim)))[0][:groups]


def clouds(sizes, degrees, seed, *, means=None, heavy=False, outliers=0.0, dim=DIM):
    """Nodes ``(nodes, dim)`` and their groups, -1 for outliers; ``degrees``: the typical angle."""
    rng = np.random.default_rng(seed)
    means = unit(rng.standard_normal((len(sizes), dim))) if means is None else means
    group = np.repeat(np.arange(len(sizes)), sizes)
    noise = rng.standard_normal((len(group), dim)) * math.tan(math.radians(degrees)) / math.sqrt(dim)
    if heavy:
        noise *= np.sqrt(3 / rng.chisquare(3, len(group)))[:, None]
    z = unit(means[group] + noise)
    stray = int(outliers * len(group) / (1 - outliers))
    z = np.concatenate([z, unit(rng.standard_normal((stray, dim)))])
    return z, np.concatenate([group, np.full(stray, -1)])


def conversation(seed, speakers=4, seconds=600, rate=12, degrees=35.0, drift=30.0):
    """A conversation with turns, overlaps and pauses whose embeddings drift.

    Speaker 1 is silent from 30 to 70 % of the time, speaker 2 speaks after 40 %, speaker 3
    before 15 % and after 80 %. Returns nodes ``(frames, DIM)`` and the talker of each
    frame, -1 in pauses.
    """
    rng = np.random.default_rng(seed)
    frames = seconds * rate
    silent = {1: (0.3, 0.7), 2: (0.0, 0.4), 3: (0.15, 0.8)}
    talker = np.full(frames, -1)
    at, last = 0, 0
    while at < frames:
        now = at / frames
        off = [s for s, (start, stop) in silent.items() if start <= now < stop]
        free = [s for s in range(speakers) if s != last and s not in off]
        who = int(rng.choice(free)) if free else last
        length = int(rng.uniform(1.5, 7) * rate)
        talker[at : at + length] = who
        if rng.random() < 0.3:
            both = slice(max(at - int(rng.uniform(0.3, 1.2) * rate), 0), at)
            talker[both] = np.where(rng.random(both.stop - both.start) < 0.5, who, talker[both])
        last, at = who, at + length + int(rng.uniform(0, 0.6) * rate)
    axes = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0][: 2 * speakers]
    turn = np.deg2rad(drift) * np.arange(frames)[:, None] / frames
    who = np.maximum(talker, 0)
    means = np.cos(turn) * axes[who] + np.sin(turn) * axes[speakers + who]
    noise = rng.standard_normal((frames, DIM)) * math.tan(math.radians(degrees)) / math.sqrt(DIM)
    return unit(means + noise), talker


@pytest.fixture(scope="session")
def planted():
    """The generators of this file."""
    return types.SimpleNamespace(clouds=clouds, conversation=conversation, simplex=simplex)


@pytest.fixture
def plugins():
    """Undoes what a test declares in modules outside the package."""
    from contrasep_lib.config import choices

    before, loaded = set(sys.modules), set(choices._loaded)
    yield
    foreign = {key: options.__module__ for key, options in choices._declared.items()
               if not options.__module__.startswith("contrasep_lib.")}
    for key, module in foreign.items():
        del choices._declared[key]
        if module not in before:
            sys.modules.pop(module, None)
    choices._loaded &= loaded


# ---------------------------------------------------------------- schedulers
@pytest.fixture(scope="session")
def node():
    """``node('slurm')``: environment of a one-node cluster; its test is skipped where its programs are missing.

    One that runs already is used. Otherwise one is started, and stopped after the tests.
    """
    with contextlib.ExitStack() as stack:
        yield functools.lru_cache(lambda name: start_node(name, stack))


def start_node(name, stack):
    program = ROOT / f"tools/cluster/{name}_node.sh"
    folder = []
    if subprocess.run([program, "status"], capture_output=True).returncode:
        place = tempfile.TemporaryDirectory(prefix=f"contrasep-{name}-", ignore_cleanup_errors=True)
        folder = ["--dir", stack.enter_context(place)]
        stack.callback(subprocess.run, [program, "stop", *folder], capture_output=True)
    # what its daemons inherit must not keep a pipe open
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        status = subprocess.call([program, "start", *folder, "--cpus", "8"], stdout=out, stderr=errors)
        out.seek(0)
        errors.seek(0)
        if status:
            pytest.skip(f"no {name} here: {errors.read().strip()}")
        lines = [line.removeprefix("export ").split("=", 1) for line in out.read().splitlines()]
    return {**os.environ, **dict(lines)}
