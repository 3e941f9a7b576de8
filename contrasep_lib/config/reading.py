"""Configuration files: bases, several files, settings from the command line, plugins.

The key ``base`` of a file names a file, or several, relative to it, whose values stand where the file has none of
its own: what recipes share stands once. Of several layers the later one counts; values are replaced whole, but
for chosen parts: a layer that changes a part's name drops the earlier layers' other keys of that part,
one that does not adds its keys to theirs. Keys that stay whatever the part is named later: those of ``--set``, whose
order does not matter so, and those in the spelling of an earlier version, in which they belonged to no part. The
key ``plugins`` lists modules that declare further parts.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from contrasep_lib.config import legacy
from contrasep_lib.config.choices import load_plugins, refuse_unknown
from contrasep_lib.config.schema import SECTIONS, build, part_tree, parts_tree, section_options
from contrasep_lib.config.text import parse
from contrasep_lib.errors import ContrasepError

PLUGINS = "plugins"

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclasses.dataclass
class Layers:
    """Configuration files and settings over one another, not yet checked.

    Attributes:
        tree: section -> values.
        moved: paths that stood in an earlier version's spelling.
        plugins: modules that declare parts.
        typed: of paths that were moved, those of settings -> the key as it was typed, both dotted.
        written: as ``typed``, of files and settings.
        unread: moved keys that the chosen parts do not read, dotted; known after `settled`.
    """

    tree: dict[str, Any] = dataclasses.field(default_factory=dict)
    moved: set[legacy.Path] = dataclasses.field(default_factory=set)
    plugins: list[str] = dataclasses.field(default_factory=list)
    typed: dict[str, str] = dataclasses.field(default_factory=dict)
    written: dict[str, str] = dataclasses.field(default_factory=dict)
    unread: list[str] = dataclasses.field(default_factory=list)
    # section and key of a part -> its keys that stay
    _kept: dict[legacy.Path, dict[str, Any]] = dataclasses.field(default_factory=dict)
    # see `legacy.settle`
    _stated: set[legacy.Path] = dataclasses.field(default_factory=set)

    def add(self, sections: Mapping[str, Any], where: str) -> None:
        """Lay sections over those that are there."""
        today, given_paths = legacy.modernise(dict(sections))
        paths = set(given_paths)
        for path in _paths(sections):
            self.written.pop(".".join(path), None)
        self.written.update({".".join(path): ".".join(given) for path, given in given_paths.items()})
        for name, own in today.items():
            if isinstance(own, dict) and name in SECTIONS:
                given = sections.get(name)
                self._add_section(name, own, given if isinstance(given, dict) else {}, paths, where)
            else:
                self.tree[name] = own
                self._forget((name,))
        self.moved |= paths

    def _add_section(
        self,
        section: str,
        own: Mapping[str, Any],
        given: Mapping[str, Any],
        paths: AbstractSet[legacy.Path],
        where: str,
    ) -> None:
        """Lay the values of a section, ``given`` as the file has them, over those of earlier layers."""
        metadata, known = _metadata(section), self._section(section, where)
        if section == "model":
            self._choose_decoder(known, given, paths)
        for path in paths & legacy.SHARED.keys():
            self._give_way(path)
        for key, value in own.items():
            place = f"{where}: {section}.{key}"
            if "choice" in metadata.get(key, {}):
                flat = {path[2] for path in paths if len(path) == 3 and path[:2] == (section, key)}
                if isinstance(given.get(key), dict) and _renamed(known.get(key), value, metadata[key], place):
                    self._kept.pop((section, key), None)
                value = self._part((section, key), known.get(key), value, flat, metadata[key], place)
            elif "choices" in metadata.get(key, {}):
                self._forget((section, key))
                self._state((section, key), value)
            known[key] = value

    def set(self, setting: str) -> None:
        """Lay one ``section.key=value`` over them.

        Raises:
            ContrasepError: another form, or a key within a value.
        """
        dotted, equals, text = setting.partition("=")
        path = tuple(dotted.split("."))
        if not equals or not all(path):
            raise ContrasepError(f"--set {setting}: expected 'section.key=value'")
        try:
            value = parse(text)
        except ValueError:
            raise ContrasepError(f"--set {setting}: '{text}' is not valid YAML") from None
        if path == (PLUGINS,):
            self.plugins += _plugins(value, f"--set {setting}")
            return
        if len(path) < 2:
            raise ContrasepError(f"--set {setting}: expected 'section.key=value'")
        self.written.pop(dotted, None)
        places = legacy.moved(path, value)
        if path[0] == "model":
            self._choose_decoder(self.tree.get("model"), {path[1]: value}, {place for place, _ in places or ()})
        for place, each in [(path, value)] if places is None else places:
            if places is not None:
                self.moved.add(place)
                self.typed[".".join(place)] = self.written[".".join(place)] = dotted
            if place in legacy.SHARED:
                self._give_way(place)
            self._set(place, each, f"--set {setting}")

    def _set(self, path: legacy.Path, value: Any, where: str) -> None:
        section, key, *inner = path
        node = self._section(section, where)
        metadata = _metadata(section).get(key, {})
        if "choice" in metadata:
            known = node.get(key)
            if inner:
                own = _within(part_tree(known, where) if known is not None else {}, inner, value, where)
                value = {inner[0]: own[inner[0]]}
            node[key] = self._part((section, key), known, value, set(inner[:1]), metadata, where)
        elif "choices" in metadata and inner:
            # a name that is not there yet may be set whole
            silent = list(metadata["default"]) if inner[1:] else {}
            parts = parts_tree(node.get(key, silent), where)
            if inner[1:] and inner[0] not in parts:
                raise ContrasepError(
                    f"{where}: no {metadata['choices']} '{inner[0]}' is chosen; chosen: {', '.join(parts)}"
                )
            node[key] = _within(parts, inner, value, where)
            self._state((section, key), {inner[0]: value} if not inner[1:] else {inner[0]: {inner[1]: value}})
        else:
            if "choices" in metadata:
                self._forget((section, key))
                self._state((section, key), value)
            node.update(_within(node, [key, *inner], value, where))

    def _section(self, name: str, where: str) -> dict[str, Any]:
        """A section as it is, to be changed."""
        node = self.tree.get(name) or {}
        if not isinstance(node, dict):
            raise ContrasepError(f"{where}: '{name}' is a value, not a section")
        self.tree[name] = dict(node)
        return self.tree[name]

    def _part(
        self, place: legacy.Path, known: Any, own: Any, flat: AbstractSet[str], metadata: Mapping[str, Any], where: str
    ) -> Any:
        """A part over that of earlier layers; ``flat`` are those of its keys that stay whatever it is named later."""
        if own is None:
            return None
        after = part_tree(own, where)
        before = {} if known is None else part_tree(known, where)
        kept = self._kept.setdefault(place, {})
        for key in after.keys() - flat:
            kept.pop(key, None)
        kept.update({key: after[key] for key in flat & after.keys()})
        return {**({} if _renamed(known, own, metadata, where) else before), **after, **kept}

    def _choose_decoder(self, known: Any, given: Mapping[str, Any], paths: AbstractSet[legacy.Path]) -> None:
        """Earlier versions had the decoder for a granularity: another one means none."""
        path = ("model", "granularity")
        if path in self.moved and "granularity" in given and path not in paths and isinstance(known, dict):
            known["decoder"] = None
            self.moved.discard(path)
        if "decoder" in given:
            self.moved.discard(path)

    def _state(self, place: legacy.Path, values: Any) -> None:
        """Note the options of several parts that are given by themselves."""
        for name, part in values.items() if isinstance(values, dict) else ():
            self._stated |= {(*place, name, option) for option in part} if isinstance(part, dict) else set()

    def _give_way(self, path: legacy.Path) -> None:
        """Options that were given by themselves before a key of all parts is."""
        name, option = legacy.SHARED[path]
        self._stated = {each for each in self._stated if (each[0], each[1], each[3]) != (path[0], name, option)}

    def _forget(self, place: legacy.Path) -> None:
        """Notes on what a later layer replaces."""
        self._stated = {each for each in self._stated if each[: len(place)] != place}
        self._kept = {each: keys for each, keys in self._kept.items() if each[: len(place)] != place}

    def as_written(self, message: str) -> str:
        """A message about options by the names that a configuration gave them, if those are of an earlier version."""
        names = {re.escape(today): given for today, given in self.written.items() if today != given}
        for section, key in self.moved & legacy.SHARED.keys():
            parts, option = legacy.SHARED[section, key]
            names[rf"{section}\.{parts}\.\w+\.{option}"] = f"{section}.{key}"
        for today, given in names.items():
            if found := re.search(rf"(?<![\w.]){today}(?!\w)", message):
                return f"{message[: found.start()]}{given} (today {found[0]}){message[found.end() :]}"
        return message

    def settled(self) -> dict[str, Any]:
        """The sections, rid of moved keys that the chosen parts do not read."""
        self.unread = legacy.settle(self.tree, self.moved, self._stated)
        return self.tree


def load_config(paths: Paths, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a configuration and check all of it.

    Args:
        paths: YAML file, or several, the later ones over the earlier.
        overrides: ``section.key=value`` settings that replace values of the files; values are
            read as YAML. ``plugins=[MODULE]`` adds to the files' plugins.

    Returns:
        section name -> options dataclass, for every section of `SECTIONS` (defaults where the
        files are silent).

    Raises:
        ContrasepError: missing or unreadable file, unknown section or key, value of a wrong type, a plugin that cannot
            be imported.
    """
    return configure(read_layers(paths, overrides), paths)


