"""``contrasep compare``: paired differences, wins and losses, and experiments that cannot be paired."""

import itertools
import json

import numpy as np
import pytest
from scipy import stats

from contrasep_lib.score.tables import Evidence, make_row, write_rows
from contrasep_lib.score.utterance import UtteranceScore

SPEAKERS = "abcdefgh"
MIXTURES = {count: list(itertools.combinations(SPEAKERS, count)) for count in (1, 2, 3)}
# what the second experiment gains on each speaker, dB
EFFECTS = dict(zip(SPEAKERS, np.random.default_rng(0).normal(0.5, 1.0, len(SPEAKERS))))


def row(speakers, gain, estimated=None, level=-1.0):
    count = len(speakers)
    scores = {"si_snr_mix": None if count == 1 else level, "si_snr": gain + level}
    if count > 1:
        scores["si_snri" if estimated is None else "si_snri_count_estimated"] = gain
    score = UtteranceScore(count, estimated or count, estimated is None, tuple(range(count)), scores)
    return make_row("_".join((*speakers, "m")), speakers, score, {}, Evidence(estimated is None, estimated))


def write(folder, count, gains, **keys):
    """``score_tt_<count>mix`` of an experiment: ``gains`` gives the score of a mixture by its speakers."""
    rows = [row(speakers, gains(speakers), **keys) for speakers in MIXTURES[count]]
    write_rows(folder / f"score_tt_{count}mix" / "scores.tsv", rows)


def base(speakers):
    return 10.0 - 2.0 * len(speakers) + 0.1 * SPEAKERS.index(speakers[0])


def better(speakers):
    return base(speakers) + np.mean([EFFECTS[name] for name in speakers])


@pytest.fixture
def experiments(tmp_path):
    for name, gains in (("a", base), ("b", better)):
        for count in (2, 3):
            write(tmp_path / "exp" / name, count, gains)
    return tmp_path / "exp/a", tmp_path / "exp/b"


def test_effects_of_speakers_have_students_interval_for_each_count_and_jointly(experiments, contrasep, tmp_path):
    done = contrasep("compare", "exp/a", "exp/b", "--json", "out.json", check=True)
    made = json.loads((tmp_path / "out.json").read_text())
    assert (made["a"], made["b"], made["metric"]) == ("exp/a", "exp/b", "si_snri")
    assert made["sets"] == ["tt_2mix", "tt_3mix"] and [each["num_spk"] for each in made["rows"]] == [2, 3, [2, 3]]
    # the effects differ far more between speakers than between experiments: unpaired scores play no part
    effects = list(EFFECTS.values())
    expected = stats.ttest_1samp(effects, 0).confidence_interval(0.95)
    for each in made["rows"]:
        assert each["difference"] == pytest.approx(np.mean(effects), abs=2e-4) and each["speakers"] == 8
        assert each["ci95"] == pytest.approx(expected, abs=2e-4)
        assert each["b"] - each["a"] == pytest.approx(each["difference"], abs=2e-4)
    signs = np.sign([np.mean([EFFECTS[name] for name in names]) for names in MIXTURES[2]])
    two, three, joint = made["rows"]
    assert (two["n"], two["wins"], two["losses"], two["ties"]) == (28, np.sum(signs > 0), np.sum(signs < 0), 0)
    assert joint["n"] == 28 + 56 and joint["wins"] == two["wins"] + three["wins"]
    assert joint["a"] == pytest.approx((two["a"] + three["a"]) / 2, abs=1e-4)
    lines = done.stdout.splitlines()
    assert lines[0] == "si_snri (dB), paired over tt_2mix, tt_3mix" and lines[1:3] == ["A: exp/a", "B: exp/b"]
    shown = next(line for line in lines if line.split()[:1] == ["joint"])
    assert f"{joint['difference']:+.2f}  [{expected.low:+.2f}, {expected.high:+.2f}]" in shown
    assert "joint: each number of speakers weighs the same." in lines
    # the other way round all signs change
    contrasep("compare", "exp/b", "exp/a", "--json", "back.json", check=True)
    back = json.loads((tmp_path / "back.json").read_text())["rows"][-1]
    assert (back["difference"], back["wins"], back["losses"]) == (-joint["difference"], joint["losses"], joint["wins"])


