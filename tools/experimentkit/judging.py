"""Judges the trainings of a sweep: what their embeddings know of speakers, and what partitions make of it."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools/bench")]

import numpy as np  # noqa: E402

from contrasep_lib.errors import ContrasepError  # noqa: E402
from contrasep_lib.report.results import SWEEP_KEY  # noqa: E402
from experimentkit.record import claim, said_of_file, said_of_sets  # noqa: E402
from experimentkit.untrained import features_of  # noqa: E402

# partition of the rows that hold what no partition changes
TRUTH = "the true dominance"
KEYS = ("setting", "seed", "partition", "set", "utterance", "speakers")
# accuracy, purity, density, nearest, probe: %; si_snri: dB; seconds: of a core, for the partition
MEASURES = ("accuracy", "si_snri", "purity", "density", "seconds", "nearest", "probe")
# seed of what is not trained
UNTRAINED = "-"
# of the training
COST = ("minutes", "parameters")
COLUMNS = (*KEYS, *MEASURES, *COST)
# nodes for neighbours, probe and density; folds of the probe
NODES, FOLDS = 2000, 5
PARTITIONS = {"k-means": {"solver": "kmeans"}, "network": {"solver": "network", "quality": "normalised"}}


@dataclasses.dataclass(frozen=True)
class Trained:
    """One training of a sweep.

    Attributes:
        setting: what it has of its own, seeds apart.
        seed: of the training.
        path: its ``model.pth``; None for features that are not trained.
    """

    setting: str
    seed: str
    path: Path | None


def trained_of(sweep: Path, phase: str) -> list[Trained]:
    """The trainings of a sweep.

    Args:
        sweep: ``exp/sweep_NAME``.
        phase: ``pretrain`` or ``finetune``.

    Raises:
        ContrasepError: no such sweep, a run of it has no model, or two runs have one setting and seed.
    """
    path = sweep / "results.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        runs, swept = content["runs"], content[SWEEP_KEY]
    except (OSError, ValueError, KeyError, TypeError):
        raise ContrasepError(f"{path}: expected the results of a sweep; utils/sweep.sh writes them") from None
    found, tags = list[Trained](), dict[str, str]()
    for run in runs:
        model = sweep.parent / str(run["tag"]) / phase / "model.pth"
        if not model.is_file():
            raise ContrasepError(f"{model}: not there; run the sweep again ({run['error'] or 'not trained'})")
        found.append(Trained(*setting_of(run["values"], swept), model))
        name = run_name(found[-1].setting, found[-1].seed)
        if (other := tags.setdefault(name, str(run["tag"]))) != str(run["tag"]):
            raise ContrasepError(f"{path}: '{other}' and '{run['tag']}' are both '{name}'; sweep them under names of their own")
    return found


def run_name(setting: str, seed: str) -> str:
    """A training in words."""
    return f"{setting}, seed {seed}"


def models_of(runs: Sequence[Trained]) -> dict[str, str]:
    """`run_name` -> what tells its model from others."""
    return {run_name(run.setting, run.seed): said_of_file(run.path) for run in runs if run.path is not None}


def setting_of(values: Mapping[str, Any], swept: Mapping[str, Sequence[Any]]) -> tuple[str, str]:
    """Setting and seed by the values of a run: what differs between runs, or the configuration where nothing does.

    Example:
        >>> values = {"config": "experiments/frame_256.yaml", "model.decoder.width": 32, "finetune.seed": 1}
        >>> setting_of(values, {"config": ["one"], "model.decoder.width": [32, 64]})
        ('width=32', '1')
        >>> setting_of(values, {"config": ["one"], "model.decoder.width": [32]})
        ('frame_256', '1')
    """
    words, config, seed = [], "", "0"
    for key, value in values.items():
        name = key.rpartition(".")[2]
        if name == "seed":
            seed = str(value)
        elif name == "config":
            config = Path(str(value)).stem
        elif len(swept.get(key, ())) > 1:
            words.append(f"{name}={json.dumps(value) if isinstance(value, (dict, list)) else value}")
    if config and (not words or len(swept.get("config", ())) > 1):
        words.insert(0, config)
    return ", ".join(words), seed


@dataclasses.dataclass(frozen=True)
class Partition:
    """A way to partition, as `contrasep_lib.modularity.options.ModularityOptions` names its parts.

    Attributes:
        clusters: their number; None for that of the talkers. More than talkers: each goes to the talker whom most of its
            nodes belong to, as an ideal merging would do.
        said: plain values that tell it from others.
    """

    solver: Any
    graph: Any
    quality: Any
    clusters: int | None = None
    said: Any = None

    @classmethod
    def of(cls, values: Any, where: str) -> Partition:
        """By values of the section ``modularity``, and ``clusters``."""
        from contrasep_lib.config import as_key, build, create
        from contrasep_lib.modularity.options import ModularityOptions

        clusters = values.pop("clusters", None)
        if clusters is not None and (type(clusters) is not int or clusters < 2):
            raise ContrasepError(f"{where}: clusters: expected an integer of at least 2, got {clusters!r}")
        options = build(ModularityOptions, values, where)
        solver = create(options.solver, num_communities=clusters or options.k_max)
        said = {name: as_key(getattr(options, name)) for name in ("solver", "graph", "quality", "k_max")}
        return cls(solver, create(options.graph), create(options.quality), clusters, {**said, "clusters": clusters})


def partitions_of(texts: Sequence[str]) -> dict[str, Partition]:
    """Partitions by ``NAME=YAML``; those of `PARTITIONS` where there is none.

    Raises:
        ContrasepError: no name, no mapping, or values that the section does not take.
    """
    import yaml

    values: dict[str, Any] = {}
    for text in texts:
        name, found, rest = text.partition("={")
        if not name or not found:
            raise ContrasepError(f"--partitions: expected NAME={{KEY: VALUE}}, got '{text}'")
        try:
            values[name] = yaml.safe_load("{" + rest)
        except yaml.YAMLError:
            raise ContrasepError(f"--partitions: expected YAML after '{name}=', got '{{{rest}'") from None
    return {name: Partition.of(value, f"--partitions {name}") for name, value in (values or PARTITIONS).items()}


def rows_of(model: Any, dump: Any, keys: Sequence[str], partitions: Mapping[str, Partition]) -> Iterator[dict[str, Any]]:
    """The rows of these mixtures: one for the embedding, one for each partition.

    Args:
        model: that analyses mixtures.
        dump: `contrasep_lib.io.dumpset.DumpSet` of mixtures.
        keys: of it.
        partitions: name -> way.
    """
    import torch
    from frames import Analysed

    from contrasep_lib.modularity.diagnostics import contingency, matched_share, purity

    for key in keys:
        seed, name = zlib.crc32(key.encode()), {"utterance": hidden(key), "speakers": ",".join(map(hidden, dump.speakers[key]))}
        with torch.inference_mode():
            scene = Analysed(model, dump.mixture(key), dump.sources(key))
            some = scene.drawn(NODES, seed)
            yield {
                **name, "partition": TRUTH, "si_snri": scene.gain(scene.truth),
                "nearest": 100 * scene.known_by_neighbours(some, None), "probe": 100 * scene.known_by_probe(some, FOLDS),
            }
            for way, part in partitions.items():
                begun = time.process_time()
                count = part.clusters or len(scene.sources)
                found = part.solver.solve(scene.nodes, count, part.graph, seed, part.quality).labels
                seconds = time.process_time() - begun
                table = contingency(found[0, scene.index], scene.label, torch.ones(len(scene.index)))
                right = purity(table) if part.clusters else matched_share(table)
                merged = table.argmax(1)[found.clamp(0, len(table) - 1)] if part.clusters else found
                yield {
                    **name, "partition": way, "si_snri": scene.gain(merged), "seconds": seconds,
                    "accuracy": 100 * right, "purity": 100 * purity(table),
                    "density": 100 * scene.density(some, part.graph),
                }


def hidden(name: str, digits: int = 8) -> str:
    """A name that tells speakers and utterances apart and does not say who they are."""
    return hashlib.sha256(name.encode()).hexdigest()[:digits]


def cost_of(path: Path) -> dict[str, Any]:
    """Minutes and parameters of a training, where its file tells."""
    from contrasep_lib.train.record import cost_of_model

    cost = cost_of_model(path)
    minutes = [part["minutes"] for part in cost["training"]]
    return {"minutes": "" if None in minutes else f"{sum(minutes):.1f}", "parameters": cost["parameters"]}


def judge(
    sweep: Path, phase: str, raw: Sequence[str], dumps: Sequence[Path], mixtures: int, partitions: Mapping[str, Partition]
) -> Path:
    """Write ``judged.tsv`` of a sweep; what it has of a training is not made again.

    ``judged.json`` beside it says what with, see `experimentkit.record.claim`.

    Args:
        sweep, phase: see `trained_of`.
        raw: features without training too, of `untrained.NAMES`.
        dumps: dumped sets of mixtures.
        mixtures: of each set, evenly spread.
        partitions: name -> way.

    Returns:
        The table.

    Raises:
        ContrasepError: see `trained_of`; a set without mixtures, or two of one name; a table of other values.
    """
    import torch
    from frames import model_at

    from contrasep_lib.io.atomic import write_text
    from contrasep_lib.io.dumpset import DumpSet

    torch.set_num_threads(1)
    path = sweep / "judged.tsv"
    rows = read_rows(path) if path.is_file() else []
    done = {(row["setting"], row["seed"], row["partition"]) for row in rows}
    runs, names = trained_of(sweep, phase), [folder.name for folder in dumps]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ContrasepError(f"--dump: expected sets of different names, got '{twice[0]}' twice")
    claim(
        path, lambda: {"phase": phase, "mixtures": mixtures, "sets": said_of_sets(dumps)},
        {"partition": {name: part.said for name, part in partitions.items()}, "model": models_of(runs)},
        {"partition": {row["partition"] for row in rows}, "model": {run_name(row["setting"], row["seed"]) for row in rows}},
    )  # fmt: skip
    for run in [*runs, *(Trained(name, UNTRAINED, None) for name in raw)]:
        missing = {name: part for name, part in partitions.items() if (run.setting, run.seed, name) not in done}
        if not missing:
            continue
        begun = time.process_time()
        model = features_of(run.setting) if run.path is None else model_at(run.path, False, False)
        cost = {} if run.path is None else cost_of(run.path)
        for folder in dumps:
            dump = DumpSet(folder)
            if not dump.keys:
                raise ContrasepError(f"{folder}: expected mixtures, got none")
            # sorted by speakers: the first ones would be of few
            places = np.linspace(0, len(dump.keys) - 1, min(mixtures, len(dump.keys))).round().astype(int)
            for row in rows_of(model, dump, [dump.keys[place] for place in places], missing):
                if (run.setting, run.seed, row["partition"]) not in done:
                    rows.append({"setting": run.setting, "seed": run.seed, "set": folder.name, **cost, **row})
        print(f"{run_name(run.setting, run.seed)}: judged in {time.process_time() - begun:.0f} s", flush=True)
        write_text(path, as_text(rows))
    return path


def as_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """A table of rows; numbers with as many digits as are looked at."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter="\t", lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: f"{value:.3f}" if isinstance(value, float) else value for key, value in row.items()})
    return text.getvalue()


def refuse_twice(path: Path, rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> None:
    """Raise ContrasepError, naming the table, if two of its rows have the same values of these columns."""
    seen = set()
    for row in rows:
        name = tuple(str(row[key]) for key in keys)
        if name in seen:
            words = ", ".join(f"{key} '{value}'" for key, value in zip(keys, name))
            raise ContrasepError(f"{path}: expected one row of {words}, got two; make it again of different trainings")
        seen.add(name)


def read_rows(path: Path, columns: Sequence[str] = COLUMNS, made_by: str = "tools/experiments.py judge") -> list[dict[str, str]]:
    """The rows of a table.

    Args:
        columns: that it has to have.
        made_by: the command that makes it.

    Raises:
        ContrasepError: not there, or other columns.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t")
            if tuple(rows.fieldnames or ()) != tuple(columns):
                raise ContrasepError(f"{path}: expected the columns {', '.join(columns)}")
            return list(rows)
    except OSError as error:
        raise ContrasepError(f"{path}: {error.strerror}; {made_by} makes it") from None
