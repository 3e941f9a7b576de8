"""Parts chosen by name."""

import dataclasses
import subprocess
import sys
import textwrap

import pytest

from contrasep_lib.config import (
    as_key,
    as_tree,
    build,
    choice,
    choice_of,
    choices,
    choices_of,
    create,
    names,
    reading,
    schema,
)
from contrasep_lib.errors import ContrasepError

TOY = '''
import dataclasses
from contrasep_lib.config import choice


@choice("backbone", "{name}", target="Mean")
@dataclasses.dataclass(frozen=True)
class MeanOptions:
    """Means of neighbouring frames, for tests."""

    width: int = 3

    def __post_init__(self):
        if self.width < 1:
            raise ValueError(f"width: expected at least 1, got {{self.width}}")


class Mean:
    def __init__(self, width, dim):
        self.width, self.dim = width, dim

    @classmethod
    def from_options(cls, options, dim):
        return cls(options.width, dim)
'''


@pytest.fixture
def declared(monkeypatch):
    """A registry of its own, empty but for what a test declares."""
    monkeypatch.setattr(choices, "_declared", {})
    monkeypatch.setattr(choices, "_loaded", set())
    monkeypatch.setattr(choices, "_in_package", lambda family: {})


@pytest.fixture
def toys(declared):
    """A section with one backbone, an optional decoder and several objectives."""

    @choice("backbone", "small", target="nowhere:Small")
    @dataclasses.dataclass(frozen=True)
    class SmallOptions:
        layers: int = 2
        width: int = 8

    @choice("backbone", "other", target="nowhere:Other")
    @dataclasses.dataclass(frozen=True)
    class OtherOptions:
        cells: int = 5

    @choice("decoder", "masks", target="nowhere:Masks")
    @dataclasses.dataclass(frozen=True)
    class MasksOptions:
        layers: int = 1

    @choice("objective", "pull", target="nowhere:Pull")
    @dataclasses.dataclass(frozen=True)
    class PullOptions:
        weight: float = 1.0
        temperature: float = 0.5

    @dataclasses.dataclass(frozen=True)
    class Section:
        dim: int = 20
        backbone: object = choice_of("backbone", "small")
        decoder: object = choice_of("decoder", None)
        objectives: object = choices_of("objective", ["pull"])

    return Section


def test_defaults_and_values(toys):
    section = build(toys, {}, "c")
    assert (section.backbone.name, section.backbone.layers, section.decoder) == ("small", 2, None)
    section = build(
        toys, {"backbone": {"name": "other", "cells": 7}, "decoder": "masks", "objectives": {"pull": 2}}, "c"
    )
    assert (section.backbone.name, section.backbone.cells, section.decoder.layers) == ("other", 7, 1)
    assert section.objectives["pull"].weight == 2.0
    assert as_tree(section) == {
        "dim": 20, "backbone": {"name": "other", "cells": 7}, "decoder": {"name": "masks", "layers": 1},
        "objectives": {"pull": {"weight": 2.0, "temperature": 0.5}},
    }
    assert build(toys, as_tree(section), "c") == section


def test_an_option_that_came_later_is_no_part_of_the_key(toys):
    @dataclasses.dataclass(frozen=True)
    class Section:
        old: int = 1
        decoder: object = choice_of("decoder", None, later=True)

    assert as_key(Section()) == {"old": 1}
    assert as_key(build(Section, {"decoder": "masks"}, "c")) == {"old": 1, "decoder": {"name": "masks", "layers": 1}}


