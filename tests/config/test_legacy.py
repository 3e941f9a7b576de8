"""Spellings of earlier versions: every file of version 1 means today what it meant then."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from contrasep_lib.config import as_tree, build, legacy, load_config, reading
from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.options import ModelOptions

ROOT = Path(__file__).resolve().parents[2]
# the configurations of version 1 as they were
OLD = Path(__file__).parent / "version1"
# what has another value today, and the one it had
CHANGED = {"paper": [
    "model.projection=64", "modularity.graph={name: threshold, tau: 0.5, centre: false}",
    *(f"{phase}.{was}" for phase in ("pretrain", "finetune") for was in (
        "budget_minutes=5", "precision=float32", "learning_rate=0.001", "scheduler=none", "scheduler_conf={}")),
    "finetune.segment_seconds=3.0",
]}


def today(name):
    model = name.removeprefix("pretrained_")
    return (
        ROOT / "conf" / f"{name}.yaml"
        if model == name
        else ROOT / "contrasep_lib" / "pretrained" / model / "config.yaml"
    )


@pytest.mark.parametrize("name", sorted(path.stem for path in OLD.glob("*.yaml")))
def test_configurations_of_version_1_mean_the_same(name):
    old, new = load_config(OLD / f"{name}.yaml"), load_config(today(name), CHANGED.get(name, ()))
    # normalised modularity by the network took the place of what separated then
    chosen = {part: getattr(new["modularity"], part) for part in ("solver", "quality")}
    assert {**old, "modularity": dataclasses.replace(old["modularity"], **chosen)} == new
    layers = reading.read_layers(today(name))
    layers.settled()
    # objectives with a count might be those of version 1
    assert not layers.unread and layers.moved <= {("model", "objectives")}, "an old spelling"


def model_of(text, *settings, tmp_path):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"model": yaml.safe_load(text)}))
    layers = reading.read_layers(tmp_path / "c.yaml", settings)
    return reading.configure(layers, "c")["model"], layers.unread


@pytest.mark.parametrize(
    "old, new",
    [
        (
            "{backbone: dual_path, layers: 3, band: 8, heads: 2}",
            "{backbone: {name: dual_path, layers: 3, band: 8, heads: 2}}",
        ),
        ("{layers: 3, backbone: conv}", "{backbone: {name: conv, layers: 3}}"),
        ("{layers: 3}", "{backbone: {layers: 3}}"),
        (
            "{granularity: attractor, backbone: blstm, band: 8, path: attention, decoder_width: 16, "
            "objectives: {affinity: 2, si_snr: 1}}",
            "{decoder: {name: attractor, band: 8, path: attention, width: 16}, "
            "objectives: {deep_clustering: 2, si_snr: 1}}",
        ),
        (
            "{granularity: attractor, backbone: dual_path, band: 8, "
            "objectives: {whitened: 2, si_snr: 1}, decoder_share: 0.5}",
            "{decoder: attractor, backbone: {name: dual_path, band: 8}, "
            "objectives: {whitened_deep_clustering: 2, si_snr: {share: 0.5}}}",
        ),
        (
            "{objectives: {supcon: 1, count: 0.2}, count_max: 7, temperature: 0.1, sampled_nodes: 64}",
            "{counter: {name: classifier, count_max: 7}, "
            "objectives: {supcon: {temperature: 0.1, sampled_nodes: 64}, count: 0.2}}",
        ),
        (
            "{objectives: {supcon: 1, nt_xent: 2}, temperature: 0.1}",
            "{objectives: {supcon: {temperature: 0.1}, nt_xent: {weight: 2, temperature: 0.1}}}",
        ),
        (
            "{centroids: {noise: 1, solver: 2, found: 3, soft: 4}}",
            "{centroids: {label_noise: 1, refined_oracle: 2, kmeans: 3, soft: 4}}",
        ),
    ],
)
def test_a_model_of_version_1(tmp_path, old, new):
    model, unread = model_of(old, tmp_path=tmp_path)
    assert model == build(ModelOptions, yaml.safe_load(new), "model") and unread == []
    # each key by itself, as settings have them
    settings = [
        f"model.{key}={yaml.safe_dump(value, default_flow_style=True)}" for key, value in yaml.safe_load(old).items()
    ]
    settings.sort(key=lambda setting: not setting.startswith(("model.backbone", "model.granularity")))
    assert model_of("{}", *settings, tmp_path=tmp_path)[0] == model


@pytest.mark.parametrize("old, unread", [
    ("{backbone: blstm, band: 8, layers: 3}", ["model.backbone.band"]),
    ("{decoder_width: 8}", ["model.decoder.width"]),
    ("{count_max: 8}", ["model.counter.count_max"]),
    ("{temperature: 0.2, sampled_nodes: 16, objectives: {nt_xent: 1}}", []),
    ("{temperature: 0.2}", ["model.temperature"]),
    ("{decoder_share: 0.2}", ["model.decoder_share"]),
])
def test_keys_that_no_chosen_part_reads_are_dropped_and_reported(tmp_path, old, unread):
    assert model_of(old, tmp_path=tmp_path)[1] == unread


def test_old_settings_over_new_files(tmp_path):
    many = ROOT / "conf" / "attractor_many.yaml"
    old = [
        "model.objectives={affinity: 1.0, si_snr: 0.5}",
        "model.decoder_width=32",
        "model.band=4",
        "separate.silence_db=30",
    ]
    config = load_config(many, old)
    model = config["model"]
    assert (model.decoder.width, model.backbone.band, model.counter, config["features"].silence_db) == (
        32,
        4,
        None,
        30.0,
    )
    assert {name: part.weight for name, part in model.objectives.items()} == {"deep_clustering": 1.0, "si_snr": 0.5}
    paper = load_config(ROOT / "conf" / "paper.yaml", ["model.temperature=0.2", "pretrain.best=affinity"])
    assert paper["model"].objectives["nt_xent"].temperature == 0.2 and paper["pretrain"].best == "deep_clustering"
    with pytest.raises(ContrasepError, match="did you mean 'model'|model: unknown key 'depth'"):
        load_config(many, ["model.depth=3"])


def test_what_a_training_checkpoint_names():
    old = {
        "features": {"win": 256, "hop": 128},
        "silence_db": 40.0,
        "phase": "finetune",
        "train": {"batch_size": 3},
        "model": {
            "granularity": "attractor",
            "backbone": "dual_path",
            "layers": 3,
            "width": 64,
            "dropout": 0.0,
            "path": "rnn",
            "heads": 4,
            "band": 8,
            "embedding_dim": 20,
            "projection": 0,
            "objectives": {"affinity": 1.0, "si_snr": 0.1},
            "temperature": 0.5,
            "labels": "dominance",
            "negatives": "utterance",
            "sampled_nodes": 512,
            "node_weight": "magnitude",
            "neighbours": 3,
            "remix_db": 5.0,
            "seed": 0,
            "decoder_share": 0.5,
        },
    }
    found = legacy.identity_of_today(old)
    assert found["features"] == {"win": 256, "hop": 128, "silence_db": 40.0} and "silence_db" not in found
    assert found["train"] == old["train"] and found["phase"] == "finetune"
    expected = build(ModelOptions, {
        "backbone": {"name": "dual_path", "layers": 3, "width": 64, "band": 8}, "decoder": "attractor",
        "objectives": {"deep_clustering": 1.0, "si_snr": {"weight": 0.1, "share": 0.5}},
    }, "model")
    assert build(ModelOptions, found["model"], "model") == expected
    assert legacy.identity_of_today(found) == found and as_tree(expected)["decoder"]["layers"] == 2
    assert legacy.statistics_of_today({1: {"valid": {"affinity": 2.0, "loss": 1.0}}}) == {
        1: {"valid": {"deep_clustering": 2.0, "loss": 1.0}}
    }


def layered(tmp_path, *layers, settings=()):
    """Files over one another, or settings: (configuration, what nothing reads)."""
    paths = []
    for number, text in enumerate(layers):
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_text(text)
    read = reading.read_layers(paths, settings)
    return reading.configure(read, paths), read.unread


# pairs of keys of version 1, which had no parts, and what they mean together; either may come first
TOGETHER = [
    ("modularity", ("tau", 0.2), ("graph", "threshold"), "graph", {"name": "threshold", "tau": 0.2}),
    ("modularity", ("null_seconds", 3.0), ("counting", "counter"), "counting", {"name": "classifier", "seconds": 3.0}),
    ("modularity", ("null", "round"), ("counting", "cuts"), "counting", {"null_model": "isotropic"}),
    ("modularity", ("hidden", [8]), ("solver", "network"), "solver", {"hidden": [8]}),
    ("model", ("layers", 3), ("backbone", "conv"), "backbone", {"name": "conv", "layers": 3}),
    ("model", ("band", 8), ("backbone", "dual_path"), "backbone", {"name": "dual_path", "band": 8}),
]


@pytest.mark.parametrize("section, one, other, key, part", TOGETHER)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("by", ["files", "settings", "file and setting"])
def test_a_key_of_version_1_stays_whatever_its_part_is_named(tmp_path, section, one, other, key, part, backwards, by):
    pair = (other, one) if backwards else (one, other)
    files = [yaml.safe_dump({section: {name: value}}) for name, value in pair]
    settings = [f"{section}.{name}={value}" for name, value in pair]
    given = {"files": (files, []), "settings": (["{}"], settings), "file and setting": (files[:1], settings[1:])}
    texts, typed = given[by]
    config, unread = layered(tmp_path, *texts, settings=typed)
    expected = build(type(config[section]), {key: part}, section)
    assert getattr(config[section], key) == getattr(expected, key) and unread == []


def test_the_order_of_settings_does_not_matter(tmp_path):
    settings = ["modularity.graph.tau=0.2", "modularity.graph=threshold"]
    for typed in (settings, settings[::-1]):
        assert layered(tmp_path, "{}", settings=typed)[0]["modularity"].graph.tau == 0.2
    # the later one counts of two that say the same
    both = ["model.backbone.layers=3", "model.backbone={name: conv, layers: 4}"]
    assert layered(tmp_path, "{}", settings=both)[0]["model"].backbone.layers == 4
    assert layered(tmp_path, "{}", settings=both[::-1])[0]["model"].backbone.layers == 3
    # what was typed is never dropped in silence
    with pytest.raises(ContrasepError, match="unknown key 'tau'"):
        layered(tmp_path, "modularity: {graph: threshold}", settings=[settings[0], "modularity.graph=kernel"])
    # a file's part of another name has nothing of its base's
    base, own = "model: {backbone: dual_path, layers: 3, width: 64}", "model: {backbone: {name: conv, width: 32}}"
    backbone = layered(tmp_path, base, own)[0]["model"].backbone
    assert (backbone.layers, backbone.width) == (2, 32)


@pytest.mark.parametrize("old, new, option, first, last", [
    (
        "model: {temperature: 0.1}", "model: {objectives: {supcon: {temperature: 0.2}}}",
        "model.objectives.supcon.temperature", 0.2, 0.1,
    ),
    (
        "score: {sdr_filter: 16}", "score: {metrics: {si_snr: {}, sdr: {filter_length: 32}}}",
        "score.metrics.sdr.filter_length", 32, 16,
    ),
    ("score: {sdr_filter: 16}", "score: {metrics: [si_snr, sdr]}", "score.metrics.sdr.filter_length", 16, 16),
    ("modularity: {power: 3}", "modularity: {graph: {power: 4}}", "modularity.graph.power", 4, 3),
    ("separate: {silence_db: 30}", "features: {silence_db: 20}", "features.silence_db", 20, 30),
])
def test_of_both_spellings_the_later_one_counts(tmp_path, old, new, option, first, last):
    for texts, value in (((old, new), first), ((new, old), last)):
        config, unread = layered(tmp_path, *texts)
        found = as_tree(config)
        for key in option.split("."):
            found = found[key]
        assert found == value and unread == []
    # other metrics than those of version 1 stay
    config, _ = layered(tmp_path, "score: {metrics: [sdr]}", settings=["score.sdr_filter=9"])
    assert set(config["score"].metrics) == {"sdr"}
    assert layered(tmp_path, "score: {metrics: [si_snr]}", settings=["score.sdr_filter=9"])[1] == ["score.sdr_filter"]


def test_keys_that_nothing_reads_any_more_are_dropped(tmp_path):
    config, unread = layered(tmp_path, "score: {bootstrap: 500, seed: 3, plots: 7}", settings=["score.bootstrap=100"])
    assert config["score"].plots == 7 and sorted(unread) == ["score.bootstrap", "score.seed"]


def test_a_granularity_of_version_1_and_another_after_it(tmp_path):
    base = "model: {granularity: attractor, decoder_width: 8, objectives: {affinity: 1, si_snr: 1, count: 1}}"
    assert layered(tmp_path, base)[0]["model"].decoder.width == 8
    for texts, settings in (
        ((base, "model: {granularity: frame, objectives: {affinity: 1}}"), []),
        ((base,), ["model.granularity=frame", "model.objectives={affinity: 1}"]),
    ):
        model = layered(tmp_path, *texts, settings=settings)[0]["model"]
        assert (model.granularity, model.decoder, model.counter) == ("frame", None, None)
    with pytest.raises(ContrasepError, match="si_snr teaches a decoder"):
        layered(tmp_path, base, settings=["model.granularity=tf"])
    # a decoder of today stays with a granularity of today
    today = "model: {decoder: attractor, objectives: {deep_clustering: 1, si_snr: 1}}"
    assert layered(tmp_path, today, settings=["model.granularity=tf"])[0]["model"].decoder.name == "attractor"


def test_one_objective_set_as_version_1_had_it(tmp_path):
    settings = ["model.objectives.count=0.2", "model.count_max=7"]
    config, _ = layered(tmp_path, "model: {objectives: {affinity: 1.0}}", settings=settings)
    assert config["model"].counter.count_max == 7 and set(config["model"].objectives) == {"deep_clustering", "count"}
    config, _ = layered(tmp_path, "model: {objectives: [deep_clustering]}", settings=["model.objectives.supcon=0.5"])
    weights = {name: part.weight for name, part in config["model"].objectives.items()}
    assert weights == {"deep_clustering": 1.0, "supcon": 0.5}
