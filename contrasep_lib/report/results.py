"""results.json and RESULTS.md of a tag.

results.json is made of its inputs alone: no dates, durations or absolute paths, so that the same
inputs give the same bytes. RESULTS.md of a tag says when and how it was made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.config import as_tree
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.dumpset import DumpSet, require_same_keys
from contrasep_lib.io.ids import shown
from contrasep_lib.oracles.base import oracle_options
from contrasep_lib.report.counts import JOINT
from contrasep_lib.report.pages import tag_page
from contrasep_lib.report.reading import read_json, require_keys
from contrasep_lib.report.words import is_words, read_words
from contrasep_lib.score.means import aggregate
from contrasep_lib.score.tables import OLD_ORACLES, Row, read_rows

# what a model's training knew of the mixtures, by its labels
MODEL_SUPERVISION = {
    "dominance": "sources in training (which unit is dominated by whom)",
    "none": "utterance in training (views of one recording)",
    "decoder": "sources in training (the sources themselves, and which unit is dominated by whom)",
}
REPORTED_SECTIONS = ("features", "separate", "score")
MODEL_SECTIONS = ("model", "pretrain", "finetune", "modularity")
# the page to listen to, of a tag
LISTEN = "listen.html"
# what tells a sweep's results.json from a tag's
SWEEP_KEY = "swept"
REQUIRED_KEYS = ("recipe", "config", "granularity", "separator", "supervision", "num_spk", "label", "sets")
# what a system that is not ours says of itself; see `read_system`
SYSTEM_KEYS = {
    "separator": str, "granularity": (str, type(None)), "supervision": str, "parameters": int, "minutes": (int, float),
    "device": str, "options": dict,
}
REQUIRED_SET_KEYS = ("n", "num_spk", "speakers", "count_accuracy", "oracle")


def supervision(config: Mapping[str, Any]) -> str:
    """The supervision that a configuration's separator used, as results state it.

    Raises:
        ContrasepError: an unknown separator.
    """
    separator = config["separate"].separator
    if separator == "model":
        known = "decoder" if config["model"].decoder is not None else config["model"].labels
        stated = MODEL_SUPERVISION[known]
        if known == "dominance" and not _labelled(config["model"], "finetune"):
            stated = "none in training"
        if known == "none" and getattr(config["modularity"].solver, "supervised", False):
            stated += ", sources for the modularity network (which unit is dominated by whom)"
        speakers = config["model"].labels != "none" and config["pretrain"].epochs > 0
        speakers = speakers and _labelled(config["model"], "pretrain")
        return f"speaker labels in pretraining{_shares(config['pretrain'].balance)}, {stated}" if speakers else stated
    return oracle_options(separator).supervision


def _labelled(model: Any, phase: str) -> bool:
    """Whether an objective of ``pretrain`` or ``finetune`` reads to whom a node belongs."""
    return any(getattr(objective, "labelled", True) for objective in model.objectives_of(phase).values())


def granularity(config: Mapping[str, Any]) -> str | None:
    """What a node is, as results state it; None where there are no nodes."""
    separator, model = config["separate"].separator, config["model"]
    if separator != "model":
        return oracle_options(separator).granularity
    return f"tf, {model.decoder.name} decoder" if model.decoder is not None else model.granularity


def _shares(balance: Mapping[str, float] | None) -> str:
    """The corpora of a phase in words, e.g. `` on audiomnist (50 %) and wsj0 (50 %)``; nothing for the recipe's own."""
    if balance is None:
        return ""
    total = sum(balance.values())
    return " on " + " and ".join(f"{name} ({100 * share / total:.3g} %)" for name, share in sorted(balance.items()))