def configure(layers: Layers, paths: Paths) -> dict[str, Any]:
    """Options of layers that were read; see `load_config`."""
    where = ", ".join(map(str, _several(paths)))
    refuse_unknown(layers.tree, SECTIONS, where, "section")
    load_plugins(layers.plugins)
    try:
        tree = layers.settled()
    except ContrasepError as error:
        raise ContrasepError(f"{where}: {error}") from None
    try:
        return {name: build(section_options(name), tree.get(name) or {}, f"{where}: {name}") for name in SECTIONS}
    except ContrasepError as error:
        raise ContrasepError(layers.as_written(str(error))) from None


def read_layers(paths: Paths, overrides: Sequence[str] = ()) -> Layers:
    """Read configuration files and settings over one another; see `load_config`."""
    layers = Layers()
    for path in _several(paths):
        _read(Path(path), layers)
    for setting in overrides:
        layers.set(setting)
    return layers


def _several(paths: Paths) -> Sequence[str | os.PathLike[str]]:
    return [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)


def _where_else(path: Path) -> str:
    """What a message adds: run.sh finds the toolkit's configurations by their short name, other commands do not."""
    there = Path("../..") / path
    if not path.is_absolute() and there.is_file():
        return f"; the toolkit's is {there}"
    return "; see conf/ of the recipe and of the toolkit"


