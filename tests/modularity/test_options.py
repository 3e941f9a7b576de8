"""Section ``modularity``: parts by name, ranges, and the spellings of earlier versions."""

import dataclasses

import pytest
import yaml

from contrasep_lib.config import as_key, as_tree, build, create, load_config, names, options_class
from contrasep_lib.config.reading import read_layers
from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.graphs import KernelGraph, ThresholdGraph
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.modularity.quality import Modularity, NormalisedModularity


def section(values):
    return build(ModularityOptions, values, "modularity")


def test_defaults_and_parts():
    options = section({"graph": {"name": "threshold", "tau": 0.3}, "solver": {"name": "kmeans", "restarts": 2}})
    assert create(options.graph) == ThresholdGraph(0.3) and create(section({}).graph) == KernelGraph(2)
    assert create(options.solver, num_communities=3).restarts == 2
    assert (section({}).solver.name, section({}).counting.name) == ("network", "recursive_split")
    assert build(ModularityOptions, as_tree(options), "c") == options


def test_qualities():
    assert create(section({}).quality) == NormalisedModularity(0.0)
    assert create(section({"quality": {"name": "modularity", "gamma": 1.5}}).quality) == Modularity(1.5)
    regularised = section({"quality": {"regularise": 0.5}, "solver": {"starts": 2}})
    assert create(regularised.quality) == NormalisedModularity(0.5) and regularised.solver.starts == 2
    other = section({"quality": {"name": "normalised", "regularise": 0.5}, "solver": "kmeans"})
    assert build(ModularityOptions, as_tree(other), "c") == other
    keys = [as_key(section({"quality": quality})) for quality in ("modularity", "normalised", {"regularise": 0.5})]
    assert keys[0] != keys[1] != keys[2] and keys[1] == as_key(section({}))


@pytest.mark.parametrize("solver", names("solver"))
def test_every_solver_takes_its_options(solver):
    options = options_class("solver", solver)()
    made = create(options, num_communities=3)
    assert all(getattr(made, field.name) == getattr(options, field.name) for field in dataclasses.fields(options))


@pytest.mark.parametrize("values, says", [
    ({"k_max": 0}, "k_max: expected a whole number from 1 to 100, got 0"), ({"seed": -1}, "seed"),
    ({"graph": {"name": "threshold", "tau": 1.0}}, "tau"), ({"graph": {"name": "threshold", "tau": -0.5}}, "tau"),
    ({"graph": {"power": 0}}, "power"), ({"graph": {"tau": 0.5}}, "unknown key 'tau'; known: power"),
    ({"solver": {"hidden": [0]}}, "hidden"), ({"solver": {"collapse_weight": -1}}, "collapse_weight"),
    ({"solver": {"learning_rate": 0}}, "learning_rate"), ({"solver": {"train_nodes": 1}}, "train_nodes"),
    ({"solver": "spectrum"}, "unknown solver 'spectrum'; did you mean 'spectral'"),
    ({"counting": {"null_model": "isotropic", "threshold": -1.0}}, "threshold: expected a positive number"),
    ({"counting": {"utterances": 0, "threshold": 0.0}}, "threshold: expected a positive number"),
    ({"quality": {"name": "modularity", "gamma": 0}}, "gamma: expected a number above 0 and at most 1000, got 0"),
    ({"quality": {"name": "modularity", "gamma": -1.5}}, "gamma: expected a number above 0 and at most 1000, got -1.5"),
    ({"quality": {"name": "normalised", "regularise": 1.5}}, r"regularise: expected a number from 0 to 1, got 1.5"),
    ({"quality": {"name": "normalised", "gamma": 1.0}}, "unknown key 'gamma'; known: regularise"),
    ({"solver": {"starts": 0}}, "starts: expected a whole number from 1 to 10000, got 0"),
    ({"counting": {"seconds": 0}}, "seconds"), ({"counting": {"utterances": -1}}, "utterances"),
])
def test_bad_options(values, says):
    with pytest.raises(ContrasepError, match=says):
        section(values)


def read(tmp_path, *layers, settings=()):
    """Section ``modularity`` of files over one another, and the keys that nothing reads."""
    paths = []
    for number, values in enumerate(layers):
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_text(yaml.safe_dump({"modularity": values}))
    layers = read_layers(paths, settings)
    layers.settled()
    return load_config(paths, settings)["modularity"], layers.unread


# a section of the previous version that sets every key, and the same today
FORMER = {
    "graph": "threshold",
    "tau": 0.2,
    "binary": True,
    "k_max": 4,
    "solver": "network",
    "hidden": [8, 8],
    "train_pool": 3,
    "train_steps": 5,
    "train_mixtures": 2,
    "train_nodes": 64,
    "learning_rate": 0.01,
    "collapse_weight": 0.1,
    "refine_steps": 7,
    "null": "round",
    "null_utterances": 2,
    "null_seconds": 3.0,
    "null_threshold": 6.0,
    "seed": 9,
    "counting": "counter",
}
TODAY = {
    "graph": {"name": "threshold", "tau": 0.2, "binary": True},
    "solver": {
        "name": "network", "hidden": [8, 8], "train_pool": 3, "train_steps": 5, "train_mixtures": 2, "train_nodes": 64,
        "learning_rate": 0.01, "collapse_weight": 0.1, "refine_steps": 7,
    },
    "counting": {"name": "classifier", "null_model": "isotropic", "utterances": 2, "seconds": 3.0, "threshold": 6.0},
    "k_max": 4, "seed": 9,
}


@pytest.mark.parametrize("backwards", [False, True])
def test_former_spellings(tmp_path, backwards):
    former = dict(reversed(FORMER.items())) if backwards else FORMER
    options, unread = read(tmp_path, former)
    assert options == section(TODAY) and not unread
    # of several layers a part comes first, then its options: another part drops those of the one before
    ordered = sorted(FORMER, key=lambda key: key not in ("graph", "solver", "counting"))
    settings = [
        f"modularity.{key}={yaml.safe_dump(FORMER[key], default_flow_style=True).splitlines()[0]}" for key in ordered
    ]
    assert read(tmp_path, {}, settings=settings)[0] == section(TODAY)


def test_former_keys_that_the_chosen_part_does_not_read_are_dropped_and_reported(tmp_path):
    options, unread = read(tmp_path, {"graph": "kernel", "power": 3, "tau": 0.4, "solver": "kmeans", "hidden": [4]})
    assert options == section({"graph": {"power": 3}, "solver": "kmeans"})
    assert unread == ["modularity.graph.tau", "modularity.solver.hidden"]
    # a later layer chooses the part that reads it
    options, unread = read(tmp_path, {"graph": "threshold", "solver": "kmeans"}, {"tau": 0.4})
    assert options.graph.tau == 0.4 and not unread
    # today's spelling of such a key is an error
    with pytest.raises(ContrasepError, match="unknown key 'tau'"):
        read(tmp_path, {"graph": {"name": "kernel", "tau": 0.4}})


def test_a_former_layer_over_a_former_base(tmp_path):
    base = {"solver": "network", "train_pool": 4, "counting": "cuts", "null_utterances": 2}
    options, unread = read(tmp_path, base, {"train_steps": 3})
    assert (
        options == section({"solver": {"train_pool": 4, "train_steps": 3}, "counting": {"utterances": 2}})
        and not unread
    )
