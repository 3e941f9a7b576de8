"""Scores of trained systems as a table of a sweep."""

import json
import sys
from pathlib import Path

import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.score.tables import Row, write_rows

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import experiments  # noqa: E402
from experimentkit import entries, judging, scored, tables  # noqa: E402


def scored_run(folder, gains):
    """exp/TAG of a system with these SI-SNRi; None: without a score."""
    path = folder / "score_dev_2mix/scores.tsv"
    path.parent.mkdir(parents=True)
    write_rows(path, [
        Row(
            num_spk=2, outputs=2, count_given=True, permutation=(0, 1), scores={"si_snri": gain}, utt=f"m{n}",
            speakers=(f"a{n}", f"b{n}"), oracles={}, num_spk_est=None, modularity=None, conductance=None,
        )
        for n, gain in enumerate(gains)
    ])
    phases = [{"phase": "training", "minutes": 60.0, "device": "1 core of x"}]
    (folder / "cost.json").write_text(json.dumps({"parameters": 7, "training": phases, "separation": None}))
    return path


def test_scores_of_systems_make_a_table_of_differences(tmp_path):
    ours = scored_run(tmp_path / "ours", (4.0, 6.0, 5.0))
    other = scored_run(tmp_path / "tcn", (1.0, 2.0, 3.0))
    args = ["scores", str(tmp_path / "sweep_x"), "--runs", f"ours,0,2={ours}", f"tcn,0,2={other}"]
    assert experiments.scores(experiments.parse(args)) == 0
    table = entries.Settings("x.tsv", "ours", measures=("si_snri",), partitions=("2 talkers",), axis="system")
    lines = tables.settings_table(tables.read_judged(tmp_path / "sweep_x/judged.tsv"), table)
    assert "| ours | 2 talkers | 1 | 60.0 | 5.00" in "\n".join(lines) and "| -3.00" in "\n".join(lines)


def test_two_runs_of_one_name_are_one_line(tmp_path):
    one, two = (scored_run(tmp_path / name, (4.0, 6.0)) for name in ("one", "two"))
    with pytest.raises(ContrasepError, match="expected one row of setting 'ours', partition '2 talkers', seed '0'"):
        scored.score(tmp_path / "sweep_x", [f"ours,0,2={one}", f"ours,0,2={two}"])
    assert not (tmp_path / "sweep_x").exists()
    # another seed, number or set is another row
    elsewhere = two.parents[1] / "score_cv_2mix"
    two.parent.rename(elsewhere)
    (tmp_path / "sweep_x").mkdir()
    (tmp_path / "sweep_x/judged.json").write_text("{}")
    path = scored.score(tmp_path / "sweep_x", [
        f"ours,0,2={one}", f"ours,0,2={elsewhere / two.name}", f"ours,1,2={one}", f"ours,0,3={one}",
    ])
    assert len(judging.read_rows(path)) == 8
    # of an earlier table, that was judged
    assert not (tmp_path / "sweep_x/judged.json").exists()


@pytest.mark.parametrize("word", ["ours", "ours,0=x", "ours,,2=x", "ours,0,2="])
def test_runs_of_another_form_are_one_line(word):
    with pytest.raises(ContrasepError, match="expected SETTING,SEED,TALKERS=FILE"):
        scored.run_of(word)


def test_a_run_is_named_from_any_folder(tmp_path, monkeypatch):
    path = scored_run(tmp_path / "ours", (4.0, 6.0))
    monkeypatch.chdir(tmp_path / "ours")
    whole = [scored.rows_of("ours", "0", "2", name) for name in (path, Path("score_dev_2mix/scores.tsv"))]
    monkeypatch.chdir(path.parent)
    whole += [scored.rows_of("ours", "0", "2", Path(name)) for name in ("scores.tsv", "./scores.tsv")]
    assert all(rows == whole[0] for rows in whole)
    assert whole[0][0]["set"] == "dev_2mix" and whole[0][0]["minutes"] == "60.0"


def test_a_mixture_without_a_score_is_named(tmp_path):
    path = scored_run(tmp_path / "ours", (4.0, None))
    with pytest.raises(ContrasepError, match="m1: no SI-SNRi"):
        scored.score(tmp_path / "sweep_x", [f"ours,0,2={path}"])
