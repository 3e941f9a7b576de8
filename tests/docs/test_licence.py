"""Licence, third-party list and citation agree with the package."""

import re
from importlib.metadata import requires
from pathlib import Path

import yaml

import contrasep_lib

ROOT = Path(__file__).resolve().parents[2]


def names(lines):
    """Normalised names of distributions in requirement lines."""
    return {re.match(r"[\w.-]+", line).group().lower().replace("_", "-") for line in lines}


def listed():
    """Names in the first column of the tables of THIRD_PARTY.md."""
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "THIRD_PARTY.md").read_text(), flags=re.MULTILINE)
    return names(name for row in rows for name in re.sub(r"\(.*?\)", "", row).split(",") for name in [name.strip()]
                 if re.match(r"\w", name))


def test_every_dependency_is_listed_with_its_licence():
    declared = names(requires("contrasep")) - {"contrasep"}
    assert len(declared) > 10
    assert declared - listed() == set()


def test_a_dependency_that_is_not_listed_would_be_found():
    assert "setuptools" not in listed()


def test_licence_is_apache_in_all_places():
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert 'license="Apache-2.0"' in (ROOT / "setup.py").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["license"] == "Apache-2.0"
    cards = sorted((ROOT / "contrasep_lib/pretrained").glob("*/README.md"))
    assert cards
    for card in cards:
        assert "Apache-2.0, weights included" in card.read_text(), card


def test_versions_agree():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == contrasep_lib.__version__
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert released[0] == contrasep_lib.__version__
