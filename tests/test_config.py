"""Strict configuration."""

from pathlib import Path

import pytest

from contrasep_lib.config import as_tree, load_config
from contrasep_lib.errors import ContrasepError

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("path", sorted(ROOT.glob("egs/*/conf/*.yaml")), ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_configurations_of_all_recipes_load(path):
    assert load_config(path)["mix"].rate == 8000


def test_defaults_and_overrides(tmp_path):
    (tmp_path / "c.yaml").write_text("mix: {seed: 4, max_gain_db: 5}\n")
    config = load_config(tmp_path / "c.yaml", ["mix.seed=7", "mix.sets.tt=9", "separate.separator=mixture"])
    assert config["mix"].seed == 7 and config["mix"].max_gain_db == 5.0 and config["mix"].sets == {"tt": 9}
    assert config["separate"].separator == "mixture" and config["features"].win == 256
    assert as_tree(config)["mix"]["rate"] == 8000


@pytest.mark.parametrize("content, says", [
    ("mix: {sed: 4}", "unknown key 'sed'; did you mean 'seed'"),
    ("mixx: {}", "unknown section 'mixx'; did you mean 'mix'"),
    ("mix: {seed: one}", "mix.seed: int wanted, got 'one'"),
    ("mix: {seed: true}", "mix.seed: int wanted"),
    ("mix: {sets: {tr: many}}", "mix.sets.tr: int wanted"),
    ("mix: {mode: mean}", "one of min, max wanted"),
    ("mix: {sets: {tr: 0}}", "at least 1 mixture"),
    ("mix: 3", "a mapping wanted"),
    ("- 1", "a mapping of sections"),
    ("mix: {", "not valid YAML"),
    ("corpus: {espeak: {voices: 3}}", "unknown key 'voices'"),
    ("features: {win: 256, hop: 100}", "divisor"),
    ("separate: {silence_db: -1}", "positive"),
])
def test_faults(tmp_path, content, says):
    (tmp_path / "c.yaml").write_text(content)
    with pytest.raises(ContrasepError, match=says) as error:
        load_config(tmp_path / "c.yaml")
    assert "c.yaml" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("setting", ["mix", "seed=1", "mix.seed.x=1", "mix.seed=[1", ".seed=1"])
def test_bad_settings(tmp_path, setting):
    (tmp_path / "c.yaml").write_text("mix: {seed: 1}")
    with pytest.raises(ContrasepError):
        load_config(tmp_path / "c.yaml", [setting])


def test_missing_file(tmp_path):
    with pytest.raises(ContrasepError, match="no such configuration"):
        load_config(tmp_path / "c.yaml")
