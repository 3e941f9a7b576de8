"""Table, plot and results.json of a sweep over configuration values."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.report.markdown import escaped, markdown_table
from contrasep_lib.report.pages import count_cell, notes_on, score_cell, score_columns, set_summary
from contrasep_lib.report.results import SWEEP_KEY, read_results, to_json
from contrasep_lib.report.sweep_plan import Sweep, yaml_value
from contrasep_lib.report.sweep_plot import draw_sweep

# granularity -> the oracle that gives each of its nodes to one source
BOUNDS = {"frame": "frame", "tf": "ibm"}
OUTCOMES = "runs.tsv"
KEPT = ("config", "granularity", "separator", "supervision", "label", "sets")
BOUND_NOTES = (
    "bound: SI-SNRi of the oracle whose binary mask gives each node (a frame, or a T-F unit) to one source."
)


def read_outcomes(folder: str | os.PathLike) -> list[tuple[str | None, str | None]]:
    """How the runs of a sweep ended, as `utils/sweep.sh` noted it.

    Args:
        folder: with ``runs.tsv``, whose lines hold the tag (empty where none could be derived) and
            the exit status, and ``log/run.N.err``, the error output of the N-th run.

    Returns:
        (tag or None, error or None) of the runs that have ended, in the order of the sweep.

    Raises:
        ContrasepError: no table, or a line of another form.
    """
    table = Path(folder) / OUTCOMES
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ContrasepError(f"{table}: not there; utils/sweep.sh writes it as it runs the sweep") from None
    outcomes = []
    for number, line in enumerate(lines, 1):
        tag, tab, status = line.partition("\t")
        if not tab or not status.isdecimal():
            raise ContrasepError(f"{table}:{number}: expected a tag, a tab and a status; run the sweep again")
        error = None if status == "0" else last_error(Path(folder) / "log" / f"run.{number}.err", int(status))
        outcomes.append((tag or None, error))
    return outcomes


def last_error(path: str | os.PathLike, status: int) -> str:
    """The last line of an error output that says something.

    The job runner's closing line (``run.py: 1 of 2 jobs failed ..``) says less than the job's own
    line above it, so it is passed over while there is another.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        text = ""
    # a progress bar ends its states with carriage returns
    lines = [" ".join(line.split()) for line in text.replace("\r", "\n").splitlines() if line.strip()]
    own = [line for line in lines if not line.startswith("run.py: ")]
    return (own or lines or [f"exit status {status}"])[-1]


def gather(sweep: Sweep, outcomes: Sequence[tuple[str | None, str | None]]) -> dict[str, Any]:
    """The content of the sweep's results.json.

    Args:
        sweep: the plan.
        outcomes: from `read_outcomes`; runs beyond them have not run yet.

    Returns:
        ``sweep`` (name), ``swept`` (key -> values), ``runs``: each with ``values``, ``tag``,
        ``error`` (None when it has results) and, from the tag's results.json, the `KEPT` keys
        (None where there are no results); every set holds ``bound`` besides, dB.

    Raises:
        ContrasepError: more outcomes than runs: another sweep's.
    """
    if len(outcomes) > len(sweep.runs):
        raise ContrasepError(f"{sweep.folder / OUTCOMES}: {len(outcomes)} runs, planned are {len(sweep.runs)}; "
                             "give the words that the sweep was called with")
    runs = []
    missing = [(None, "not run yet")] * (len(sweep.runs) - len(outcomes))
    for run, (tag, error) in zip(sweep.runs, [*outcomes, *missing]):
        results: Mapping[str, Any] = dict.fromkeys(KEPT)
        if error is None:
            try:
                results = _tag_results(sweep.exp / str(tag) / "results.json")
            except ContrasepError as caught:
                error = str(caught)
        values = {key: _plain(value) for key, value in run.values.items()}
        runs.append({"values": values, "tag": tag, "error": error, **{key: results[key] for key in KEPT}})
    swept = {key: [_plain(value) for value in values] for key, values in sweep.swept.items()}
    return {"sweep": sweep.name, SWEEP_KEY: swept, "runs": runs}


def _tag_results(path: Path) -> dict[str, Any]:
    if not path.is_file():
        trained = any((path.parent / phase / ".done").is_file() for phase in ("pretrain", "finetune"))
        what = "trained, not scored" if trained else f"no {path.parent.name}/results.json"
        raise ContrasepError(f"{what}; let the sweep run up to stage 6")
    results = read_results(path)
    bound = BOUNDS.get(results["granularity"])
    for means in results["sets"].values():
        means["bound"] = means["oracle"].get(bound)
    return results


