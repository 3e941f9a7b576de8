"""Parts that a configuration chooses by name: one registry for every family.

A family is a kind of part that there are several of: backbones, objectives, solvers. A member is a frozen
dataclass of options that declares its name, and a class that does the work:

    @choice("backbone", "mean", target="my_module:Mean")
    @dataclasses.dataclass(frozen=True)
    class MeanOptions(Bounded):
        "Means of neighbouring frames."
        width: Annotated[int, Range(1, 99)] = 32

    class Mean(Backbone):
        @classmethod
        def from_options(cls, options, **context): ...

A configuration names it, ``backbone: mean`` or ``backbone: {name: mean, width: 16}``, and `create` builds it.

Members are found by their declaration. Files of the family's package are searched for ``@choice`` without
being imported, and only the file that declares the chosen name is. The toolkit's own members declare their
options in files that import no torch, so that reading a configuration stays quick; a new member may hold
options and implementation in one file. Members from outside the package come from modules that the
configuration names (``plugins: [my_module]``) or that an installed package offers as entry points of the group
``contrasep.plugins``.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import importlib
import importlib.metadata
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from contrasep_lib.config.bounds import shown
from contrasep_lib.errors import ContrasepError

ROOT = Path(__file__).resolve().parents[1]
ENTRY_POINTS = "contrasep.plugins"

Options = TypeVar("Options")


@dataclasses.dataclass(frozen=True)
class Family:
    """A kind of part.

    Attributes:
        name: singular, as ``@choice`` and messages have it.
        plural: as ``contrasep list`` has it.
        package: folder below ``contrasep_lib`` whose files declare members.
        what: what a member does, one sentence.
    """

    name: str
    plural: str
    package: str
    what: str


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("backbone", "backbones", "embedding/backbones", "Maps recordings to embeddings of their nodes."),
        Family("decoder", "decoders", "decode/decoders", "Maps centroids and features to one mask per speaker."),
        Family("objective", "objectives", "objectives", "A term of the training loss."),
        Family("graph", "graphs", "modularity", "Weighs the edges between embedded nodes."),
        Family("quality", "qualities", "modularity", "Values a partition of the graph."),
        Family("solver", "solvers", "modularity/solvers", "Partitions the graph of embeddings into communities."),
        Family("count_network", "count_networks", "counting/networks", "Scores numbers of speakers, in the model."),
        Family("counter", "counters", "counting/counters", "Estimates the number of speakers."),
        Family("metric", "metrics", "score/metrics", "Scores separated speech."),
        Family("corpus", "corpora", "corpus", "Reads a corpus into single-speaker data directories."),
        Family("speaker_encoder", "speaker_encoders", "speakers", "Tells voices apart, in any recordings."),
        Family("oracle", "oracles", "oracles", "Separates with knowledge of the sources."),
    )
}

# (family, name) -> options class
_declared: dict[tuple[str, str], type[Any]] = {}
_loaded: set[str] = set()


def choice(family: str, name: str, target: str) -> Callable[[type[Options]], type[Options]]:
    """Declare a dataclass as the options of a member of a family.

    Args:
        family: see `FAMILIES`.
        name: by which configurations choose it.
        target: ``module:Class`` of the implementation, or ``Class`` for one in the same module. It is imported
            when the member is built.

    Raises:
        ContrasepError: an unknown family, or a name that another class has already.
    """
    if family not in FAMILIES:
        raise ContrasepError(f"@choice('{family}', '{name}'): no such family; known: {', '.join(FAMILIES)}")

    def declare(options: type[Options]) -> type[Options]:
        known, own = _declared.get((family, name)), (options.__module__, options.__qualname__)
        taken = known is not None and (known.__module__, known.__qualname__) != own
        owner = known.__module__ if known else _in_package(family).get(name, options.__module__)
        if taken or owner != options.__module__:
            raise ContrasepError(
                f"{family} '{name}': declared by {owner} and by {options.__module__}; rename one of them"
            )
        module, _, attribute = target.rpartition(":")
        setattr(options, "name", name)
        setattr(options, "family", family)
        setattr(options, "target", f"{module or options.__module__}:{attribute}")
        _declared[family, name] = options
        return options

    return declare


def refuse_unknown(given: Iterable[str], known: Iterable[str], where: str, what: str) -> None:
    """Raise ContrasepError for the first name of ``given`` that is not ``known``.

    Args:
        where: what the message begins with; empty for nothing.
        what: what the names are of, e.g. ``key``.
    """
    known, prefix = list(known), f"{where}: " if where else ""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known)) or 'none'}"
            raise ContrasepError(f"{prefix}unknown {what} {shown(str(name))}; {hint}")


def is_choice(options: object) -> bool:
    """Whether an object is the options of a declared member."""
    return (
        dataclasses.is_dataclass(options)
        and (getattr(options, "family", None), getattr(options, "name", None)) in _declared
    )


def names(family: str, everything: bool = False) -> list[str]:
    """Names of the members that are known, sorted.

    Args:
        everything: also those of entry points, whose modules are imported for it.
    """
    if everything:
        load_entry_points()
    declared = {name for kind, name in _declared if kind == family}
    return sorted(declared | set(_in_package(family)))


def options_class(family: str, name: str, where: str = "") -> type[Any]:
    """The options class of a member.

    Args:
        where: key of the configuration, for the message.

    Raises:
        ContrasepError: no member of that name, with the nearest one.
    """
    if not isinstance(name, str):
        raise ContrasepError(f"{where + ': ' if where else ''}expected the name of a {family}, got {shown(name)}")
    if (family, name) not in _declared:
        modules = _in_package(family)
        if name in modules:
            importlib.import_module(modules[name])
        else:
            load_entry_points()
    if (family, name) not in _declared:
        refuse_unknown([name], names(family), where, family)
    options = _declared[family, name]
    if not dataclasses.is_dataclass(options):
        raise ContrasepError(f"{family} '{name}': {options.__module__}.{options.__qualname__} is no dataclass")
    return options


def option_names(options: type[Any]) -> set[str]:
    """The keys that a configuration may have for a member."""
    return {field.name for field in dataclasses.fields(options)}


def implementation(options: Any) -> type[Any]:
    """The class that the options of a member belong to.

    Raises:
        ContrasepError: the target of the declaration is not there, or does not write what its family asks for.
    """
    module, _, attribute = options.target.partition(":")
    where = f"{options.family} '{options.name}': {options.target}"
    try:
        made = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ContrasepError(f"{where} cannot be imported ({error})") from None
    missing = sorted(getattr(made, "__abstractmethods__", ()))
    if missing or not hasattr(made, "from_options"):
        lacks = f"does not write {', '.join(missing)}" if missing else "has no from_options"
        raise ContrasepError(f"{where} {lacks}; derive it from the base class of its family, see CONTRIBUTING.md")
    return made


def create(options: Any, **context: Any) -> Any:
    """Build a member: ``from_options(options, **context)`` of its implementation.

    Args:
        context: what the family's base class says that its members are given.
    """
    return implementation(options).from_options(options, **context)


def summary(options: type[Any]) -> str:
    """First sentence of the docstring of an options class or, where it has none, of its implementation."""
    text = options.__doc__ or ""
    # dataclasses write a signature where there is no docstring
    if not text or text.startswith(f"{options.__name__}("):
        text = implementation(options).__doc__ or ""
    return inspect.cleandoc(text).split("\n\n")[0].replace("\n", " ") if text else ""


def load_plugins(modules: Iterable[str]) -> None:
    """Import modules that declare members.

    Modules are looked for on Python's path, and in ``local/`` of the current folder, which is the recipe's.

    Raises:
        ContrasepError: a module that cannot be imported, or that declares a name twice.
    """
    local = str(Path.cwd() / "local")
    for module in modules:
        if module in _loaded:
            continue
        if local not in sys.path and Path(local).is_dir():
            sys.path.append(local)
        _import(module, f"plugins: {module}")


def loaded_plugins() -> list[str]:
    """Modules of plugins that were imported, for processes that are to know them too."""
    return sorted(_loaded)


@functools.cache
def load_entry_points() -> None:
    """Import the modules of all entry points of the group ``contrasep.plugins``."""
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        _import(entry.value.partition(":")[0], f"entry point {entry.name} of {ENTRY_POINTS}")


def _import(module: str, where: str) -> None:
    try:
        importlib.import_module(module)
    except ContrasepError as error:
        raise ContrasepError(f"{where}: {error}") from None
    except (Exception, SystemExit) as error:  # whatever somebody else's module runs into
        text = " ".join(str(error).split())
        raise ContrasepError(f"{where}: cannot be imported ({type(error).__name__}: {text})") from None
    _loaded.add(module)


@functools.cache
def _in_package(family: str) -> dict[str, str]:
    """Name -> module of the members that files of the family's package declare; nothing is imported."""
    folder = ROOT / FAMILIES[family].package
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "@choice(" not in text:
            continue
        module = ".".join(("contrasep_lib", *path.relative_to(ROOT).with_suffix("").parts))
        for name in _declarations(ast.parse(text, str(path)), family):
            if name in found:
                raise ContrasepError(
                    f"{family} '{name}': declared by {found[name]} and by {module}; rename one of them"
                )
            found[name] = module
    return found


