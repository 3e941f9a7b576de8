"""Experiments: what scripts would train, how trainings are judged, and the page of all."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from contrasep_lib.config import build
from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.checkpoint import save_model
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.score.intervals import speaker_interval

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import experiments  # noqa: E402
from experimentkit import entries, judging, page, pictures, tables  # noqa: E402

SCRIPTS = ROOT / "egs/mini_librispeech_2mix/experiments"
FEATURES = FeatureOptions(64, 16)


# ---------------------------------------------------------------- scripts


def script(name, *options):
    return subprocess.run([SCRIPTS / name, "--dry-run", "--corpus", "X", *options], capture_output=True, text=True)


@pytest.mark.parametrize("name, runs", [
    ("gcn", 9), ("count", 3), ("objectives", 15), ("frames", 15), ("temperature", 9), ("depth", 9), ("threshold", 3),
    ("network", 3), ("positives", 24),
])
def test_each_setting_and_seed_is_a_run(name, runs):
    done = script(f"{name}.sh")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == len(set(lines)) == runs, done.stderr
    seeds = [word for line in lines for word in line.split() if ".seed=" in word]
    assert len(seeds) == runs and len(set(seeds)) == 3 and all("--corpus X" in line for line in lines)


def test_runs_are_those_of_the_plan():
    planned = {entry.number: entry.runs for entry in entries.read_entries()}
    # the trainings of threshold and network are three of depth's
    assert [planned[number] for number in (1, 2, 4, 5, 6, 7, 8)] == [24, 9, 15, 15, 9, 3, 9]


def test_options_of_the_scripts():
    done = script("temperature.sh", "--seeds", "4", "--set", "finetune.budget_minutes=1")
    assert len(done.stdout.splitlines()) == 3 and "finetune.budget_minutes=1" in done.stdout
    assert "--recipe" in script("temperature.sh", "--help").stdout
    for wrong, words in ((["--recipe", "/nowhere"], "no such folder"), (["--seeds"], "needs a value")):
        done = script("temperature.sh", *wrong)
        assert done.returncode == 2 and words in done.stderr
    done = subprocess.run([SCRIPTS / "compare.sh", "x", "nothing", "--"], capture_output=True, text=True)
    assert done.returncode == 2 and "no such configuration" in done.stderr


def test_systems_at_equal_time_take_the_same_time_and_mixtures():
    done = script("equal_time.sh", "--seeds", "0", "1", "--talkers", "3", "--minutes", "7")
    assert done.returncode == 0, done.stderr
    trainings = [line for line in done.stdout.splitlines() if "--stage 4" in line or " train " in line]
    assert len(trainings) == 6 and all("finetune.budget_minutes=7" in line for line in trainings)
    assert all("finetune.num_spk=[3]" in line and "dump/equal_time_3" in line for line in trainings)
    assert sum("--system tcn" in line for line in trainings) == sum("_ours.yaml" in line for line in trainings) == 2
    done = script("noise.sh", "--test-noise", "white", "--seeds", "0", "--minutes", "7")
    lines = [line for line in done.stdout.splitlines() if "train" in line or "--stage 4" in line]
    assert len(lines) == 3 and all("noisy_time" in line and "budget_minutes=7" in line for line in lines), done.stderr
    assert "--noise white" in done.stdout.splitlines()[-1]
    done = script("equal_time.sh", "--systems", "sepformer")
    assert done.returncode == 2 and "unknown system 'sepformer'" in done.stderr


# ---------------------------------------------------------------- judging


class Turns:
    """Mixtures of two tones that take turns, of three speakers."""

    keys = ["a", "b", "c"]
    speakers = {"a": ("x", "y"), "b": ("x", "z"), "c": ("y", "z")}

    def __init__(self, folder):
        self.folder = folder

    def sources(self, key):
        time = np.arange(6000) / 8000
        gate = (time * 8).astype(int) % 2
        low, high = (np.sin(2 * np.pi * hertz * time) for hertz in (300, 2100))
        return 0.1 * np.stack([gate * low, (1 - gate) * high]).astype(np.float32)

    def mixture(self, key):
        return self.sources(key).sum(0)


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A sweep over two widths and two seeds, all trained."""
    monkeypatch.setattr("contrasep_lib.io.dumpset.DumpSet", Turns)
    runs = []
    for width in (4, 8):
        for seed in (0, 1):
            tag = f"t_{width}_{seed}"
            backbone = {"name": "encoder", "layers": 2, "width": width}
            tree = {"granularity": "frame", "backbone": backbone, "embedding_dim": 6}
            torch.manual_seed(seed)
            model = SeparationModel(build(ModelOptions, tree, "model"), FEATURES)
            path = tmp_path / tag / "finetune/model.pth"
            path.parent.mkdir(parents=True)
            save_model(path, model.state_dict(), FEATURES, model.options, {"spent": [{"minutes": 1.5}]})
            values = {"config": "x/some.yaml", "model.backbone.width": width, "finetune.seed": seed}
            runs.append({"values": values, "tag": tag, "error": None})
    folder = tmp_path / "sweep_some"
    folder.mkdir()
    swept = {"config": ["x/some.yaml"], "model.backbone.width": [4, 8], "finetune.seed": [0, 1]}
    (folder / "results.json").write_text(json.dumps({"sweep": "some", "swept": swept, "runs": runs}))
    return folder


