"""Signals through lossy codecs: in time, of the same length, as good as the bit rate allows."""

import sys

import numpy as np
import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.codec import CODECS, through_codec

av = pytest.importorskip("av")
RATES = [(name, kbit) for name, codec in CODECS.items() for kbit in codec.kbits or (None,)]


def voiced(seconds=2.0, rate=8000, seed=0):
    """Harmonics of a gliding pitch under a slow envelope, with a little noise: (samples,) float32 below 0.5."""
    rng, time = np.random.default_rng(seed), np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / rate
    signal = sum(np.sin(n * phase) / n for n in range(1, 12)) * (1.2 + np.sin(2 * np.pi * 3 * time))
    return (0.12 * signal + 1e-3 * rng.standard_normal(len(time))).astype(np.float32)


def distance(heard, signal):
    """SDR with the best gain, dB."""
    gain = heard @ signal / (signal @ signal)
    return 10 * np.log10(np.square(gain * signal).sum() / np.square(heard - gain * signal).sum())


@pytest.mark.parametrize("name, kbit", RATES)
@pytest.mark.parametrize("rate", [8000, 16000])
def test_what_comes_out_is_in_time(name, kbit, rate):
    signal = voiced(rate=rate)
    heard = through_codec(signal, rate, name, kbit)
    assert heard.dtype == np.float32 and heard.shape == signal.shape
    middle = slice(400, -400)
    found = max(range(-400, 401), key=lambda lag: np.roll(heard, -lag)[middle] @ signal[middle])
    assert abs(found) <= rate // 16000  # 0.06 ms
    # the first and the last quarter of a second as well, so nothing is cut off or faded
    for part in (slice(None), slice(rate // 4), slice(-rate // 4, None)):
        assert distance(heard[part], signal[part]) > 4
    assert np.array_equal(heard, through_codec(signal, rate, name, kbit))


@pytest.mark.parametrize("name", [name for name, codec in CODECS.items() if codec.kbits])
def test_more_bits_are_nearer(name):
    signal, kbits = voiced(4.0), CODECS[name].kbits
    least, most = (distance(through_codec(signal, 8000, name, kbit), signal) for kbit in (kbits[0], kbits[-1]))
    assert most > least + 3


def test_mulaw_is_that_of_the_recommendation():
    # G.711: 255 = mu, within the step of its segment
    signal = voiced()
    heard = through_codec(signal, 8000, "mulaw")
    compressed = np.sign(signal) * np.log1p(255 * np.abs(signal)) / np.log(256)
    again = np.round(compressed * 127) / 127
    reference = np.sign(again) * np.expm1(np.abs(again) * np.log(256)) / 255
    assert 35 < distance(heard, signal) < 42 and abs(distance(heard, signal) - distance(reference, signal)) < 2
    assert len(np.unique(heard)) <= 256


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("samples", [1, 159, 160, 161, 1024])
def test_any_length_loudness_and_silence(name, samples):
    kbit = next(iter(CODECS[name].kbits), None)
    assert through_codec(10 * voiced()[:samples], 8000, name, kbit).shape == (samples,)
    assert np.abs(through_codec(np.zeros(samples, np.float32), 8000, name, kbit)).max() < 1e-3


def test_a_rate_that_the_codec_does_not_take():
    with pytest.raises(ContrasepError, match="codec 'opus': expected a rate of 8000, .*, got 11025"):
        through_codec(voiced(), 11025, "opus", 16)


def test_without_pyav(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ContrasepError, match="codec 'mp3': av is not installed"):
        through_codec(voiced(), 8000, "mp3", 16)


def test_without_the_encoder(monkeypatch):
    def missing(name, mode):
        raise av.codec.codec.UnknownCodecError(name)

    monkeypatch.setattr(av, "CodecContext", type("Context", (), {"create": staticmethod(missing)}))
    with pytest.raises(ContrasepError, match="codec 'opus': PyAV .* has none .libopus.; install its wheel"):
        through_codec(voiced(), 8000, "opus", 16)
