"""The ablation of objectives that see a partition: its configurations, its runner, its tables and its comparison."""

import os
import sys
from pathlib import Path

import pytest
import yaml

from contrasep_lib.config import load_config
from contrasep_lib.errors import ContrasepError

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = {path.stem: path for path in (ROOT / "conf/ablation").glob("*.yaml")}


@pytest.fixture(scope="module")
def ablation():
    """Module ``ablation``."""
    paths = [str(ROOT / "tools"), str(ROOT / "tools/bench")]
    sys.path[:0] = paths
    import ablation

    yield ablation
    for path in paths:
        sys.path.remove(path)


def test_variants_differ_in_their_objectives_alone():
    configs = {name: load_config(path) for name, path in VARIANTS.items()}
    assert configs["mlp"] == load_config(ROOT / "conf/long.yaml")
    assert len({str(config["features"]) + str(config["finetune"]) for config in configs.values()}) == 1
    objectives = {name: {*config["model"].objectives} for name, config in configs.items()}
    added = {name: names - objectives["mlp"] for name, names in objectives.items()}
    assert added == {"mlp": set(), "slots": {"slots"}, "slots_gap": {"slots", "gap"}}


@pytest.mark.slow
def test_trainings_are_judged_and_compared(two_corpora, ablation, capsys, monkeypatch):
    import training_tools

    monkeypatch.setattr(training_tools, "NICENESS", 0)
    folder = two_corpora
    (folder / "ablation").mkdir()
    (folder / "ablation/code").symlink_to(ROOT)
    configs = folder / "conf"
    configs.mkdir()
    short = {
        "segment_seconds": 0.3, "batch_size": 2, "batches_per_epoch": 2, "valid_batches": 1, "probe": 0, "epochs": 1,
        "num_spk": [1, 2, 3],
    }
    small = {"backbone": {"layers": 1, "width": 8}, "decoder": {"layers": 1, "width": 8}}
    for name in ("mlp", "slots"):
        tree = {"base": str(VARIANTS[name]), "model": dict(small), "finetune": short}
        if name == "slots":
            slots = {"weight": 0.3, "width": 8, "layers": 1, "slots": 4, "sampled_nodes": 64}
            tree["model"]["objectives"] = {"deep_clustering": 1.0, "si_snr": 0.1, "count": 0.2, "slots": slots}
        (configs / f"{name}.yaml").write_text(yaml.safe_dump(tree))
    core = str(min(os.sched_getaffinity(0)))
    args = [str(folder), "--configs", str(configs), "--core", core, "--minutes", "0.0001", "--seeds", "3"]
    args += ["--limit", "2", "--scores", str(folder / "scores")]
    monkeypatch.setattr(ablation, "names_in", lambda *_: ["mlp", "slots"])
    options = ablation.parse(args)
    # from random weights: what the snapshot has is of another width
    options.init_param = None
    ablation.train(options)
    assert capsys.readouterr().out.splitlines() == ["mlp.3: 0.0001 minutes", "slots.3: 0.0001 minutes"]

    ablation.judge(options)
    tables = ablation.read_tables(folder / "scores")
    assert {*tables} == {("mlp", "3"), ("slots", "3")}
    partitions = {name for _, name in tables["slots", "3"]}
    assert partitions == {ablation.TRUTH, ablation.KMEANS, ablation.NETWORK, ablation.SLOTS, ablation.REFINED}
    # two corpora, sets of 2 and 3 speakers, 2 mixtures each
    assert len({key for key, _ in tables["mlp", "3"]}) == 8
    assert all(0 <= share <= 1 for table in tables.values() for share, _ in table.values())
    # names of speakers are not in it
    assert "p0" not in (folder / "scores/mlp.3.tsv").read_text()
    before = (folder / "scores/mlp.3.tsv").stat().st_mtime_ns
    ablation.judge(options)
    assert (folder / "scores/mlp.3.tsv").stat().st_mtime_ns == before

    capsys.readouterr()
    ablation.compare(options)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:4]] == [ablation.TRUTH, ablation.KMEANS]
    assert len(lines) == 2 + 3 + 5


def test_differences_are_paired_by_seed(ablation, tmp_path, capsys):
    groups = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("a", "d")]
    for seed, level in (("0", 5.0), ("1", 9.0)):
        for variant, gain in (("mlp", 0.0), ("slots", 0.5 + float(seed))):
            rows = [ablation.COLUMNS] + [
                ("x_2mix", f"u{n}", ",".join(group), "k-means", f"{0.5 + gain / 10}", f"{level + n + gain}", "0.1")
                for n, group in enumerate(groups)
            ]
            (tmp_path / f"{variant}.{seed}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    # a seed without its base takes no part
    (tmp_path / "slots.2.tsv").write_text((tmp_path / "slots.1.tsv").read_text())
    ablation.compare(ablation.parse(["--compare", "--scores", str(tmp_path)]))
    cells = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].strip("|").split("|")]
    assert cells == ["slots", "k-means", "10.00", "+1.00 [+1.00, +1.00]", "+0.50, +1.50", "+10.0 [+10.0, +10.0]", "2"]


def test_errors_are_one_line(ablation, tmp_path, capsys):
    with pytest.raises(ContrasepError, match="expected tables mlp.SEED.tsv, got none"):
        ablation.compare(ablation.parse(["--compare", "--scores", str(tmp_path)]))
    with pytest.raises(SystemExit):
        ablation.parse(["--judge"])
    assert "FOLDER: expected one" in capsys.readouterr().err
