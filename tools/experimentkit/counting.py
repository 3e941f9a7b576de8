"""Counts speakers with the trainings of a sweep: by modularity, by cuts, by a trained counter; and where that breaks.

Besides the mixtures of each number of speakers there are twins: two utterances of one voice, one of them faster or slower.
Mixtures of two are told apart by what their speakers share, where data/SET_single has spk2gender or utt2lang.
"""

from __future__ import annotations

import sys
import types
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import require_same_keys
from contrasep_lib.io.scp import read_table
from experimentkit.judging import Trained, as_text, hidden, models_of, read_rows, refuse_twice, run_name, trained_of
from experimentkit.record import claim, said_of_sets

KEYS = ("setting", "seed", "set", "condition", "speakers", "utterance", "voices")
# statistics of tools/bench/community_counts.py on Qn, in words
CUTS = {"Qn over its null": "qn_excess", "closest pair of communities": "closest_pair"}
METHODS = ("largest Q", *CUTS, "effective number", "recursive split", "classifier")
# learned from mixtures whose number of speakers is known
LABELLED = ("recursive split", "classifier")
COLUMNS = (*KEYS, *METHODS, "si_snri")
# of the graph's partition of largest Q (k_max of arXiv 2305.10652), and of all others
OUTPUTS, MOST = 12, 7
SPEEDS = (1.0, 1.1, 1.2, 1.35, 1.5)
# table of a data directory -> words where two speakers have the same, or different ones
SHARED = {"spk2gender": ("same sex", "different sexes"), "utt2lang": ("same language", "different languages")}


class Counters:
    """All methods with one training.

    Args:
        model: of the training.
        folder: ``exp/TAG`` of it, with what stage 4 fitted.
        singles: node sets of single-speaker recordings, from which bars are taken.
    """

    def __init__(self, model: Any, folder: Path, singles: Sequence[Any]) -> None:
        from community_counts import Statistics

        from contrasep_lib.config import build
        from contrasep_lib.modularity.options import ModularityOptions
        from contrasep_lib.separate.clustering_state import ClusteringState

        def made(name: str, most: int, trained: bool, **options: Any) -> Any:
            values = {"counting": {"name": name, **options}, "solver": "kmeans", "k_max": most}
            section = build(ModularityOptions, values, "modularity")
            if trained:
                return ClusteringState.load(folder / "modularity", section, model.counter).counter
            return ClusteringState.from_options(section, model.counter).counter

        self.model = model
        effective = made("effective_number", MOST, False)
        self.counters = {
            "largest Q": (made("largest_modularity", OUTPUTS, False, outputs=OUTPUTS), OUTPUTS),
            "effective number": (effective.calibrated([effective.number(nodes, 0) for nodes in singles]), MOST),
            "recursive split": (made("recursive_split", MOST, True), MOST),
        }
        if model.counter is not None:
            self.counters["classifier"] = (made("classifier", MOST, False), MOST)
        chosen = types.SimpleNamespace(counters=tuple(CUTS.values()), level=0.05)
        self.cuts = Statistics([item_of(nodes) for nodes in singles], chosen)

    def count(self, nodes: Any, seen: Any, seed: int) -> dict[str, int]:
        """The number of speakers by each method."""
        found = {name: counter.count(nodes, seen, most, seed).number for name, (counter, most) in self.counters.items()}
        by_cuts = self.cuts.counts(item_of(nodes))
        return found | {name: min(by_cuts[key], MOST) for name, key in CUTS.items()}


def item_of(nodes: Any) -> dict[str, np.ndarray]:
    """Embeddings and weights of one recording's nodes that are not silent."""
    there = nodes.valid[0] & (nodes.weight[0] > 0)
    return {"z": nodes.z[0][there].numpy(), "weight": nodes.weight[0][there].numpy()}