def _plain(text: str) -> Any:
    """A value as YAML reads it, or as written where JSON has no such value (a date, .nan)."""
    value = yaml_value(text)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return text
    return value


def shown_value(value: Any) -> str:
    """A swept value as tables and legends show it."""
    return value if isinstance(value, str) else json.dumps(value)


def sweep_page(results: Mapping[str, Any], recipe: str, command: str) -> str:
    """RESULTS.md of a sweep: a table for each test set, in which every run has a row.

    Args:
        results: from `gather`.
        recipe: name of the recipe.
        command: what repeats the sweep.
    """
    runs = results["runs"]
    lines = [f"# {escaped(recipe)}: sweep {escaped(results['sweep'])}", ""]
    for key, values in results[SWEEP_KEY].items():
        lines.append(f"- {escaped(key)}: {escaped(', '.join(map(shown_value, values)))}")
    without = sum(run["sets"] is None for run in runs)
    lines += [f"- runs: {len(runs)}" + (f", {without} of them without results" if without else "")]
    lines += ["- generated, not edited by hand, by:", "", f"      {command}", ""]
    sets: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        for name in run["sets"] or {}:
            sets.setdefault(name, []).append(run)
    if not sets:
        return "\n".join([*lines, *_run_table(runs, None), ""])
    lines += ["![SI-SNR improvement over the swept values](sweep.png)", ""]
    for name, scored in sorted(sets.items()):
        # a value of the sections corpus or mix makes other mixtures under the same name
        what = dict.fromkeys(f"{set_summary(run['sets'][name])}, {escaped(run['label'])}" for run in scored)
        lines += [f"## {escaped(name)}: {'; '.join(what)}", "", *_run_table(runs, name), ""]
    shown = [run["sets"][name] for name, scored in sets.items() for run in scored]
    notes = notes_on(shown)
    if any(means["bound"] is not None for means in shown):
        notes.append(BOUND_NOTES)
    for note in notes:
        lines += [note, ""]
    return "\n".join(lines)


def _run_table(runs: Sequence[Mapping[str, Any]], name: str | None) -> list[str]:
    """Lines of the table of a set, or of errors alone where no run has a set."""
    keys = list(runs[0]["values"])
    found = [run["sets"][name] for run in runs if name in (run["sets"] or {})]
    columns = score_columns(found) if found else {}
    bounded = any(means["bound"] is not None for means in found)
    errors = len(found) < len(runs)
    header = [*keys, "tag", "supervision", *(["count"] if found else []), *(["error"] if errors else []),
              *columns, *(["bound"] if bounded else [])]
    rows = []
    for run in runs:
        means = (run["sets"] or {}).get(name)
        words = [*map(shown_value, run["values"].values()), run["tag"] or "-", run["supervision"] or "-"]
        if found:
            words.append("-" if means is None else count_cell(means))
        if errors:
            words.append("-" if means is not None else run["error"] or f"{name} not scored")
        scores = [*columns.values(), *(["bound"] if bounded else [])]
        rows.append([*map(escaped, words), *(score_cell(means or {}, score) for score in scores)])
    return markdown_table(header, rows, words=len(header) - len(columns) - bounded)


def write_sweep(sweep: Sweep, recipe: str, command: str) -> Path:
    """Write RESULTS.md, results.json and, once a run has results, sweep.png into the sweep's folder.

    Args:
        sweep: the plan.
        recipe: name of the recipe.
        command: what repeats the sweep; it stands in RESULTS.md alone.

    Returns:
        path of RESULTS.md.

    Raises:
        ContrasepError: see `read_outcomes` and `gather`.
    """
    results = gather(sweep, read_outcomes(sweep.folder))
    plot = sweep.folder / "sweep.png"
    if any(run["sets"] for run in results["runs"]):
        draw_sweep(plot, results["runs"], f"{recipe}: sweep {results['sweep']}")
    else:
        plot.unlink(missing_ok=True)
    write_text(sweep.folder / "results.json", to_json({"recipe": recipe, **results}))
    write_text(sweep.folder / "RESULTS.md", sweep_page(results, recipe, command))
    return sweep.folder / "RESULTS.md"