@pytest.mark.parametrize("values, says", [
    ({"backbone": "smal"}, "c.backbone: unknown backbone 'smal'; did you mean 'small'"),
    ({"backbone": {"name": "other", "layers": 3}}, "c.backbone: unknown key 'layers'; known: cells"),
    ({"backbone": {"name": "small", "layers": "x"}}, "c.backbone.layers: expected a whole number, got 'x'"),
    ({"backbone": None}, "expected a name, or a mapping"),
    ({"backbone": {"name": 3}}, "expected the name of a backbone"),
    ({"decoder": {"layers": 2}}, "expected the name of a decoder"),
    ({"objectives": {"push": 1}}, "unknown objective 'push'"),
    ({"objectives": {"pull": "much"}}, "c.objectives.pull: expected a weight"),
    ({"objectives": ["pull", "pull"]}, "names, each once"),
    ({"objectives": 3}, "expected a mapping of names"),
])
def test_errors(toys, values, says):
    with pytest.raises(ContrasepError, match=says) as error:
        build(toys, values, "c")
    assert "\n" not in str(error.value)


def layered(monkeypatch, toys, *trees, settings=()):
    monkeypatch.setattr(reading, "section_options", lambda name: toys)
    monkeypatch.setattr(reading, "SECTIONS", {"toy": ""})
    layers = reading.Layers()
    for tree in trees:
        layers.add({"toy": tree}, "f")
    for setting in settings:
        layers.set(setting)
    return build(toys, layers.settled()["toy"], "c")


def test_a_layer_that_names_another_part_drops_the_keys_of_the_first(monkeypatch, toys):
    base = {"backbone": {"name": "small", "layers": 4}}
    assert layered(monkeypatch, toys, base, {"backbone": "other"}).backbone.cells == 5
    kept = layered(monkeypatch, toys, base, {"backbone": {"width": 9}}).backbone
    assert (kept.name, kept.layers, kept.width) == ("small", 4, 9)
    assert layered(monkeypatch, toys, base, {"backbone": {"name": "small", "width": 9}}).backbone.layers == 4
    # keys of the default part need no name
    assert layered(monkeypatch, toys, {"dim": 3}, {"backbone": {"layers": 7}}).backbone.layers == 7


def test_settings_reach_into_parts(monkeypatch, toys):
    base = {"backbone": "small", "objectives": {"pull": 3.0}}
    settings = ["toy.backbone.layers=6", "toy.objectives.pull.temperature=0.1", "toy.decoder=masks"]
    section = layered(monkeypatch, toys, base, settings=settings)
    assert (section.backbone.layers, section.decoder.layers) == (6, 1)
    assert (section.objectives["pull"].weight, section.objectives["pull"].temperature) == (3.0, 0.1)
    assert layered(monkeypatch, toys, base, settings=["toy.backbone=other"]).backbone.cells == 5
    with pytest.raises(ContrasepError, match="no objective 'push' is chosen; chosen: pull"):
        layered(monkeypatch, toys, base, settings=["toy.objectives.push.temperature=0.1"])


