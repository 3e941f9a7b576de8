"""A wheel of the working tree, and an environment that has it, with its declared dependencies and nothing else."""

import contextlib
import runpy
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# what the build reads
SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "THIRD_PARTY.md")


def build_wheel(folder):
    """Build the package's wheel from a copy of the sources, without an index."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "contrasep_lib", source / "contrasep_lib", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
               "--disable-pip-version-check", "--wheel-dir", folder / "dist", source]
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("pip is not installed here")
    subprocess.run(command, check=True, capture_output=True, text=True)
    [wheel] = (folder / "dist").glob("*.whl")
    return wheel


def required(extra=None):
    """What ``setup.py`` declares, always or with an extra: requirements."""
    from unittest import mock

    from packaging.requirements import Requirement

    with mock.patch("setuptools.setup") as setup:
        runpy.run_path(str(ROOT / "setup.py"))
    said = setup.call_args.kwargs
    return [Requirement(line) for line in [*said["install_requires"], *said["extras_require"].get(extra, ())]]


def declared(extra=None):
    """Distributions that the package requires, directly or not, by what each of them declares."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found, waiting = {}, required(extra)
    while waiting:
        needed = waiting.pop()
        key = canonicalize_name(needed.name)
        if key in found and needed.extras <= found[key]:
            continue
        extras = found[key] = found.get(key, frozenset()) | needed.extras
        # what tools/overrides.txt leaves out is not there
        with contextlib.suppress(metadata.PackageNotFoundError):
            lines = map(Requirement, metadata.requires(needed.name) or ())
            waiting += [line for line in lines if not line.marker
                        or any(line.marker.evaluate({"extra": each}) for each in extras or {""})]
    return set(found)


def fresh_environment(folder, wheel, extra):
    """A new environment with ``WHEEL[EXTRA]``: its Python program.

    Of this environment it sees the distributions that the package declares, directly or not, by links: so nothing is
    fetched, pip finds all that is declared, and what is not declared cannot be imported.
    """
    environment = folder / "fresh"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    [site] = environment.glob("lib/python*/site-packages")
    for name in declared(extra):
        found = metadata.distribution(name)
        tops = {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}
        for top in tops:
            if not (site / top).exists():
                (site / top).symlink_to(Path(found.locate_file(top)).resolve())
    python = environment / "bin/python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index",
               "--disable-pip-version-check", f"{wheel}[{extra}]"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python
