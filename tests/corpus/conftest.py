"""Fixtures: a small AudioMNIST."""

import json

import numpy as np
import pytest
import soundfile

from contrasep_lib.corpus.audiomnist import META, RATE


def make_audiomnist(folder, speakers=6, takes=4, seconds=0.12):
    """``folder/data`` with that many speakers and takes: every speaker has a pitch of their own, every digit a colour."""
    rng, data = np.random.default_rng(0), folder / "data"
    meta = {}
    for number in range(1, speakers + 1):
        speaker, pitch = f"{number:02d}", 90 + 23 * number
        (data / speaker).mkdir(parents=True)
        meta[speaker] = {"accent": "German", "age": "1234", "gender": "female" if number % 2 else "male", "native speaker": "no"}
        for digit in range(10):
            for take in range(takes):
                time = np.arange(int(RATE * seconds * (1 + 0.05 * (digit + take)))) / RATE
                tone = sum(np.sin(2 * np.pi * pitch * k * time) / (1 + abs(k - digit)) for k in range(1, 12))
                sound = 0.05 * tone * np.hanning(len(time)) + 0.001 * rng.standard_normal(len(time)) + 0.02
                soundfile.write(data / speaker / f"{digit}_{speaker}_{take}.wav", sound, RATE, subtype="PCM_16")
    (data / META).write_text(json.dumps(meta, indent=4))
    (data / "02" / "notes.txt").write_text("no recording\n")
    (data / "02" / "._0_02_0.wav").write_bytes(b"")
    return data


@pytest.fixture(scope="session")
def audiomnist_once(tmp_path_factory):
    """Six speakers of four takes; not to be changed."""
    return make_audiomnist(tmp_path_factory.mktemp("AudioMNIST"))
