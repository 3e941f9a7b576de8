"""Silence, pauses, noise and codecs of mixtures drawn on the fly."""

import dataclasses
import math

import numpy as np
import pytest

from contrasep_lib.mix.lists import draw_gains
from contrasep_lib.mix.mixer import mix_signals
from contrasep_lib.mix.noise.coloured import tilted_noise
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.train.augment import add_noise, add_pauses, draw_window, gate
from contrasep_lib.train.data import train_dataset, valid_dataset
from contrasep_lib.train.iterator import EpochIterator
from contrasep_lib.train.options import AugmentOptions, TrainOptions

MIX = MixOptions()
RATE = 8000
EVERYTHING = AugmentOptions(silence=0.6, edge=0.5, pause=0.5, noise=0.5)
# PCM16 of each track is rounded by itself
ROUNDING = 4 / 2**15


def dataset(folder, augment=AugmentOptions(), **options):
    options = {"segment_seconds": 1.2, "num_spk": (1, 2, 3), "speed": (0.9, 1.0), **options}
    return train_dataset([folder], TrainOptions(augment=augment, **options), MIX)


def items(folder, augment, count=60, **options):
    made = dataset(folder, augment, **options)
    return [made[1, number] for number in range(count)]


def longest_zeros(signal):
    """Longest run of exact zeros."""
    edges = np.flatnonzero(np.diff(np.concatenate([[1], signal != 0, [1]]).astype(int)))
    return max(np.diff(edges)[::2], default=0)


def test_without_augmentation_items_are_what_they_were(single_dump):
    plain = dataset(single_dump)
    for number in range(20):
        item, rng = plain[3, number], plain._rng(3, number)
        num_spk = (1, 2, 3)[int(rng.integers(3))]
        pool = plain.pools[0]
        chosen = [list(pool)[index] for index in rng.choice(len(pool), num_spk, replace=False)]
        numbers = [pool[name][int(rng.integers(len(pool[name])))] for name in chosen]
        parts = [plain.part(utterance, rng)[0] for utterance in numbers]
        placed = np.zeros((num_spk, max(map(len, parts))))
        for row, part in zip(placed, parts):
            start = int(rng.integers(len(row) - len(part) + 1))
            row[start : start + len(part)] = part
        mixed = mix_signals(placed, draw_gains(num_spk, MIX.max_gain_db, rng), "max")
        assert np.array_equal(item["mixture"], mixed.mixture.astype(np.float32) / np.float32(2**15))
        assert np.array_equal(item["sources"], mixed.sources.astype(np.float32) / np.float32(2**15))


def test_items_depend_on_their_key_alone(single_dump):
    def mixtures(num_workers):
        batches = EpochIterator(dataset(single_dump, EVERYTHING), 4, 3, num_workers=num_workers).build_iter(2)
        return [batch["mixture"].numpy() for _, batch in batches]

    for this, that in zip(mixtures(0), mixtures(2)):
        assert np.array_equal(this, that)
    plain = dataset(single_dump)
    assert not np.array_equal(
        plain[2, 0]["mixture"], dataset(single_dump, AugmentOptions(silence=1.0))[2, 0]["mixture"]
    )


def test_mixtures_are_the_sum_of_aligned_sources(single_dump):
    augment = dataclasses.replace(EVERYTHING, noise=0.0)
    for item in items(single_dump, augment):
        assert np.abs(item["sources"].sum(0) - item["mixture"]).max() < ROUNDING
        assert item["sources"].any(axis=1).all() and item["mixture"].dtype == np.float32


def test_silence_lies_in_front_behind_or_both(single_dump):
    fronts, behinds = [], []
    for item in items(single_dump, AugmentOptions(silence=1.0), num_spk=(2,)):
        heard = np.flatnonzero(item["mixture"])
        samples = len(item["mixture"])
        fronts.append(heard[0] / samples)
        behinds.append(1 - (heard[-1] + 1) / samples)
    assert max(fronts) > 0.3 and max(behinds) > 0.3
    rng = np.random.default_rng(0)
    windows = [draw_window(1000, AugmentOptions(silence=1.0), rng) for _ in range(500)]
    assert all(0 <= first < last <= 1000 and last - first >= 500 for first, last in windows)
    for alone in ([first == 0 for first, _ in windows], [last == 1000 for _, last in windows]):
        assert 0.15 < np.mean(alone) < 0.35


