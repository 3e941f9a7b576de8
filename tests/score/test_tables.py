"""Score tables: writing, reading, joining, means."""

import dataclasses
import itertools

import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.score import tables
from contrasep_lib.score.means import aggregate, mean_columns
from contrasep_lib.score.options import ScoreOptions
from contrasep_lib.score.tables import Evidence, make_row, merge_parts, read_evidence, read_rows, write_rows
from contrasep_lib.score.utterance import UtteranceScore

OPTIONS = ScoreOptions()
ORACLES = ("frame", "ibm", "irm", "psm")


def row(utt, speakers="a_b", gain=1.0, given=True, estimated=None, alone=False):
    scores = {
        "si_snr_mix": None if alone else 0.25,
        "si_snr": gain + 0.25,
        "si_snri": gain if given and not alone else None,
        "source_si_snri": None if alone else (gain, gain),
        "sdr_mix": None if alone else 0.5,
        "sdr": gain + 0.5,
        "sdri": gain if given and not alone else None,
        "source_sdri": None if alone else (gain, gain),
        "si_snri_count_estimated": None if given or alone else gain,
        "si_snri_penalised": None if given or alone else gain / 2,
    }
    permutation = (0,) if alone else (1, None if estimated == 1 else 0)
    score = UtteranceScore(1 if alone else 2, 1 if alone else estimated or 2, given, permutation, scores)
    oracles = dict.fromkeys(ORACLES, None if alone else 2 * gain)
    evidence = Evidence(given, estimated, None if given else 0.5 * gain, None if given else 0.25)
    return make_row(utt, speakers.split("_"), score, oracles, evidence)


def test_rows_come_back_and_are_sorted(tmp_path):
    rows = [row("b", gain=-0.5), row("a", "x-1_y-2", 3.125), row("c", given=False, estimated=1)]
    path = tmp_path / "scores.tsv"
    write_rows(path, rows)
    back = read_rows(path)
    assert [entry.utt for entry in back] == ["a", "b", "c"]
    assert back == [rows[1], rows[0], rows[2]]
    assert back[0].speakers == ("x-1", "y-2")
    lines = path.read_text().splitlines()
    names = lines[0].split("\t")
    assert names[: len(tables.COLUMNS)] == list(tables.COLUMNS) and names[-4:] == [f"oracle_{name}" for name in ORACLES]
    assert "\t2,1\t" in lines[1] and "\t2,-\t" in lines[3]
    assert "nan" not in path.read_text() and "None" not in path.read_text()


def test_negative_zero_is_written_as_zero(tmp_path):
    write_rows(tmp_path / "t", [row("a", gain=-1e-9)])
    assert "-0.0000" not in (tmp_path / "t").read_text()


def test_parts_join_to_the_same_bytes_whatever_their_number(tmp_path):
    rows = [row(f"u{index}", gain=index) for index in range(7)]
    made = set()
    for jobs in (1, 2, 3, 7):
        parts = []
        for job in range(jobs):
            parts.append(tmp_path / str(jobs) / f"{job + 1}.tsv")
            write_rows(parts[-1], rows[job::jobs])
        merge_parts(parts, [entry.utt for entry in rows], tmp_path / "scores.tsv")
        made.add((tmp_path / "scores.tsv").read_bytes())
    assert len(made) == 1


def test_joining_refuses_missing_double_and_foreign_utterances(tmp_path):
    one, two = tmp_path / "1.tsv", tmp_path / "2.tsv"
    write_rows(one, [row("a"), row("b")])
    write_rows(two, [row("b")])
    for utts in ("ab", "a"):
        with pytest.raises(ContrasepError, match="parts of different runs"):
            merge_parts([one, two], utts, tmp_path / "scores.tsv")
    with pytest.raises(ContrasepError, match=r"no scores of 'c' \(1 in all\)"):
        merge_parts([one], "abc", tmp_path / "scores.tsv")
    with pytest.raises(ContrasepError, match="3.tsv: not there; run stage 6"):
        merge_parts([one, tmp_path / "3.tsv"], "ab", tmp_path / "scores.tsv")
    assert not (tmp_path / "scores.tsv").exists()


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda text: text[:-1], "no newline"),
        (lambda text: "", "empty"),
        (lambda text: text.replace("permutation", "other", 1), "column 'permutation' missing"),
        (lambda text: text.replace("1.2500", "nan", 1), "si_snr: expected a finite number, got 'nan'"),
        (lambda text: text.replace("\t1.2500", "", 1), "expected 25 fields, got 24"),
        (lambda text: text + text.split("\n")[1] + "\n", "'a' stands twice"),
    ],
)
def test_damaged_tables_are_refused(tmp_path, damage, message):
    path = tmp_path / "scores.tsv"
    write_rows(path, [row("a")])
    path.write_text(damage(path.read_text()))
    with pytest.raises(ContrasepError, match=message):
        read_rows(path)


