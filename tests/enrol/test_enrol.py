"""Enrolled voices: an output gets the name of its voice, one that is not there is said, and nothing is kept of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.enrol.voices import LONGEST, THRESHOLD, block_energies, loudest, pinned, read_voices, score
from contrasep_lib.errors import ContrasepError
from contrasep_lib.separate.shipped import load_separator
from tests.models.test_shipped import voice

RATE = 8000


@pytest.fixture(scope="module")
def small():
    return load_separator("small")


@pytest.fixture(scope="module")
def speakers():
    """Two speakers at once, and a sample of each and of a third."""
    sources = np.stack([0.05 * voice(pitch, np.random.default_rng(seed), 2) for seed, pitch in ((1, 105), (2, 220))])
    samples = {name: 0.1 * voice(pitch, np.random.default_rng(seed), 1.5)
               for name, seed, pitch in (("alice", 2, 220), ("bob", 1, 105), ("carol", 9, 310))}
    return sources, samples


def test_the_right_output_sounds_most_like_the_sample(small, speakers):
    sources, samples = speakers
    model = small.separator.model
    scores = np.array([score(model, RATE, samples[name], sources) for name in ("alice", "bob")])
    assert scores[0, 1] > scores[0, 0] + 0.2 and scores[1, 0] > scores[1, 1] + 0.2
    assert pinned(scores, 0.5) == [1, 0]
    # levels do not matter, nor where the part was cut
    [louder] = score(model, RATE, 8 * samples["alice"], sources / 4, [1])
    assert louder == pytest.approx(scores[0, 1], abs=1e-3)
    assert score(model, RATE, samples["alice"], 0 * sources).tolist() == [-1, -1]


def test_each_output_is_pinned_once_and_none_below_the_threshold():
    assert pinned(np.array([[0.9, 0.85], [0.95, 0.1]]), 0.8) == [1, 0]
    assert pinned(np.array([[0.9, 0.1], [0.95, 0.2]]), 0.8) == [None, 0]
    assert pinned(np.array([[0.1, 0.2, 0.3]]), 0.8) == [None]
    assert pinned(np.array([[0.9], [0.85], [0.99]]), 0.8) == [None, None, 0]


def test_the_loudest_part_is_taken():
    energies = block_energies(np.concatenate([np.zeros(5 * RATE), np.ones(3 * RATE), np.zeros(9 * RATE + 1)]), RATE)
    assert len(energies) == 17 * 4 + 1
    assert 0 <= loudest(energies, LONGEST) <= 5 and loudest(energies[:10], LONGEST) == 0
    # a click does not outweigh speech
    energies[-1] = 9 * energies.max()
    assert loudest(energies, LONGEST) <= 5


@pytest.mark.slow
def test_outputs_get_the_names_of_voices(contrasep, speakers, tmp_path):
    sources, samples = speakers
    soundfile.write("meeting.wav", sources.sum(0), RATE)
    for name in ("alice", "carol"):
        soundfile.write(f"{name}.wav", samples[name], RATE)
    words = ["separate", "meeting.wav", "--out", "out", "--model", "small", "--num-spk", 2]
    contrasep(*words, check=True)
    plain = json.loads(Path("out/meeting.json").read_text())
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    voices = ["--enroll", "alice=alice.wav", "--enroll-threshold", "0.5"]
    refused = contrasep(*words, *voices)
    assert refused.returncode == 1 and "already there" in refused.stderr
    done = contrasep(*words, *voices, "--overwrite", check=True)
    content = json.loads(Path("out/meeting.json").read_text())
    assert content["enrolled"]["alice"]["output"] == "meeting_alice.wav" in content["outputs"]
    assert "meeting: alice: out/meeting_alice.wav (" in done.stdout
    # the same audio under another name, and no more files
    number = content["outputs"].index("meeting_alice.wav")
    assert Path("out/meeting_alice.wav").read_bytes() == before[plain["outputs"][number]]
    there = sorted(path.name for path in Path("out").iterdir())
    assert there == sorted([*content["outputs"], "meeting.json", "meeting.rttm"])
    # who is heard when has the name too
    heard = before["meeting.rttm"].decode().replace(f" spk{number + 1} ", " alice ")
    assert " alice " in heard and Path("out/meeting.rttm").read_text() == heard
    # names and scores alone
    assert content["enrolled"]["alice"].keys() == {"output", "score", "threshold"}
    again = contrasep(*words, *voices)
    assert again.returncode == 1 and "already there" in again.stderr
    # one who is not there, and nothing left of the earlier names
    done = contrasep(*words, "--enroll", "alice=carol.wav", "--enroll-threshold", "0.999", "--overwrite", check=True)
    assert "alice: not there (at most " in done.stdout
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(before)


@pytest.mark.parametrize("word, says", [
    ("alice", "expected NAME=FILE"), ("=a.wav", "expected NAME=FILE"), ("../a=a.wav", "expected NAME=FILE"),
    ("spk1=a.wav", "not spk1"), ("Rest=a.wav", "not spk1"), ("a=", "expected NAME=FILE"), ("a=gone.wav", "gone.wav"),
    ("a=short.wav", "0.5 s of speech; a sample takes 1 s at least"), ("a=silent.wav", "0 s of speech"),
])
def test_samples_that_are_none_are_one_line(tmp_path, monkeypatch, word, says):
    monkeypatch.chdir(tmp_path)
    soundfile.write("short.wav", 0.1 * np.random.default_rng(0).standard_normal(RATE // 2), RATE)
    soundfile.write("silent.wav", np.zeros(3 * RATE), RATE)
    with pytest.raises(ContrasepError) as error:
        read_voices([word], RATE)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_name_stands_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", 0.1 * np.random.default_rng(0).standard_normal(2 * RATE), RATE)
    with pytest.raises(ContrasepError, match="'A' stands twice"):
        read_voices(["a=a.wav", "A=a.wav"], RATE)
    [one] = read_voices(["a=a.wav"], RATE)
    assert one.name == "a" and len(one.sample) == 2 * RATE and 0 < THRESHOLD < 1


def test_a_speaker_encoder_scores_in_place_of_the_model(small, speakers, monkeypatch):
    import dataclasses

    from contrasep_lib.enrol import voices
    from contrasep_lib.separate.voices import VoiceSpace

    class Pitch:
        """Hears below and above 160 Hz."""

        name = "pitch"

        def voice(self, samples, rate):
            power = np.abs(np.fft.rfft(samples)) ** 2
            bins = np.fft.rfftfreq(len(samples), 1 / rate)
            parts = np.array([power[bins < 160].sum(), power[(bins >= 160) & (bins < 300)].sum(), 1e-9])
            return parts / np.linalg.norm(parts)

    sources, samples = speakers
    space = VoiceSpace(np.zeros(3), np.eye(3), np.ones(3))
    monkeypatch.setattr(voices, "space_of", lambda encoder: space)
    scores = voices.encoded_score(Pitch(), RATE, samples["alice"], np.concatenate([sources, 0 * sources[:1]]))
    assert scores[1] > 0.9 > scores[0] and scores[2] == -1
    by = dataclasses.replace(small)
    assert voices.threshold_of(by) == THRESHOLD
    monkeypatch.setattr(by.separator, "speakers", Pitch())
    [one] = voices.scores_of(by, samples["alice"], sources, [1])
    assert one == pytest.approx(scores[1])
