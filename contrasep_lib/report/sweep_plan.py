"""Which runs a sweep over configuration values makes, and with which options of run.sh.

Nothing is run here: `utils/sweep.sh` runs what `plan_sweep` lists.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.config import SECTIONS, as_tree, legacy, load_config, refuse_unknown, section_options
from contrasep_lib.config.text import parse
from contrasep_lib.errors import ContrasepError
from contrasep_lib.recipe import find_configs

HELP = "see utils/sweep.sh --help"
# run.sh's options that take no value; every other one does
FLAGS = ("--skip-train", "--extra-train", "--refuse-unread", "--print-tag")
REFUSED = {
    "--tag": "every run of a sweep has a tag of its own; name the sweep with --name",
    "--print-tag": "a sweep finds the tags by itself; --dry-run prints its commands",
}
# the folders of stages 0 to 2: option -> (default, sections that its contents depend on)
FOLDERS = {
    "--mixdir": ("mixtures", {"corpus", "mix"}),
    "--datadir": ("data", {"corpus", "mix"}),
    "--dumpdir": ("dump", {"corpus", "mix", "dump"}),
}
BRACKETS = {"[": "]", "{": "}"}


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a sweep.

    Attributes:
        values: swept key -> value, as written.
        options: words for run.sh.
    """

    values: dict[str, str]
    options: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep and its runs.

    Attributes:
        name: the results stand in ``<exp>/sweep_<name>``.
        exp: folder of the tags.
        swept: key -> its values, as written.
        runs: the cartesian product, the last key changing fastest.
    """

    name: str
    exp: Path
    swept: dict[str, list[str]]
    runs: list[Run]

    @property
    def folder(self) -> Path:
        """Where table and plot go."""
        return self.exp / f"sweep_{self.name}"


def split_values(text: str) -> list[str]:
    """Split at the commas that stand outside of brackets, braces and quotes.

    Args:
        text: e.g. ``0.1,[1, 2],{a: 1, b: 2}``.

    Returns:
        the values without surrounding spaces; [] of an empty text.

    Raises:
        ContrasepError: an empty value, a bracket or quote that is not closed, a line break.
    """
    if not text.strip():
        return []
    values, begin, closing = [], 0, []
    for index, character in enumerate(text):
        if closing and closing[-1] in "'\"":
            if character == closing[-1]:
                closing.pop()
        # a quote inside a word, as in don't, opens nothing
        elif character in "'\"" and (not text[begin:index].strip() or text[index - 1] in "[{,: "):
            closing.append(character)
        elif character in BRACKETS:
            closing.append(BRACKETS[character])
        elif closing and character == closing[-1]:
            closing.pop()
        elif character == "," and not closing:
            values.append(text[begin:index].strip())
            begin = index + 1
    if closing:
        raise ContrasepError(f"'{text}': '{closing[-1]}' is missing")
    values.append(text[begin:].strip())
    if "" in values:
        raise ContrasepError(f"'{text}': a value is empty; write null, '' or fewer commas")
    if re.search(r"[\n\r\t]", text):
        raise ContrasepError(f"expected values of one line without tabs, got {text!r}")
    return values


def yaml_value(text: str) -> Any:
    """A value as YAML reads it.

    Raises:
        ContrasepError: not YAML.
    """
    try:
        return parse(text)
    except ValueError:
        raise ContrasepError(f"'{text}' is not valid YAML") from None


def plan_sweep(words: Sequence[str], recipe: str | os.PathLike, name: str | None = None) -> Sweep:
    """What a command line of `utils/sweep.sh` asks for.

    Runs whose values change what stages 0 to 2 write get folders of their own below the recipe's,
    e.g. ``dump/dump.shard=100``, unless an option names the folder: in a shared one each run would
    undo the other's work.

    Args:
        words: ``KEY=V1,V2,..`` and options of run.sh, in any order.
        recipe: folder of the recipe, to which the folders are relative.
        name: of the sweep; None joins the keys.

    Raises:
        ContrasepError: a wrong call, with the fix.
    """
    swept, options = _parse(words)
    if not swept:
        raise ContrasepError(f"no KEY=VALUE,VALUE to sweep over; {HELP}")
    if name is None:
        name = "_".join(swept)
    elif not re.fullmatch(r"[A-Za-z0-9._=-]+", name):
        raise ContrasepError(f"--name: expected letters, digits and ._=-, got '{name}'")
    _refuse_given_twice(swept, options)
    given = {option: value for option, value, _ in options}
    overrides = [value for option, value, _ in options if option == "--set"]
    sections = {
        key: {key.partition(".")[0]} if key != "config" else _differing(files, overrides, Path(recipe))
        for key, files in swept.items()
    }
    passed = [word for *_, typed in options for word in typed]
    runs = []
    for chosen in itertools.product(*swept.values()):
        values = dict(zip(swept, chosen))
        made = list(passed)
        for key, value in values.items():
            made += ["--config", value] if key == "config" else ["--set", f"{key}={value}"]
        for option, (default, depends_on) in FOLDERS.items():
            own = {key: value for key, value in values.items() if sections[key] & depends_on}
            if own and option not in given:
                made += [option, f"{default}/{folder_name(own)}"]
        runs.append(Run(values, tuple(made)))
    return Sweep(name, Path(recipe) / given.get("--expdir", "exp"), swept, runs)


def folder_name(values: dict[str, str]) -> str:
    """``KEY=VALUE_KEY=VALUE`` in the characters that a tag may have; a configuration goes by its name."""
    parts = [f"{key}={Path(value).stem if key == 'config' else value}" for key, value in values.items()]
    return re.sub(r"[^A-Za-z0-9._=-]", "-", "_".join(parts))


def _parse(words: Sequence[str]) -> tuple[dict[str, list[str]], list[tuple[str, str, list[str]]]]:
    """The swept keys with their values, and the options as (name with dashes, value, words as typed)."""
    swept: dict[str, list[str]] = {}
    options = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            option, equals, value = word.partition("=")
            option, typed = option.replace("_", "-"), [word]
            if not equals and option not in FLAGS:
                if not rest:
                    raise ContrasepError(f"{option} needs a value; {HELP}")
                value = rest.pop(0)
                typed.append(value)
            if option in REFUSED:
                raise ContrasepError(f"{option}: {REFUSED[option]}")
            options.append((option, value, typed))
            continue
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise ContrasepError(f"expected KEY=VALUE,VALUE or an option, got '{word}'; {HELP}")
        _check_key(key)
        if key in swept:
            raise ContrasepError(f"{key}: named twice; list all its values once")
        swept[key] = _values(key, text)
    return swept, options


def _check_key(key: str) -> None:
    if key == "config":
        return
    section, *inner = key.split(".")
    if not inner or not inner[0]:
        raise ContrasepError(f"{key}: expected SECTION.KEY=VALUE,VALUE or config=FILE,FILE; {HELP}")
    if legacy.moved(tuple(key.split(".")), None) is not None:
        return
    refuse_unknown([section], SECTIONS, key, "section")
    fields = dataclasses.fields(section_options(section))
    # a corpus may be a plugin's, which its run knows
    if not any(field.metadata.get("inline") for field in fields):
        refuse_unknown(inner[:1], [field.name for field in fields], section, "key")


def _values(key: str, text: str) -> list[str]:
    try:
        values = split_values(text)
        for value in values:
            yaml_value(value)
    except ContrasepError as error:
        raise ContrasepError(f"{key}={error}") from None
    if not values:
        raise ContrasepError(f"{key}=: no values; write {key}=VALUE,VALUE")
    for value in values:
        if values.count(value) > 1:
            raise ContrasepError(f"{key}: value '{value}' named twice; leave one out")
    return values


def _refuse_given_twice(swept: Iterable[str], options: Iterable[tuple[str, str, list[str]]]) -> None:
    for option, value, typed in options:
        key = {"--config": "config", "--separator": "separate.separator", "--set": value.partition("=")[0]}.get(option)
        if key in swept:
            raise ContrasepError(f"{' '.join(typed)}: '{key}' is swept over; leave the option out")


def _differing(files: Iterable[str], overrides: Sequence[str], recipe: Path) -> set[str]:
    """The sections in which configurations differ; one with an error fails in its own run."""
    trees = []
    for file in files:
        try:
            trees.append(as_tree(load_config(find_configs([file], recipe), overrides)))
        except ContrasepError:
            continue
    return {section for section in SECTIONS if any(tree[section] != trees[0][section] for tree in trees)}
