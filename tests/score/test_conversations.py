"""The scores of separated conversations (tools/conversations.py): counts, swaps, improvement, as planted."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.io.audio import write_wav
from contrasep_lib.io.rttm import frames_of, turns_of, write_rttm
from contrasep_lib.nodes.activity import active_frames, frame_power

ROOT = Path(__file__).resolve().parents[2]
RATE = 8000


@pytest.fixture(scope="module")
def tool():
    """``tools/conversations.py``."""
    spec = importlib.util.spec_from_file_location("conversations", ROOT / "tools/conversations.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sources():
    """Of 80 s: two talkers who alternate, and overlap for 5 s in the middle of each 20 s."""
    rng = np.random.default_rng(0)
    out = 0.05 * rng.standard_normal((2, 80 * RATE)).astype(np.float32)
    for window in range(4):
        out[1, window * 20 * RATE : round((window + 0.4) * 20) * RATE] = 0
        out[0, round((window + 0.65) * 20) * RATE : (window + 1) * 20 * RATE] = 0
    return out


def separated(folder, sources, outputs, tool):
    """Write a conversation and what was separated of it; its score."""
    names = ["spk1", "spk2"]
    for name, source in zip(names, sources):
        write_wav(folder / "made" / "truth" / "x" / f"{name}.wav", source, RATE)
    write_rttm(folder / "made" / "truth" / "x.rttm", "x", turns_of(active_frames(frame_power(sources, RATE)), names))
    write_wav(folder / "made" / "x.wav", sources.sum(axis=0), RATE)
    files = [f"x_spk{number}.wav" for number in range(1, len(outputs) + 1)]
    for name, output in zip(files, outputs):
        write_wav(folder / "out" / name, output, RATE)
    (folder / "out" / "x.json").write_text(json.dumps({"outputs": files}))
    return tool.score_files(folder / "made", folder / "out", "x")


def test_a_good_separation(tool, sources, tmp_path):
    found = separated(tmp_path, sources, sources[::-1] + 0.1 * sources, tool)
    assert (found.talkers, found.outputs, found.windows, found.swaps) == (2, 2, 4, 0)
    assert found.si_snri == pytest.approx(20, abs=0.5) and found.der < 0.02


def test_a_swap_in_one_window_of_four_and_an_output_too_many(tool, sources, tmp_path):
    outputs = sources.copy()
    outputs[:, 20 * RATE : 40 * RATE] = sources[::-1, 20 * RATE : 40 * RATE]
    found = separated(tmp_path, sources, np.concatenate([outputs, 0 * outputs[:1]]), tool)
    assert (found.outputs, found.windows, found.swaps) == (3, 4, 1)
    whole = tool.summary([found])
    assert whole["count_right"] == 0 and whole["swaps"] == 0.25


def test_what_rttm_says_is_judged(tool, sources, tmp_path):
    active = frames_of([], ["a", "b"], 8000)
    active[0, :4000] = True
    (tmp_path / "out").mkdir()
    write_rttm(tmp_path / "out" / "x.rttm", "x", turns_of(active, ["a", "b"]))
    truth = active_frames(frame_power(sources, RATE))
    found = separated(tmp_path, sources, sources, tool)
    # half of the first talker's time is found, and this talker is thought to be there for 40 s
    right = (truth[0] & active[0]).sum()
    wrong = (np.maximum(truth.sum(0), active.sum(0)) - (truth[0] & active[0])).sum()
    assert found.der == pytest.approx(wrong / truth.sum(), abs=1e-3) and right


def test_pieces_of_a_split(tool, tmp_path):
    corpus = tmp_path / "corpus"
    for speaker in ("19", "211"):
        folder = corpus / "train-clean-5" / speaker / "1"
        folder.mkdir(parents=True)
        soundfile.write(folder / f"{speaker}-1-0000.flac", np.zeros(800), RATE)
    (corpus / "SPEAKERS.TXT").write_text("19 | F | train-clean-5 | 1 | A\n211 | F | train-clean-5 | 1 | B\n")
    split = str(ROOT / "conf/splits/librispeech.tsv")
    assert list(tool.utterances_of(corpus, "test", split, 1)) == ["19"]
    assert list(tool.utterances_of(corpus, "dev", split, 1)) == ["211"]
    assert not tool.utterances_of(corpus, "dev", split, 2)
