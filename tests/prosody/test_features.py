"""Features of signals of known pitch, rate and envelope."""

import numpy as np
import pytest

from contrasep_lib.prosody.frames import FRAME_RATE, HOP, RATE, active_frames, count_frames, framed_power
from contrasep_lib.prosody.rate import count_nuclei, rate


def tone(f0, seconds=2.0, partials=15):
    """Harmonics of ``f0``, a number or one for each sample."""
    phase = np.cumsum(np.broadcast_to(f0, (round(seconds * RATE),)) / RATE) * 2 * np.pi
    return 0.05 * sum(np.sin(number * phase) / number for number in range(1, partials + 1))


def test_pitch_of_tones_and_of_a_glide():
    pytest.importorskip("parselmouth", reason="needs the extra prosody")
    from contrasep_lib.prosody.pitch import pitch

    for f0 in (80.0, 131.0, 220.0, 330.0):
        found = pitch(tone(f0, partials=int(3900 / f0)))
        assert len(found) == count_frames(2 * RATE) and (found > 0).mean() > 0.9
        assert np.median(found[found > 0]) == pytest.approx(f0, rel=0.003)
    # each frame has the pitch of its own time
    glide = np.linspace(100, 200, 2 * RATE)
    found = pitch(tone(glide, partials=18))
    truth = glide[np.minimum(np.arange(len(found)) * HOP, len(glide) - 1)]
    assert np.abs(found / truth - 1)[found > 0].max() < 0.02 and (found > 0).mean() > 0.9


def test_pitch_of_what_has_none(rng):
    pytest.importorskip("parselmouth", reason="needs the extra prosody")
    from contrasep_lib.prosody.pitch import pitch

    assert (pitch(0.1 * rng.standard_normal(2 * RATE)) > 0).mean() < 0.1
    assert not pitch(np.zeros(RATE)).any()
    for samples in (1, HOP, 400, 480, 481):
        assert len(pitch(tone(200.0)[:samples])) == count_frames(samples)


def test_timbre_is_the_envelope_and_no_level(rng):
    pytest.importorskip("torchaudio", reason="needs the extra prosody")
    from scipy.fft import dct

    from contrasep_lib.prosody.timbre import BANDS, timbre

    noise = rng.standard_normal(RATE)
    found = timbre(noise)
    assert found.shape == (count_frames(RATE), 12)
    assert np.allclose(timbre(1e-3 * noise), found, atol=1e-2)
    # computed anew: triangles on the mel scale of HTK, dB, DCT
    window = np.hanning(257)[:-1]
    frames = np.stack([noise[start : start + 256] for start in (np.arange(10, 20) * HOP - 128)])
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    mel = 2595 * np.log10(1 + np.arange(129) * RATE / 256 / 700)
    points = 700 * (10 ** (np.linspace(0, mel[-1], BANDS + 2) / 2595) - 1)
    hertz = np.arange(129) * RATE / 256
    rise = (hertz[:, None] - points[:-2]) / np.diff(points)[:-1]
    fall = (points[2:] - hertz[:, None]) / np.diff(points)[1:]
    bands = power @ np.maximum(0, np.minimum(rise, fall))
    expected = dct(10 * np.log10(np.maximum(bands, 1e-10)), norm="ortho")[:, 1:13]
    assert np.allclose(found[10:20], expected, atol=0.05)


@pytest.mark.parametrize("hertz", [2.5, 4.0, 6.0])
def test_rate_of_modulated_noise(rng, hertz):
    time = np.arange(6 * RATE) / RATE
    samples = 0.05 * rng.standard_normal(len(time)) * (1 + 0.9 * np.cos(2 * np.pi * hertz * time))
    found = rate(samples)
    assert len(found) == count_frames(len(samples))
    assert np.median(found) == pytest.approx(hertz, rel=0.05)
    voiced = np.ones(len(found), bool)
    assert count_nuclei(samples, voiced) / 6 == pytest.approx(hertz, rel=0.1)
    assert count_nuclei(samples, ~voiced) == 0
    # the rate does not depend on the level
    assert np.allclose(rate(100 * samples), found)


def test_rate_follows_a_change(rng):
    time = np.arange(8 * RATE) / RATE
    hertz = np.where(time < 4, 3.0, 7.0)
    samples = rng.standard_normal(len(time)) * (1 + 0.9 * np.cos(2 * np.pi * np.cumsum(hertz) / RATE))
    found = rate(samples)
    assert np.median(found[: int(3 * FRAME_RATE)]) == pytest.approx(3, rel=0.1)
    assert np.median(found[int(5 * FRAME_RATE) :]) == pytest.approx(7, rel=0.1)


def test_rate_of_nothing():
    assert np.isnan(rate(np.zeros(RATE))).all() and count_nuclei(np.zeros(RATE), np.ones(101, bool)) == 0
    assert len(rate(np.ones(1))) == 1 and count_nuclei(np.ones(1), np.ones(1, bool)) == 0


def test_active_frames():
    samples = np.zeros(RATE)
    samples[4000:] = 0.1
    samples[:2000] = 0.1 * 10 ** (-50 / 20)
    samples[2000:4000] = 0.1 * 10 ** (-30 / 20)
    active = active_frames(framed_power(samples))
    assert not active[:20].any() and active[30:].all()
    assert not active_frames(framed_power(np.zeros(RATE))).any()
    assert framed_power(np.full(RATE, 0.5))[50] == pytest.approx(0.25)
