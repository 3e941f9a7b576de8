"""The tables of docs/experiments/prosody.md have the numbers of docs/experiments/prosody."""

import csv
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs/experiments/prosody"
FEATURES = ("pitch", "timbre", "rate", "all")
# quantity and of what, for each line of the first table
QUANTITIES = [("icc1", "frame"), ("icc1", "utterance"), ("correlation", "other_utterance"), ("kl_nats", None)]


def lines_under(head):
    """Cells of the table whose first line begins so."""
    text = FOLDER.with_suffix(".md").read_text(encoding="utf-8")
    found = text[text.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found]


def rows(name):
    with open(FOLDER / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def is_rounded(cell, values):
    """Whether the numbers of a cell are these, which have four decimals themselves."""
    numbers = re.findall(r"-?\d+\.\d+", cell)
    assert numbers and len(numbers) <= len(values), cell
    for number, value in zip(numbers, values):
        half = 0.5 * 10.0 ** -len(number.partition(".")[2])
        assert float(number) == pytest.approx(float(value), abs=half + 1e-9), cell


def test_what_frames_share():
    lines = lines_under("| | pitch | timbre | rate |")
    assert len(lines) == 8
    for place, (_, *cells) in enumerate(lines):
        table = rows(f"{('librispeech', 'commonvoice')[place // 4]}.statistics.tsv")
        quantity, of = QUANTITIES[place % 4]
        for feature, cell in zip(FEATURES, cells, strict=False):
            found = [row for row in table if (row["feature"], row["quantity"]) == (feature, quantity)]
            if of is None:
                is_rounded(cell, [row["value"] for row in found])
            else:
                (row,) = [row for row in found if row["of"] == of]
                is_rounded(cell, [row["value"], row["low"], row["high"]])


def test_probes_over_time():
    table = {(row["lag_seconds"], row["feature"]): row for row in rows("librispeech.lags.tsv")}
    lines = lines_under("| time between |")
    assert len(lines) == 8
    for time, *cells in lines:
        number, unit, *_ = time.split()
        lag = number if unit != "ms" else f"{float(number) / 1000:g}"
        for feature, cell in zip(FEATURES, cells, strict=True):
            is_rounded(cell, [table[lag, feature][name] for name in ("auc", "low", "high")])


@pytest.mark.parametrize("feature, words", [("rate", "505 of Common Voice: "), ("all", "505\n  such speakers: ")])
def test_other_utterances_of_common_voice(feature, words):
    text = FOLDER.with_suffix(".md").read_text(encoding="utf-8")
    (said,) = re.findall(rf"{words}(\d\.\d+ \[.*?\])", text)
    (row,) = [row for row in rows("commonvoice.lags.tsv") if (row["lag_seconds"], row["feature"]) == ("other", feature)]
    assert row["speakers"] == "505"
    is_rounded(said, [row[name] for name in ("auc", "low", "high")])


def test_what_the_embedding_retains():
    for name, (_, *cells) in zip(("librispeech", "commonvoice", "dev"), lines_under("| speakers | pitch"), strict=True):
        table = {row["feature"]: row for row in rows(f"{name}.probes.tsv")}
        for feature, cell in zip(FEATURES, cells, strict=False):
            is_rounded(cell, [table[feature][column] for column in ("r2", "low", "high")])