def judged(sweep, *options):
    assert experiments.judge(experiments.parse(["judge", str(sweep), "--dump", "one", *options])) == 0
    return judging.read_rows(sweep / "judged.tsv")


def test_every_training_is_judged_under_every_partition(sweep, capsys):
    rows = judged(sweep, "--raw", "spectrum", "--partitions", "k-means={solver: kmeans}", "best Q={solver: spectral}")
    ways = (judging.TRUTH, "k-means", "best Q")
    expected = {(f"width={width}", seed, way) for width in (4, 8) for seed in "01" for way in ways}
    expected |= {("spectrum", judging.UNTRAINED, way) for way in ways}
    assert {(row["setting"], row["seed"], row["partition"]) for row in rows} == expected
    assert len(rows) == 3 * len(expected)
    for row in rows:
        if row["partition"] == judging.TRUTH:
            assert 0 <= float(row["nearest"]) <= 100 and not row["accuracy"]
        else:
            assert 50 <= float(row["accuracy"]) <= float(row["purity"]) + 1e-6 and not row["probe"]
        assert row["minutes"] == ("" if row["seed"] == judging.UNTRAINED else "1.5")
    # nobody's name
    assert not {"a", "b", "c"} & {row["utterance"] for row in rows}
    # tones are told apart by their spectra
    right = [float(row["nearest"]) for row in rows if row["setting"] == "spectrum" and row["nearest"]]
    assert min(right) > 90


def test_what_is_judged_is_not_judged_again(sweep, monkeypatch):
    first = judged(sweep, "--partitions", "k-means={solver: kmeans}")
    more = judged(sweep, "--partitions", "k-means={solver: kmeans}", "network={solver: network}")
    assert [row for row in more if row["partition"] != "network"] == first and len(more) == len(first) + 12
    monkeypatch.setattr(judging, "rows_of", None)
    assert judged(sweep, "--partitions", "network={solver: network}") == more


@pytest.mark.parametrize("options, words", [
    (["--phase", "pretrain"], "phase is finetune there, pretrain here"),
    (["--mixtures", "2"], "mixtures is 100 there, 2 here"),
    (["--phase", "pretrain", "--mixtures", "2"], "mixtures is 100 there, 2 here"),
    (["--dump", "other"], "sets.one is "), (["--dump", "one", "two"], "sets.two is None there"),
    (["--partitions", "k-means={solver: spectral}"], "partition.k-means.solver."),
    (["--partitions", "k-means={solver: kmeans, clusters: 4}"], "partition.k-means.clusters is None there, 4 here"),
])
def test_a_sweep_judged_otherwise_is_one_line(sweep, tmp_path, options, words):
    for path in tmp_path.glob("t_*"):
        shutil.copytree(path / "finetune", path / "pretrain")
        with open(path / "pretrain/model.pth", "ab") as file:
            file.write(b"other weights")
    judged(sweep, "--partitions", "k-means={solver: kmeans}")
    before = {path.name: path.read_bytes() for path in sweep.iterdir()}
    if "--partitions" not in options:
        options = ["--partitions", "k-means={solver: kmeans}", *options]
    with pytest.raises(ContrasepError, match="judged.tsv: made with other values: ") as error:
        judged(sweep, *options)
    assert words in str(error.value) and str(error.value).endswith("; delete it, or name another sweep")
    assert {path.name: path.read_bytes() for path in sweep.iterdir()} == before


