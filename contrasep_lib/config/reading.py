"""Configuration files: bases, several files, settings from the command line, plugins.

The key ``base`` of a file names a file, or several, relative to it, whose values stand where the file has none of
its own: what recipes share stands once. Of several layers the later one counts; values are replaced whole, but
for chosen parts: a layer that changes a part's name drops the earlier layers' other keys of that part,
one that does not adds its keys to theirs. The key ``plugins`` lists modules that declare further parts.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from contrasep_lib.config import legacy
from contrasep_lib.config.choices import load_plugins
from contrasep_lib.config.schema import SECTIONS, build, part_tree, parts_tree, refuse_unknown, section_options
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
        unread: moved keys that the chosen parts do not read, dotted; known after `settled`.
    """

    tree: dict[str, Any] = dataclasses.field(default_factory=dict)
    moved: set[legacy.Path] = dataclasses.field(default_factory=set)
    plugins: list[str] = dataclasses.field(default_factory=list)
    unread: list[str] = dataclasses.field(default_factory=list)

    def add(self, sections: Mapping[str, Any], where: str) -> None:
        """Lay sections over those that are there."""
        own, paths = legacy.modernise(dict(sections))
        self.moved |= paths
        for name, section in own.items():
            known = self.tree.get(name)
            if isinstance(known, dict) and isinstance(section, dict):
                section = _merged(name, known, section, where)
            self.tree[name] = section

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
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ContrasepError(f"--set {setting}: '{text}' is not valid YAML") from None
        if path == (PLUGINS,):
            self.plugins += _plugins(value, f"--set {setting}")
            return
        if len(path) < 2:
            raise ContrasepError(f"--set {setting}: expected 'section.key=value'")
        places = legacy.moved(path, value)
        if places is not None:
            self.moved.update(place for place, _ in places)
        for place, each in [(path, value)] if places is None else places:
            self._set(place, each, f"--set {setting}")

    def _set(self, path: legacy.Path, value: Any, where: str) -> None:
        section, key, *inner = path
        node = self.tree.get(section) or {}
        if not isinstance(node, dict):
            raise ContrasepError(f"{where}: '{section}' is a value, not a section")
        node = self.tree[section] = dict(node)
        metadata = _metadata(section).get(key, {})
        if "choice" in metadata:
            part = {inner[-1]: value} if len(inner) == 1 else value
            node[key] = _merged_part(node.get(key), part, metadata, where)
        elif "choices" in metadata and len(inner) == 2:
            parts = parts_tree(node.get(key, list(metadata["default"])), where)
            if inner[0] not in parts:
                raise ContrasepError(
                    f"{where}: no {metadata['choices']} '{inner[0]}' is chosen; chosen: {', '.join(parts)}"
                )
            parts[inner[0]][inner[1]] = value
            node[key] = parts
        else:
            for name in (key, *inner)[:-1]:
                child = node.get(name, {})
                if not isinstance(child, dict):
                    raise ContrasepError(f"{where}: '{name}' is a value, not a section")
                child = node[name] = dict(child)
                node = child
            node[path[-1]] = value

    def settled(self) -> dict[str, Any]:
        """The sections, rid of moved keys that the chosen parts do not read."""
        self.unread = legacy.settle(self.tree, self.moved)
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
    tree = layers.settled()
    return {name: build(section_options(name), tree.get(name) or {}, f"{where}: {name}") for name in SECTIONS}


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


def _read(path: Path, layers: Layers, above: tuple[Path, ...] = ()) -> None:
    """Lay a file's bases, then the file, over the layers."""
    if path.resolve() in above:
        raise ContrasepError(f"{path}: is its own base; take the line out of one of the files")
    try:
        with open(path, encoding="utf-8") as file:
            own = yaml.safe_load(file) or {}
    except FileNotFoundError:
        role = f", which {above[-1]} takes as its base" if above else "; see conf/ of the recipe"
        raise ContrasepError(f"{path}: no such configuration{role}") from None
    except UnicodeDecodeError:
        raise ContrasepError(f"{path}: not a text file, so no configuration; name another") from None
    except yaml.YAMLError as error:
        raise ContrasepError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
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


def _metadata(section: str) -> dict[str, Mapping[str, Any]]:
    if section not in SECTIONS:
        return {}
    return {field.name: field.metadata for field in dataclasses.fields(section_options(section))}


def _merged(section: str, known: Mapping[str, Any], own: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values of a section over those of earlier layers."""
    metadata, merged = _metadata(section), dict(known)
    for key, value in own.items():
        if "choice" in metadata.get(key, {}):
            value = _merged_part(known.get(key), value, metadata[key], f"{where}: {section}.{key}")
        merged[key] = value
    return merged


def _merged_part(known: Any, own: Any, metadata: Mapping[str, Any], where: str) -> Any:
    if own is None or known is None:
        return own
    before, after = part_tree(known, where), part_tree(own, where)
    name = before.get("name", metadata["default"])
    # keys whose part is named later stay with it
    kept = name is None or after.get("name") in (None, name)
    return {**before, **after} if kept else after