def build_results(
    exp: str | os.PathLike,
    dumps: Sequence[str | os.PathLike],
    recipe: str,
    config_path: str | os.PathLike,
    config: Mapping[str, Any],
    label: str,
    system: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of results.json.

    Args:
        exp: ``exp/<tag>`` with ``score_<set>/scores.tsv`` of every set.
        dumps: ``dump/<set>`` of every test set.
        recipe: name of the recipe.
        config_path: its file name, without folders, is recorded.
        config: the loaded configuration; sections without paths are recorded.
        label: what the corpus is, e.g. ``synthetic speech (eSpeak NG)``.
        system: from `read_system`, where the outputs are those of a system that is not ours; None where
            the configuration names what separated.

    Returns:
        plain values; ``num_spk`` is a number, or a list where sets differ. Then the set ``joint``
        holds the means over all mixtures of all sets.

    Raises:
        ContrasepError: a set without scores, or scores of other utterances than the set's.
    """
    sets: dict[str, Any] = {}
    counts: set[int] = set()
    everything: list[Row] = []
    for folder in dumps:
        dump = DumpSet(folder)
        if dump.name == JOINT:
            raise ContrasepError(f"--sets: expected another name than '{JOINT}', which is that of all sets together")
        if dump.name in sets:
            raise ContrasepError(f"--sets: '{dump.name}' stands twice")
        table = Path(exp) / f"score_{dump.name}" / "scores.tsv"
        rows = read_rows(table)
        require_same_keys(dump.wav, {row.utt: "" for row in rows}, table)
        try:
            sets[dump.name] = aggregate(rows, config["score"])
        except ContrasepError as error:
            raise ContrasepError(f"{table}: {error}") from None
        words = read_words(table.parent)
        if words is not None:
            sets[dump.name]["words"] = words
        counts.update(row.num_spk for row in rows)
        everything += rows
    if len(sets) > 1 and len(counts) > 1:
        sets[JOINT] = aggregate(everything, config["score"])
    return {
        "recipe": recipe,
        "config": Path(config_path).name,
        **(_our_own(config) if system is None else _foreign(config, system)),
        "num_spk": counts.pop() if len(counts) == 1 else sorted(counts),
        "label": label,
        "sets": sets,
    }


def _our_own(config: Mapping[str, Any]) -> dict[str, Any]:
    """What separated, by the configuration."""
    separator = config["separate"].separator
    sections = REPORTED_SECTIONS + (MODEL_SECTIONS if separator == "model" else ())
    return {
        "granularity": granularity(config),
        "separator": separator,
        "supervision": supervision(config),
        "options": {name: as_tree(config[name]) for name in sections},
    }


def _foreign(config: Mapping[str, Any], system: Mapping[str, Any]) -> dict[str, Any]:
    """What separated, by its own word; of the configuration the framing of the oracles and the scoring count."""
    return {
        **{name: system[name] for name in ("granularity", "separator", "supervision")},
        "system": {name: system[name] for name in ("parameters", "minutes", "device")},
        "options": {**{name: as_tree(config[name]) for name in ("features", "score")}, "system": system["options"]},
    }


def read_system(path: str | os.PathLike) -> dict[str, Any]:
    """Read what a system that is not ours says of itself.

    Returns:
        ``separator`` (its name), ``granularity`` (None where it has none), ``supervision``, ``parameters``,
        ``minutes`` of training, ``device`` that it was trained on, and ``options``, plain values for the record.

    Raises:
        ContrasepError: no such file, not JSON, or a key missing or of another type.
    """
    if not Path(path).is_file():
        raise ContrasepError(f"{path}: not there; --system names the file in which a system says what it is")
    try:
        system = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise ContrasepError(f"{path}: cannot be read ({error}); separate with this system again") from None
    for key, kind in SYSTEM_KEYS.items():
        if not isinstance(system, dict) or key not in system or not isinstance(system[key], kind):
            raise ContrasepError(f"{path}: key '{key}' missing or of another type; separate with this system again")
    return system


def _require_means(means: Any, where: str) -> None:
    """Raise ContrasepError unless a set's means are such as result pages show."""
    require_keys(means if isinstance(means, Mapping) else {}, REQUIRED_SET_KEYS, where)
    mappings = {"oracle", "confusion", "fallbacks"}
    words = {"interval", "mean_over"}
    for key, value in means.items():
        counts = value if key == "num_spk" and isinstance(value, list) else [value]
        if key in ("n", "num_spk", "speakers"):
            right = bool(counts) and all(isinstance(count, int) for count in counts)
        elif key in mappings:
            right = value is None or isinstance(value, Mapping)
        elif key == "words":
            right = is_words(value)
        elif key == "columns":
            right = isinstance(value, list) and all(isinstance(column, Mapping) for column in value)
        elif key.endswith("_ci95"):
            right = value is None or (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)))
        else:
            right = value is None or _is_number(value) or key in words
        if not right:
            raise ContrasepError(f"{where}: key '{shown(key)}': got {shown(value, 60)}; run stage 6 of this tag again")
    if not all(value is None or _is_number(value) for value in means["oracle"].values()):
        raise ContrasepError(f"{where}: key 'oracle': expected numbers; run stage 6 of this tag again")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def to_json(results: Mapping[str, Any]) -> str:
    """Results as JSON text: keys sorted, no NaN, final newline."""
    return json.dumps(results, sort_keys=True, indent=2, allow_nan=False) + "\n"


def write_results(
    exp: str | os.PathLike, results: Mapping[str, Any], command: str, when: str, took: str | None
) -> Path:
    """Write results.json and RESULTS.md of a tag.

    Args:
        exp: ``exp/<tag>``.
        results: from `build_results`.
        command: what repeats the run.
        when: date and time.
        took: duration, or None where it is not known.

    Returns:
        path of RESULTS.md.
    """
    exp = Path(exp)
    text = tag_page(exp.resolve().name, results, command, when, took, LISTEN if (exp / LISTEN).is_file() else None)
    write_text(exp / "results.json", to_json(results))
    write_text(exp / "RESULTS.md", text)
    return exp / "RESULTS.md"


def read_results(path: str | os.PathLike) -> dict[str, Any]:
    """Read a results.json.

    Raises:
        ContrasepError: not JSON, or a key missing.
    """
    return checked_results(read_json(path), path)


def checked_results(results: Mapping[str, Any], path: str | os.PathLike) -> dict[str, Any]:
    """Results of a tag, oracles of earlier versions under today's names.

    Raises:
        ContrasepError: a key missing; the message names ``path``.
    """
    require_keys(results, REQUIRED_KEYS, path)
    if not isinstance(results["sets"], Mapping):
        raise ContrasepError(f"{path}: key 'sets': expected a mapping; run stage 6 of this tag again")
    sets = {}
    for name, means in results["sets"].items():
        _require_means(means, f"{path}: set '{shown(name)}'")
        oracles = {OLD_ORACLES.get(oracle, oracle): value for oracle, value in means["oracle"].items()}
        sets[name] = {**means, "oracle": oracles}
    return {**results, "sets": sets}