def test_a_table_goes_on_only_with_the_models_that_it_is_of(sweep, tmp_path, monkeypatch):
    way = ("--partitions", "k-means={solver: kmeans}")
    rows = judged(sweep, *way)
    model = tmp_path / "t_4_0/finetune/model.pth"
    shutil.copy(tmp_path / "t_4_1/finetune/model.pth", model)
    with pytest.raises(ContrasepError, match="other values: model.width=4, seed 0 is"):
        judged(sweep, *way)
    # the table alone is deleted, as the message says
    (sweep / "judged.tsv").unlink()
    assert len(judged(sweep, *way)) == len(rows)
    # a table of before there was such a file is taken as it is
    (sweep / "judged.json").unlink()
    monkeypatch.setattr(judging, "rows_of", None)
    judged(sweep, "--mixtures", "1", *way)
    assert not (sweep / "judged.json").exists()


def test_what_a_killed_run_only_announced_binds_nobody(sweep, monkeypatch):
    judged(sweep, "--partitions", "k-means={solver: kmeans}")
    whole = judging.rows_of
    monkeypatch.setattr(judging, "rows_of", None)
    with pytest.raises(TypeError):
        judged(sweep, "--partitions", "other={solver: kmeans, clusters: 3}")
    monkeypatch.setattr(judging, "rows_of", whole)
    rows = judged(sweep, "--partitions", "other={solver: spectral}")
    assert {row["partition"] for row in rows} >= {"other", "k-means"}


def test_more_clusters_than_talkers_go_to_the_talker_of_most_nodes(sweep):
    partitions = ("two={solver: kmeans}", "six={solver: kmeans, clusters: 6}")
    rows = judged(sweep, "--raw", "spectrum", "--partitions", *partitions)
    by = {(row["utterance"], row["partition"]): row for row in rows if row["setting"] == "spectrum"}
    for utterance in {name for name, _ in by}:
        # two clusters mix the tones here, parts of tones are pure
        two, six = by[utterance, "two"], by[utterance, "six"]
        assert float(two["accuracy"]) < 60 and float(two["si_snri"]) < 0
        assert float(six["accuracy"]) > 85 and float(six["si_snri"]) > 5 and six["accuracy"] == six["purity"]


@pytest.mark.parametrize("words, message", [
    ("x={solver: kmeans, clusters: 1}", "clusters: expected an integer of at least 2, got 1"),
    ("x={solver: kmeans, clusters: true}", "got True"),
    ("kmeans", "expected NAME="), ("x={solver: nothing}", "--partitions x"), ("x={solver: [}", "expected YAML"),
])
def test_wrong_partitions_are_one_line(sweep, words, message):
    with pytest.raises(ContrasepError, match=message):
        judging.partitions_of([words])


def test_a_sweep_without_models_is_one_line(sweep, tmp_path):
    (tmp_path / "t_8_1/finetune/model.pth").unlink()
    with pytest.raises(ContrasepError, match="t_8_1/finetune/model.pth: not there"):
        judging.trained_of(sweep, "finetune")
    (sweep / "results.json").write_text("{}")
    with pytest.raises(ContrasepError, match="expected the results of a sweep"):
        judging.trained_of(sweep, "finetune")


