"""A page of experiments: their scores, and mixtures with sources, outputs and communities side by side."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.config import build
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet, SeparatedSet
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.stft import num_frames
from contrasep_lib.report.listening.content import (
    MOST_SECONDS,
    Choice,
    Communities,
    Content,
    CountEvidence,
    Scene,
    Track,
    names_of,
    telling,
)
from contrasep_lib.report.listening.counted import kept_qualities
from contrasep_lib.report.listening.scores import Key, Scored, mean_of, mixtures_table, score_of, summaries
from contrasep_lib.report.paired import read_scores
from contrasep_lib.report.plots import assigned_source, output_titles, read_assignment
from contrasep_lib.report.results import read_results
from contrasep_lib.score.tables import Row, read_evidence


def experiment_content(
    folders: Sequence[str | os.PathLike],
    number: int,
    dumps: Sequence[str | os.PathLike] = (),
    results: Mapping[str, Any] | None = None,
) -> Content:
    """The page of one experiment, or of several side by side.

    Args:
        folders: ``exp/<tag>``, scored by stage 6.
        number: mixtures that can be heard, at most.
        dumps: ``dump/<set>`` of the test sets; those of a recipe's folder are found without.
        results: of the first folder, where its results.json is not written yet.

    Raises:
        ContrasepError: no scores, no audio of a set, or a file that cannot be read.
    """
    scored = []
    for name, folder in zip(names_of(folders), map(Path, folders)):
        tables = read_scores(folder)
        known = results if results is not None and not scored else read_results(folder / "results.json")
        # scores of sets that the results leave out are those of an earlier run
        scored.append(Scored(name, folder, known, {each: tables[each] for each in tables if each in known["sets"]}))
    metric = score_of(scored)
    table, keys = mixtures_table(scored, metric)
    audio = {name: _dump(name, dumps, scored) for name in dict.fromkeys(name for name, _ in keys)}
    chosen = telling([mean_of(scored, key, metric) for key in keys], number)
    choices = [
        Choice(place, utt, name, functools.partial(_scene, scored, audio[name], (name, utt)))
        for place in chosen for name, utt in [keys[place]]
    ]
    labels = dict.fromkeys(str(one.results["label"]) for one in scored)
    recipes = dict.fromkeys(str(one.results["recipe"]) for one in scored)
    title = f"{', '.join(recipes)}: {', '.join(one.name for one in scored)}"
    return Content(title, ", ".join(labels), summaries(scored, metric), table, choices)


def _dump(name: str, dumps: Sequence[str | os.PathLike], scored: Sequence[Scored]) -> DumpSet:
    """The dump of a test set: one that was named, or the recipe's."""
    named = {os.path.basename(os.path.abspath(folder)): Path(folder) for folder in dumps}
    beside = [one.folder.resolve().parents[1] / "dump" / name for one in scored]
    for folder in [named[name]] if name in named else beside:
        if (folder / "wav.scp").is_file():
            return DumpSet(folder)
    raise ContrasepError(f"--sets: no audio of '{name}' beside {scored[0].folder}; add --sets DUMPDIR/{name}")


def _scene(scored: Sequence[Scored], dump: DumpSet, key: Key) -> Scene:
    mixture, rate = dump.mixture_and_rate(key[1])
    most = round(MOST_SECONDS * rate)
    sources, speakers = dump.sources(key[1]), dump.speakers[key[1]]
    tracks = [Track("mixture", mixture[:most])]
    separated = [(one, row, _outputs(one, row, key, len(mixture))) for one in scored if (row := one.row(key))]
    several = len(scored) > 1
    for index, source in enumerate(sources):
        tracks.append(Track(f"source {index + 1}", source[:most], note=f"speaker {speakers[index]}", colour=index))
        for one, row, outputs in separated:
            output = row.permutation[index] if index < len(row.permutation) else None
            if output is not None:
                title, note = f"output {output + 1} for source {index + 1}", _note(row, index)
                tracks.append(Track(title, outputs[output][:most], one.name if several else "", note, index))
    for one, row, outputs in separated:
        spare = [output for output in range(len(outputs)) if output not in row.permutation]
        for place, output in enumerate(spare, len(sources)):
            title = f"output {output + 1}, one too many"
            tracks.append(Track(title, outputs[output][:most], one.name if several else "", "", place))
    found = [(one, _communities(one, row, key, len(mixture))) for one, row, _ in separated]
    return Scene(
        rate, tracks, _features(scored[0]), len(mixture) / rate,
        [communities for _, communities in found if communities is not None],
        [_evidence(one, row, key) for one, row, _ in separated],
    )


def _outputs(one: Scored, row: Row, key: Key, samples: int) -> np.ndarray:
    folder = one.folder / f"separate_{key[0]}"
    outputs = SeparatedSet(folder).outputs(key[1])
    if outputs.shape[1] != samples:
        raise ContrasepError(
            f"{folder}: '{key[1]}': expected {samples} samples, as its mixture has them, got {outputs.shape[1]}; "
            "run stage 5 again"
        )
    if row.outputs != len(outputs) or any(output is not None and output >= len(outputs) for output in row.permutation):
        raise ContrasepError(
            f"{one.folder}/score_{key[0]}/scores.tsv: '{key[1]}': scores of other outputs than the {len(outputs)} in "
            f"{folder}; run stage 6 again"
        )
    return outputs


def _note(row: Row, index: int) -> str:
    """The score of the output for a source."""
    gains = row["source_si_snri"]
    return "" if gains is None or index >= len(gains) else f"SI-SNRi {round(gains[index], 1) + 0.0:.1f} dB"


def _features(one: Scored) -> FeatureOptions:
    known = one.results.get("options", {}).get("features")
    # results of early versions do not state it
    return FeatureOptions() if known is None else build(FeatureOptions, known, f"{one.folder}/results.json: features")


def _communities(one: Scored, row: Row, key: Key, samples: int) -> Communities | None:
    folder, features = one.folder / f"separate_{key[0]}", _features(one)
    labels = read_assignment(folder, key[1])
    if labels is None:
        return None
    if labels.shape[0] != num_frames(samples, features) or labels.shape[1] not in (1, features.win // 2 + 1):
        raise ContrasepError(f"{folder}/assign.scp: '{key[1]}': framing is not results.json's; run stage 5 again")
    colours = assigned_source(labels, row.permutation)
    names = output_titles(row.permutation, row.outputs)
    return Communities("communities: output with the largest share of each unit", colours, names, features, one.name)


def _evidence(one: Scored, row: Row, key: Key) -> CountEvidence:
    noted = read_evidence(one.folder / f"separate_{key[0]}" / "evidence.tsv").get(key[1])
    return CountEvidence(
        one.name, row.outputs, row.count_given, row.num_spk, noted.probabilities if noted else (),
        kept_qualities(one.folder, *key), noted.words if noted else "",
    )

