"""Speaker encoders: the package's own numbers, at any level; voices apart; one line without the extra."""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.config import create, options_class
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import resample_audio
from contrasep_lib.separate.voices import VoiceSpace, space_of
from contrasep_lib.speakers.base import SpeakerEncoder, Utterances
from contrasep_lib.speakers.mel import mel_bands

CORPUS = Path(__file__).resolve().parents[3] / "shared/corpora/LibriSpeech/train-clean-5"
RATE = 8000
installed = pytest.mark.skipif(importlib.util.find_spec("resemblyzer") is None, reason="Resemblyzer is not installed")
corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="no LibriSpeech in ../shared/corpora")


class Loudness(SpeakerEncoder):
    """Says in which half of a window most is heard."""

    name, rate, seconds, dim = "loudness", 8000, 1.0, 2

    def weights(self):
        return "none"

    def _encode(self, signal, starts, size, power):
        assert (power > 0).all()
        parts = np.stack([signal[start : start + size] for start in starts])
        halves = np.stack([np.square(part).sum(axis=1) for part in np.array_split(parts, 2, axis=1)], axis=1)
        return (halves / np.linalg.norm(halves, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def encoder():
    return create(options_class("speaker_encoder", "resemblyzer")())


def speech(speaker, number, seconds):
    file = sorted((CORPUS / speaker).glob("*/*.flac"))[number]
    return soundfile.read(file)[0][: round(seconds * RATE)]


def test_windows_are_placed_by_their_centres():
    signal = np.zeros(4 * RATE)
    signal[round(1.6 * RATE) : 2 * RATE] = 0.1
    found = Loudness().utterances(signal, RATE, np.array([0.5, 1.5, 2.0, 2.25, 3.9]))
    assert found.vectors.round(3).tolist() == [[0, 0], [0, 1], [1, 0], [1, 0], [0, 0]]
    assert found.power == pytest.approx([0, 0.004, 0.004, 0.0025, 0], abs=1e-9)
    # the last window was moved inside, and one longer than the signal is all of it
    assert Loudness().utterances(signal[: RATE // 2], RATE, np.array([0.2])).vectors.shape == (1, 2)


def test_the_mean_leaves_out_what_is_not_heard():
    vectors = np.array([[1.0, 0], [0, 1], [0.6, 0.8]], np.float32)
    assert Utterances(vectors, np.array([1.0, 1e-4, 0.0])).mean() == pytest.approx([1, 0])
    assert Loudness().voice(np.zeros(RATE), RATE).tolist() == [0, 0]
    assert Loudness().voice(np.zeros(0), RATE).tolist() == [0, 0]


def test_bands_have_unit_area_and_rise_and_fall_once():
    bands = mel_bands(16000, 4000, 40)
    # bins are 4 Hz apart
    assert bands.sum(axis=1) * 4 == pytest.approx(np.ones(40), rel=0.01)
    steps = np.sign(np.diff(bands, axis=1))
    assert ((np.diff(steps, axis=1) < 0).sum(axis=1) <= 2).all() and (np.diff(bands.argmax(axis=1)) > 0).all()


@installed
def test_bands_are_those_of_librosa():
    librosa = pytest.importorskip("librosa")
    assert mel_bands(16000, 400, 40) == pytest.approx(librosa.filters.mel(sr=16000, n_fft=400, n_mels=40), abs=1e-7)


@installed
@corpus
def test_vectors_are_those_of_the_package(encoder, monkeypatch):
    pytest.importorskip("librosa")
    import scipy.ndimage

    # what the package imports for the detection of silence, which is not asked for here
    old = types.ModuleType("scipy.ndimage.morphology")
    old.binary_dilation = scipy.ndimage.binary_dilation
    monkeypatch.setitem(sys.modules, "scipy.ndimage.morphology", old)
    if importlib.util.find_spec("webrtcvad") is None:
        monkeypatch.setitem(sys.modules, "webrtcvad", types.ModuleType("webrtcvad"))
    package = pytest.importorskip("resemblyzer")
    theirs = package.VoiceEncoder("cpu", verbose=False)
    signal = resample_audio(speech("4640", 0, 7), RATE, 16000)
    # windows from multiples of 10 ms on, each at -30 dB
    for start in (0, 16000, 48000):
        part = signal[start : start + 25600]
        level = 10**-1.5 / np.sqrt(np.square(part).mean())
        _, partials, _ = theirs.embed_utterance((level * signal).astype(np.float32), return_partials=True, rate=100)
        want = partials[start // 160]
        [got] = encoder.utterances(signal, 16000, np.array([start / 16000 + 0.8])).vectors
        assert got == pytest.approx(want, abs=1e-4) and got @ want > 0.99999


@installed
@corpus
def test_one_voice_is_nearer_than_others_at_any_level(encoder):
    speakers = ["4640", "5789", "6848", "7312"]
    one = np.stack([encoder.voice(speech(each, 0, 6), RATE) for each in speakers])
    other = np.stack([encoder.voice(speech(each, -1, 6), RATE) for each in speakers])
    cosines = one @ other.T
    assert (np.diag(cosines) > 0.75).all()
    assert (cosines.argmax(axis=1) == range(4)).all() and (cosines.argmax(axis=0) == range(4)).all()
    assert np.linalg.norm(one, axis=1) == pytest.approx(np.ones(4)) and (one >= 0).all()
    assert encoder.voice(1e-3 * speech("4640", 0, 6), RATE) == pytest.approx(one[0], abs=1e-4)


@installed
def test_the_space_is_of_these_weights(encoder, tmp_path, monkeypatch):
    space = space_of(encoder)
    assert space.basis.shape == (256, len(space.between)) and (np.diff(space.between) <= 0).all()
    monkeypatch.setattr(type(encoder), "space_file", classmethod(lambda cls: tmp_path / "x.json"))
    with pytest.raises(ContrasepError, match=r"x\.json: no such file; make it by tools/fit_voices\.py --speakers"):
        space_of(encoder)
    VoiceSpace(space.mean, space.basis, space.between).save(tmp_path / "x.json", "of others")
    with pytest.raises(ContrasepError, match=r"x\.json: made for other weights"):
        space_of(encoder)


def test_without_the_package_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ContrasepError, match=r"^speaker encoder 'resemblyzer': resemblyzer .*pip install") as error:
        create(options_class("speaker_encoder", "resemblyzer")())
    assert "\n" not in str(error.value) and "contrasep[speakers]" in str(error.value)


def test_damaged_weights_are_one_line(monkeypatch, tmp_path):
    (tmp_path / "pretrained.pt").write_bytes(b"no weights")
    found = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    with pytest.raises(ContrasepError, match=r"pretrained\.pt: not the weights of Resemblyzer 0\.1\.4"):
        create(options_class("speaker_encoder", "resemblyzer")())