def count(
    sweep: Path, phase: str, data: Path, dumps: Path, numbers: Path, part: str, mixtures: int, singles: int, twins: int
) -> Path:
    """Write ``counted.tsv`` of a sweep; trainings that it has are not counted again.

    ``counted.json`` beside it says what with, see `experimentkit.record.claim`.

    Args:
        sweep: ``exp/sweep_NAME``.
        phase: whose models.
        data, dumps: folders of the data directories and of the dumped sets, PART_single and tr_single.
        numbers: folder of the dumped sets PART_1mix, PART_2mix, ..
        part: whose mixtures, e.g. ``dev``.
        mixtures: of each number, evenly spread.
        singles: single-speaker recordings of ``tr_single`` from which bars are taken.
        twins: pairs of utterances at each of `SPEEDS`.

    Returns:
        The table.

    Raises:
        ContrasepError: no such sweep, or no such sets; a table of other values.
    """
    import torch
    from frames import model_at

    from contrasep_lib.io.atomic import write_text

    torch.set_num_threads(1)
    sets = sorted(numbers.glob(f"{part}_[0-9]*mix"))
    if not sets:
        raise ContrasepError(f"{numbers}/{part}_1mix: no such dumped sets; experiments/count.sh makes them")
    path = sweep / "counted.tsv"
    rows = read_counted(path) if path.is_file() else []
    done = {(row["setting"], row["seed"]) for row in rows}
    tables, runs = speaker_tables(data / f"{part}_single"), trained_of(sweep, phase)
    heard = [*sets, dumps / "tr_single", dumps / f"{part}_single"]
    claim(
        path, lambda: {
            "phase": phase, "mixtures": mixtures, "singles": singles, "twins": twins, "conditions": tables,
            "sets": said_of_sets(heard),
        },
        {"model": models_of(runs)}, {"model": {run_name(row["setting"], row["seed"]) for row in rows}},
    )  # fmt: skip
    for run in runs:
        if (run.setting, run.seed) in done or run.path is None:
            continue
        model = model_at(run.path, False, False)
        with torch.inference_mode():
            by = Counters(model, run.path.parents[1], [model.analyse(each)[0] for each in pieces(dumps / "tr_single", singles)])
            for scene in [*mixed(sets, mixtures, tables), *doubled(dumps / f"{part}_single", twins)]:
                rows.append(_counted(run, by, *scene))
        print(f"{run_name(run.setting, run.seed)}: counted", file=sys.stderr, flush=True)
        write_text(path, as_text(rows, COLUMNS))
    return path


def read_counted(path: Path) -> list[dict[str, str]]:
    """The rows of a table of `count`; see `experimentkit.judging.read_rows` and `refuse_twice`."""
    rows = read_rows(path, COLUMNS, "tools/experiments.py count")
    refuse_twice(path, rows, ("setting", "seed", "set", "condition", "utterance"))
    return rows


def _counted(
    run: Trained, by: Counters, name: str, condition: str, key: str, speakers: Sequence[str], sources: np.ndarray, mixture: np.ndarray
) -> dict[str, Any]:
    """A row of `count`'s table."""
    from frames import Analysed

    from contrasep_lib.modularity.graphs import KernelGraph
    from contrasep_lib.modularity.solvers.kmeans import KMeansSolver

    seed, scene = zlib.crc32(key.encode()), Analysed(by.model, mixture, sources)
    row = {
        "setting": run.setting, "seed": run.seed, "set": name, "condition": condition, "speakers": len(sources),
        "utterance": hidden(key), "voices": ",".join(map(hidden, speakers)), **by.count(scene.nodes, scene.seen, seed),
    }
    if len(sources) > 1:
        found = KMeansSolver().solve(scene.nodes, len(sources), KernelGraph(), seed).labels
        row["si_snri"] = scene.gain(found)
    return row


# ------------------------------------------------------------------ recordings


def pieces(folder: Path, count: int) -> Iterator[Any]:
    """Single-speaker pieces of 6 s at most, as batches of one."""
    import torch

    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.mix.options import MixOptions
    from contrasep_lib.train.data import DynamicMixtures
    from contrasep_lib.train.options import TrainOptions

    dump = DumpSet(folder)
    drawn = TrainOptions(num_spk=(1,), segment_seconds=6.0, seed=0)
    dataset = DynamicMixtures([dump], drawn, MixOptions(rate=dump.rate))
    for key in dataset.keys(1, count):
        yield torch.from_numpy(dataset[key]["mixture"])[None]


