"""What each experiment asks, how it is run and what it answers: docs/experiments/entries/*.yaml."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from contrasep_lib.config import Range, build  # noqa: E402
from contrasep_lib.config.text import parse  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402

FOLDER = ROOT / "docs/experiments/entries"
Positive = Annotated[int, Range(1, 100000)]
Time = Annotated[float, Range(0, 100000)]


@dataclasses.dataclass(frozen=True)
class Settings:
    """A table of trainings by setting, from rows that `experimentkit.judging` makes.

    Attributes:
        file: beside the page's other results, in docs/experiments/results.
        measures: columns, of those of `experimentkit.judging.MEASURES`.
        partitions: whose rows are shown.
        first: the setting that the others are compared with.
        by: the measure of the differences and of the picture.
        rows: order of the settings; those that are not named follow.
        axis: name of what differs, under the picture.
    """

    file: str
    first: str
    by: str = "si_snri"
    measures: tuple[str, ...] = ("nearest", "probe", "accuracy", "si_snri")
    partitions: tuple[str, ...] = ("k-means", "network")
    rows: tuple[str, ...] = ()
    axis: str = "setting"


@dataclasses.dataclass(frozen=True)
class Lines:
    """A table of lines of a results file as it is.

    Attributes:
        file: under docs/experiments.
        columns: heading -> format of a line's values (``"{si_snri:.1f} dB"``).
        where: column -> value, of the lines that are shown; a list of values for any of them.
        title: a sentence in front.
    """

    file: str
    columns: dict[str, Any]
    where: dict[str, Any] = dataclasses.field(default_factory=dict)
    title: str = ""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One experiment.

    Attributes:
        number: of the plan.
        title, question: what it is about, and what it asks.
        source: where arXiv 2305.10652 asks or claims it.
        command: that makes the results, in the repository.
        design: what differs, and what does not.
        runs, minutes: trainings that are planned, and minutes of a core for each; 0 for none.
        done: trainings whose results are there, where the tables of settings do not tell.
        settings, lines: tables.
        picture: of docs/img, where no table of settings draws one; and its description.
        answer: in two sentences, None as long as there is none.
        limits: of the answer.
        page: of docs, with more.
    """

    number: Positive
    title: str
    question: str
    source: str
    command: str
    design: str
    runs: Annotated[int, Range(0, 1000)] = 0
    minutes: Time = 0.0
    done: Annotated[int, Range(0, 1000)] = 0
    settings: tuple[Settings, ...] = ()
    lines: tuple[Lines, ...] = ()
    picture: str | None = None
    alt: str = ""
    answer: str | None = None
    limits: str = ""
    page: str | None = None


def _values(path: Path) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ContrasepError(f"{path}: {error}") from None


def read_entries(folder: Path = FOLDER) -> list[Entry]:
    """All entries, by their number.

    Raises:
        ContrasepError: a file that is no entry, or two of one number.
    """
    found = [build(Entry, _values(path), path.name) for path in folder.glob("*.yaml")]
    found.sort(key=lambda entry: entry.number)
    numbers = [entry.number for entry in found]
    if len(set(numbers)) < len(numbers):
        raise ContrasepError(f"{folder}: expected entries of different numbers, got {numbers}")
    return found