def test_sets_and_single_score_folders(experiments, contrasep, tmp_path):
    write(tmp_path / "exp/b", 1, better)
    done = contrasep("compare", "exp/a", "exp/b", check=True)
    assert "Not compared, in one experiment only: tt_1mix." in done.stdout
    one = contrasep("compare", "exp/a", "exp/b", "--sets", "tt_2mix", check=True).stdout
    assert "joint" not in one and "Not compared" not in one
    folders = contrasep("compare", "exp/a/score_tt_2mix", "exp/b/score_tt_2mix", check=True).stdout
    assert folders.splitlines()[4:] == one.splitlines()[4:]


def test_an_experiment_equals_itself(experiments, contrasep, tmp_path):
    contrasep("compare", "exp/a", "exp/a", "--json", "out.json", check=True)
    for each in json.loads((tmp_path / "out.json").read_text())["rows"]:
        assert (each["difference"], each["ci95"], each["ties"]) == (0.0, [0.0, 0.0], each["n"])


def test_count_accuracy_and_a_given_count_beside_an_estimated_one(experiments, contrasep, tmp_path):
    for name, wrong in (("c", "ab"), ("d", "a")):
        for count in (1, 2):
            rows = [row(speakers, 5.0, count + (speakers[0] in wrong)) for speakers in MIXTURES[count]]
            write_rows(tmp_path / f"exp/{name}/score_tt_{count}mix/scores.tsv", rows)
    contrasep("compare", "exp/c", "exp/d", "--metric", "count_accuracy", "--json", "out.json", check=True)
    one, two, joint = json.loads((tmp_path / "out.json").read_text())["rows"]
    # of eight speakers one more is right; as first of a pair 'b' stands in six of 28
    assert (one["difference"], two["difference"]) == (0.125, pytest.approx(6 / 28, abs=1e-4))
    assert (one["wins"], one["losses"], one["ties"]) == (1, 0, 7) and -1 <= joint["ci95"][0] < joint["ci95"][1] <= 1
    # the default: improvements exist for two speakers and more
    contrasep("compare", "exp/c", "exp/d", "--json", "out.json", check=True)
    made = json.loads((tmp_path / "out.json").read_text())
    assert made["metric"] == "si_snri_count_estimated" and [each["n"] for each in made["rows"]] == [28]
    # what counting costs: SI-SNR of the outputs is what both have
    contrasep("compare", "exp/a", "exp/c", "--json", "out.json", check=True)
    assert json.loads((tmp_path / "out.json").read_text())["metric"] == "si_snr"


def test_a_table_that_cut_names_at_the_joining_sign_is_paired_with_one_that_did_not(contrasep, tmp_path):
    import dataclasses

    new = [row((f"f_{a}", f"m_{b}"), 5.0 + a) for a, b in itertools.product(range(4), range(4))]
    old = [dataclasses.replace(each, speakers=tuple("_".join(each.speakers).split("_"))) for each in new]
    for name, rows in (("a", old), ("b", new)):
        write_rows(tmp_path / name / "score_x/scores.tsv", rows)
    found = {}
    for a, b in (("a", "b"), ("b", "a"), ("a", "a")):
        contrasep("compare", a, b, "--json", "out.json", check=True)
        found[a + b] = json.loads((tmp_path / "out.json").read_text())["rows"][0]
    assert [(each["n"], each["speakers"], each["ci95"]) for each in (found["ab"], found["ba"])] == [(16, 8, [0, 0])] * 2
    # where neither knows who speaks there is no interval
    assert found["aa"]["ci95"] is None and found["aa"]["ties"] == 16


