"""Results as Markdown."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

from contrasep_lib.report.cost import cost_cells
from contrasep_lib.score.oracles import ORACLES

ORACLE_ROWS = {
    "frame_binary": "oracle, binary mask per frame",
    "ibm": "oracle, binary mask per T-F unit (IBM)",
    "irm": "oracle, ratio mask (IRM)",
    "psm": "oracle, phase-sensitive mask (PSM)",
}
ORACLE_SUPERVISION = "sources at test time (oracle)"
# column title -> (score, its decimals)
SCORE_COLUMNS = {
    "SI-SNRi": "si_snri",
    "SDRi": "sdri",
    "SI-SNRi, count estimated": "si_snri_count_estimated",
    "SI-SNRi, penalised": "si_snri_penalised",
    "output SI-SNR": "si_snr",
}
# the mixtures of all test sets together, where the sets differ in the number of talkers
JOINT = "joint"
NOTES = (
    "Decibels, means over the mixtures; in brackets a 95 % interval by bootstrap over speakers. SI-SNRi and "
    "SDRi (BSS-Eval v3) are improvements over the unprocessed mixture under the best permutation. Oracle "
    "masks are made from the sources; they show what a mask over the same units can reach."
)
COUNT_NOTES = (
    "Where the count of talkers was estimated, a missing output scores as the mixture (0 dB) and extra ones "
    "are dropped after matching; penalised, each missing or extra output counts as 0 dB in the mean over the "
    "larger of both counts."
)
COST_NOTES = (
    "Trained: all phases, and the models that they began with. Real-time factor: separation of the test sets, seconds for a "
    "second of audio; of a processor its own time, one thread a job."
)
ONE_TALKER_NOTES = "One talker is its own mixture, so no improvement exists: output SI-SNR, capped at 30 dB."
JOINT_TALKER_NOTES = "In joint sets, improvements are means over the mixtures of two and more talkers; the count is judged on all."


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> list[str]:
    """Lines of a Markdown table; columns after the first ``words`` hold numbers, right-aligned."""
    rule = "|" + " --- |" * words + " ---: |" * (len(header) - words)
    lines = ["| " + " | ".join(header) + " |", rule]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return lines


def score_cell(means: Mapping[str, Any], name: str) -> str:
    """A set's mean of a score with its interval, dB; ``-`` where it does not exist."""
    if means.get(name) is None:
        return "-"
    interval = means.get(f"{name}_ci95")
    return f"{means[name]:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def score_columns(sets: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The columns that hold something; output SI-SNR only where no improvement exists."""
    sets = list(sets)
    found = {
        title: name for title, name in SCORE_COLUMNS.items() if any(means[name] is not None for means in sets)
    }
    if list(found) != ["output SI-SNR"]:
        found.pop("output SI-SNR", None)
    return found


def _framing(results: Mapping[str, Any]) -> str:
    """The framing of the oracle masks, as part of a row's title; empty where results do not state it."""
    features = results.get("options", {}).get("features")
    return "" if features is None else f", win {features['win']}, hop {features['hop']}"


def _oracle_cells(
    results: Mapping[str, Any], oracle: Mapping[str, float | None], columns: Mapping[str, str]
) -> list[tuple[str, list[str]]]:
    """(row title, cells) of the oracles that have a value; they are known by SI-SNRi alone."""
    made = []
    for name in ORACLES:
        if oracle[name] is not None:
            cells = [f"{oracle[name]:.2f}" if score == "si_snri" else "-" for score in columns.values()]
            made.append((ORACLE_ROWS[name] + _framing(results), cells))
    return made


