"""Strict configuration."""

from pathlib import Path

import pytest
import yaml

from contrasep_lib.config import as_tree, load_config
from contrasep_lib.errors import ContrasepError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("egs/*/conf/*.yaml")), ids=lambda path: f"{path.parts[-3]}/{path.name}"
)
def test_configurations_of_all_recipes_load(path):
    assert load_config(path)["mix"].rate == 8000


def test_the_configuration_without_an_end_is_that_of_many_talkers():
    many, long = (load_config(ROOT / "conf" / f"{name}.yaml") for name in ("attractor_many", "long"))
    assert long["features"] == many["features"] and long["model"].trained() == many["model"].trained()
    options = long["finetune"]
    assert set(options.num_spk) == {1, 2, 3, 4, 5} and options.num_spk.count(1) >= len(options.num_spk) / 10
    assert options.best_mode == "max" and options.budget_minutes is None and options.patience is None


def test_defaults_and_overrides(tmp_path):
    (tmp_path / "c.yaml").write_text("mix: {seed: 4, max_gain_db: 5}\n")
    config = load_config(tmp_path / "c.yaml", ["mix.seed=7", "mix.sets.tt=9", "separate.separator=mixture"])
    assert config["mix"].seed == 7 and config["mix"].max_gain_db == 5.0 and config["mix"].sets == {"tt": 9}
    assert config["separate"].separator == "mixture" and config["features"].win == 256
    assert as_tree(config)["mix"]["rate"] == 8000


@pytest.mark.parametrize("content, says", [
    ("mix: {sed: 4}", "unknown key 'sed'; did you mean 'seed'"),
    ("mixx: {}", "unknown section 'mixx'; did you mean 'mix'"),
    ("mix: {seed: one}", "mix.seed: expected a whole number from 0 to 2147483647, got 'one'"),
    ("mix: {seed: true}", "mix.seed: expected a whole number from 0 to 2147483647, got True"),
    ("mix: {sets: {tr: many}}", "mix.sets.tr: expected a whole number from 1 to 1e7, got 'many'"),
    ("mix: {mode: mean}", "expected one of min, max"),
    ("mix: {sets: {tr: 0}}", "mix.sets.tr: expected a whole number from 1 to 1e7, got 0"),
    ("mix: {sets: {../tt: 9}}", "mix.sets: expected a name of letters, .*, got '../tt'"),
    ("mix: {sets: {tt: 1}, same_language: [t t]}", "mix.same_language: expected a name of letters, .*, got 't t'"),
    ("mix: 3", "expected a mapping"),
    ("- 1", "a mapping of sections"),
    ("mix: {", "not valid YAML"),
    ("corpus: {espeak: {voices: 3}}", "unknown key 'voices'"),
    ("features: {win: 256, hop: 100}", "divisor"),
    ("features: {silence_db: -1}", "features.silence_db: expected a number above 0 and at most 300, got -1"),
    ("features: {win: 1000000000}", "features.win: expected a whole number from 2 to 65536, got 1000000000"),
    ("features: {win: 255}", "c.yaml: features.win: expected an even number of samples, got 255"),
    ("separate: {silence_db: -1}", r"separate.silence_db \(today features.silence_db\): expected a number above 0"),
    ("features: {silence_db: .nan}", "features.silence_db: expected a number above 0 and at most 300, got nan"),
    ("finetune: {learning_rate: .inf}", "finetune.learning_rate: expected a number above 0 and at most 1000, got inf"),
    ("finetune: {balance: {a: .nan}}", "finetune.balance.a: expected a number above 0 and at most 1e6, got nan"),
    (f"finetune: {{learning_rate: 1{'0' * 400}}}", "finetune.learning_rate: expected a number .*, got 10*[.]{3}0*$"),
    ("finetune: {num_spk: 2}", "finetune.num_spk: expected null or a list, got 2"),
    ("finetune: {num_spk: [2, 0]}", "finetune.num_spk: expected a whole number from 1 to 100, got 0"),
    ("finetune: {optim_conf: {eps: .nan}}", "finetune.optim_conf.eps: expected a whole number .*, got nan"),
    ("finetune: {augment: {noise: 2}}", "finetune.augment.noise: expected a number from 0 to 1, got 2"),
    ("mix: {seed: 1}\nfeatures: {}\nmix: {rate: 8000}", "key 'mix' stands twice.*line 1"),
    ("mix: {seed: 1, rate: 8000, seed: 2}", "key 'seed' stands twice"),
    ("features: 3\nseparate: {silence_db: 20}", "features: expected a mapping, got 3"),
    # what YAML's readers trip over
    ("mix: {seed: 2020-13-45}", "not valid YAML"),
    ("mix: {seed: !!int x}", "not valid YAML"),
    ("mix: {seed: !!timestamp x}", "not valid YAML"),
    ("mix: {seed: !!python/object/apply:os.getcwd []}", "not valid YAML"),
    (f"mix: {{seed: 1{'0' * 5000}}}", "not valid YAML"),
    ("[" * 5000, "not valid YAML"),
    ("mix: {[1]: 2}", "not valid YAML"),
    ("mix: &a {seed: *a}", "mix.seed: expected a whole number"),
    ("corpus: {wsj0: {seed: 1}}", "unknown key 'seed'; known: none"),
    ("modularity: {hidden: [8], solver: []}", "modularity.solver: expected a name, or a mapping with a name"),
    ("model: {backbone: {name: [blstm]}, layers: 3}", "expected the name of a backbone, got \\['blstm'\\]"),
])
def test_errors(tmp_path, content, says):
    (tmp_path / "c.yaml").write_text(content)
    with pytest.raises(ContrasepError, match=says) as error:
        load_config(tmp_path / "c.yaml")
    assert "c.yaml" in str(error.value) and "\n" not in str(error.value)


