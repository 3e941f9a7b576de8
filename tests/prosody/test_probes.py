"""Probes on frames of known speakers, lags and embeddings."""

import numpy as np
import pytest

from contrasep_lib.prosody.probes import OTHER, draw_pairs, explained, folds_of, over_lags, same_speaker_auc

pytest.importorskip("sklearn", reason="needs the extra prosody")


def recordings(speakers=24, each=3, frames=120):
    """Utterance of each frame and speaker of each utterance."""
    return np.repeat(np.arange(speakers * each), frames), np.repeat(np.arange(speakers), each)


@pytest.mark.parametrize("lag", [1, 30, OTHER])
def test_pairs_are_what_they_say(rng, lag):
    utterance, speaker = recordings()
    usable = rng.random(len(utterance)) > 0.3
    fold = folds_of(24, 3, rng)
    pairs = draw_pairs(usable, utterance, speaker, lag, fold, rng)
    own = speaker[utterance]
    for end in (pairs.first, pairs.second, pairs.foreign):
        assert usable[end].all()
    assert (own[pairs.first] == own[pairs.second]).all() and (own[pairs.first] != own[pairs.foreign]).all()
    assert (own[pairs.first] == pairs.speaker).all() and (fold[own[pairs.foreign]] == pairs.fold).all()
    same = utterance[pairs.first] == utterance[pairs.second]
    assert not same.any() if lag == OTHER else same.all() and (pairs.second - pairs.first == lag).all()
    counts = np.bincount(pairs.speaker)
    assert len(counts) == 24 and counts.max() <= 60 and (lag == OTHER or counts.min() == counts.max())
    # no speaker is trained on and tested
    assert set(np.bincount(fold)) == {8}


def test_too_few_speakers_or_too_short(rng):
    utterance, speaker = recordings(speakers=8)
    fold = folds_of(8, 3, rng)
    assert draw_pairs(np.ones(len(utterance), bool), utterance, speaker, 1, fold, rng) is None
    utterance, speaker = recordings()
    assert draw_pairs(np.ones(len(utterance), bool), utterance, speaker, 120, folds_of(24, 3, rng), rng) is None


def test_a_speaker_is_told_and_noise_is_not(rng):
    utterance, speaker = recordings()
    usable, fold = np.ones(len(utterance), bool), folds_of(24, 3, rng)
    means = rng.standard_normal((24, 2))
    values = means[speaker[utterance]] + 0.3 * rng.standard_normal((len(utterance), 2))
    pairs = draw_pairs(usable, utterance, speaker, OTHER, fold, rng)
    found = same_speaker_auc(values, pairs)
    assert found.value > 0.85 and found.interval[0] > 0.8
    noise = same_speaker_auc(rng.standard_normal(values.shape), pairs)
    assert noise.value == pytest.approx(0.5, abs=0.04) and noise.interval[0] < 0.5 < noise.interval[1]


def test_shuffled_labels_are_at_chance(rng):
    """The same values with which of the two is the speaker's own drawn at random: what was learned is of no use."""
    utterance, speaker = recordings()
    values = rng.standard_normal((24, 2))[speaker[utterance]] + 0.3 * rng.standard_normal((len(utterance), 2))
    pairs = draw_pairs(np.ones(len(utterance), bool), utterance, speaker, OTHER, folds_of(24, 3, rng), rng)
    swap = rng.random(len(pairs.first)) < 0.5
    second = np.where(swap, pairs.foreign, pairs.second)
    foreign = np.where(swap, pairs.second, pairs.foreign)
    shuffled = same_speaker_auc(values, type(pairs)(pairs.first, second, foreign, pairs.speaker, pairs.fold))
    assert shuffled.value == pytest.approx(0.5, abs=0.05)


def test_what_lasts_some_frames_is_told_for_so_long(rng):
    """A feature that is drawn anew every 16 frames, whoever speaks."""
    utterance, speaker = recordings(frames=160)
    values = rng.standard_normal((len(utterance) // 16, 1)).repeat(16, axis=0)
    rows = over_lags({"x": values}, np.ones(len(utterance), bool), utterance, speaker, rng, (1, 64, 4000))
    found = {row["frames"]: row["auc"]["x"] for row in rows}
    assert list(found) == [1, 64, None]
    assert found[1].value > 0.9 and found[1].interval[0] > 0.5
    for lag in (64, None):
        assert found[lag].value == pytest.approx(0.5, abs=0.05)


def test_explained_variance_of_a_linear_map(rng):
    speaker = np.repeat(np.arange(30), 100)
    inputs = rng.standard_normal((3000, 8))
    signal = inputs @ rng.standard_normal((8, 2))
    noise = rng.standard_normal(signal.shape) * signal.std(0)
    half = explained(inputs, signal + noise, speaker, rng)
    assert half.value == pytest.approx(0.5, abs=0.05) and half.interval[0] < 0.5 < half.interval[1]
    assert explained(inputs, signal, speaker, rng).value > 0.99
    assert explained(inputs, rng.standard_normal((3000, 2)), speaker, rng).value < 0.01
    # what is a speaker's own and no function of the embedding is not found on others
    own = rng.standard_normal((30, 1))[speaker]
    assert explained(rng.standard_normal((30, 8))[speaker] + 0.1 * inputs, own, speaker, rng).value < 0.3
    assert np.isnan(explained(inputs[:800], signal[:800], speaker[:800], rng).value)
