"""Every figure of README and of the models' cards stands in the published results.

A figure is a number followed by ``dB`` or ``%``, or a bare number of two decimals. It has to stand, rounded as it is
written, in the rows of ``egs/X/results.json`` whose page is named (``egs/X/RESULTS.md``, a link or plain text) in the
same block (paragraph, list item or table row), else in the same section, else in the same file. A tag in backticks
restricts a recipe to the rows of the tags so named. Figures within brackets, ``[8.46, 10.60]``, are compared with the
ends of intervals, all others with means. ``<!-- not a result: WHY -->`` exempts its block, or the table below it.
"""

import dataclasses
import re
from pathlib import Path

import pytest

from contrasep_lib.report.compare import read_published

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("contrasep_lib/pretrained/*/README.md"))]
OTHER_UNITS = r"(?!\s*(?:[GMk]B|million|hours?|minutes?|seconds?|s|ms|k?Hz|times)\b)"
FIGURE = re.compile(
    r"(?<![\w./-])(?P<number>-?\d+(?:\.\d+)?)\s?(?P<unit>dB|%)(?!\s(?:bootstrap|confidence|interval|CI))"
    rf"|(?<![\w./-])(?<!Python )(?P<bare>-?\d+\.\d\d)(?![\w.]){OTHER_UNITS}"
)
RESULTS_PAGE = re.compile(r"egs/([\w-]+)/RESULTS\.md")
EXEMPT = re.compile(r"<!-- not a result: \S")
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
NOT_PROSE = re.compile(r"`[^`]*`|<!--.*?-->|<[^>]*>", re.DOTALL)


@dataclasses.dataclass
class Block:
    """A paragraph, list item or table row, with the text of its section and of its file."""

    text: str
    section: str
    file: str


def blocks(text):
    """The blocks of a Markdown page that may hold figures; code is left out, and what is exempt."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = []
    for section in re.split(r"^(?=#+ )", text, flags=re.MULTILINE):
        exempt_table = False
        for paragraph in re.split(r"\n\s*\n", section.strip("\n")):
            if paragraph.startswith("    "):
                continue
            for part in re.split(r"\n(?=\s*(?:[-*|]|\d+\.) ?)", paragraph):
                row = part.startswith("|")
                exempt_table = exempt_table and row
                if EXEMPT.search(part):
                    exempt_table = not row
                elif not exempt_table:
                    found.append(Block(part, section, text))
    return found


def values(rows):
    """What published rows hold: means in dB, ends of intervals in dB, accuracies in %, and further numbers."""
    found = {"dB": [], "interval": [], "%": [], "other": []}
    for row in rows:
        for means in row["results"]["sets"].values():
            scores = {
                name: value for name, value in means.items() if re.match("si_snr|sdr", name) and value is not None
            }
            found["interval"] += [end for name, ends in scores.items() if name.endswith("_ci95") for end in ends]
            found["dB"] += [value for name, value in scores.items() if not name.endswith("_ci95")]
            found["dB"] += [value for value in means["oracle"].values() if value is not None]
            if means["count_accuracy"] is not None:
                found["%"].append(100 * means["count_accuracy"])
        if row["cost"] and row["cost"]["separation"]:
            speed = row["cost"]["separation"]
            found["other"].append(speed["seconds"] / speed["audio_seconds"])
    return found


def rows_for(block, published):
    """The published rows that a block's figures come from; None where it names no results page."""
    for place in (block.text, block.section, block.file):
        recipes = {name for name in RESULTS_PAGE.findall(place) if name in published}
        if not recipes:
            continue
        words = set(re.findall(r"`([^`]*)`", place))
        rows = []
        for recipe in recipes:
            named = words & set(published[recipe])
            rows += [row for tag, row in published[recipe].items() if tag in named or not named]
        return rows
    return None


def unfounded(text, published):
    """What is wrong with the figures of a page, one line each."""
    errors = []
    for block in blocks(text):
        prose = NOT_PROSE.sub(" ", LINK.sub(r"\1", block.text))
        figures = list(FIGURE.finditer(prose))
        rows = rows_for(block, published) if figures else []
        for figure in figures:
            where = f"'{figure[0]}' in '{block.text.splitlines()[0][:60]}..'"
            if rows is None:
                errors.append(f"{where}: no results page is named")
                continue
            held = values(rows)
            before = prose[: figure.start()]
            if before.count("[") > before.count("]"):
                known = held["interval"]
            else:
                known = held[figure["unit"]] if figure["unit"] else held["dB"] + held["%"] + held["other"]
            number = figure["number"] or figure["bare"]
            half = 0.5 * 10.0 ** -len(number.partition(".")[2])
            if not any(abs(float(number) - value) <= half + 1e-9 for value in known):
                errors.append(f"{where}: stands in no row of the results")
    return errors


@pytest.fixture(scope="module")
def published():
    return {path.parent.name: read_published(path.parent) for path in ROOT.glob("egs/*/results.json")}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_figures_stand_in_the_results(page, published):
    assert unfounded(page.read_text(encoding="utf-8"), published) == []


PAGE = "egs/mini_librispeech_mixed/RESULTS.md"


@pytest.mark.parametrize(
    "text, errors",
    [
        (f"It gains 9.7 dB (98.6 %), [page]({PAGE}).", 0),
        (f"It gains 9.8 dB (99.8 %), [page]({PAGE}).", 2),
        ("It gains 9.7 dB.", 1),
        (f"# One\n\nA gain of 9.7 dB.\n\n# Two\n\nSee {PAGE}.", 0),
        (f"- 9.74 [8.46, 10.60], see {PAGE}\n- 9.75, see {PAGE}", 1),
        (f"| a | b |\n| --- | --- |\n| [x]({PAGE}) | 9.74 [8.46, 10.60] |\n| [x]({PAGE}) | 9.74 [8.46, 10.61] |", 1),
        (f"A share of 98.6 dB, see {PAGE}.", 1),
        ("`tf_extra_train` counts 99.8 %, see egs/mini_librispeech_2mix/RESULTS.md.", 0),
        ("`tf_extra_train` counts 84.4 %, see egs/mini_librispeech_2mix/RESULTS.md.", 1),
        ("egs/mini_librispeech_2mix/RESULTS.md has 84.4 %.", 0),
        ("Women gain 9.9 dB. <!-- not a result: from scores.tsv -->", 0),
        ("<!-- not a result: of others -->\n| a |\n| --- |\n| 9.99 |\n\n9.99", 1),
        ("    code 9.99 dB\n\n`9.99` in a download of 0.55 GB, Python 3.10, a 95 % interval, 2305.10652, v0.13.", 0),
    ],
)
def test_figures_are_found_and_compared(text, errors, published):
    assert len(unfounded(text, published)) == errors, unfounded(text, published)
