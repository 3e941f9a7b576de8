"""Active speech level against the recommendation's definition and signals of known level."""

from __future__ import annotations

import math

import numpy as np
import pytest

from contrasep_lib.mix.level import active_level, band_filter, rms_level


def voltmeter(x: np.ndarray, rate: int, rungs: range) -> tuple[float, float]:
    """P.56 method B as its text says it: sample by sample, a counter and a hangover per threshold."""
    thresholds = [2.0**k for k in rungs]
    decay = math.exp(-1 / (rate * 0.03))
    hangover = math.floor(rate * 0.2 + 0.5)
    activity = [0] * len(thresholds)
    spent = [hangover] * len(thresholds)
    energy = p = q = 0.0
    for sample in x:
        energy += sample * sample
        p = decay * p + (1 - decay) * abs(sample)
        q = decay * q + (1 - decay) * p
        for j, threshold in enumerate(thresholds):
            if q >= threshold:
                activity[j] += 1
                spent[j] = 0
            elif spent[j] < hangover:
                activity[j] += 1
                spent[j] += 1
    before = None
    for count, threshold in zip(activity, thresholds):
        if count == 0:
            break
        level = 10 * math.log10(energy / count)
        margin = level - 20 * math.log10(threshold)
        if margin <= 15.9:
            lower, higher = before, (level, margin)
            # bisection between the two rungs, as the reference does, to the end of its precision
            for _ in range(100):
                middle = ((lower[0] + higher[0]) / 2, (lower[1] + higher[1]) / 2)
                lower, higher = (middle, higher) if middle[1] > 15.9 else (lower, middle)
            speech = 10 ** (higher[0] / 10)
            return speech, energy / len(x) / speech
        before = (level, margin)
    raise AssertionError("no crossing")


def decibels(power: float) -> float:
    return 10 * math.log10(power)


def sine(seconds: float, rate: int, amplitude: float = 0.5, frequency: float = 440.0) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def bursts(rate: int, on: float, off: float, count: int, amplitude: float = 0.5) -> np.ndarray:
    return np.tile(np.concatenate([sine(on, rate, amplitude), np.zeros(round(off * rate))]), count)