def test_two_runs_of_one_setting_and_seed_are_one_line(sweep):
    path = sweep / "results.json"
    content = json.loads(path.read_text())
    # seeds of two phases: the last one alone names a run
    for number, run in enumerate(content["runs"]):
        run["values"] = {"config": "x/some.yaml", "pretrain.seed": number, "finetune.seed": 0}
    path.write_text(json.dumps(content))
    with pytest.raises(ContrasepError, match="'t_4_0' and 't_4_1' are both 'some, seed 0'; sweep them under names"):
        judging.trained_of(sweep, "finetune")


def test_two_sets_of_one_name_are_one_line(sweep):
    with pytest.raises(ContrasepError, match="sets of different names, got 'one' twice"):
        judged(sweep, "--dump", "a/one", "b/one")
    assert not list(sweep.glob("judged*"))


# ---------------------------------------------------------------- tables


def rows(values):
    """Rows of (setting, seed) -> SI-SNRi of three mixtures; the truth is worth 9 dB everywhere."""
    found = []
    for (setting, seed), numbers in values.items():
        for key, number in zip(Turns.keys, numbers):
            speakers = ",".join(Turns.speakers[key])
            name = {"setting": setting, "seed": seed, "set": "s", "utterance": key, "speakers": speakers}
            name["minutes"] = "6.0"
            found.append({**name, "partition": judging.TRUTH, "si_snri": 9.0, "nearest": 80.0, "probe": 70.0})
            found.append({**name, "partition": "k-means", "si_snri": number, "accuracy": 60.0})
    return judging.as_text(found)