def _with_improvement(columns: dict[str, str], sets: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A system that estimates the count still needs the column in which its oracles stand."""
    has_oracles = any(value is not None for means in sets for value in means["oracle"].values())
    return {"SI-SNRi": "si_snri", **columns} if has_oracles else columns


def notes_on(sets: Iterable[Mapping[str, Any]]) -> list[str]:
    """What a reader of these sets' scores has to know, as paragraphs."""
    sets = list(sets)
    notes = [NOTES]
    if any(means["si_snri_count_estimated"] is not None for means in sets):
        notes.append(COUNT_NOTES)
    if any(means["si_snri"] is None and means["si_snri_count_estimated"] is None for means in sets):
        notes.append(ONE_TALKER_NOTES)
    if any(not isinstance(means["num_spk"], int) and 1 in means["num_spk"] for means in sets):
        notes.append(JOINT_TALKER_NOTES)
    return notes


def _talkers(num_spk: int | Sequence[int]) -> str:
    return str(num_spk) if isinstance(num_spk, int) else ", ".join(map(str, num_spk))


def set_summary(means: Mapping[str, Any]) -> str:
    """How many mixtures, talkers and speakers a set has."""
    plural = "" if means["num_spk"] == 1 else "s"
    talkers = f"{_talkers(means['num_spk'])} talker{plural}"
    return f"{means['n']} mixtures of {talkers} ({means['speakers']} speakers in all)"


def count_cell(means: Mapping[str, Any]) -> str:
    """Whether the count of talkers was given, or how often its estimate is right."""
    accuracy = means["count_accuracy"]
    if accuracy is None or means["si_snri"] is not None:
        return "given"
    return f"estimated, {100 * accuracy:.1f} % right"


def separator_cell(results: Mapping[str, Any]) -> str:
    """The separator; of a system that is not ours also its size and training."""
    system = results.get("system")
    if system is None:
        return results["separator"]
    size = f"{system['parameters'] / 1e6:.2f} million parameters"
    return f"{results['separator']}: {size}, trained {system['minutes']:.0f} minutes on {system['device']}"


def _evidence(means: Mapping[str, Any]) -> list[str]:
    """Lines on counting and clustering, where there is something to tell."""
    lines = []
    if means["count_accuracy"] is not None:
        lines.append(f"- talkers counted rightly: {100 * means['count_accuracy']:.1f} %")
    if means["mean_modularity"] is not None:
        lines.append(f"- mean modularity: {means['mean_modularity']:.3f}")
    if means["mean_conductance"] is not None:
        lines.append(f"- mean conductance: {means['mean_conductance']:.3f}")
    return [*lines, ""] if lines else []


def tag_page(tag: str, results: Mapping[str, Any], command: str, when: str, took: str | None) -> str:
    """RESULTS.md of a tag.

    Args:
        tag: name of the experiment.
        results: as `build_results` makes them.
        command: what repeats the run.
        when: date and time.
        took: duration, or None.
    """
    lines = [
        f"# {results['recipe']}: {tag}",
        "",
        f"- corpus: {results['label']}",
        f"- talkers per mixture: {_talkers(results['num_spk'])}",
        f"- separator: {separator_cell(results)}, granularity: {results['granularity'] or 'none'}",
        f"- supervision: {results['supervision']}",
        f"- configuration: {results['config']}",
        f"- made {when}" + (f" in {took}" if took else "") + " by:",
        "",
        f"      {command}",
        "",
    ]
    for name, means in results["sets"].items():
        columns = _with_improvement(score_columns([means]), [means])
        rows = [[f"**{results['separator']}**", *(score_cell(means, score) for score in columns.values())]]
        rows += [[title, *cells] for title, cells in _oracle_cells(results, means["oracle"], columns)]
        lines += [f"## {name}: {set_summary(means)}, {results['label']}", ""]
        lines += [*markdown_table([name, *columns], rows), "", *_evidence(means)]
        if name == JOINT:
            continue
        lines += [f"Every utterance: `score_{name}/scores.tsv`; plots: `score_{name}/histogram.png`, "
                  f"`score_{name}/plots/`; audio: `separate_{name}/`.", ""]
    for note in notes_on(results["sets"].values()):
        lines += [note, ""]
    return "\n".join(lines)


def comparison_page(rows: Mapping[str, Mapping[str, Any]], origin: str) -> str:
    """A page that compares experiments: one table per test set with every tag and the oracles, and what systems cost.

    Args:
        rows: tag -> ``results`` (as `build_results` makes them) and ``cost`` (as `read_cost` returns it, or None).
            Sets of one name but another number of talkers or mixtures, or from another corpus, are other sets and
            stand in tables of their own.
        origin: where the rows come from, a paragraph under the heading.
    """
    recipes = sorted({row["results"]["recipe"] for row in rows.values()})
    lines = [f"# {', '.join(recipes)}: results", "", origin, ""]
    groups: dict[tuple[str, str, str], list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]] = {}
    for tag, row in rows.items():
        results = row["results"]
        for name, means in results["sets"].items():
            groups.setdefault((name, set_summary(means), results["label"]), []).append((tag, results, means))
    for (name, what, label), members in sorted(groups.items()):
        lines += [f"## {name}: {what}, {label}", "", *_set_table(members), ""]
    costs = [[tag, *cost_cells(row["cost"])] for tag, row in rows.items() if row["cost"] is not None]
    if costs:
        header = ["tag", "million parameters", "trained", "real-time factor", "on"]
        lines += ["## Systems", "", *markdown_table(header, costs), "", COST_NOTES, ""]
    for note in notes_on(means for members in groups.values() for *_, means in members):
        lines += [note, ""]
    return "\n".join(lines)


def _set_table(members: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """The lines of a test set's table.

    Args:
        members: tag, its results, and their means of this set.
    """
    sets = [means for *_, means in members]
    columns = _with_improvement(score_columns(sets), sets)
    rows = [
        [tag, separator_cell(results), results["granularity"] or "-", results["supervision"],
         *(score_cell(means, score) for score in columns.values()), count_cell(means)]
        for tag, results, means in members
    ]
    # tags of one framing have the same oracles, which are printed once
    oracles = {
        (title, *cells): None for _, results, means in members
        for title, cells in _oracle_cells(results, means["oracle"], columns)
    }
    rows += [["-", title, "-", ORACLE_SUPERVISION, *cells, "given"] for title, *cells in oracles]
    return markdown_table(["tag", "separator", "granularity", "supervision", *columns, "count"], rows, words=4)
