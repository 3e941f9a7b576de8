"""Word and unit error rates on result pages, from the ``wer.json`` of ``contrasep score --wer``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contrasep_lib.errors import ContrasepError
from contrasep_lib.report.markdown import escaped, markdown_table
from contrasep_lib.report.reading import read_json

KINDS = ("clean", "mixed", "separated")
RATES = ("word_error_rate", "unit_error_rate")
NOTE = (
    "Word and unit error rates, %: errors by what was said, of clean sources, of the mixture as the output of every "
    "talker, and of the outputs under the permutation with the fewest errors (cpWER). They measure the recogniser too: "
    "its errors on clean speech stand beside."
)


def read_words(folder: str | os.PathLike) -> dict[str, Any] | None:
    """The rates of ``score_<set>``; None where the words were not counted.

    Raises:
        ContrasepError: a file that ``contrasep score --wer`` did not write.
    """
    path = Path(folder) / "wer.json"
    if not path.is_file():
        return None
    content = read_json(path)
    if not is_words(content):
        raise ContrasepError(f"{path}: not of contrasep score --wer; delete it, or score the words again")
    return dict(content)


def is_words(content: Any) -> bool:
    """Whether a value has the form of ``wer.json``."""
    return (
        isinstance(content, Mapping)
        and all(isinstance(content.get(name), str) for name in ("recogniser", "unit"))
        and all(isinstance(content.get(rates), Mapping) and all(
            isinstance(each, Mapping) and isinstance(each.get("rate"), (int, float, type(None)))
            and _is_interval(each.get("ci95"))
            for each in content[rates].values()
        ) for rates in RATES)
    )


def _is_interval(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and len(value) == 2 and all(isinstance(limit, (int, float)) for limit in value)
    )


def word_lines(means: Mapping[str, Any]) -> list[str]:
    """Lines of a table of a set's error rates; none where the words were not counted."""
    words = means.get("words")
    if words is None:
        return []
    header = [escaped(words["recogniser"]), *KINDS]
    titles = ("words", words["unit"])
    rows = [
        [escaped(title), *(_cell(words[rates].get(kind, {})) for kind in KINDS)] for title, rates in zip(titles, RATES)
    ]
    return [*markdown_table(header, rows), "", NOTE, ""]


def _cell(each: Mapping[str, Any]) -> str:
    if each.get("rate") is None:
        return "-"
    interval = " [{:.1f}, {:.1f}]".format(*(100 * limit for limit in each["ci95"])) if each.get("ci95") else ""
    return f"{100 * each['rate']:.1f}{interval}"
