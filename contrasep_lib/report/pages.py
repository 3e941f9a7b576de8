"""Results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contrasep_lib.errors import one_line
from contrasep_lib.oracles.base import OracleOptions, oracle_title
from contrasep_lib.report.cost import cost_cells
from contrasep_lib.report.counts import JOINT, confusion_of, confusion_rows
from contrasep_lib.report.markdown import code, escaped, markdown_table
from contrasep_lib.report.words import word_lines
from contrasep_lib.score.metrics.base import Column

# the scores of results that do not name theirs, those of earlier versions
EARLIER_COLUMNS = (
    Column("si_snri", "SI-SNRi", improvement=True),
    Column("sdri", "SDRi", improvement=True),
    Column("si_snri_count_estimated", "SI-SNRi, count estimated", improvement=True),
    Column("si_snri_penalised", "SI-SNRi, penalised", improvement=True),
    Column("si_snr", "output SI-SNR", fallback=True),
)
NOTES = (
    "Decibels, means over the mixtures. SI-SNRi and SDRi (BSS-Eval v3) are improvements over the unprocessed mixture "
    "under the best permutation. Oracle masks are made from the sources; they show what a mask over the same units can "
    "reach."
)
INTERVAL_NOTES = (
    "In brackets a 95 % interval for further speakers: jackknife over speakers, each left out with all of its "
    "mixtures, and Student's t."
)
# results of earlier versions do not name their method
EARLIER_INTERVAL_NOTES = (
    "by an earlier method, percentiles of a bootstrap over speakers. With few speakers they are too narrow, and in "
    "joint sets the resamples favour mixtures of few speakers, whose scores are higher."
)
COUNT_NOTES = (
    "With the number of speakers estimated, a missing output scores as the mixture (0 dB) and extra ones are dropped "
    "after matching; penalised, each missing or extra output counts as 0 dB in the mean over the larger of both "
    "counts. Count accuracy: share of the mixtures whose estimate is correct."
)
PENALTY_NOTES = (
    "P-SI-SNR (Zhu et al. 2021): SI-SNR of the outputs under the best matching, each missing or extra output counts as "
    "-30 dB (or as its column says), mean over the larger of both counts. It is no improvement over the mixture."
)
# column -> what its readers have to know
PERCEPTUAL_NOTES = {
    "stoi": "STOI (Taal et al. 2011) by pystoi: intelligibility, 0 to 1.",
    "estoi": "ESTOI (Jensen and Taal 2016) by pystoi: intelligibility with fluctuating maskers, 0 to 1.",
    "pesq": "PESQ (ITU-T P.862) by the package pesq: quality as MOS-LQO, from 1 on.",
    "dnsmos": (
        "DNSMOS P.835 (Reddy et al. 2022) by speechmos: a network's opinion of the output alone, 1 to 5, of speech at "
        "16 kHz; lower rates are upsampled, and their scores do not compare with those of 16 kHz."
    ),
}
COST_NOTES = (
    "Trained: all phases, and the models that they began with. Real-time factor: separation of the test sets, seconds "
    "per second of audio; on a processor CPU time, one thread per job."
)
SINGLE_SPEAKER_NOTES = (
    "A single-speaker mixture is its own source, so no improvement exists: the table shows SI-SNR of the output, "
    "capped at 30 dB."
)
JOINT_NOTES = (
    "In joint sets, improvements are means over the mixtures of two and more speakers; all else is over all mixtures."
)


def score_cell(means: Mapping[str, Any], name: str) -> str:
    """A set's mean of a score with its interval, dB; ``-`` where it does not exist."""
    if means.get(name) is None:
        return "-"
    interval = means.get(f"{name}_ci95")
    return f"{means[name]:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def columns_of(means: Mapping[str, Any]) -> list[Column]:
    """The columns that a set's means have."""
    return [Column(**column) for column in means["columns"]] if "columns" in means else list(EARLIER_COLUMNS)