EVIDENCE = "utt\tnum_spk_given\textra\tnum_spk_est\tmodularity\tconductance\n"


def test_evidence_tolerates_further_columns(tmp_path):
    path = tmp_path / "evidence.tsv"
    path.write_text(EVIDENCE + "a\t1\tx\t\t\t\nb\t0\ty\t3\t0.41\t0.2\n")
    assert read_evidence(path) == {"a": Evidence(True), "b": Evidence(False, 3, 0.41, 0.2)}


def test_fallbacks_are_kept(tmp_path):
    path = tmp_path / "evidence.tsv"
    header = EVIDENCE.strip() + "\tnormalised_modularity\tsolver\tfallback\n"
    path.write_text(header + "a\t0\tx\t3\t0.41\t0.2\t0.9\tnetwork\tkmeans\nb\t1\tx\t\t0.41\t0.2\t0.8\tnetwork\t\n")
    found = read_evidence(path)
    assert found == {"a": Evidence(False, 3, 0.41, 0.2, 0.9, "kmeans"), "b": Evidence(True, None, 0.41, 0.2, 0.8)}
    rows = [
        dataclasses.replace(row(utt), normalised_modularity=each.normalised_modularity, fallback=each.fallback)
        for utt, each in found.items()
    ]
    write_rows(tmp_path / "scores.tsv", rows)
    assert read_rows(tmp_path / "scores.tsv") == rows
    # tables of earlier versions have neither column
    old = [line.split("\t") for line in (tmp_path / "scores.tsv").read_text().splitlines()]
    kept = [i for i, name in enumerate(old[0]) if name not in ("normalised_modularity", "fallback")]
    (tmp_path / "scores.tsv").write_text("".join("\t".join(line[i] for i in kept) + "\n" for line in old))
    without = [dataclasses.replace(each, normalised_modularity=None, fallback=None) for each in rows]
    assert read_rows(tmp_path / "scores.tsv") == without


@pytest.mark.parametrize(
    "text, message",
    [
        ("utt\tnum_spk_given\n", "column 'num_spk_est' missing"),
        (EVIDENCE + "a\tyes\t\t\t\t\n", "evidence.tsv:2: 'a': expected 0 or 1"),
        (EVIDENCE + "a\t0\t\ttwo\t\t\n", "'a': invalid literal"),
        (EVIDENCE + "a\t0\t\t2\tnan\t\n", "expected a finite number, got 'nan'"),
        (EVIDENCE + "a\t0\n", "expected 6 fields, got 2"),
        ("", "empty"),
    ],
)
def test_bad_evidence_is_refused(tmp_path, text, message):
    path = tmp_path / "evidence.tsv"
    path.write_text(text)
    with pytest.raises(ContrasepError, match=message):
        read_evidence(path)


def test_means_with_the_count_given():
    rows = [row("a", "x_y", 1.0), row("b", "y_z", 3.0), row("c", "x_z", 5.0)]
    made = aggregate(rows, OPTIONS)
    assert made["n"] == 3 and made["num_spk"] == 2 and made["speakers"] == 3
    assert made["si_snri"] == made["sdri"] == 3.0 and made["si_snr"] == 3.25
    low, high = made["si_snri_ci95"]
    # each speaker left out leaves one mixture: changes of -2, 0 and 2, t of two degrees of freedom is 4.303
    assert (low, high) == pytest.approx((3 - 4.303 * (16 / 3) ** 0.5, 3 + 4.303 * (16 / 3) ** 0.5), abs=1e-3)
    assert made["interval"] == "jackknife over speakers" and made["mean_over"] == "mixtures"
    assert made["oracle"] == dict.fromkeys(ORACLES, 6.0)
    for name in ("si_snri_count_estimated", "si_snri_penalised", "count_accuracy", "mean_modularity"):
        assert made[name] is None
    assert made["si_snri_count_estimated_ci95"] is None


def test_means_with_the_count_estimated():
    rows = [row("a", "x_y", 1.0, False, 2), row("b", "y_z", 3.0, False, 3), row("c", "x_z", 5.0, False, 1)]
    made = aggregate(rows, OPTIONS)
    assert made["si_snri"] is None and made["si_snri_ci95"] is None and made["sdri"] is None
    assert made["si_snri_count_estimated"] == 3.0 and made["si_snri_penalised"] == 1.5
    assert made["count_accuracy"] == pytest.approx(1 / 3, abs=1e-4)
    assert made["mean_modularity"] == 1.5 and made["mean_conductance"] == 0.25


def test_means_of_single_talkers():
    made = aggregate([row("a", "x", 20.0, alone=True), row("b", "y", 10.0, alone=True)], OPTIONS)
    assert made["si_snr"] == 15.25 and made["si_snri"] is None
    assert made["oracle"] == dict.fromkeys(ORACLES)