def _declarations(tree: ast.Module, family: str) -> Iterable[str]:
    """Names that ``@choice(family, name, ..)`` declares at the top of a module."""
    for node in tree.body:
        for call in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "choice":
                continue
            words = [str(word.value) for word in call.args if isinstance(word, ast.Constant)]
            if len(words) >= 2 and words[0] == family:
                yield words[1]


# ------------------------------------------------------------------ fields of options


def choice_of(family: str, default: str | None, later: bool = False) -> Any:
    """A dataclass field that holds the options of one member of a family.

    Args:
        family: see `FAMILIES`.
        default: name of the member that stands where a configuration is silent, with its own defaults; None for
            no member, which a configuration may then say too (``null``).
        later: see `contrasep_lib.config.schema.LATER`.
    """
    metadata = {"choice": family, "optional": default is None, "default": default, "later": later}
    if default is None:
        return dataclasses.field(default=None, metadata=metadata)
    return dataclasses.field(default_factory=lambda: options_class(family, default)(), metadata=metadata)


def choices_of(family: str, default: Iterable[str], later: bool = False, inline: bool = False) -> Any:
    """A dataclass field that holds several members of a family: name -> options.

    In a configuration it is a mapping, ``{supcon: {weight: 1.0, temperature: 0.1}}``, in which a number stands for
    ``{weight: NUMBER}``, or a list of names.

    Args:
        family, later: as for `choice_of`.
        default: names of the members that stand where a configuration is silent.
        inline: the mapping is the section itself; the field is then its only one.
    """
    chosen = tuple(default)
    return dataclasses.field(
        default_factory=lambda: {name: options_class(family, name)() for name in chosen},
        metadata={"choices": family, "default": chosen, "later": later, "inline": inline},
    )