def speechlike(rate: int, seconds: float, seed: int) -> np.ndarray:
    """Noise under a slow random envelope with pauses."""
    rng = np.random.default_rng(seed)
    steps = rng.gamma(0.5, 0.2, size=round(seconds * 10)) * (rng.random(round(seconds * 10)) > 0.3)
    return rng.standard_normal(len(steps) * rate // 10) * np.repeat(steps, rate // 10) * 0.2


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_the_definition(rate, seed):
    x = speechlike(rate, 1.5, seed)
    power, activity = active_level(x, rate)
    reference_power, reference_activity = voltmeter(x, rate, range(-15, 0))
    assert decibels(power) == pytest.approx(decibels(reference_power), abs=1e-9)
    assert activity == pytest.approx(reference_activity, rel=1e-9)


@pytest.mark.parametrize("rate", [8000, 11025, 16000])
@pytest.mark.parametrize("length", [0.05, 0.15, 0.3])
def test_equals_the_definition_around_the_hangover(rate, length):
    x = np.concatenate(
        [np.zeros(97), sine(length, rate), np.zeros(round(0.21 * rate)), sine(0.1, rate, 0.01)]
    )
    power, activity = active_level(x, rate)
    reference_power, reference_activity = voltmeter(x, rate, range(-15, 0))
    assert power == pytest.approx(reference_power, rel=1e-9)
    assert activity == pytest.approx(reference_activity, rel=1e-9)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_steady_sine_is_wholly_active(rate):
    power, activity = active_level(sine(20, rate), rate)
    assert decibels(power) == pytest.approx(decibels(0.5**2 / 2), abs=0.02)
    assert activity == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_bursts_of_known_duty(rate):
    on, off = 2.0, 3.0
    power, activity = active_level(bursts(rate, on, off, 8), rate)
    # pauses count for the hangover of 0.2 s and the decay of the envelope to the threshold before it,
    # which lies 15.9 dB under the level: 0.03 s * y with (1 + y) exp(-y) = threshold / (2 A / pi)
    y = 3.0
    for _ in range(50):
        y = math.log((1 + y) / (10 ** (-15.9 / 20) / math.sqrt(2) * math.pi / 2))
    expected = on / (on + 0.2 + 0.03 * y)
    assert decibels(power) == pytest.approx(decibels(0.125 * expected), abs=0.1)
    assert activity == pytest.approx((on + 0.2 + 0.03 * y) / (on + off), rel=0.02)


@pytest.mark.parametrize("factor", [2.0, 0.5, 2.0**-14, 2.0**9])
@pytest.mark.parametrize("level", [active_level, rms_level])
def test_scaling_moves_the_level_by_as_much(level, factor):
    x = speechlike(8000, 2.0, 3)
    power, activity = level(x, 8000)
    scaled_power, scaled_activity = level(factor * x, 8000)
    assert decibels(scaled_power) - decibels(power) == pytest.approx(20 * math.log10(factor), abs=1e-9)
    assert scaled_activity == pytest.approx(activity, rel=1e-9)


def test_a_factor_between_rungs_moves_the_level_nearly_by_as_much():
    x = speechlike(8000, 4.0, 4)
    shift = decibels(active_level(1.37 * x, 8000)[0]) - decibels(active_level(x, 8000)[0])
    assert shift == pytest.approx(20 * math.log10(1.37), abs=0.3)


def test_silence_leaves_the_level_and_lowers_the_activity():
    x = np.concatenate([speechlike(8000, 2.0, 5), np.zeros(8000)])
    power, activity = active_level(x, 8000)
    for padded in (np.concatenate([np.zeros(16000), x]), np.concatenate([x, np.zeros(16000)])):
        padded_power, padded_activity = active_level(padded, 8000)
        assert padded_power == pytest.approx(power, rel=1e-9)
        assert padded_activity == pytest.approx(activity * len(x) / len(padded), rel=1e-9)
    assert rms_level(np.concatenate([x, np.zeros(len(x))]), 8000)[0] == pytest.approx(
        rms_level(x, 8000)[0] / 2
    )


def test_active_power_is_at_least_the_long_term_power():
    for seed in range(5):
        x = speechlike(8000, 1.0, seed)
        assert active_level(x, 8000)[0] >= rms_level(x, 8000)[0]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_band_filter_takes_away_hum_and_offset_only(rate):
    tone = sine(5, rate, frequency=1000)
    hum = sine(5, rate, amplitude=0.3, frequency=30) + 0.2
    assert decibels(active_level(tone, rate, "band")[0]) == pytest.approx(decibels(0.125), abs=0.1)
    with_hum = active_level(tone + hum, rate, "band")[0]
    assert decibels(with_hum) == pytest.approx(decibels(0.125), abs=0.1)
    assert decibels(active_level(tone + hum, rate)[0]) > decibels(with_hum) + 1
    assert np.mean(band_filter(sine(5, rate, frequency=200), rate) ** 2) == pytest.approx(0.0625, rel=0.02)


def test_low_pass_only_where_the_rate_has_room():
    for rate, kept in ((8000, 1.0), (16000, 0.5)):
        frequency = 5500 if rate == 16000 else 3900
        power = np.mean(band_filter(sine(5, rate, frequency=frequency), rate) ** 2) / 0.125
        assert power == pytest.approx(kept, rel=0.03)


def test_clicks_and_short_signals_have_a_finite_level():
    click = np.zeros(8000)
    click[100] = 1.0
    for x in (click, np.ones(1), sine(0.01, 8000)):
        power, activity = active_level(x, 8000)
        assert np.isfinite(power) and 0 < activity <= 1


@pytest.mark.parametrize("level", [active_level, rms_level])
def test_refuses_what_has_no_level(level):
    with pytest.raises(ValueError, match="all-zero"):
        level(np.zeros(8000), 8000)
    with pytest.raises(ValueError, match="shape"):
        level(np.zeros((8000, 2)), 8000)
    with pytest.raises(ValueError, match="shape"):
        level(np.zeros(0), 8000)
    with pytest.raises(ValueError, match="NaN"):
        level(np.array([0.1, np.nan]), 8000)
    with pytest.raises(ValueError, match="level_filter"):
        level(np.ones(8000), 8000, "bandpass")
