"""Tables of experiments on a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.errors import ContrasepError
from contrasep_lib.report.counts import confusion_of
from contrasep_lib.report.listening.content import NOTHING, Cell, Table, number_cell, text_cell
from contrasep_lib.report.pages import columns_of, count_cell, score_cell
from contrasep_lib.report.paired import HEADER, compare, comparison_cells
from contrasep_lib.score.paired import PREFERRED
from contrasep_lib.score.tables import Row

# the column of the table of mixtures by which it is sorted
_RANKING = 3
# test set, utterance
Key = tuple[str, str]
SCORE_NOTE = (
    "Decibels. SI-SNRi and SDRi are improvements over the mixture under the best permutation; with the number of "
    "speakers estimated, a missing output scores as the mixture and extra ones are dropped."
)


@dataclasses.dataclass(frozen=True)
class Scored:
    """An experiment with its scores.

    Attributes:
        name: on the page.
        folder: ``exp/<tag>``.
        results: of results.json.
        tables: test set -> rows.
    """

    name: str
    folder: Path
    results: Mapping[str, Any]
    tables: Mapping[str, Sequence[Row]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rows", {(name, row.utt): row for name, rows in self.tables.items() for row in rows})

    def row(self, key: Key) -> Row | None:
        """The scores of a mixture; None where it was not scored."""
        return self._rows.get(key)


def score_of(scored: Sequence[Scored]) -> str:
    """The score by which mixtures are ranked: the first that every experiment has, those of `PREFERRED` before others.

    Raises:
        ContrasepError: there is none.
    """
    for name in (*PREFERRED, *titles_of(scored)):
        if all(any(row[name] is not None for rows in one.tables.values() for row in rows) for one in scored):
            return name
    raise ContrasepError(f"{scored[0].folder}: expected a score that all experiments have; run stage 6 again")


def titles_of(scored: Sequence[Scored]) -> dict[str, str]:
    """Column of scores.tsv -> title, of those that result pages show."""
    titles = {}
    for one in scored:
        for means in one.results["sets"].values():
            titles |= {column.name: column.title for column in columns_of(means) if column.title}
    return titles


def mixtures_table(scored: Sequence[Scored], metric: str) -> tuple[Table, list[Key]]:
    """The table of all mixtures, the worst first, and the mixture of each row.

    Args:
        scored: the experiments.
        metric: from `score_of`; of several experiments their mean ranks.
    """
    keys = list(dict.fromkeys((name, row.utt) for one in scored for name, rows in one.tables.items() for row in rows))
    keys.sort(key=lambda key: (mean_of(scored, key, metric) is None, mean_of(scored, key, metric) or 0.0))
    titles = titles_of(scored)
    header = ["mixture", "set", "speakers"]
    shown = [name for name in titles if any(row[name] is not None for one in scored for row in one._rows.values())]
    # what ranks them stands first
    shown.sort(key=lambda name: name != metric)
    if len(scored) == 1:
        header += [*(titles[name] for name in shown), "speakers estimated", "modularity Qn", "conductance"]
        header += [f"oracle {name}" for name in sorted(next(iter(scored[0]._rows.values())).oracles)]
    else:
        title = titles.get(metric, metric)
        header += [f"{one.name}: {title}" for one in scored] + [f"{one.name}: speakers estimated" for one in scored]
        header += [f"{one.name} - {scored[0].name}" for one in scored[1:]]
    rows = []
    for key in keys:
        row = next(row for one in scored if (row := one.row(key)))
        cells = _one(row, shown) if len(scored) == 1 else _many(scored, key, metric)
        rows.append([text_cell(key[1]), text_cell(key[0]), number_cell(row.num_spk, 0), *cells])
    return Table("Mixtures", header, rows, (_RANKING, True), [SCORE_NOTE]), keys


def mean_of(scored: Sequence[Scored], key: Key, metric: str) -> float | None:
    """The mean of a mixture's score over the experiments that have it."""
    values = [row[metric] for one in scored if (row := one.row(key)) and row[metric] is not None]
    return sum(values) / len(values) if values else None