def speaker_tables(folder: Path) -> dict[str, dict[str, str]]:
    """Speaker -> value, of the tables of `SHARED` that a data directory has.

    A speaker's language is that of all of his utterances; one who speaks several has none.

    Raises:
        ContrasepError: a table that is not of Kaldi's format, or an utterance without a speaker.
    """
    found = {}
    for name in SHARED:
        if (folder / name).is_file():
            table = read_table(folder / name)
            found[name] = _by_speaker(folder, name, table) if name.startswith("utt2") else table
    return found


def _by_speaker(folder: Path, name: str, table: Mapping[str, str]) -> dict[str, str]:
    spoken: dict[str, set[str]] = {}
    speakers = read_table(folder / "utt2spk")
    require_same_keys(speakers, table, folder / name)
    for utterance, value in table.items():
        spoken.setdefault(speakers[utterance], set()).add(value)
    return {speaker: next(iter(values)) for speaker, values in spoken.items() if len(values) == 1}


def mixed(sets: Sequence[Path], mixtures: int, tables: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[Any, ...]]:
    """Set, condition, key, speakers, sources and mixture of the mixtures of each set, evenly spread."""
    from contrasep_lib.io.dumpset import DumpSet

    for folder in sets:
        dump = DumpSet(folder)
        # sorted by speakers: the first ones would be of few
        for place in np.linspace(0, len(dump.keys) - 1, min(mixtures, len(dump.keys))).round().astype(int):
            key = dump.keys[place]
            speakers = dump.speakers[key]
            yield folder.name, condition_of(speakers, tables), key, speakers, dump.sources(key), dump.mixture(key)


def condition_of(speakers: Sequence[str], tables: Mapping[str, Mapping[str, str]]) -> str:
    """What two speakers share; nothing for other numbers, or where tables say nothing of them.

    Example:
        >>> condition_of(["a", "b"], {"spk2gender": {"a": "f", "b": "f"}})
        'same sex'
        >>> condition_of(["a", "b", "c"], {"spk2gender": {"a": "f", "b": "f", "c": "m"}})
        ''
    """
    if len(speakers) != 2:
        return ""
    words = []
    for name, table in tables.items():
        values = [table.get(speaker) for speaker in speakers]
        if None not in values:
            words.append(SHARED[name][values[0] != values[1]])
    return ", ".join(words)


def doubled(folder: Path, count: int) -> Iterator[tuple[Any, ...]]:
    """As `mixed`: one voice twice, two of its utterances at once, the second faster by each of `SPEEDS`."""
    from contrasep_lib.io.audio import resample_audio
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.mix.level import active_level
    from contrasep_lib.mix.mixer import mix_signals

    dump, pairs = DumpSet(folder), []
    by_speaker: dict[str, list[str]] = {}
    for key in dump.keys:
        by_speaker.setdefault(dump.speakers[key][0], []).append(key)
    # in turn over the speakers: a pair of each before a second one of any
    for place in range(max(map(len, by_speaker.values())) // 2):
        pairs += [(keys[2 * place], keys[2 * place + 1]) for keys in by_speaker.values() if len(keys) > 2 * place + 1]
    for speed in SPEEDS:
        for first, second in pairs[:count]:
            signals = [dump.mixture(first).astype(np.float64), dump.mixture(second).astype(np.float64)]
            signals[1] = resample_audio(signals[1], round(100 * speed), 100)
            signals = [signal / np.sqrt(active_level(signal, dump.rate)[0]) for signal in signals]
            made = mix_signals(signals, [0.0, 0.0], "min")
            sources, mixture = (part.astype(np.float32) / 32768 for part in (made.sources, made.mixture))
            yield "twins", f"speed {speed:g}", f"{first}-{second}", dump.speakers[first], sources, mixture