def _read(path: Path, layers: Layers, above: tuple[Path, ...] = ()) -> None:
    """Lay a file's bases, then the file, over the layers."""
    if path.resolve() in above:
        raise ContrasepError(f"{path}: is its own base; take the line out of one of the files")
    try:
        with open(path, encoding="utf-8") as file:
            own = parse(file) or {}
    except FileNotFoundError:
        role = f", which {above[-1]} takes as its base" if above else _where_else(path)
        raise ContrasepError(f"{path}: no such configuration{role}") from None
    except UnicodeDecodeError:
        raise ContrasepError(f"{path}: not a text file, so no configuration; name another") from None
    except ValueError as error:
        raise ContrasepError(f"{path}: not valid YAML ({error})") from None
    if not isinstance(own, dict):
        raise ContrasepError(f"{path}: expected a mapping of sections, got {type(own).__name__}")
    bases = own.pop("base", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ContrasepError(f"{path}: base: expected a file or a list of files, got {bases!r}")
    for base in bases:
        _read(path.parent / base, layers, (*above, path.resolve()))
    layers.plugins += _plugins(own.pop(PLUGINS, []), f"{path}: {PLUGINS}")
    layers.add(own, str(path))


def _plugins(value: Any, where: str) -> list[str]:
    modules = [value] if isinstance(value, str) else value
    if not isinstance(modules, list) or not all(isinstance(module, str) for module in modules):
        raise ContrasepError(f"{where}: expected a module or a list of modules, got {value!r}")
    return modules


def _paths(sections: Mapping[str, Any]) -> list[legacy.Path]:
    """Paths of keys of sections, and of keys one level below."""
    paths: list[legacy.Path] = []
    for section, values in sections.items():
        for key, value in values.items() if isinstance(values, dict) else ():
            paths.append((str(section), str(key)))
            paths += [(str(section), str(key), str(inner)) for inner in value] if isinstance(value, dict) else []
    return paths


def _metadata(section: str) -> dict[str, Mapping[str, Any]]:
    if section not in SECTIONS:
        return {}
    return {field.name: field.metadata for field in dataclasses.fields(section_options(section))}


def _renamed(known: Any, own: Any, metadata: Mapping[str, Any], where: str) -> bool:
    """Whether a part is another one than that of earlier layers."""
    if known is None or own is None:
        return False
    name = part_tree(known, where).get("name", metadata["default"])
    # keys whose part is named later stay with it
    return name is not None and part_tree(own, where).get("name") not in (None, name)


def _within(node: Mapping[str, Any], names: Sequence[str], value: Any, where: str) -> dict[str, Any]:
    """A mapping with a value set somewhere within it."""
    name, *inner = names
    if inner:
        child = node.get(name, {})
        if not isinstance(child, Mapping):
            raise ContrasepError(f"{where}: '{name}' is a value, not a section")
        value = _within(child, inner, value, where)
    return {**node, name: value}
