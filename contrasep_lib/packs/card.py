"""Cards of models: ``README.md`` beside the weights.

The first line is ``# NAME: WHAT``. Lines ``- Licence: ..``, ``- Trained on: ..`` and ``- Speakers: ..`` are read by
`contrasep models` and `contrasep pack`; the rest is for readers.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.ids import shown

WHAT_TO_WRITE = "a first line '# NAME: WHAT' and lines '- Licence: ..' and '- Trained on: ..'"
LONGEST = 1 << 20


@dataclasses.dataclass(frozen=True)
class Card:
    """What a card says.

    Attributes:
        text: all of it.
        headline: of the first line, ``WHAT``.
        licence, trained_on, speakers: of the lines of these names; empty where there is none.
    """

    text: str
    headline: str = ""
    licence: str = ""
    trained_on: str = ""
    speakers: str = ""

    @classmethod
    def of(cls, text: str) -> Card:
        """Read the text of a card."""
        first = text.lstrip().partition("\n")[0]
        fields = (_field(text, name) for name in ("Licen[cs]e", "Trained on", "Speakers"))
        return cls(text, first.partition(": ")[2].strip() if first.startswith("# ") else "", *fields)

    def with_licence(self, licence: str) -> Card:
        """The card with a line for its licence at the end."""
        return Card.of(f"{self.text.rstrip()}\n- Licence: {licence}\n")


def _field(text: str, name: str) -> str:
    """Words after ``- NAME:``; a line that goes on in the next, which is indented, is read on."""
    found = re.search(rf"^- {name}:(.*(?:\n[ \t]+\S.*)*)", text, flags=re.MULTILINE | re.IGNORECASE)
    return " ".join(found[1].split()).removesuffix(".") if found else ""


def read_card(path: Path) -> Card:
    """Read a card.

    Raises:
        ContrasepError: no text, or a megabyte of it; a first line of another form.
        FileNotFoundError: no such file.
    """
    with open(path, "rb") as file:
        content = file.read(LONGEST + 1)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ContrasepError(f"{path}: not UTF-8; write a card with {WHAT_TO_WRITE}") from None
    if len(content) > LONGEST:
        raise ContrasepError(f"{path}: longer than {LONGEST} bytes; write a card with {WHAT_TO_WRITE}")
    card = Card.of(text)
    if not card.headline:
        first = text.lstrip().partition("\n")[0]
        raise ContrasepError(f"{path}: first line: expected '# NAME: WHAT', got '{shown(first, 60)}'")
    return card


def drafted(name: str, rate: int, parameters: int, trained_on: str) -> Card:
    """A card of what a model's files tell, without a licence."""
    return Card.of(
        f"# {name}: a model of contrasep, {rate / 1000:g} kHz\n\n"
        f"    contrasep separate FILE --out DIR --model {name}\n\n"
        f"- Parameters: {parameters}\n- Trained on: {trained_on}\n"
    )
