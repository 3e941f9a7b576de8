"""contrasep resolve: what a run of a recipe takes from its configuration."""

import json
import subprocess
from pathlib import Path

import pytest

from contrasep_lib.bin.resolve import shell_value
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.done import FORMATS
from contrasep_lib.recipe import Options, find_configs, resolve

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted(path.parent for path in ROOT.glob("egs/*/run.sh"))


@pytest.fixture
def recipe(tmp_path):
    """A recipe beside a toolkit's ``conf/``, with mixtures and one configuration of its own."""
    files = {
        "conf/tf.yaml": "separate: {separator: model}",
        "conf/oracle.yaml": "separate: {separator: oracle_ibm}",
        "egs/toy/conf/tf.yaml": "base: ../../../conf/tf.yaml\nfinetune: {seed: 7}",
        "egs/toy/conf/data.yaml": "mix: {sets: {tr: 5, tt: 3}, seed: 1}",
        "elsewhere/conf/own.yaml": "{mix: {seed: 2}, separate: {separator: model}}",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    return tmp_path / "egs/toy"


def test_a_configuration_is_the_recipes_own_the_callers_or_the_toolkits(recipe):
    caller = recipe.parents[1] / "elsewhere"
    data = recipe / "conf/data.yaml"
    assert find_configs(["conf/tf.yaml"], recipe, caller) == [data, recipe / "conf/tf.yaml"]
    assert find_configs(["conf/own.yaml"], recipe, caller) == [data, caller / "conf/own.yaml"]
    assert find_configs(["conf/oracle.yaml"], recipe, caller) == [data, recipe / "../../conf/oracle.yaml"]
    assert find_configs(["conf/tf.yaml", "conf/data.yaml"], recipe) == [recipe / "conf/tf.yaml", data]
    with pytest.raises(ContrasepError, match="conf/none.yaml: no such configuration"):
        find_configs(["conf/none.yaml"], recipe, caller)


def test_the_recipes_mixtures_stand_under_every_configuration(recipe):
    caller = recipe.parents[1] / "elsewhere"
    values = resolve(["conf/own.yaml"], recipe=recipe, caller=caller)
    assert values["sets"] == ["tr", "tt"] and values["tag"] == "own"
    seeded = resolve(["conf/tf.yaml"], ["mix.seed=2"], recipe=recipe, caller=caller)
    # the same mixtures by a file and by a setting
    assert values["key_mixtures"] == seeded["key_mixtures"] != resolve(["conf/tf.yaml"], recipe=recipe)["key_mixtures"]
    several = resolve(["conf/tf.yaml", "conf/own.yaml"], recipe=recipe, caller=caller)
    assert several["key_finetune"] == resolve(["conf/tf.yaml"], ["mix.seed=2"], recipe=recipe)["key_finetune"]
    assert several["tag"] == "own"


@pytest.mark.parametrize("name, overrides, options, tags", [
    ("conf/tf.yaml", [], {}, ("tf", "tf", "tf")),
    ("conf/oracle.yaml", [], {}, ("oracle_ibm",) * 3),
    ("conf/tf.yaml", ["separate.separator=oracle_ibm"], {}, ("tf_oracle_ibm",) * 3),
    ("conf/tf.yaml", ["separate.separator=mixture"], {}, ("tf_mixture",) * 3),
    ("conf/tf.yaml", ["separate.count=given"], {}, ("tf_count=given", "tf", "tf")),
    ("conf/tf.yaml", ["modularity.k_max=4"], {}, ("tf_k_max=4", "tf", "tf_k_max=4")),
    ("conf/tf.yaml", ["mix.sets={tr: 4}", "finetune.num_spk=[2, 3]"], {}, ("tf_sets=-tr--4-_num_spk=-2--3-",) * 3),
    ("conf/tf.yaml", ["plugins=[os.path]"], {}, ("tf",) * 3),
    ("conf/tf.yaml", ["separate.count=given"], {"tag": "x"}, ("x", "x", "x")),
    ("conf/tf.yaml", ["separate.count=given"], {"tag": "x", "model_tag": "y"}, ("x", "y", "x")),
    ("conf/tf.yaml", ["separate.count=given"], {"model_tag": "y"}, ("tf_count=given", "y", "tf_count=given")),
    ("conf/tf.yaml", [], {"extra_train": True, "init_param": "a/b.pth", "budget_minutes": "1.5", "model_dir": "x/best",
                          "num_spk": 3}, ("tf_extra_train_init_1.5min_by_best_3mix",) * 3),
    ("conf/oracle.yaml", [], {"budget_minutes": "5"}, ("oracle_ibm",) * 3),
])
def test_names_of_experiments(recipe, name, overrides, options, tags):
    values = resolve([name], overrides, Options(**options), recipe)
    assert (values["tag"], values["model_tag"], values["communities_tag"]) == tags


@pytest.mark.parametrize("epochs, budgets", [
    (0, ["--set", "finetune.budget_minutes=7.5"]),
    (1, ["--set", "pretrain.budget_minutes=2.5", "--set", "finetune.budget_minutes=5"]),
])
def test_time_is_shared_between_phases(recipe, epochs, budgets):
    overrides = [f"pretrain.epochs={epochs}"]
    values = resolve(["conf/tf.yaml"], overrides, Options(budget_minutes="10"), recipe)
    assert values["pretrains"] == bool(epochs)
    assert values["settings"][-len(budgets) - 2:] == ["--set", *overrides, *budgets]
    assert (
        values["key_finetune"] == resolve(["conf/tf.yaml"], [*overrides, *budgets[1::2]], recipe=recipe)["key_finetune"]
    )


@pytest.mark.parametrize("num_spk, counts", [(1, [1, 1, 2]), (2, [1, 2, 2, 3]), (3, [1, 2, 3, 3, 4]),
                                             (5, [1, 2, 3, 4, 5, 5]), (6, [1, 2, 3, 4, 5, 6, 6])])
def test_numbers_of_speakers_that_are_left_to_the_run(recipe, num_spk, counts):
    options, explicit = Options(num_spk=num_spk, own_num_spk=num_spk), f"finetune.num_spk={counts}"
    values = resolve(["conf/tf.yaml"], ["finetune.num_spk=null"], options, recipe)
    assert values["settings"][-2:] == ["--set", explicit] and values["tag"] == "tf_num_spk=null"
    stated = resolve(["conf/tf.yaml"], [explicit], options, recipe)
    assert values["key_finetune"] == stated["key_finetune"]
    # k_max bounds what a counter may answer
    values = resolve(["conf/tf.yaml"], ["finetune.num_spk=null", f"modularity.k_max={num_spk}"], options, recipe)
    assert values["settings"][-1] == f"finetune.num_spk={sorted([*range(1, num_spk + 1), num_spk])}"


def test_numbers_of_speakers_of_a_configuration_stay(recipe):
    values = resolve(["conf/tf.yaml"], ["finetune.num_spk=[2, 4]"], Options(num_spk=3, own_num_spk=3), recipe)
    assert [word for word in values["settings"] if "num_spk" in word] == ["finetune.num_spk=[2, 4]"]


def test_every_recipe_has_a_default_that_trains_a_counter_on_one_speaker_too():
    for folder in RECIPES:
        values = resolve(["conf/default.yaml"], options=Options(num_spk=2), recipe=folder)
        assert values["separator"] == "model" and values["pretrains"] and values["pretrain_data"] == "single"


def test_corpora_of_balances(recipe):
    overrides = ["pretrain.balance={toy: 1, b: 1}", "finetune.balance={c: 1, b: 2}"]
    values = resolve(["conf/tf.yaml"], overrides, recipe=recipe)
    assert values["balanced"] == ["toy", "b", "c"]
    assert (values["pretrain_balance"], values["finetune_balance"]) == (["toy", "b"], ["c", "b"])
    # an oracle trains on nothing
    assert resolve(["conf/oracle.yaml"], overrides, recipe=recipe, unread=print)["balanced"] == []


def warnings_of(recipe, *overrides, name="conf/tf.yaml"):
    said = []
    resolve([name], overrides, recipe=recipe, unread=said.append)
    return said


def test_settings_that_nothing_reads_are_a_warning_or_refused(recipe):
    assert warnings_of(recipe, "finetune.epochs=3", "modularity.seed=2", "mix.seed=2") == []
    said = warnings_of(recipe, "finetune.epochs=3", "mix.seed=2", "score.plots=1", name="conf/oracle.yaml")
    assert said == ["--set finetune.epochs: nothing reads it here, the separator 'oracle_ibm' has no model"]
    said = warnings_of(recipe, "pretrain.epochs=0", "pretrain.seed=3")
    assert said == ["--set pretrain.seed: nothing reads it here, pretrain.epochs is 0"]
    with pytest.raises(
        ContrasepError, match="--set pretrain.seed: nothing reads it here, pretrain.epochs is 0; leave it out"
    ):
        resolve(["conf/tf.yaml"], ["pretrain.epochs=0", "pretrain.seed=3"], recipe=recipe)
    for key, value, other, reason in (
        ("separate.mask", "soft", "separate.separator=oracle_ibm", "the separator 'oracle_ibm' has no model"),
        ("separate.temperature", 0.2, "separate.mask=soft", "separate.mask is 'soft'"),
        ("separate.temperature", 0.2, "separate.separator=mixture", "the separator 'mixture' has no model"),
        ("separate.count", "given", "separate.separator=mixture", "the separator 'mixture' has no model"),
        ("model.neighbours", 1, "model.objectives=[nt_xent]", "model.labels is 'dominance'"),
        ("model.remix_db", 1, "model.labels=dominance", "model.labels is 'dominance'"),
        ("model.pretrain_objectives", "[nt_xent]", "pretrain.epochs=0", "pretrain.epochs is 0"),
        ("model.centroids.soft", 1, "model.decoder=null", "there is no model.decoder"),
        ("pretrain.num_spk", "[2]", "pretrain.data=single", "pretrain.data is 'single'"),
        ("finetune.num_spk", "[2]", "finetune.data=fixed", "finetune.data is 'fixed'"),
        ("finetune.scheduler_conf", "{warmup_steps: 9}", "finetune.scheduler=none", "finetune.scheduler is 'none'"),
    ):
        assert warnings_of(recipe, f"{key}={value}", other) == [f"--set {key}: nothing reads it here, {reason}"]
    read = ["model.neighbours=1", "model.remix_db=1", "model.labels=none", "model.objectives=[nt_xent]"]
    read += ["separate.temperature=0.2", "separate.mask=posterior"]
    read += ["finetune.num_spk=[3]", "finetune.scheduler=warmuplr", "finetune.scheduler_conf={warmup_steps: 9}"]
    assert warnings_of(recipe, *read) == []
    # keys of a file are no settings
    assert warnings_of(recipe, "separate.separator=mixture") == []


def test_settings_of_parts_that_are_not_chosen(recipe):
    # an earlier version's spelling: a temperature, which only contrastive objectives have
    said = warnings_of(recipe, "model.temperature=0.1")
    assert said == ["--set model.temperature: nothing reads it here, the chosen parts do not have it"]
    assert warnings_of(recipe, "model.objectives={supcon: 1.0}", "model.temperature=0.1") == []
    # of a file it is no setting
    (recipe / "conf/tf.yaml").write_text("model: {temperature: 0.1}\nseparate: {separator: model}\n")
    assert warnings_of(recipe) == []
    with pytest.raises(ContrasepError, match="unknown key 'temperature'"):
        resolve(["conf/tf.yaml"], ["model.backbone.temperature=0.1"], recipe=recipe)


def test_settings_in_an_earlier_spelling_whose_part_is_not_chosen(recipe):
    (recipe / "conf/tf.yaml").write_text(
        "model: {backbone: dual_path, band: 8, sampled_nodes: 9}\nseparate: {separator: model}\n"
    )
    said = warnings_of(recipe, "model.temperature=0.2", "modularity.tau=0.1")
    assert said == [f"--set {key}: nothing reads it here, the chosen parts do not have it"
                    for key in ("model.temperature", "modularity.tau")]
    # what the file says is no setting, even where a setting chooses another part
    assert warnings_of(recipe, "model.backbone=blstm") == []


HOSTILE = ["a b", "$(touch evil)", "`touch evil`", "'; touch evil; '", '"', "\\", "*", "~", ""]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_shell_reads_values_as_they_are(tmp_path, value):
    script = f"x={shell_value(value)}\ny={shell_value([value, 'b'])}\nz={shell_value(True)}\n"
    script += 'printf "%s\\0" "$x" "${y[@]}"; $z && printf true'
    done = subprocess.run(["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split("\0") == [value, value, "b", "true"] and not list(tmp_path.iterdir())


def test_the_command_prints_assignments(contrasep, recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    evil = "corpus.espeak={seed: 1} # $(touch evil)"
    done = contrasep("resolve", "--config", "conf/tf.yaml", "--set", evil, "--budget-minutes", 4, check=True)
    script = done.stdout + 'printf "%s\\n" "$tag" "${#settings[@]}" "${settings[5]}"'
    shown = subprocess.run(["bash", "-euc", script], cwd=recipe, capture_output=True, text=True).stdout.splitlines()
    assert shown == ["tf_espeak=-seed--1------touch-evil-_4min", "10", evil] and not (recipe / "evil").exists()
    names = [line.partition("=")[0] for line in done.stdout.splitlines()]
    assert {f"key_{step}" for step in FORMATS} <= set(names) and len(names) == len(set(names))
    done = contrasep("resolve", "--config", "conf/none.yaml")
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_configurations_of_the_toolkit_serve_all_recipes(recipe):
    for path in sorted({path.name for path in (*ROOT.glob("conf/*.yaml"), *recipe.glob("conf/*.yaml"))}):
        values = resolve([f"conf/{path}"], recipe=recipe)
        assert {"tr", "cv", "tt"} <= set(values["sets"]), path
        assert values["tag"].startswith(path.removesuffix(".yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_no_configuration_of_a_recipe_only_names_a_base(recipe):
    import yaml

    for path in recipe.glob("conf/*.yaml"):
        assert set(yaml.safe_load(path.read_text())) - {"base"}, f"{path}: --config finds the toolkit's of this name"
    assert json.dumps(resolve(["conf/oracle.yaml"], recipe=recipe))


@pytest.mark.parametrize("minutes", ["abc", "0", "-1", "nan", "inf"])
def test_a_budget_that_is_none_is_one_line(recipe, minutes):
    with pytest.raises(ContrasepError, match=f"--budget-minutes: expected a number above 0 .*, got '{minutes}'"):
        resolve(["conf/tf.yaml"], options=Options(budget_minutes=minutes), recipe=recipe)
