"""Recordings with long silences cut short: what is kept, and outputs and nodes at their places again."""

import numpy as np
import pytest
import torch

from contrasep_lib.nodes.granularity import Frame, TimeFrequency
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.stft import num_frames
from contrasep_lib.separate import excerpt as excerpt_module
from contrasep_lib.separate.excerpt import Excerpt

FEATURES = FeatureOptions(64, 16)
TF = TimeFrequency(FEATURES)


def sound(samples, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def quiet(samples, level=1e-5, seed=1):
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def restored(excerpt, outputs, block):
    parts = [outputs[:, begin : begin + block] for begin in range(0, outputs.shape[1], block)]
    return np.concatenate(list(excerpt.restored(parts)), axis=1)


@pytest.mark.parametrize("granularity", [TF, Frame(FEATURES)], ids=["tf", "frame"])
def test_recordings_without_long_silence_stay_whole(granularity):
    paused = np.concatenate([sound(999), quiet(2000), sound(500)])
    for recording in (sound(3000), paused, quiet(10), np.zeros(5, np.float32)):
        excerpt = Excerpt.of(recording, granularity)
        assert excerpt.spans == ((0, len(recording)),) and np.shares_memory(excerpt.signal, recording)
        values = np.ones((3, 2))
        assert excerpt.nodes_restored(values) is values


@pytest.mark.parametrize("granularity", [TF, Frame(FEATURES)], ids=["tf", "frame"])
@pytest.mark.parametrize("before, between, behind", [(16000, 0, 0), (0, 0, 9001), (0, 20000, 0), (7001, 30000, 6789)])
def test_what_is_left_out_is_silent_and_comes_back(granularity, before, between, behind, monkeypatch):
    monkeypatch.setattr(excerpt_module, "_BLOCK", 1000)
    recording = np.concatenate([quiet(before), sound(1600), quiet(between), sound(1111, 2), quiet(behind)])
    excerpt = Excerpt.of(recording, granularity)
    # of a silence 32 windows at either end
    left = 2 * 32 * 64 + 200
    assert len(excerpt.signal) <= 2711 + sum(min(length, left) for length in (before, between, behind))
    assert len(excerpt.signal) < len(recording) - 1000
    mask = np.zeros(len(recording), bool)
    for first, stop in excerpt.spans:
        assert first % 16 == 0
        mask[first:stop] = True
    assert np.abs(recording[~mask]).max() < 1e-3 and np.array_equal(excerpt.signal, recording[mask])
    assert [excerpt.place(sample) for sample in (0, len(excerpt.signal) - 1)] == [mask.argmax(), mask.nonzero()[0][-1]]
    outputs = np.stack([3 * excerpt.signal, -excerpt.signal, excerpt.signal])
    for block in (len(excerpt.signal), 700):
        found = restored(excerpt, outputs, block)
        expected = np.stack([3 * recording, -recording, recording])
        np.testing.assert_array_equal(found, np.where(mask, expected, recording / 3))
    # a node keeps its place
    per_frame = int(np.prod(granularity.shape(1)))
    signals = (torch.from_numpy(signal)[None] for signal in (recording, excerpt.signal))
    power = [granularity.nodes(signal).power[0].numpy() for signal in signals]
    found = excerpt.nodes_restored(power[1][:, None])[:, 0]
    assert len(found) == num_frames(len(recording), FEATURES) * per_frame
    np.testing.assert_allclose(found, power[0], atol=1e-4 * power[0].max())


@pytest.mark.parametrize("before", [1600, 5000, 5001, 60007])
def test_zeros_of_any_length_leave_the_frames_where_they_were(before):
    recording = sound(3200)
    signal = Excerpt.of(np.concatenate([np.zeros(before, np.float32), recording]), TF).signal
    assert np.argmax(signal != 0) % 16 == 0 and np.array_equal(signal[-3200:], recording)
    # so does a constant, as the mean of a recording is when it was taken off zeros
    signal = Excerpt.of(np.concatenate([np.full(before, 1e-6, np.float32), recording]), TF).signal
    assert np.argmax(signal != np.float32(1e-6)) % 16 == 0


def test_a_recording_in_parts_has_the_same_silences(monkeypatch):
    recording = np.concatenate([sound(1600), quiet(20000), sound(1111, 2), quiet(9001)])
    expected = Excerpt.of(recording, TF).spans
    assert len(expected) == 3
    for at_once in (5, 100, 1000):
        monkeypatch.setattr(excerpt_module, "_AT_ONCE", at_once)
        assert Excerpt.of(recording, TF).spans == expected