def test_differences_are_paired_over_common_seeds(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text(rows({
        ("one", "0"): (1, 2, 3.0), ("one", "1"): (2, 3, 4.0), ("two", "0"): (2, 4, 6.0), ("raw", "-"): (0, 0, 0.0),
    }))
    table = entries.Settings("x.tsv", "one", partitions=("k-means",), axis="what")
    lines = tables.settings_table(tables.read_judged(path), table)
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:5]] == ["one", "two", "raw"]
    low, high = speaker_interval(np.array([1.0, 2.0, 3.0]), [Turns.speakers[key] for key in Turns.keys])[0]
    # of seed 0 alone: 2 - 1, 4 - 2, 6 - 3
    assert lines[3].endswith(f"| +2.00 [{low:+.2f}, {high:+.2f}] | +2.00 |")
    # what has no seed is compared with each: 0 - 2 and 0 - 3
    assert lines[4].endswith("| -2.00, -3.00 |") and "| raw | k-means | - |" in lines[4]
    assert lines[2].endswith("|  |  |") and "| 2 | 6.0 | 80.0 [80.0, 80.0] |" in lines[2]
    assert lines[-1] == "The true dominance of `one` is worth 9.00 dB."
    pictures.draw_settings(tables.read_judged(path), table, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 5000


def test_partitions_of_a_single_setting_are_compared(tmp_path):
    path = tmp_path / "x.tsv"
    kept = rows({("one", "0"): (1, 2, 3.0), ("one", "1"): (2, 3, 4.0)}).splitlines()
    # half a dB more by another partition
    more = [line.split("\t") for line in kept if "k-means" in line]
    place = judging.COLUMNS.index("si_snri")
    for line in more:
        line[2], line[place] = "other", f"{float(line[place]) + 0.5}"
    path.write_text("\n".join([*kept, *("\t".join(line) for line in more)]) + "\n")
    table = entries.Settings("x.tsv", "one", measures=("si_snri",), partitions=("k-means", "other"), axis="what")
    lines = tables.settings_table(tables.read_judged(path), table)
    assert lines[2].endswith("|  |  |") and lines[3].endswith("| +0.50 [+0.50, +0.50] | +0.50, +0.50 |")
    pictures.draw_settings(tables.read_judged(path), table, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 5000


def test_tables_that_do_not_fit_are_one_line(tmp_path):
    path = tmp_path / "x.tsv"
    whole = rows({("one", "0"): (1, 2, 3.0), ("one", "1"): (2, 3, 4.0)})
    path.write_text("\n".join(whole.splitlines()[:-2]) + "\n")
    with pytest.raises(ContrasepError, match="'one': expected the same mixtures"):
        tables.read_judged(path)
    path.write_text(whole + whole.splitlines()[-1].replace("4.000", "5.000") + "\n")
    with pytest.raises(ContrasepError, match="x.tsv: expected one row of setting 'one', partition 'k-means', seed '1'"):
        tables.read_judged(path)
    path.write_text(whole)
    with pytest.raises(ContrasepError, match="expected the setting 'none', got one"):
        tables.ordered(tables.read_judged(path), entries.Settings("x.tsv", "none"))
    path.write_text("setting\tseed\n")
    with pytest.raises(ContrasepError, match="expected the columns"):
        judging.read_rows(path)
    for table, message in (
        (entries.Lines("x", {"a": "{b}"}), "'b' does not fit"),
        (entries.Lines("x", {"a": "{setting}"}, {"c": 1}), "no column 'c'"),
        (entries.Lines("x", {"a": "{setting}"}, {"seed": 5}), "got none"),
    ):
        path.write_text("setting\tseed\none\t0\n")
        with pytest.raises(ContrasepError, match=message):
            tables.lines_table(path, table)


# ---------------------------------------------------------------- the page


def test_the_page_is_up_to_date():
    assert experiments.write(experiments.parse(["page", "--check"])) == 0


def test_every_question_of_the_plan_has_an_entry():
    found = entries.read_entries()
    assert [entry.number for entry in found] == list(range(1, 12))
    named = [ROOT / "egs/mini_librispeech_2mix/experiments" / Path(words[0]).name for entry in found
             for line in entry.command.splitlines() if (words := line.split()) and "/experiments/" in words[0]]
    assert named and all(path.is_file() for path in named)


def test_a_figure_that_no_table_has_is_refused():
    entry = entries.Entry(1, "t", "Which of 2?", "s", "c", "d", answer="Of 2 the first, by 3.1 dB.")
    page.refuse_unknown_figures(entry, "| a | +3.1 |")
    with pytest.raises(ContrasepError, match="expected figures of its tables, got 3.1"):
        page.refuse_unknown_figures(entry, "| a | +3.15 |")


def test_entries_that_are_none_are_one_line(tmp_path):
    (tmp_path / "1.yaml").write_text("number: 1\nwhat: x\n")
    with pytest.raises(ContrasepError, match="1.yaml.*what"):
        entries.read_entries(tmp_path)
    whole = "{number: 1, title: t, question: q, source: s, command: c, design: d}"
    (tmp_path / "1.yaml").write_text(whole)
    (tmp_path / "2.yaml").write_text(whole)
    with pytest.raises(ContrasepError, match="different numbers"):
        entries.read_entries(tmp_path)


def test_results_are_published(sweep, tmp_path, monkeypatch):
    judged(sweep, "--partitions", "k-means={solver: kmeans}")
    (tmp_path / "exp").mkdir()
    sweep.rename(tmp_path / "exp/sweep_some")
    home = tmp_path / "docs"
    for name in ("RESULTS", "PICTURES"):
        monkeypatch.setattr(page, name, home / name)
        (home / name).mkdir(parents=True)
    monkeypatch.setattr(page, "ROOT", tmp_path)
    monkeypatch.setattr(page, "PAGE", home / "page.md")
    settings = (entries.Settings("some.tsv", "width=4", partitions=("k-means",)),)
    entry = entries.Entry(1, "Some title", "Which?", "s", "c", "d", runs=4, minutes=1.5, settings=settings)
    monkeypatch.setattr(entries, "read_entries", lambda: [entry])
    assert experiments.publish(experiments.parse(["publish", "some", "--recipe", str(tmp_path)])) == 0
    text = (home / "page.md").read_text()
    assert "[Some title](#1-some-title) | s | 4 | 1.5 | 0.1 | 4 | 0.1 |" in text
    assert "| width=8 | k-means | 2 | 1.5 |" in text
    assert (home / "PICTURES/some.png").is_file() and "(PICTURES/some.png)" in text
