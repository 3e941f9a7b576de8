"""Warnings: raised where they should be, and not on speech."""

import dataclasses
import types

import numpy as np
import pytest
import soundfile

from contrasep_lib.io.recording import ArraySource, read_recording
from contrasep_lib.separate import cautions, content
from contrasep_lib.separate.cautions import cautions_of, count_probabilities
from contrasep_lib.separate.content import content_of, measures_of, speech_share
from contrasep_lib.separate.long import Part
from contrasep_lib.separate.recorded import RecordedSeparation
from tests.conftest import SHARED
from tests.separate.test_files import RATE, separator, voice

SAMPLES = 4 * 8000


@pytest.fixture(autouse=True)
def _by_spectrum(monkeypatch):
    monkeypatch.setattr(content, "_vad", lambda: None)


def noise(seed=0, samples=SAMPLES):
    return np.random.default_rng(seed).standard_normal(samples)


def tone(hertz, samples=SAMPLES):
    return np.sin(2 * np.pi * hertz * np.arange(samples) / 8000)


def chords():
    """Half a second each, struck."""
    time = np.arange(4000) / 8000
    triads = [(110, 138.6, 164.8), (146.8, 185, 220), (164.8, 207.7, 246.9), (110, 138.6, 164.8)] * 2
    return np.concatenate([
        np.exp(-2 * time) * sum(np.sin(2 * np.pi * f * n * time) / n for f in notes for n in range(1, 7))
        for notes in triads
    ])


def syllables(seed=0):
    """Gliding partials through moving resonances, four to the second: as much speech as arithmetic makes."""
    rng, out = np.random.default_rng(seed), []
    for _ in range(16):
        time = np.arange(2000) / 8000
        pitch = rng.uniform(90, 220) * np.exp(rng.uniform(-1.5, 1.5) * time)
        phase = 2 * np.pi * np.cumsum(pitch) / 8000
        formants = rng.uniform([300, 900, 2000], [800, 2000, 3000])
        partials = np.arange(1, 16)[:, None]
        gain = sum(1 / (1 + ((partials * pitch - f) / 120) ** 2) for f in formants)
        envelope = np.sin(np.pi * time / 0.25) ** 2 * rng.uniform(0.3, 1)
        out.append(envelope * (gain * np.sin(partials * phase)).sum(0))
    return np.concatenate(out)


@pytest.mark.parametrize(
    "signal, expected",
    [
        (noise(), "noise"), (np.cumsum(noise()), "noise"), (tone(440), "tones"), (tone(100) + 0.3, "tones"),
        (tone(440) + 0.1 * noise(), "tones"), (chords(), "tones"), (syllables(), "speech"),
        (syllables(1) + syllables(2) + syllables(3), "speech"), (syllables()[:800], "speech"),
    ],
    ids=["white", "brown", "tone", "low tone", "tone in noise", "chords", "one", "three", "too short to say"],
)
def test_content(signal, expected):
    for level in (1, 1e-4):
        assert content_of(level * signal, 8000) == expected


def test_one_part_with_speech_is_enough():
    long = np.concatenate([noise(samples=3 * 80000) * 0.05, syllables() / 4])
    assert content_of(long, 8000) == "speech" and content_of(long[:-SAMPLES], 8000) == "noise"
    assert measures_of(np.zeros(9000), 8000) is None and content_of(np.zeros(9000), 8000) == "speech"


@pytest.mark.skipif(not SHARED.is_dir(), reason="no corpora beside the checkout")
def test_real_speech_is_speech():
    files = sorted((SHARED / "corpora/LibriSpeech/train-clean-5").glob("*/*/*-0001.flac"))[:12]
    for file in files:
        samples, rate = soundfile.read(file)
        assert content_of(samples[: 6 * rate], rate) == "speech", file


def test_silero_vad_where_it_is_installed(monkeypatch):
    heard = []

    def audio_forward(signal, rate):
        import torch

        heard.append(signal.shape[-1])
        return torch.full((1, 100), 0.01 if len(heard) == 1 else 0.9)

    monkeypatch.setattr(content, "_vad", lambda: types.SimpleNamespace(audio_forward=audio_forward))
    assert content_of(syllables(), 8000) == "other" and content_of(syllables(), 8000) == "speech"
    assert heard == [SAMPLES, SAMPLES] and content_of(noise(), 8000) == "noise"
    # a part with speech is enough
    heard.clear()
    assert content_of(np.tile(syllables(), 6), 8000) == "speech" and heard == [80000, 112000]
    assert speech_share(syllables()[:9000], 8000) is None