def _estimate(row: Row) -> Cell:
    return Cell("given") if row.num_spk_est is None else number_cell(row.num_spk_est, 0)


def _one(row: Row, shown: Sequence[str]) -> list[Cell]:
    oracles = [number_cell(row.oracles[name]) for name in sorted(row.oracles)]
    return [*(number_cell(row[name]) for name in shown), _estimate(row), number_cell(row.normalised_modularity, 3),
            number_cell(row.conductance, 3), *oracles]


def _many(scored: Sequence[Scored], key: Key, metric: str) -> list[Cell]:
    found = [one.row(key) for one in scored]
    values = [row and row[metric] for row in found]
    differences = [None if value is None or values[0] is None else value - values[0] for value in values[1:]]
    return [*map(number_cell, values), *(_estimate(row) if row else Cell(NOTHING) for row in found),
            *map(number_cell, differences)]


def summaries(scored: Sequence[Scored], metric: str) -> list[Table]:
    """Means of every set, of several experiments their differences, true and estimated numbers of speakers."""
    return [_means(scored), *_differences(scored, metric), *_confusion(scored)]


def _means(scored: Sequence[Scored]) -> Table:
    titles = titles_of(scored)
    sets = [means for one in scored for means in one.results["sets"].values()]
    shown = [name for name in titles if any(means.get(name) is not None for means in sets)]
    rows = []
    for one in scored:
        for name, means in one.results["sets"].items():
            scores = [Cell(score_cell(means, score), means.get(score)) for score in shown]
            rows.append([text_cell(one.name), text_cell(name), number_cell(means["n"], 0), *scores,
                         text_cell(count_cell(means)), number_cell(means.get("mean_normalised_modularity"), 3)])
    header = ["experiment", "set", "mixtures", *(titles[name] for name in shown), "number of speakers", "mean Qn"]
    known = [f"{one.name} learned from: {one.results['supervision']}." for one in scored]
    return Table("Experiments", header, rows, None, ["Means over the mixtures; in brackets 95 % intervals.", *known])


def _confusion(scored: Sequence[Scored]) -> list[Table]:
    named = [(one.name, found) for one in scored if (found := confusion_of(one.results))]
    columns = sorted({estimated for _, found in named for row in found.values() for estimated in row})
    rows = []
    for name, found in named:
        for true, row in found.items():
            total = sum(row.values())
            counts = [row.get(estimated, 0) for estimated in columns]
            shares = [Cell(str(count), count, count / total) for count in counts]
            rows.append([text_cell(name), number_cell(true, 0), *shares,
                         number_cell(100 * row.get(true, 0) / total, 1, " %")])
    header = ["experiment", "true number", *(f"{number} estimated" for number in columns), "correct"]
    return [Table("True and estimated number of speakers, mixtures", header, rows)] if rows else []


def _read(text: str) -> Cell:
    """A cell that is sorted by its number where it is one."""
    try:
        return Cell(text, float(text))
    except ValueError:
        return text_cell(text)


def _differences(scored: Sequence[Scored], metric: str) -> list[Table]:
    """The first experiment beside each other one; a sentence where they cannot be compared."""
    tables = []
    for other in scored[1:]:
        title = f"{other.name} minus {scored[0].name}, paired over the mixtures"
        try:
            comparison = compare(scored[0].folder, other.folder, metric=metric)
        except ContrasepError as error:
            tables.append(Table(title, ["not compared"], [[text_cell(error)]]))
            continue
        names = {"A": scored[0].name, "B": other.name}
        header = [" ".join(names.get(word, word) for word in column.split()) for column in HEADER]
        rows = [[_read(cell) for cell in line] for line in comparison_cells(comparison)]
        tables.append(Table(title, header, rows))
    return tables