def score_columns(sets: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Title -> name of the columns that hold something; fallbacks only where no improvement exists."""
    sets = list(sets)
    declared = {column.name: column for means in sets for column in columns_of(means)}
    found = [column for name, column in declared.items() if any(means.get(name) is not None for means in sets)]
    improved = any(column.improvement for column in found)
    return {escaped(column.title): column.name for column in found if not (improved and column.fallback)}


def _framing(results: Mapping[str, Any]) -> str:
    """The framing of the oracle masks, as part of a row's title; empty where results do not state it."""
    features = results.get("options", {}).get("features")
    return "" if features is None else f", win {features['win']}, hop {features['hop']}"


def _oracle_cells(
    results: Mapping[str, Any], oracle: Mapping[str, float | None], columns: Mapping[str, str]
) -> list[tuple[str, list[str]]]:
    """(row title, cells) of the oracles that have a value; they are known by SI-SNRi alone."""
    made = []
    for name, value in sorted(oracle.items()):
        if value is not None:
            cells = [f"{value:.2f}" if score == "si_snri" else "-" for score in columns.values()]
            made.append((escaped(oracle_title(name) + _framing(results)), cells))
    return made


def _with_improvement(columns: dict[str, str], sets: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A system that estimates the count still needs the column in which its oracles stand."""
    has_oracles = any(value is not None for means in sets for value in means["oracle"].values())
    return {"SI-SNRi": "si_snri", **columns} if has_oracles else columns


def _interval_notes(sets: Sequence[Mapping[str, Any]], earlier: Sequence[str]) -> list[str]:
    """How the intervals were made; ``earlier`` names rows by an earlier method where others have today's."""
    with_interval = [means for means in sets if any(key.endswith("_ci95") and value for key, value in means.items())]
    today = {"interval" in means for means in with_interval}
    notes = [INTERVAL_NOTES] if True in today else []
    if False in today:
        which = "Intervals in brackets (95 %) are"
        if notes:
            which = f"Those of {', '.join(map(code, earlier)) or 'some rows'} are"
        notes.append(f"{which} {EARLIER_INTERVAL_NOTES}")
    return notes


def notes_on(sets: Iterable[Mapping[str, Any]], earlier: Sequence[str] = ()) -> list[str]:
    """What a reader of these sets' scores has to know, as paragraphs.

    Args:
        sets: means of the sets.
        earlier: names of the rows whose intervals are of an earlier version's method.
    """
    sets = list(sets)
    notes = [" ".join([NOTES, *_interval_notes(sets, earlier)])]
    if any(means.get("si_snri_count_estimated") is not None for means in sets):
        notes.append(COUNT_NOTES)
    if any(means.get("p_si_snr") is not None for means in sets):
        notes.append(PENALTY_NOTES)
    shown = [note for name, note in PERCEPTUAL_NOTES.items() if any(means.get(name) is not None for means in sets)]
    notes += [f"Not in decibels: {' '.join(shown)}"] if shown else []
    if any(means["num_spk"] == 1 for means in sets):
        notes.append(SINGLE_SPEAKER_NOTES)
    if any(not isinstance(means["num_spk"], int) and 1 in means["num_spk"] for means in sets):
        notes.append(JOINT_NOTES)
    return notes


def _counts(num_spk: int | Sequence[int]) -> str:
    return str(num_spk) if isinstance(num_spk, int) else ", ".join(map(str, num_spk))


def set_summary(means: Mapping[str, Any]) -> str:
    """How many mixtures a set has, of how many speakers."""
    one = means["num_spk"] == 1
    mixtures = "single-speaker mixtures" if one else f"mixtures of {_counts(means['num_spk'])} speakers"
    weights = ", each number of speakers weighs the same" if means.get("mean_over") == "counts" else ""
    return f"{means['n']} {mixtures} ({means['speakers']} speakers in all){weights}"


def count_cell(means: Mapping[str, Any]) -> str:
    """Whether the number of speakers was given, or how often its estimate is correct."""
    accuracy = means["count_accuracy"]
    if accuracy is None or means.get("si_snri") is not None:
        return "given"
    return f"estimated, accuracy {100 * accuracy:.1f} %"


def separator_cell(results: Mapping[str, Any]) -> str:
    """The separator; of a system that is not ours also its size and training."""
    system = results.get("system")
    if system is None:
        return escaped(results["separator"])
    size = f"{system['parameters'] / 1e6:.2f} million parameters"
    return escaped(f"{results['separator']}: {size}, trained {system['minutes']:.0f} minutes on {system['device']}")


def fallback_words(means: Mapping[str, Any]) -> list[str]:
    """How many mixtures another solver than the configured one partitioned, one sentence a solver."""
    return [
        f"partitioned by {escaped(name)}, as the solver found too few communities: {count} of {means['n']}"
        for name, count in means.get("fallbacks", {}).items()
    ]


def partial_words(means: Mapping[str, Any]) -> list[str]:
    """Of how many mixtures a score does not exist, one sentence a score; improvements lack where their scores do."""
    lacking = [(column, means["n"] - means.get(f"{column.name}_n", means["n"])) for column in columns_of(means)]
    return [
        f"{escaped(column.title)}: the mean is over {means['n'] - count} of {means['n']} mixtures, the others are "
        "silent or too short for it"
        for column, count in lacking if count and column.partial and not column.improvement
    ]


def _evidence(means: Mapping[str, Any]) -> list[str]:
    """Lines on counting and clustering, where there is something to report."""
    lines = []
    if means["count_accuracy"] is not None:
        lines.append(f"- count accuracy: {100 * means['count_accuracy']:.1f} %")
    if means["mean_modularity"] is not None:
        lines.append(f"- mean modularity: {means['mean_modularity']:.3f}")
    if means.get("mean_normalised_modularity") is not None:
        lines.append(f"- mean normalised modularity: {means['mean_normalised_modularity']:.3f}")
    if means["mean_conductance"] is not None:
        lines.append(f"- mean conductance: {means['mean_conductance']:.3f}")
    lines += [f"- {words}" for words in (*fallback_words(means), *partial_words(means))]
    return [*lines, ""] if lines else []


def tag_page(
    tag: str, results: Mapping[str, Any], command: str, when: str, took: str | None, page: str | None = None
) -> str:
    """RESULTS.md of a tag.

    Args:
        tag: name of the experiment.
        results: as `build_results` makes them.
        command: what repeats the run.
        when: date and time.
        took: duration, or None.
        page: name of the page to listen to, or None.
    """
    lines = [
        f"# {escaped(results['recipe'])}: {escaped(tag)}",
        "",
        f"- corpus: {escaped(results['label'])}",
        f"- speakers per mixture: {_counts(results['num_spk'])}",
        f"- separator: {separator_cell(results)}, granularity: {escaped(results['granularity'] or 'none')}",
        f"- supervision: {escaped(results['supervision'])}",
        f"- configuration: {escaped(results['config'])}",
        f"- made {when}" + (f" in {took}" if took else "") + " by:",
        "",
        f"      {one_line(command)}",
        "",
        *([f"To listen, with a browser: {code(page)}.", ""] if page else []),
    ]
    for name, means in results["sets"].items():
        columns = _with_improvement(score_columns([means]), [means])
        rows = [[f"**{escaped(results['separator'])}**", *(score_cell(means, score) for score in columns.values())]]
        rows += [[title, *cells] for title, cells in _oracle_cells(results, means["oracle"], columns)]
        title = escaped(name)
        lines += [f"## {title}: {set_summary(means)}, {escaped(results['label'])}", ""]
        lines += [*markdown_table([title, *columns], rows), "", *_evidence(means), *word_lines(means)]
        if name == JOINT:
            continue
        scores = f"score_{name}"
        lines += [f"Every utterance: {code(f'{scores}/scores.tsv')}; plots: {code(f'{scores}/histogram.png')}, "
                  f"{code(f'{scores}/plots/')}; audio: {code(f'separate_{name}/')}.", ""]
    counted = _count_section({tag: results})
    if counted:
        lines += [*counted, "Plot: `counts.png`.", ""]
    for note in notes_on(results["sets"].values()):
        lines += [note, ""]
    return "\n".join(lines)


def comparison_page(rows: Mapping[str, Mapping[str, Any]], origin: str) -> str:
    """A page that compares experiments: one table per test set with every tag and the oracles, and what systems cost.

    Args:
        rows: tag -> ``results`` (as `build_results` makes them) and ``cost`` (as `read_cost` returns it, or None).
            Sets of one name but another number of speakers or mixtures, or from another corpus, are other sets and
            stand in tables of their own.
        origin: where the rows come from, a paragraph under the heading.
    """
    recipes = sorted({row["results"]["recipe"] for row in rows.values()})
    lines = [f"# {escaped(', '.join(recipes))}: results", "", origin, ""]
    groups: dict[tuple[str, str, str], list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]] = {}
    for tag, row in rows.items():
        results = row["results"]
        for name, means in results["sets"].items():
            groups.setdefault((name, set_summary(means), results["label"]), []).append((tag, results, means))
    for (name, what, label), members in sorted(groups.items()):
        lines += [f"## {escaped(name)}: {what}, {escaped(label)}", "", *_set_table(members), ""]
        notes = [
            f"- {code(tag)}: {words}" for tag, _, means in members
            for words in (*fallback_words(means), *partial_words(means))
        ]
        lines += [*notes, ""] if notes else []
    lines += _count_section({tag: row["results"] for tag, row in rows.items()})
    known = {tag: row["cost"] for tag, row in rows.items() if row["cost"] is not None}
    costs = [list(map(escaped, (tag, *cost_cells(cost)))) for tag, cost in known.items()]
    if costs:
        header = ["tag", "million parameters", "trained", "real-time factor", "on"]
        lines += ["## Systems", "", *markdown_table(header, costs), "", COST_NOTES, ""]
    earlier = [tag for tag, row in rows.items() if all("interval" not in m for m in row["results"]["sets"].values())]
    for note in notes_on((means for members in groups.values() for *_, means in members), earlier):
        lines += [note, ""]
    return "\n".join(lines)


def _count_section(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines on true and estimated numbers of speakers, of the tags that have both; none where no tag has."""
    named = [(escaped(tag), confusion) for tag, each in results.items() if (confusion := confusion_of(each))]
    if not named:
        return []
    return ["## Number of speakers: true and estimated, mixtures", "", *markdown_table(*confusion_rows(named)), ""]


def _set_table(members: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """The lines of a test set's table.

    Args:
        members: tag, its results, and their means of this set.
    """
    sets = [means for *_, means in members]
    columns = _with_improvement(score_columns(sets), sets)
    rows = [
        [escaped(tag), separator_cell(results), *map(escaped, (results["granularity"] or "-", results["supervision"])),
         *(score_cell(means, score) for score in columns.values()), count_cell(means)]
        for tag, results, means in members
    ]
    # tags of one framing have the same oracles, which are printed once
    oracles = {
        (title, *cells): None for _, results, means in members
        for title, cells in _oracle_cells(results, means["oracle"], columns)
    }
    rows += [["-", title, "-", OracleOptions.supervision, *cells, "given"] for title, *cells in oracles]
    return markdown_table(["tag", "separator", "granularity", "supervision", *columns, "count"], rows, words=4)
