"""Markdown of result pages: tables, and names from files as text that is no markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from contrasep_lib.errors import one_line


def escaped(text: object) -> str:
    r"""A text from a file or a user as Markdown shows it, on one line: no HTML, no link or image, no end of a cell.

    Example:
        >>> print(escaped("a|b <img src=x> [c](d)"))
        a\|b &lt;img src=x> [c]\(d)
    """
    words = one_line(" ".join(str(text).split()))
    return re.sub(r"([\\`*|])", r"\\\1", words).replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\(")


def code(text: object) -> str:
    """A name from a file as a code span; ``'`` stands for what would end it."""
    return f"`{one_line(text).replace('`', chr(39)).replace('|', chr(0x2223))}`"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> list[str]:
    """Lines of a Markdown table; columns after the first ``words`` hold numbers, right-aligned.

    Cells are Markdown: what comes from a file passes `escaped` first.
    """
    rule = "|" + " --- |" * words + " ---: |" * (len(header) - words)
    lines = ["| " + " | ".join(header) + " |", rule]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return lines
