"""Counts of speakers with the trainings of a sweep: recordings, tables, the whole command."""

import functools
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from contrasep_lib.config import build
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.scp import write_table
from contrasep_lib.models.checkpoint import save_model
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.score.intervals import speaker_interval
from contrasep_lib.separate.clustering_state import ClusteringState

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import experiments  # noqa: E402
from experimentkit import counted, counting, entries, page  # noqa: E402
from experimentkit.judging import as_text  # noqa: E402

RATE, FEATURES = 8000, FeatureOptions(64, 16)
VOICES = {"x": 300, "y": 900, "z": 2100}


class Tones:
    """Sets by their names: ``*_single``, two utterances of each voice; ``*_Kmix``, mixtures of K voices."""

    rate = RATE

    def __init__(self, folder):
        self.folder, name = folder, Path(folder).name
        if name.endswith("_single"):
            self.speakers = {f"{voice}{number}": (voice,) for voice in VOICES for number in (0, 1)}
        else:
            count = int(name.partition("_")[2][0])
            names = [[*VOICES][place : place + count] for place in range(4 - count)]
            self.speakers = {"".join(group): tuple(group) for group in names}
        self.keys = sorted(self.speakers)

    def sources(self, key):
        time = np.arange(RATE) / RATE
        return np.stack([
            0.1 * np.sin(2 * np.pi * VOICES[voice] * time) * (np.sin(2 * np.pi * (3 + place) * time) > -0.5)
            for place, voice in enumerate(self.speakers[key])
        ]).astype(np.float32)

    def mixture(self, key):
        return self.sources(key).sum(0)


@pytest.fixture
def tones(monkeypatch):
    monkeypatch.setattr("contrasep_lib.io.dumpset.DumpSet", Tones)