def test_mixtures_are_cut_to_their_shortest_talker(single_dump):
    def length(dataset, number):
        """Of the parts of an item, by the draws before those of augmentation."""
        rng = dataset._rng(1, number)
        rng.integers(1)
        pool = dataset.pools[0]
        chosen = [list(pool)[index] for index in rng.choice(len(pool), 2, replace=False)]
        numbers = [pool[name][int(rng.integers(len(pool[name])))] for name in chosen]
        return [len(dataset.part(utterance, rng)[0]) for utterance in numbers]

    cut, some = (dataset(single_dump, AugmentOptions(shortest=share), num_spk=(2,)) for share in (1.0, 0.5))
    found = []
    for number in range(80):
        lengths = length(cut, number)
        sources = cut[1, number]["sources"]
        assert sources.shape[1] == min(lengths) and sources.any(axis=1).all()
        if min(lengths) < max(lengths):
            found.append(len(some[1, number]["mixture"]) == min(lengths))
            assert len(some[1, number]["mixture"]) in lengths
    assert len(found) > 40 and 0.25 < np.mean(found) < 0.75


@pytest.mark.parametrize("kind", ["edge", "pause"])
def test_talkers_fall_silent_and_keep_a_third(kind):
    rng, options, samples = np.random.default_rng(1), AugmentOptions(**{kind: 1.0}), 4 * RATE
    least, cuts = math.ceil(samples / 3), []
    for _ in range(200):
        part = rng.standard_normal(samples)
        thinned = add_pauses(part, least, options, RATE, rng)
        assert np.count_nonzero(thinned) >= least and np.square(thinned).sum() > 0.3 * np.square(part).sum()
        silent = np.flatnonzero(thinned == 0)
        assert len(silent) == longest_zeros(thinned)
        cuts.append((silent[0], silent[-1] + 1))
        faded = np.flatnonzero((thinned != part) & (thinned != 0))
        assert len(faded) <= 2 * RATE // 100 and (np.abs(thinned) <= np.abs(part)).all()
    seconds = np.array([last - first for first, last in cuts]) / RATE
    if kind == "pause":
        assert 0.3 <= seconds.min() < 0.4 and 1.4 < seconds.max() <= 1.5
    else:
        assert all(first == 0 or last == samples for first, last in cuts) and seconds.max() > 2
        assert 0.3 < np.mean([first == 0 for first, _ in cuts]) < 0.7


def test_short_parts_and_parts_heard_in_one_place_are_left_alone():
    rng, options = np.random.default_rng(2), AugmentOptions(edge=1.0, pause=1.0)
    short = rng.standard_normal(1000)
    assert add_pauses(short, 1000, options, RATE, rng) is short
    # all energy lies where it cannot be cut without losing most of it
    click = np.zeros(8000)
    click[[0, -1]] = 1.0
    click[4000] = 0.1
    for _ in range(50):
        assert np.square(add_pauses(click, 2000, options, RATE, rng)).sum() >= np.square(click).sum() / 3


def test_probabilities_are_those_of_talkers(single_dump):
    silent = [
        longest_zeros(source) >= 0.3 * RATE
        for item in items(single_dump, AugmentOptions(pause=0.5), 150, num_spk=(2,)) if len(item["mixture"]) == 9600
        for source in item["sources"]
    ]
    plain = [
        longest_zeros(source) >= 0.3 * RATE
        for item in items(single_dump, AugmentOptions(), 150, num_spk=(2,)) if len(item["mixture"]) == 9600
        for source in item["sources"]
    ]
    assert 0.1 < np.mean(silent) - np.mean(plain) < 0.6