@pytest.mark.parametrize("given", [True, False])
def test_single_talkers_beside_mixtures_count_but_have_no_improvement(given):
    counts = dict(given=given, estimated=None if given else 2)
    mixtures = [row("a", "x_y", 1.0, **counts), row("b", "y_z", 3.0, **counts), row("c", "x_z", 5.0, **counts)]
    alone = [row("d", "x", 20.0, alone=True, **counts), row("e", "y", 10.0, given, None if given else 1, alone=True)]
    made, without = aggregate([*alone, *mixtures], OPTIONS), aggregate(mixtures, OPTIONS)
    assert made["n"] == 5 and made["num_spk"] == [1, 2] and made["speakers"] == 3
    for name in (column.name for column in mean_columns(OPTIONS) if column.improvement):
        assert (made[name], made[f"{name}_ci95"]) == (without[name], without[f"{name}_ci95"])
    assert made["si_snri" if given else "si_snri_penalised"] is not None and made["oracle"] == without["oracle"]
    # one of the two single speakers was taken for two; each number of speakers weighs the same
    assert made["count_accuracy"] == (None if given else 0.75)
    assert made["si_snr"] == pytest.approx(((20.25 + 10.25) / 2 + 3.25) / 2) and made["mean_over"] == "counts"


def test_each_number_of_speakers_weighs_the_same_in_a_joint_set():
    pairs = [row(f"a{index}", "_".join(names), 10.0) for index, names in enumerate(itertools.combinations("vwxyz", 2))]
    triples = [
        dataclasses.replace(row(f"b{index}", "_".join(names), 4.0), num_spk=3)
        for index, names in enumerate(itertools.combinations("vwxyz", 3))
    ]
    few = [row for row in triples if row.utt in ("b0", "b3", "b5", "b9")]
    for mixtures in (pairs + triples, pairs + few, pairs * 3 + few):
        made = aggregate(mixtures, OPTIONS)
        # within each number all are equal, so resampling speakers changes nothing
        assert made["si_snri"] == 7.0 and made["si_snri_ci95"] == [7.0, 7.0] and made["mean_over"] == "counts"
        assert made["oracle"]["ibm"] == 14.0 and made["n"] == len(mixtures)


def test_intervals_of_single_speakers_end_at_the_cap():
    made = aggregate([row(str(gain), str(gain), gain, alone=True) for gain in (29.75, 29.75, 20.0)], OPTIONS)
    low, high = made["si_snr_ci95"]
    assert low < made["si_snr"] < high == 30.0


def test_one_speaker_has_no_interval():
    made = aggregate([row("a", "x", alone=True), row("b", "x", alone=True)], OPTIONS)
    assert made["si_snr_ci95"] is None


def test_no_mean_over_given_and_estimated_counts():
    with pytest.raises(ContrasepError, match="given for some utterances only"):
        aggregate([row("a"), row("b", given=False, estimated=2)], OPTIONS)
    with pytest.raises(ContrasepError, match="no utterance"):
        aggregate([], OPTIONS)


EARLIER = (
    "utt speakers num_spk outputs count_given permutation si_snr_mix si_snr si_snri sdr_mix sdr sdri "
    "si_snri_count_estimated "
    "si_snri_penalised source_si_snri source_sdri frame_binary ibm irm psm num_spk_est modularity conductance"
)
LINE = "a x,y 2 2 1 2,1 0.25 1.25 1.0 0.5 1.5 1.0 _ _ 1.0,1.0 1.0,1.0 2.0 2.0 2.0 2.0 _ _ _"


def test_a_table_of_an_earlier_version_is_read(tmp_path):
    path = tmp_path / "scores.tsv"
    path.write_text("\t".join(EARLIER.split()) + "\n" + "\t".join(LINE.split()).replace("_", "") + "\n")
    assert read_rows(path) == [row("a", "x_y")]


def test_columns_more_or_fewer_leave_a_table_valid(tmp_path):
    path = tmp_path / "scores.tsv"
    fewer = [name for name in EARLIER.split() if name not in ("sdri", "psm", "modularity")]
    fields = dict(zip(EARLIER.split(), LINE.replace("_", "").split(" ")))
    path.write_text(
        "\t".join([*fewer, "later", "oracle_later"]) + "\n" + "\t".join([*map(fields.get, fewer), "7.5", "9"]) + "\n"
    )
    (read,) = read_rows(path)
    assert read["later"] == 7.5 and read["sdri"] is None and read["si_snri"] == 1.0 and read.modularity is None
    assert read.oracles == {"frame": 2.0, "ibm": 2.0, "irm": 2.0, "later": 9.0}
    means = aggregate([read], OPTIONS)
    assert means["sdri"] is None and means["si_snri"] == 1.0 and means["oracle"]["psm"] is None
    write_rows(path, [read, row("b")])
    assert [entry["later"] for entry in read_rows(path)] == [7.5, None]