def kinds(samples, rate=RATE, channel=None, num_spk=None, **options):
    recording = read_recording(ArraySource(samples, rate), RATE, channel)
    with RecordedSeparation(separator(), recording, num_spk, **options) as done:
        return {each.kind: each.words for each in cautions_of(done, num_spk)}


def test_a_good_recording_has_none_of_the_recording(monkeypatch):
    monkeypatch.setattr(cautions, "content_of", lambda samples, rate: "speech")
    assert not kinds(voice(0, 3) + voice(2, 3))


def test_clipped_input():
    signal = voice(0, 3) + voice(2, 3)
    assert "clipped" not in kinds(signal) and "clipped" not in kinds(np.stack([signal, 3 * signal], 1))
    clipped = np.clip(signal, -0.0625, 0.0625)
    assert "% of its samples stand at 0.0625 of full scale" in kinds(clipped)["clipped"]
    # of two channels one, and only where it is taken
    both = np.stack([signal, clipped], axis=1)
    assert "clipped" in kinds(both) and "clipped" in kinds(both, channel=2) and "clipped" not in kinds(both, channel=1)
    assert "clipped" not in kinds(0.9 * np.sin(np.arange(6000) * 0.3))


def test_channels_that_cancel():
    signal = voice(0, 3) + voice(2, 3)
    both = np.stack([signal, -0.9 * signal + 0.1], axis=1)
    assert "its 2 channels cancel" in kinds(both)["channels"] and "channels" not in kinds(both, channel=2)
    for other in (signal, voice(1, 3), np.zeros(len(signal))):
        assert "channels" not in kinds(np.stack([signal, other], axis=1))


def test_what_is_too_short_to_count():
    signal = voice(0, 3) + voice(2, 3)
    assert "0.1 s of sound are too short to count" in kinds(signal[: RATE // 10])["short"]
    assert "short" not in kinds(signal) and "short" not in kinds(signal[: RATE // 10], num_spk=2)


def test_a_count_close_between_two(monkeypatch):
    real = RecordedSeparation.__init__

    def counted(self, *arguments, **options):
        real(self, *arguments, **options)
        part = self.done.parts[0]
        self.done.parts = [
            dataclasses.replace(part, separation=dataclasses.replace(part.separation, probabilities=probabilities))
        ]

    monkeypatch.setattr(RecordedSeparation, "__init__", counted)
    signal = voice(0, 3) + voice(2, 3)
    probabilities = (0.02, 0.55, 0.43)
    assert kinds(signal)["count"].startswith("2 or 3 speakers: their probabilities are 0.55 and 0.43")
    assert "count" not in kinds(signal, num_spk=2)
    probabilities = (0.02, 0.75, 0.23)
    assert "count" not in kinds(signal)


def test_probabilities_of_windows_are_weighed_by_their_length():
    def part(length, probabilities):
        return Part(0, length, (), types.SimpleNamespace(probabilities=probabilities) if probabilities else None)

    assert count_probabilities([part(10, (1, 0)), part(99, None), part(30, (0, 0.5, 0.5))]) == pytest.approx(
        [0.25, 0.375, 0.375]
    )
    assert count_probabilities([part(10, None)]) == [] and count_probabilities([]) == []


def test_failure_signatures():
    def part(*signatures):
        return Part(0, 9, (), types.SimpleNamespace(signatures=signatures))

    poor, weak = "poor clustering: the cut is 0.95", "weak contrastive signal: 0.01"
    parts = [part(poor), Part(0, 9), part("poor clustering: 0.97", weak)]
    found = [each.words for each in cautions._of_partition(parts)]
    assert found == [f"{poor} (in 2 of 2 windows)", f"{weak} (in 1 of 2 windows)"]
    assert [each.words for each in cautions._of_partition([part(poor)])] == [poor]