def test_noise_is_in_the_mixture_alone_and_in_its_silences(single_dump):
    augment = AugmentOptions(silence=1.0, noise=1.0, noise_db=(20.0, 30.0))
    for item in items(single_dump, augment, 30):
        noise = item["mixture"] - item["sources"].sum(0)
        level = 10 * np.log10(np.square(item["mixture"]).mean() / np.square(noise).mean())
        assert 19.5 < level < 30.5
        assert longest_zeros(item["mixture"]) < 20
    # and not always
    zeros = [longest_zeros(item["mixture"]) > 800 for item in items(single_dump, EVERYTHING, 100)]
    assert 0.05 < np.mean(zeros) < 0.6


@pytest.mark.parametrize("tilt", [0.0, 1.0, 2.0])
def test_the_colour_of_noise(tilt):
    noise = tilted_noise(2**17, tilt, RATE, np.random.default_rng(0))
    assert np.square(noise).mean() == pytest.approx(1)
    power = np.square(np.abs(np.fft.rfft(noise)))
    frequencies = np.fft.rfftfreq(len(noise), 1 / RATE)
    octaves = [power[(frequencies >= low) & (frequencies < 2 * low)].mean() for low in (100, 200, 400, 800, 1600)]
    slope = np.polyfit(np.arange(5), np.log2(octaves), 1)[0]
    assert slope == pytest.approx(-tilt, abs=0.1)


def test_the_level_of_noise():
    rng, mixture = np.random.default_rng(3), np.sin(np.arange(40000)).astype(np.float32)
    levels = []
    for _ in range(100):
        noise = add_noise(mixture, AugmentOptions(noise=1.0), RATE, rng) - mixture
        levels.append(10 * np.log10(np.square(mixture).mean() / np.square(noise).mean()))
    assert 20 < min(levels) < 25 and 55 < max(levels) < 60.1
    assert add_noise(mixture, AugmentOptions(), RATE, rng) is mixture


def test_codecs_change_the_mixture_alone(single_dump):
    pytest.importorskip("av")
    coded = items(single_dump, AugmentOptions(codec=1.0), 30, num_spk=(2,))
    for item, plain in zip(coded, items(single_dump, AugmentOptions(), 30, num_spk=(2,))):
        assert np.array_equal(item["sources"], plain["sources"])
        change = item["mixture"] - plain["mixture"]
        assert 0 < np.square(change).mean() < 0.6 * np.square(plain["mixture"]).mean()
    # of equal shares; G.711 gives 256 values at most
    half = items(single_dump, AugmentOptions(codec=0.5), 200, num_spk=(2,), segment_seconds=0.3)
    plain = items(single_dump, AugmentOptions(), 200, num_spk=(2,), segment_seconds=0.3)
    same = np.mean([np.array_equal(a["mixture"], b["mixture"]) for a, b in zip(half, plain)])
    assert 0.4 < same < 0.6
    one = items(single_dump, AugmentOptions(codec=1.0, codecs=("mulaw",)), 10)
    assert all(len(np.unique(item["mixture"])) <= 256 for item in one)


def test_gates():
    assert gate(400, (100, 200), RATE)[[0, 19, 20, 99, 100, 199, 200, 279, 280, 399]].tolist() == pytest.approx(
        [1, 1, 1, 1 / 80, 0, 0, 1 / 80, 1, 1, 1]
    )
    assert gate(400, (0, 100), RATE)[0] == 0 and gate(400, (300, 400), RATE)[-1] == 0


def test_validation_is_not_augmented(single_dump):
    options = TrainOptions(num_spk=(2,), segment_seconds=0.5)
    plain, other = (
        valid_dataset([single_dump], dataclasses.replace(options, augment=a), MIX)
        for a in (AugmentOptions(), EVERYTHING)
    )
    assert all(np.array_equal(plain[0, number]["mixture"], other[0, number]["mixture"]) for number in range(5))


@pytest.mark.parametrize(
    "augment", [{"silence": 1.1}, {"pause": -0.1}, {"noise_db": (20.0,)}, {"noise_db": (30.0, 20.0)}, {"codecs": ()}]
)
def test_wrong_options(augment):
    with pytest.raises(ValueError, match=f"{next(iter(augment))}: expected"):
        AugmentOptions(**augment)


def test_dumped_mixtures_stay_as_they_are():
    with pytest.raises(ValueError, match="augment: expected data 'dynamic' or 'single'"):
        TrainOptions(data="fixed", augment=EVERYTHING)
