"""The house: imports go one way, files and functions stay short, and heavy parts are imported where they are used.

The graph of imports is drawn from the sources. An import counts wherever it stands, at the top or within a function,
for a circle that is broken by a late import is one; those under ``if TYPE_CHECKING`` import nothing and do not count.
Importing a name from a package counts as importing the module of that name where there is one, and the packages above a
module, which hold docstrings alone, do not count.
"""

import ast
import functools
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "contrasep_lib"
MODULES = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in sorted(ROOT.rglob("*.py"))}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 60
# package -> packages that must never import it
ONE_WAY = {
    "train": ("separate", "score", "modularity", "counting", "embedding", "decode", "objectives", "models", "nodes"),
    "models": ("nodes", "embedding", "decode", "objectives", "counting", "modularity"),
    "objectives": ("nodes", "embedding", "decode", "counting", "modularity"),
    "decode": ("nodes", "embedding", "counting", "modularity"),
    "counting": ("nodes", "embedding", "modularity"),
    "modularity": ("nodes", "embedding"),
    "embedding": ("nodes", "modularity"),
    "separate": ("nodes", "embedding", "decode", "objectives", "counting", "modularity", "models"),
}


def checks_types(node):
    """Whether a node is ``if TYPE_CHECKING:``."""
    test = getattr(node, "test", None)
    return isinstance(node, ast.If) and "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


def imports_of(tree):
    """Modules that a module imports, with names that may be modules: ``a.b`` and ``a.b.name``."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES or f"{name}.__init__" in MODULES else node.module
        elif checks_types(node):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


@functools.cache
def graph_of_package():
    return graph_of(MODULES)


def graph_of(modules):
    """Module -> modules of ours that it imports."""
    graph = {}
    for name, path in modules.items():
        known = set()
        for imported in imports_of(ast.parse(path.read_text(encoding="utf-8"))):
            imported = imported if imported in modules else f"{imported}.__init__"
            known |= {imported} & set(modules)
        graph[name] = sorted(known - {name})
    return graph


def circle_in(graph):
    """A circle of a graph, its first node twice; None without any."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return [*path[path.index(node):], node]
        if node in done:
            return None
        path.append(node)
        for other in graph.get(node, ()):
            if found := visit(other):
                return found
        path.pop()
        done.add(node)
        return None

    return next((found for node in sorted(graph) if (found := visit(node))), None)


def package_of(module):
    return module.split(".")[1] if module.count(".") > 1 else module.split(".")[-1]


def test_no_module_imports_itself_in_the_end():
    assert (
        circle_in({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
        and circle_in({"a": ["b", "c"], "b": ["c"]}) is None
    )
    graph = graph_of_package()
    assert len(graph) > 100 and sum(map(len, graph.values())) > 300
    assert circle_in(graph) is None


@pytest.mark.parametrize("package, others", ONE_WAY.items())
def test_imports_go_one_way(package, others):
    wrong = [
        f"{module} imports {imported}"
        for module, known in graph_of_package().items() if package_of(module) in others
        for imported in known if package_of(imported) == package
    ]
    assert not wrong


@pytest.mark.parametrize("path", MODULES.values(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            # docstrings, which state shapes and sources of formulas, may take the room that they need
            documented = ast.get_docstring(node) is not None
            lines = node.end_lineno - node.lineno + 1
            lines -= node.body[0].end_lineno - node.body[0].lineno + 1 if documented else 0
            assert lines <= MOST_LINES_OF_A_FUNCTION, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("folder", ["tests", "tools", "utils"])
def test_files_beside_the_package_are_short(folder):
    paths = [path for path in (ROOT.parent / folder).rglob("*") if path.suffix in (".py", ".sh")]
    assert paths
    lines = {str(path): path.read_text(encoding="utf-8").count("\n") for path in paths}
    assert not [f"{path}: {count} lines" for path, count in lines.items() if count > MOST_LINES]


def test_programs_can_be_started():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT.parent, capture_output=True, text=True, check=False
    ).stdout.split("\0")
    paths = [ROOT.parent / name for name in listed if name]
    if not paths:
        pytest.skip("no repository here")
    programs = [path for path in paths if path.is_file() and path.read_bytes()[:2] == b"#!"]
    assert len(programs) > 50 and not [str(path) for path in programs if not path.stat().st_mode & 0o100]
