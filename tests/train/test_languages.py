"""Talkers of one language in mixtures drawn on the fly."""

import dataclasses
import shutil

import numpy as np
import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.scp import write_table
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.train.data import train_dataset, valid_dataset
from contrasep_lib.train.options import TrainOptions

MIX = MixOptions()
# p0 speaks both: two utterances of one, one of the other
LANGUAGES = {"p0": "de", "p1": "de", "p2": "de", "p3": "tr", "p4": "tr", "p5": "ca"}


@pytest.fixture
def spoken(single_dump, tmp_path):
    folder = shutil.copytree(single_dump, tmp_path / "tr_single")
    table = {f"{name}-{take}": language for name, language in LANGUAGES.items() for take in range(3)}
    write_table(folder / "utt2lang", {**table, "p0-2": "tr"})
    return folder


def options(share, num_spk=(2,), **others):
    return TrainOptions(num_spk=num_spk, segment_seconds=0.3, same_language=share, **others)


def drawn(dataset, count):
    """Ids of the utterances of mixtures."""
    return [dataset[1, number]["utt_id"].partition(":")[2].split("+") for number in range(count)]


def language(key):
    return "tr" if key == "p0-2" else LANGUAGES[key.partition("-")[0]]


def test_all_talkers_share_a_language(spoken):
    mixtures = drawn(train_dataset([spoken], options(1.0), MIX), 300)
    assert all(len({language(key) for key in keys}) == 1 for keys in mixtures)
    assert all(len({key.partition("-")[0] for key in keys}) == len(keys) for keys in mixtures)
    # by the number of speakers, 3 to 3; nobody speaks ca to another
    share = np.mean([language(keys[0]) == "de" for keys in mixtures])
    assert 0.4 < share < 0.6
    assert {key for keys in mixtures for key in keys} == {f"p{n}-{take}" for n in range(5) for take in range(3)}


def test_shares(spoken):
    def together(share):
        mixtures = drawn(train_dataset([spoken], options(share), MIX), 400)
        return np.mean([len({language(key) for key in keys}) == 1 for keys in mixtures])

    apart = together(0.0)
    assert 0.15 < apart < 0.4
    assert together(0.5) == pytest.approx(0.5 + apart / 2, abs=0.08)


def test_nothing_changes_without(spoken, single_dump):
    these, those = (train_dataset([folder], options(0.0), MIX) for folder in (spoken, single_dump))
    for number in range(10):
        assert np.array_equal(these[1, number]["mixture"], those[1, number]["mixture"])


def test_a_set_without_languages_is_one(spoken, single_dump, digits_dump):
    mixtures = drawn(train_dataset([single_dump], options(1.0, (1, 4)), MIX), 40)
    assert {len(keys) for keys in mixtures} == {1, 4}
    balance = {"wsj0": 0.5, "audiomnist": 0.5}
    mixed = train_dataset([spoken, digits_dump], options(1.0, balance=balance), MIX, tuple(balance))
    mixtures = drawn(mixed, 60)
    assert {"audiomnist" in keys[0] for keys in mixtures} == {True, False}
    assert all(len({"audiomnist" if "audiomnist" in key else language(key) for key in keys}) == 1 for keys in mixtures)


def test_too_few_of_a_language(spoken):
    with pytest.raises(ContrasepError, match="at most 3 talkers in a mixture, .*one language in .*, got 4"):
        train_dataset([spoken], options(0.5, (2, 4)), MIX)


def test_an_utterance_of_no_language(spoken):
    write_table(spoken / "utt2lang", {f"p{n}-0": "de" for n in range(6)})
    with pytest.raises(ContrasepError, match="utt2lang: no utterance 'p0-1'"):
        train_dataset([spoken], options(1.0), MIX)


def test_validation_is_drawn_as_without(spoken):
    these, those = (valid_dataset([spoken], options(share), MIX) for share in (0.0, 1.0))
    assert drawn(these, 10) == drawn(those, 10)


def test_repeats_stay_with_their_language(spoken):
    dataset = train_dataset([spoken], options(1.0, repeats=3), MIX)
    mixtures = drawn(dataset, 60)
    for number in range(0, 60, 3):
        assert len({frozenset(key.partition("-")[0] for key in keys) for keys in mixtures[number : number + 3]}) == 1
    assert all(len({language(key) for key in keys}) == 1 for keys in mixtures)


@pytest.mark.parametrize("data", ["single", "fixed"])
def test_where_nothing_is_mixed(data):
    with pytest.raises(ValueError, match="same_language: expected data 'dynamic'"):
        TrainOptions(data=data, same_language=0.5)
    assert dataclasses.replace(TrainOptions(data=data), same_language=0.0).same_language == 0
