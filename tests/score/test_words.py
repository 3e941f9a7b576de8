"""Alignment and error rates against a reference written out, against editdistance and meeteval."""

import itertools

import numpy as np
import pytest

pytest.importorskip("rapidfuzz", reason="rapidfuzz is not installed")
from contrasep_lib.score.words import Errors, best_permutation, error_rate, errors_of

WORDS = ("a", "b", "c", "d")


def table_distance(said, heard):
    """Levenshtein's recurrence, written out."""
    costs = np.zeros((len(said) + 1, len(heard) + 1), dtype=int)
    costs[:, 0], costs[0] = np.arange(len(said) + 1), np.arange(len(heard) + 1)
    for i, one in enumerate(said, 1):
        for j, other in enumerate(heard, 1):
            costs[i, j] = min(costs[i - 1, j] + 1, costs[i, j - 1] + 1, costs[i - 1, j - 1] + (one != other))
    return costs[-1, -1]


def draw(rng, most=9):
    return rng.choice(WORDS, rng.integers(0, most)).tolist()


def test_edits_are_as_few_as_the_recurrence_finds_and_add_up(rng):
    for _ in range(200):
        said, heard = draw(rng), draw(rng)
        errors = errors_of(said, heard)
        assert errors.total == table_distance(said, heard) and errors.words == len(said)
        assert len(said) - errors.deletions + errors.insertions == len(heard)


@pytest.mark.parametrize(
    "said, heard, parts",
    [
        ("the cat sat", "the cat sat", (3, 0, 0, 0)), ("the cat sat", "", (3, 0, 3, 0)),
        ("", "no words", (0, 0, 0, 2)), ("a b c", "a x c", (3, 1, 0, 0)), ("a b", "b a b b", (2, 0, 0, 2)),
    ],
)
def test_edits_by_hand(said, heard, parts):
    assert errors_of(said.split(), heard.split()) == Errors(*parts)


def test_the_rate_is_over_all_pairs_together():
    said, heard = ["a b c d".split(), ["a"]], ["a b c d".split(), "x y".split()]
    assert error_rate(said, heard) == pytest.approx(2 / 5)
    assert np.isnan(error_rate([[]], [["a"]])) and np.isnan(error_rate([], []))
    with pytest.raises(ValueError, match="1 transcripts for 2 references"):
        error_rate(said, heard[:1])


@pytest.mark.parametrize("talkers, outputs", [(1, 1), (2, 2), (3, 3), (2, 1), (1, 3), (3, 0), (4, 2)])
def test_the_permutation_is_the_best_of_all(rng, talkers, outputs):
    for _ in range(20):
        said, heard = [draw(rng) for _ in range(talkers)], [draw(rng) for _ in range(outputs)]
        size = max(talkers, outputs)
        padded = [*said, *[[]] * (size - talkers)], [*heard, *[[]] * (size - outputs)]
        least = min(
            sum(table_distance(*pair) for pair in zip(padded[0], order)) for order in itertools.permutations(padded[1])
        )
        errors, matching = best_permutation(said, heard)
        assert errors.total == least and errors.words == sum(map(len, said)) and len(matching) == talkers
        used = [output for output in matching if output is not None]
        assert len(set(used)) == len(used) == min(talkers, outputs)


def test_every_order_of_right_outputs_has_no_errors():
    said = [["one", "two"], ["three"], ["four", "five", "six"]]
    for order in itertools.permutations(range(3)):
        errors, matching = best_permutation(said, [said[index] for index in order])
        assert errors.total == 0 and [order[output] for output in matching] == [0, 1, 2]


@pytest.mark.parametrize("talkers, outputs", [(2, 2), (3, 2), (2, 3), (1, 1)])
def test_it_is_the_cpwer_of_meeteval(rng, talkers, outputs):
    meeteval = pytest.importorskip("meeteval.wer", reason="meeteval is not installed")
    for _ in range(20):
        said = [draw(rng) or ["a"] for _ in range(talkers)]
        heard = [draw(rng) for _ in range(outputs)]
        errors, _ = best_permutation(said, heard)
        judged = meeteval.cp_word_error_rate([" ".join(words) for words in said], [" ".join(words) for words in heard])
        assert (errors.total, errors.words) == (judged.errors, judged.length)
        assert errors.rate == pytest.approx(judged.error_rate)
