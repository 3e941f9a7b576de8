"""Experiments side by side: what a run writes, and what is published."""

import json
from pathlib import Path

import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.report.compare import publish, published_page, read_published, write_comparison
from contrasep_lib.score.means import mean_columns
from contrasep_lib.score.options import ScoreOptions

ROOT = Path(__file__).parents[2]
SCORES = [column.name for column in mean_columns(ScoreOptions())]
RECIPES = sorted(path.parent for path in ROOT.glob("egs/*/results.json"))


def experiment(recipe, tag, gain, hop=64, recipe_name="toy_2mix", cost=None):
    """An ``exp/<tag>`` as stage 6 leaves it."""
    scores = {key: None for name in SCORES for key in (name, f"{name}_ci95")}
    means = {
        **scores, "n": 4, "num_spk": 2, "speakers": 3, "si_snri": gain, "si_snri_ci95": [gain - 1, gain + 1],
        "count_accuracy": None, "mean_modularity": None, "mean_conductance": None,
        "oracle": {"frame": 5.0 + hop / 100, "ibm": 13.0 + hop / 100, "irm": 12.0, "psm": 14.0},
    }
    results = {
        "recipe": recipe_name, "config": "toy.yaml", "granularity": "tf", "separator": "model", "supervision": "none",
        "num_spk": 2, "label": "noise", "sets": {"tt_2mix": means}, "options": {"features": {"win": 256, "hop": hop}},
    }
    folder = recipe / "exp" / tag
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results))
    if cost is not None:
        (folder / "cost.json").write_text(json.dumps(cost))


def test_a_run_leaves_the_published_page_alone(tmp_path):
    experiment(tmp_path, "a", 1.0)
    publish(tmp_path, ["a"])
    before = {name: (tmp_path / name).read_bytes() for name in ("results.json", "RESULTS.md")}
    experiment(tmp_path, "b", 2.0)
    page = write_comparison(tmp_path)
    assert page == tmp_path / "exp" / "RESULTS.md" and "| b |" in page.read_text()
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_published_rows_are_replaced_by_tag_and_kept_where_their_experiment_is_elsewhere(tmp_path):
    cost = {"parameters": 840_000, "training": [], "separation": None}
    experiment(tmp_path, "kept", 1.0, cost=cost)
    experiment(tmp_path, "changed", 2.0)
    publish(tmp_path, ["kept", "changed"])
    again = tmp_path / "elsewhere"
    again.mkdir()
    for name in ("results.json", "RESULTS.md"):
        (again / name).write_bytes((tmp_path / name).read_bytes())
    experiment(again, "changed", 3.5)
    experiment(again, "unpublished", 9.0)
    page = publish(again, ["changed"]).read_text()
    assert "| kept | model | tf | none | 1.00 [0.00, 2.00] | given |" in page and "| kept | 0.84 |" in page
    assert "| changed | model | tf | none | 3.50 [2.50, 4.50] | given |" in page
    assert "2.00 [1.00, 3.00]" not in page and "unpublished" not in page
    assert list(read_published(again)) == ["changed", "kept"]


def test_without_a_tag_the_page_is_written_again_from_the_rows(tmp_path):
    experiment(tmp_path, "a", 1.0)
    page = publish(tmp_path, ["a"])
    text = page.read_text()
    page.unlink()
    (tmp_path / "exp/a/results.json").unlink()
    assert publish(tmp_path, []).read_text() == text == published_page(read_published(tmp_path))


def test_oracles_of_another_framing_state_it(tmp_path):
    for tag, hop in (("a", 64), ("b", 128), ("c", 128)):
        experiment(tmp_path, tag, 1.0, hop)
    lines = write_comparison(tmp_path).read_text().splitlines()
    assert [line.split(" | ")[1] for line in lines if "(IBM)" in line] == [
        "oracle, binary mask per T-F unit (IBM), win 256, hop 64",
        "oracle, binary mask per T-F unit (IBM), win 256, hop 128",
    ]


def add(recipe, tag, **keys):
    path = recipe / "exp" / tag / "results.json"
    results = json.loads(path.read_text())
    results["sets"]["tt_2mix"].update(keys)
    path.write_text(json.dumps(results))


def test_the_page_says_which_method_made_the_intervals(tmp_path):
    for tag in ("a", "b"):
        experiment(tmp_path, tag, 1.0)
    page = write_comparison(tmp_path).read_text()
    assert "Intervals in brackets (95 %) are by an earlier method, percentiles" in page and "jackknife" not in page
    add(tmp_path, "b", interval="jackknife over speakers")
    page = write_comparison(tmp_path).read_text()
    assert "jackknife over speakers" in page and "Those of `a` are by an earlier method, percentiles" in page
    add(tmp_path, "a", interval="jackknife over speakers")
    page = write_comparison(tmp_path).read_text()
    assert "jackknife over speakers" in page and "earlier method" not in page


def test_the_title_of_a_joint_table_says_how_counts_are_weighed(tmp_path):
    for tag in ("a", "b"):
        experiment(tmp_path, tag, 1.0)
        add(tmp_path, tag, num_spk=[2, 3])
    add(tmp_path, "b", mean_over="counts")
    titles = [line for line in write_comparison(tmp_path).read_text().splitlines() if line.startswith("## ")]
    # means over all mixtures are of another kind, and stand in a table of their own
    assert titles == [
        "## tt_2mix: 4 mixtures of 2, 3 speakers (3 speakers in all), noise",
        "## tt_2mix: 4 mixtures of 2, 3 speakers (3 speakers in all), each number of speakers weighs the same, noise",
    ]


def test_errors_name_the_file_and_change_nothing(tmp_path):
    with pytest.raises(ContrasepError, match="results.json: nothing is published; name a TAG of exp/"):
        publish(tmp_path, [])
    experiment(tmp_path, "a", 1.0)
    with pytest.raises(ContrasepError, match="exp/b/results.json: not there; run stage 6 of 'b'"):
        publish(tmp_path, ["a", "b"])
    assert not (tmp_path / "results.json").exists()
    for text, error in (
        ("{", "cannot be read"),
        ("[]", "expected a mapping"),
        ('{"a": {}}', "a: key 'results' missing"),
        ('{"a": {"results": {}, "cost": null}}', "a: key 'recipe' missing"),
    ):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(ContrasepError, match=f"results.json.*{error}"):
            publish(tmp_path, ["a"])
        assert (tmp_path / "results.json").read_text() == text


def test_publishing_belongs_to_a_recipe(tmp_path, contrasep):
    done = contrasep("report", "--exp", tmp_path, "--publish", "a")
    assert done.returncode == 1 and "--publish: expected together with --recipe-dir" in done.stderr
    experiment(tmp_path, "a", 1.0)
    done = contrasep("report", "--recipe-dir", tmp_path, "--publish", "a", check=True)
    assert done.stdout == f"report: {tmp_path / 'RESULTS.md'}\n"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_committed_pages_come_from_the_committed_rows(recipe):
    rows = read_published(recipe)
    assert {row["results"]["recipe"] for row in rows.values()} == {recipe.name}
    assert (recipe / "RESULTS.md").read_text() == published_page(rows)


def test_every_committed_page_has_its_rows():
    assert {path.parent for path in ROOT.glob("egs/*/RESULTS.md")} == set(RECIPES) != set()