def test_no_interval_where_a_speaker_is_in_all_mixtures(contrasep, tmp_path):
    for name in "ab":
        rows = [row(speakers, 5.0) for speakers in (("a", "b"), ("a", "c"))]
        write_rows(tmp_path / f"{name}/score_tt/scores.tsv", rows)
    done = contrasep("compare", "a", "b", "--json", "out.json", check=True)
    assert json.loads((tmp_path / "out.json").read_text())["rows"][0]["ci95"] is None
    assert next(line for line in done.stdout.splitlines() if line.split()[:1] == ["2"]).split()[5] == "-"


def test_a_plot_is_drawn_where_asked(experiments, contrasep, tmp_path):
    for name in ("one.png", "two.png"):
        contrasep("compare", "exp/a", "exp/b", "--plot", name, check=True)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert (tmp_path / "one.png").stat().st_size > 10000


@pytest.mark.parametrize("change, arguments, says", [
    (lambda exp: write_rows(exp / "b/score_tt_2mix/scores.tsv", [row(("a", "b"), 1.0)]), [],
     "exp/b: tt_2mix: no utterance 'a_c_m' (27 in all), which exp/a has; expected the same test set"),
    (lambda exp: write_rows(exp / "a/score_tt_2mix/scores.tsv", [row(("a", "b"), 1.0)]), [],
     "exp/a: tt_2mix: no utterance 'a_c_m' (27 in all), which exp/b has"),
    (lambda exp: write(exp / "b", 2, base, level=-1.5), [],
     "exp/b: tt_2mix: 'a_b_m': another mixture than that of exp/a (si_snr_mix differs)"),
    (lambda exp: None, ["--sets", "tt_4mix"], "exp/a: no scores of 'tt_4mix'; it has tt_2mix, tt_3mix"),
    (lambda exp: None, ["--metric", "sdri"], "--metric: no 'sdri' in both; exp/a has si_snr_mix, si_snr, si_snri"),
    (lambda exp: write(exp / "b", 2, base, estimated=2), ["--metric", "si_snri"],
     "exp/b: tt_2mix: 'a_b_m': no si_snri, which exp/a has; try --metric si_snr"),
    (lambda exp: (exp / "b").rename(exp / "elsewhere"), [], "exp/b: expected exp/TAG with score_SET/scores.tsv"),
    (lambda exp: (exp / "b/score_tt_2mix/scores.tsv").write_text("utt"), [], "scores.tsv: truncated"),
])
def test_errors_are_one_line(experiments, contrasep, tmp_path, change, arguments, says):
    change(tmp_path / "exp")
    done = contrasep("compare", "exp/a", "exp/b", "--json", "out.json", *arguments)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and says in done.stderr, done.stderr
    assert not (tmp_path / "out.json").exists() and done.stdout == ""


@pytest.mark.parametrize("arguments, says", [
    (["--plot", "x"], "--plot: expected a file name that ends in .png, got 'x'"),
    (["--plot", "x.foo"], "--plot: expected a file name that ends in .png, got 'x.foo'"),
    (["--json", "."], "contrasep compare: .: Is a directory"),
])
def test_places_that_cannot_be_written_are_one_line(experiments, contrasep, arguments, says):
    done = contrasep("compare", "exp/a", "exp/b", *arguments)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and says in done.stderr, done.stderr


def test_files_are_written_into_folders_that_are_made(experiments, contrasep, tmp_path):
    contrasep("compare", "exp/a", "exp/b", "--json", "new/one/x.json", "--plot", "new/two/x.png", check=True)
    assert (tmp_path / "new/one/x.json").is_file() and (tmp_path / "new/two/x.png").is_file()


def test_other_speakers_and_no_common_set_are_refused(contrasep, tmp_path):
    import dataclasses

    first = row(("a", "b"), 1.0)
    write_rows(tmp_path / "a/score_x/scores.tsv", [first])
    write_rows(tmp_path / "b/score_x/scores.tsv", [dataclasses.replace(first, speakers=("a", "c"))])
    write_rows(tmp_path / "c/score_y/scores.tsv", [first])
    assert "'a_b_m': expected the speakers of a, a b, got a c" in contrasep("compare", "a", "b").stderr
    assert "expected a test set that both have: a has x; c has y" in contrasep("compare", "a", "c").stderr
