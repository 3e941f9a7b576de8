"""Decoding into words of a list, against every sequence of words that fits."""

import itertools
import math

import numpy as np
import pytest

pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")

from contrasep_lib.asr import lexicon
from contrasep_lib.asr.lexicon import Lexicon
from contrasep_lib.asr.tokens import Tokens
from contrasep_lib.corpus.sentences import SENTENCES
from contrasep_lib.corpus.single import normalise_text

TEXTS = [normalise_text(sentence) for sentence in SENTENCES]
WORDS = ("AND", "A", "SEA", "SEAS", "SAND")


def probability(scores, units):
    """Of the best path of a sequence of units, by CTC's recursion with the maximum in place of the sum; log."""
    states = [0]
    for unit in units:
        states += [unit, 0]
    past = np.full(len(states), -math.inf)
    past[0] = scores[0][0]
    if len(states) > 1:
        past[1] = scores[0][states[1]]
    for frame in scores[1:]:
        now = np.full(len(states), -math.inf)
        for place, unit in enumerate(states):
            ways = [past[place]] + ([past[place - 1]] if place else [])
            if place > 1 and unit and unit != states[place - 2]:
                ways.append(past[place - 2])
            now[place] = max(ways) + frame[unit]
        past = now
    return max(past[-2:])


@pytest.fixture(scope="module")
def tokens():
    return Tokens.train(TEXTS, 40)


@pytest.mark.parametrize("noise", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(8))
def test_the_words_found_are_the_most_probable_of_all(tokens, seed, noise):
    # short spellings, so that every sequence of up to three words can be tried
    words = [word for word in WORDS if len(tokens.encode(word)) <= 4]
    assert len(words) >= 3
    rng = np.random.default_rng(seed)
    said = rng.choice(words, 2)
    units = [unit for word in said for unit in tokens.encode(word)]
    path = [unit for unit in units for unit in (0, unit)]
    raw = noise * rng.standard_normal((len(path), len(tokens)))
    raw[np.arange(len(path)), path] += 4.0
    scores = raw - np.logaddexp.reduce(raw, axis=1, keepdims=True)
    rated = {
        " ".join(chosen): probability(scores, [unit for word in chosen for unit in tokens.encode(word)])
        + lexicon.WORD_SCORE * len(chosen)
        for count in range(4)
        for chosen in itertools.product(words, repeat=count)
    }
    found = Lexicon(words, tokens).decode(scores)
    assert found == max(rated, key=rated.get)


def test_what_is_spelled_wrongly_becomes_a_word(tokens):
    rng = np.random.default_rng(0)
    units = tokens.encode("SEAS AND SAND")
    wrong = next(unit for unit in range(1, len(tokens)) if unit not in units)
    path = [0]
    for unit in units:
        path += [unit, 0]
    raw = 0.1 * rng.standard_normal((len(path), len(tokens)))
    raw[np.arange(len(path)), path] += 6.0
    # one unit of SAND is heard as another, which no word has there
    place = 2 * len(units) - 1
    raw[place, wrong] = raw[place, path[place]] + 1.0
    scores = raw - np.logaddexp.reduce(raw, axis=1, keepdims=True)
    assert Lexicon(("SEAS", "AND", "SAND"), tokens).decode(scores) == "SEAS AND SAND"


def test_without_words_frames_or_spellings_nothing_is_heard(tokens):
    scores = np.log(np.full((4, len(tokens)), 1 / len(tokens)))
    assert Lexicon((), tokens).decode(scores) == ""
    assert Lexicon(("SEA",), tokens).decode(scores[:0]) == ""
    # signs that no unit has
    assert Lexicon(("中", "SEA"), tokens).words == ["SEA"]