def test_plugins(declared, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in {
        "toy_mean": TOY.format(name="mean"), "toy_twice": TOY.format(name="mean"), "toy_broken": "1 / 0\n",
        "toy_family": TOY.format(name="x").replace('"backbone"', '"bakbone"'), "toy_exit": "raise SystemExit\n",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    choices.load_plugins(["toy_mean"])
    assert names("backbone") == ["mean"]
    options = build(choices.options_class("backbone", "mean"), {"width": 5}, "c")
    assert choices.summary(type(options)) == "Means of neighbouring frames, for tests."
    part = create(options, dim=4)
    assert (part.width, part.dim) == (5, 4)
    for module, says in {
        "toy_twice": "plugins: toy_twice: backbone 'mean': declared by toy_mean and by toy_twice",
        "toy_broken": "plugins: toy_broken: cannot be imported .ZeroDivisionError",
        "toy_family": "no such family",
        "toy_exit": "plugins: toy_exit: cannot be imported .SystemExit",
        "toy_nowhere": "plugins: toy_nowhere: cannot be imported .ModuleNotFoundError",
    }.items():
        with pytest.raises(ContrasepError, match=says) as error:
            choices.load_plugins([module])
        assert "\n" not in str(error.value)


def test_a_name_of_the_package_is_taken(tmp_path, monkeypatch, plugins):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "toy_blstm.py").write_text(TOY.format(name="blstm"))
    owner = "contrasep_lib.embedding.backbones.options"
    with pytest.raises(ContrasepError, match=f"backbone 'blstm': declared by {owner} and by toy_blstm; rename"):
        choices.load_plugins(["toy_blstm"])
    # before the package's own is imported too
    monkeypatch.setattr(choices, "_declared", {})
    sys.modules.pop("toy_blstm", None)
    with pytest.raises(ContrasepError, match=f"declared by {owner} and by toy_blstm"):
        choices.load_plugins(["toy_blstm"])


BARE = """
import abc
import dataclasses
from contrasep_lib.config import choice

class Base(abc.ABC):
    @abc.abstractmethod
    def _assign(self): ...

class Unfinished(Base):
    from_options = None

class Stranger: ...

@choice("solver", "unfinished", target="Unfinished")
@dataclasses.dataclass(frozen=True)
class Options:
    sizes: list[int] = dataclasses.field(default_factory=list)

@choice("solver", "stranger", target="Stranger")
@dataclasses.dataclass(frozen=True)
class StrangerOptions: ...

@choice("solver", "absent", target="Absent")
@dataclasses.dataclass(frozen=True)
class AbsentOptions: ...

@choice("solver", "loose", target="Stranger")
class Loose: ...
"""


def test_members_that_are_not_what_they_should_be(declared, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "toy_bare.py").write_text(BARE)
    choices.load_plugins(["toy_bare"])
    # a list is an option as a tuple is
    options = build(choices.options_class("solver", "unfinished"), {"sizes": [1, 2]}, "c")
    assert options.sizes == [1, 2]
    for name, says in {
        "unfinished": "solver 'unfinished': toy_bare:Unfinished does not write _assign; derive it from the base class",
        "stranger": "solver 'stranger': toy_bare:Stranger has no from_options; derive it from the base class",
        "absent": "solver 'absent': toy_bare:Absent cannot be imported",
        "loose": "solver 'loose': toy_bare.Loose is no dataclass",
    }.items():
        with pytest.raises(ContrasepError, match=says):
            create(choices.options_class("solver", name)())


def test_a_plugin_is_found_in_the_recipes_local_folder(tmp_path):
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "my_toy.py").write_text(TOY.format(name="from_local"))
    done = subprocess.run(
        [sys.executable, "-m", "contrasep_lib.bin.main", "list", "backbones", "--plugins", "my_toy"], cwd=tmp_path,
        capture_output=True, text=True, env={"PYTHONPATH": str(schema_root()), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert "from_local: Means of neighbouring frames, for tests.\n    width: 3" in done.stdout


def schema_root():
    from pathlib import Path

    return Path(schema.__file__).resolve().parents[2]


def test_members_of_the_package_are_found_without_importing_them(tmp_path, monkeypatch):
    monkeypatch.setattr(choices, "ROOT", tmp_path / "contrasep_lib")
    folder = tmp_path / "contrasep_lib" / choices.FAMILIES["backbone"].package
    folder.mkdir(parents=True)
    (folder / "mean.py").write_text(TOY.format(name="mean") + "\nraise RuntimeError('imported')\n")
    (folder / "base.py").write_text(textwrap.dedent("""
        # no declaration: @choice("backbone", "comment", target="X")
    """))
    search = choices._in_package.__wrapped__
    module = "contrasep_lib." + choices.FAMILIES["backbone"].package.replace("/", ".") + ".mean"
    assert search("backbone") == {"mean": module} and search("solver") == {}
    (folder / "twice.py").write_text(TOY.format(name="mean"))
    with pytest.raises(ContrasepError, match="declared by .*mean and by .*twice"):
        search("backbone")


def test_an_unknown_family_is_one_line(contrasep):
    done = contrasep("list", "backbon")
    assert done.returncode == 1 and done.stderr.startswith("contrasep list: unknown family 'backbon'; did you mean")