def loudest(samples):
    """Hz of the largest bin."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * RATE / len(samples)


def test_twins_are_one_voice_at_two_speeds(tones):
    found = list(counting.doubled(Path("dev_single"), 2))
    assert [scene[1] for scene in found] == [f"speed {speed:g}" for speed in counting.SPEEDS for _ in range(2)]
    for scene, speed in zip(found[::2], counting.SPEEDS):
        name, _, key, speakers, sources, mixture = scene
        assert (name, key, speakers) == ("twins", "x0-x1", ("x",)) and len(sources) == 2
        assert np.abs(mixture - sources.sum(0)).max() < 1e-4 and len(mixture) == math.ceil(round(RATE / speed, 6))
        assert [loudest(source) for source in sources] == pytest.approx([300, 300 * speed], abs=3)
        assert np.sqrt(np.mean(np.square(sources), axis=1)) == pytest.approx(np.sqrt(np.mean(sources[0] ** 2)), rel=0.2)


@pytest.mark.parametrize("speakers, tables, words", [
    ("xy", {"spk2gender": {"x": "f", "y": "f"}}, "same sex"),
    ("xy", {"spk2gender": {"x": "f", "y": "m"}, "utt2lang": {"x": "de", "y": "de"}}, "different sexes, same language"),
    ("xy", {"spk2gender": {"x": "f"}}, ""),
    ("xyz", {"spk2gender": dict.fromkeys("xyz", "f")}, ""),
    ("xy", {}, ""),
])
def test_conditions_of_two_speakers(speakers, tables, words):
    assert counting.condition_of(list(speakers), tables) == words


def test_a_table_of_speakers_with_an_empty_line_is_one_line(tmp_path):
    (tmp_path / "spk2gender").write_text("a f\n\nb m\n")
    with pytest.raises(ContrasepError, match="spk2gender:2: empty line"):
        counting.speaker_tables(tmp_path)
    (tmp_path / "spk2gender").write_text("a f\nb m\n")
    assert counting.speaker_tables(tmp_path) == {"spk2gender": {"a": "f", "b": "m"}}


def test_languages_of_speakers_are_those_of_their_utterances(tmp_path):
    languages = {"x-1": "de", "x-2": "de", "y-1": "fr", "z-1": "de", "z-2": "fr"}
    write_table(tmp_path / "utt2spk", {name: name[0] for name in languages})
    write_table(tmp_path / "utt2lang", languages)
    tables = counting.speaker_tables(tmp_path)
    assert tables == {"utt2lang": {"x": "de", "y": "fr"}}
    assert counting.condition_of(["x", "y"], tables) == "different languages"
    assert counting.condition_of(["x", "z"], tables) == ""
    write_table(tmp_path / "utt2lang", {**languages, "w-1": "de"})
    with pytest.raises(ContrasepError, match="utt2lang: key 'w-1' is not"):
        counting.speaker_tables(tmp_path)


def row(name, number, key, voices, seed, largest, cut, gain="", condition=""):
    return {
        **dict.fromkeys(counting.COLUMNS, ""), "setting": "s", "seed": seed, "set": name, "speakers": str(number),
        "utterance": key, "voices": voices, "condition": condition, "si_snri": gain, "largest Q": str(largest),
        "recursive split": str(cut),
    }


MIXED = [("a", "x,y", "same sex"), ("b", "x,z", "different sexes"), ("c", "y,z", "different sexes")]
ROWS = [
    *[row("dev_1mix", 1, key, key, seed, 3, 1) for key in "xyz" for seed in "01"],
    *[row("dev_2mix", 2, key, voices, seed, 2 + int(seed), 2 if key != "c" else 9, "2.0" if key == "a" else "5.0", sex)
      for key, voices, sex in MIXED for seed in "01"],
    *[row("twins", 2, "x", "x", seed, 2, 1, "-1.0", "speed 1") for seed in "01"],
]  # fmt: skip


def test_accuracies_and_confusions():
    largest, split = counted.by_numbers(ROWS)
    found = [(each["method"], each["labels"]) for each in (largest, split)]
    assert found == [("largest Q", "-"), ("recursive split", "counts")]
    assert (largest["seeds"], largest["mixtures_2"], largest["mean"]) == (2, 3, "25.0")
    # one of two seeds everywhere, so no mixture differs
    assert largest["of_1"].startswith("0.0 ") and largest["of_2"] == "50.0 [50.0, 50.0]"
    assert largest["confusion"] == "0 0 6 0 0 0 0; 0 3 3 0 0 0 0"
    # nine is so many and more
    assert split["confusion"].endswith("; 0 4 0 0 0 0 2") and split["mean"] == "83.3"
    low, high = speaker_interval(np.array([100.0, 100, 0]), [("x", "y"), ("x", "z"), ("y", "z")], bounds=(0, 100))[0]
    assert split["of_2"] == f"66.7 [{low:.1f}, {high:.1f}]"


def test_conditions_have_their_share_of_twos():
    same, other, twins = counted.by_conditions(ROWS)
    assert [line["condition"] for line in (same, other, twins)] == ["same sex", "different sexes", "one voice, speed 1"]
    assert same["recursive split"].startswith("100.0") and other["recursive split"].startswith("50.0")
    assert other["si_snri"].startswith("5.00") and twins["si_snri"] == "-1.00" and twins["recursive split"] == "0.0"
    assert (other["mixtures"], other["set"], twins["set"]) == (2, "dev_2mix", "twins")


@pytest.fixture
def sweep(tmp_path, tones):
    """A sweep of two seeds, without a counter of their own."""
    runs = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        backbone = {"name": "dual_path", "layers": 1, "width": 4, "band": 8}
        tree = {"granularity": "tf", "backbone": backbone, "embedding_dim": 4}
        model = SeparationModel(build(ModelOptions, tree, "model"), FEATURES)
        folder = tmp_path / f"exp/t{seed}"
        (folder / "finetune").mkdir(parents=True)
        save_model(folder / "finetune/model.pth", model.state_dict(), FEATURES, model.options, {})
        cuts = {"counting": {"name": "recursive_split", "null_model": "isotropic"}, "solver": "kmeans"}
        section = build(ModularityOptions, cuts, "modularity")
        ClusteringState.from_options(section).save(folder / "modularity")
        runs.append({"values": {"config": "x/some.yaml", "finetune.seed": seed}, "tag": folder.name, "error": None})
    made = tmp_path / "exp/sweep_some"
    made.mkdir()
    swept = {"config": ["x"], "finetune.seed": [0, 1]}
    (made / "results.json").write_text(json.dumps({"sweep": "some", "swept": swept, "runs": runs}))
    for number in (1, 2, 3):
        (tmp_path / f"numbers/dev_{number}mix").mkdir(parents=True)
    (tmp_path / "data/dev_single").mkdir(parents=True)
    (tmp_path / "data/dev_single/spk2gender").write_text("x f\ny f\nz m\n")
    return made


def command(sweep, *options):
    root = sweep.parents[1]
    words = [word for name in ("data", "dump", "numbers") for word in (f"--{name}", str(root / name))]
    return experiments.count(
        experiments.parse(["count", str(sweep), *words, "--singles", "3", "--twins", "1", *options])
    )


def test_a_sweep_is_counted_and_published(sweep, monkeypatch):
    singles = Tones("tr_single")
    monkeypatch.setattr(
        counting, "pieces",
        lambda folder, count: (torch.from_numpy(singles.mixture(key))[None] for key in singles.keys[:count]),
    )
    assert command(sweep) == 0
    rows = counting.read_counted(sweep / "counted.tsv")
    # 3, 2 and 1 mixtures of three voices, and a pair at each speed, for each seed
    assert len(rows) == 2 * (6 + len(counting.SPEEDS))
    assert {row["condition"] for row in rows if row["set"] == "dev_2mix"} == {"same sex", "different sexes"}
    assert not {*VOICES} & {name for row in rows for name in row["voices"].split(",")}
    for row in rows:
        assert all(1 <= int(row[name]) <= counting.OUTPUTS for name in counting.METHODS if name != "classifier")
        assert not row["classifier"] and bool(row["si_snri"]) == (row["speakers"] != "1")
    monkeypatch.setattr(counting, "Counters", None)
    assert command(sweep) == 0 and counting.read_counted(sweep / "counted.tsv") == rows
    for options in (["--mixtures", "1"], ["--twins", "2"], ["--singles", "4"]):
        with pytest.raises(ContrasepError, match=f"counted.tsv: .*: {options[0][2:]} is .* name another sweep"):
            command(sweep, *options)
    (sweep / "counted.json").unlink()
    assert command(sweep, "--mixtures", "1") == 0

    home = sweep.parents[1] / "docs"
    for name in ("RESULTS", "PICTURES"):
        monkeypatch.setattr(page, name, home / name)
    monkeypatch.setattr(page, "PAGE", home / "page.md")
    monkeypatch.setattr(entries, "read_entries", list)
    home.mkdir()
    assert experiments.publish(experiments.parse(["publish", "some", "--recipe", str(sweep.parents[1])])) == 0
    for name in ("numbers", "conditions"):
        header, *lines = [line.split("\t") for line in (home / f"RESULTS/some_{name}.tsv").read_text().splitlines()]
        assert lines and all(len(line) == len(header) for line in lines) and "classifier" not in header
    assert (home / "PICTURES/some.png").stat().st_size > 5000


def test_counts_without_conditions_are_published(tmp_path, monkeypatch):
    for name in ("RESULTS", "PICTURES"):
        monkeypatch.setattr(page, name, tmp_path / name)
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(entries, "read_entries", list)
    table = tmp_path / "exp/sweep_some/counted.tsv"
    table.parent.mkdir(parents=True)

    def publish(rows):
        table.write_text(as_text(rows, counting.COLUMNS))
        assert experiments.publish(experiments.parse(["publish", "some", "--recipe", str(tmp_path)])) == 0
        return [(tmp_path / f"RESULTS/some_{of}.tsv").read_text().splitlines() for of in ("numbers", "conditions")]

    numbers, conditions = publish([{**each, "condition": ""} for each in ROWS if each["set"] != "twins"])
    assert len(numbers) == 3 and numbers[0] == "\t".join(counted.by_numbers(ROWS)[0])
    assert conditions == ["set\tcondition\tmixtures\tseeds\tsi_snri\tlargest Q\trecursive split"]
    assert publish(ROWS)[1][0] == conditions[0] == "\t".join(counted.by_conditions(ROWS)[0])
    # no method of which all rows have a number
    rows = [{**each, **dict.fromkeys(counting.METHODS, "")} for each in ROWS]
    assert publish(rows)[0] == ["\t".join(counted.number_columns(rows))]
    with pytest.raises(ContrasepError, match="counted.tsv: expected rows, got none"):
        publish([])


def test_several_settings_and_rows_that_stand_twice_are_one_line(tmp_path):
    other = [{**each, "setting": "t"} for each in ROWS]
    drawn = functools.partial(counted.draw_counted, path=tmp_path / "x.png")
    for summed in (counted.by_numbers, counted.by_conditions, drawn):
        with pytest.raises(ContrasepError, match="trainings of one setting, got 's', 't'; count a sweep of each"):
            summed([*ROWS, *other])
    path = tmp_path / "counted.tsv"
    path.write_text(as_text([*ROWS, *other], counting.COLUMNS))
    assert len(counting.read_counted(path)) == 2 * len(ROWS)
    path.write_text(as_text([*ROWS, ROWS[3]], counting.COLUMNS))
    with pytest.raises(ContrasepError, match="counted.tsv: expected one row of setting 's', seed '1', set 'dev_1mix'"):
        counting.read_counted(path)


def test_what_is_not_there_is_one_line(sweep, tmp_path):
    with pytest.raises(ContrasepError, match="cv_1mix: no such dumped sets"):
        command(sweep, "--part", "cv")
    (sweep / "counted.tsv").write_text("setting\n")
    with pytest.raises(ContrasepError, match="counted.tsv: expected the columns"):
        command(sweep)