def test_numbers_without_a_point(tmp_path):
    (tmp_path / "c.yaml").write_text("finetune: {learning_rate: 2e-3, seed: 12, best: 3e}")
    options = load_config(tmp_path / "c.yaml")["finetune"]
    assert (options.learning_rate, options.seed, options.best) == (0.002, 12, "3e")
    assert load_config(tmp_path / "c.yaml", ["finetune.learning_rate=1E+1"])["finetune"].learning_rate == 10.0


@pytest.mark.parametrize("setting", [
    "mix", "seed=1", "mix.seed.x=1", "mix.seed=[1", ".seed=1", "mix.seed=2020-13-45", "mix.seed=!!int x",
    "modularity.solver.hidden.x=kmeans", "model.objectives.supcon.weight=1", "mix={seed: 1}",
])
def test_bad_settings(tmp_path, setting):
    (tmp_path / "c.yaml").write_text("mix: {seed: 1}")
    with pytest.raises(ContrasepError):
        load_config(tmp_path / "c.yaml", [setting])


def test_missing_file(tmp_path):
    with pytest.raises(ContrasepError, match="no such configuration"):
        load_config(tmp_path / "c.yaml")


def test_values_of_a_base_stand_where_the_file_has_none(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "tf.yaml").write_text(
        "model: {embedding_dim: 7, projection: 4, objectives: {deep_clustering: 1.0}}\nfinetune: {epochs: 3}\n"
    )
    (tmp_path / "data.yaml").write_text("mix: {sets: {tr: 5}}\nmodel: {projection: 9}\n")
    path = tmp_path / "own.yaml"
    path.write_text("base: [data.yaml, shared/tf.yaml]\nmodel: {embedding_dim: 8, objectives: {supcon: 2.0}}\nmix:\n")
    config = load_config(path, ["finetune.epochs=4"])
    assert (config["model"].embedding_dim, config["model"].projection) == (8, 4)
    assert {name: part.weight for name, part in config["model"].objectives.items()} == {"supcon": 2.0}  # replaced whole
    assert config["finetune"].epochs == 4
    path.write_text("base: data.yaml\n")
    assert config["mix"].sets != {"tr": 5} and load_config(path)["mix"].sets == {"tr": 5}


def test_a_file_that_names_another_part_drops_the_keys_of_its_base(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "modularity: {solver: {name: kmeans, restarts: 3, sample: 99}, counting: {name: classifier, utterances: 7}}\n"
    )
    path = tmp_path / "own.yaml"

    def read(text, *settings):
        path.write_text(f"base: base.yaml\n{text}\n")
        return load_config(path, settings)["modularity"]

    kept = read("modularity: {k_max: 3}")
    assert (kept.solver.restarts, kept.solver.sample, kept.counting.utterances) == (3, 99, 7)
    assert read("modularity: {solver: {restarts: 5}}").solver.sample == 99
    # spectral has options of the same names: they are its own
    solver = read("modularity: {solver: spectral}").solver
    assert (solver.name, solver.restarts, solver.sample) == ("spectral", 16, 4096)
    assert read("modularity: {counting: recursive_split}").counting.utterances == 16
    assert read("", "modularity.solver=spectral").solver.restarts == 16
    assert read("", "modularity.solver.restarts=2", "modularity.solver=spectral").solver.restarts == 2
    with pytest.raises(ContrasepError, match="modularity.solver: unknown key 'iterations'; known: max_sweeps, refined"):
        read("modularity: {solver: {name: spectral, iterations: 5}}")
    with pytest.raises(ContrasepError, match="modularity.solver: unknown key 'max_sweeps'; known: iterations"):
        read("modularity: {solver: {max_sweeps: 5}}")


@pytest.mark.parametrize("text, words", [
    ("base: nowhere.yaml", "nowhere.yaml: no such configuration, which .*own.yaml takes as its base"),
    ("base: own.yaml", "own.yaml: is its own base"),
    ("base: {model: 1}", "base: expected a file or a list of files"),
    ("base: [1]", "base: expected a file or a list of files"),
])
def test_bases_that_cannot_be_read(tmp_path, text, words):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ContrasepError, match=words):
        load_config(path)


def test_commands_take_several_configurations(contrasep, tmp_path):
    for name, text in {"a": "mix: {seed: 1, rate: 16000}", "b": "mix: {seed: 2}", "c": "mix: {seed: 3}"}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    for words in (["--config", "a.yaml,b.yaml", "--config", "c.yaml"], ["--config=a.yaml", "--config=b.yaml,c.yaml"]):
        shown = yaml.safe_load(contrasep("check-config", *words, check=True).stdout)
        assert (shown["mix"]["seed"], shown["mix"]["rate"]) == (3, 16000)
    done = contrasep("check-config", "--config", "a.yaml,,b.yaml")
    assert done.returncode == 2 and "expected files separated by commas, got 'a.yaml,,b.yaml'" in done.stderr
