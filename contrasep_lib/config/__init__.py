"""Strict YAML configuration: every key known, every value of its type, parts chosen by name.

Nothing here imports torch: every command reads the configuration.
"""

from contrasep_lib.config.bounds import Range, Text
from contrasep_lib.config.choices import (
    FAMILIES,
    choice,
    choice_of,
    choices_of,
    create,
    implementation,
    names,
    options_class,
    refuse_unknown,
)
from contrasep_lib.config.reading import load_config
from contrasep_lib.config.schema import LATER, SECTIONS, Bounded, as_key, as_tree, build, section_options

__all__ = [
    "FAMILIES",
    "LATER",
    "SECTIONS",
    "Bounded",
    "Range",
    "Text",
    "as_key",
    "as_tree",
    "build",
    "choice",
    "choice_of",
    "choices_of",
    "create",
    "implementation",
    "load_config",
    "names",
    "options_class",
    "refuse_unknown",
    "section_options",
]
