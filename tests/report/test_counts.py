"""True and estimated numbers of speakers: tables and the plot."""

import dataclasses

import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.report.counts import confusion_of, confusion_rows
from contrasep_lib.report.counts_plot import draw_confusion
from contrasep_lib.report.results import build_results
from contrasep_lib.score.means import aggregate
from contrasep_lib.score.options import ScoreOptions
from contrasep_lib.score.tables import Row


def row(number, true, estimated):
    blank = {field.name: None for field in dataclasses.fields(Row)}
    speakers = tuple("abcdef"[:true])
    own = {"utt": str(number), "speakers": speakers, "num_spk": true, "num_spk_est": estimated, "oracles": {}}
    return Row(**{**blank, **own, "scores": {}, "count_given": estimated is None})


def results_of(*sets):
    """Results of sets of (true, estimated) pairs, with a joint set of all."""
    rows = [[row(f"{index}-{number}", *pair) for number, pair in enumerate(pairs)] for index, pairs in enumerate(sets)]
    means = {f"tt_{index}": aggregate(each, ScoreOptions()) for index, each in enumerate(rows)}
    means["joint"] = aggregate([each for part in rows for each in part], ScoreOptions())
    return {"sets": means}


def test_a_set_named_as_all_sets_together_is_refused(tmp_path):
    # it would be overwritten by the means of all, and its counts left out
    (tmp_path / "joint").mkdir()
    (tmp_path / "joint/wav.scp").write_text("a a.wav\n")
    with pytest.raises(ContrasepError, match="--sets: expected another name than 'joint'"):
        build_results(tmp_path, [tmp_path / "joint"], "egs", "train.yaml", {"score": ScoreOptions()}, "speech")


def test_mixtures_are_counted_once_whatever_their_sets():
    results = results_of([(2, 2)] * 5 + [(2, 3)], [(3, 3), (3, 2), (3, 5)], [(2, 2), (1, 1)])
    expected = {"1": {"1": 1}, "2": {"2": 6, "3": 1}, "3": {"2": 1, "3": 1, "5": 1}}
    assert results["sets"]["joint"]["confusion"] == expected
    confusion = confusion_of(results)
    assert confusion == {
        1: {1: 1, 2: 0, 3: 0, 5: 0}, 2: {1: 0, 2: 6, 3: 1, 5: 0}, 3: {1: 0, 2: 1, 3: 1, 5: 1},
    }
    header, rows = confusion_rows([("a", confusion), ("b", {2: {4: 3}})])
    assert header == ["tag", "speakers", *(f"{n} estimated" for n in (1, 2, 3, 4, 5)), "correct"]
    assert rows[1] == ["a", "2", "0", "6", "1", "0", "0", "85.7 %"]
    assert rows[3] == ["b", "2", "0", "0", "0", "3", "0", "0.0 %"]


def test_ten_speakers_stand_after_two():
    assert list(confusion_of(results_of([(2, 10), (2, 2), (2, 9)]))[2]) == [2, 9, 10]


def test_nothing_where_the_count_was_given_or_an_earlier_version_kept_none():
    results = results_of([(2, None)])
    assert results["sets"]["tt_0"]["confusion"] is None and confusion_of(results) == {}
    assert confusion_of({"sets": {"tt": {"n": 3}}}) == {}


def test_the_plot_is_the_same_for_the_same_numbers(tmp_path):
    confusion = confusion_of(results_of([(2, 2), (2, 3), (3, 3)]))
    for name in "ab":
        draw_confusion(tmp_path / f"{name}.png", confusion, "toy")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    draw_confusion(tmp_path / "c.png", {2: {2: 1, 3: 2}, 3: {2: 0, 3: 1}}, "toy")
    assert (tmp_path / "c.png").read_bytes() != (tmp_path / "a.png").read_bytes()
