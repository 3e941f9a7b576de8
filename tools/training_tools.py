"""What tools share that train in the background: a frozen copy of the code, the state of a training, development scores."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from contrasep_lib.errors import ContrasepError  # noqa: E402

# corpus of the configuration's balance -> folder of its dumps
CORPORA = {"mini_librispeech": "librispeech", "commonvoice": "commonvoice"}
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
# statistics of validation that are reported
VALIDATION = ("si_snr", "counted", "si_snri", "deep_clustering")
# the least urgent, behind everything else
NICENESS = 19


# ------------------------------------------------------------------ start


def freeze(folder: Path) -> Path:
    """The frozen copy of the toolkit as committed, ``folder/code``, made once; its commit stands in ``folder/commit``."""
    code = folder / "code"
    if not code.is_dir():
        git = ["git", "-C", str(ROOT)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
        archive = subprocess.run([*git, "archive", "HEAD"], check=True, capture_output=True).stdout
        part = folder / "code.part"
        part.mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "-x", "-C", str(part)], input=archive, check=True)
        (folder / "commit").write_text(commit)
        part.rename(code)
    return code


def training(code: Path, config: Path, data: Path, out: Path, core: int, *options: str) -> dict[str, Any]:
    """A training on one core behind everything else, as arguments of `subprocess`.

    Args:
        code: frozen copy of the toolkit.
        config: configuration; its balance names corpora of `CORPORA`.
        data: folder that holds ``dump``.
        out: of the training.
        core: number of the core.
        options: further ones of ``contrasep train``.
    """
    sets = {part: ",".join(f"{name}={corpus}/{part}_single" for name, corpus in CORPORA.items()) for part in ("tr", "cv")}
    command = [
        "taskset", "-c", str(core), "nice", "-n", str(NICENESS), sys.executable, "-m", "contrasep_lib.bin.main", "train",
        "--config", str(config), "--phase", "finetune", "--dump", str(data / "dump"), "--train-sets", sets["tr"],
        "--valid-sets", sets["cv"], "--out", str(out), *options,
    ]
    environment = {**os.environ, **THREADS, "PYTHONPATH": str(code), "PYTHONUNBUFFERED": "1"}
    return {"args": command, "cwd": data, "stdin": subprocess.DEVNULL, "env": environment}


def names_in(configs: Path, only: Sequence[str] | None, first: str) -> list[str]:
    """Names of the configurations in a folder, ``first`` before the others.

    Raises:
        ContrasepError: none there, or ``only`` has a name that is not among them.
    """
    names = sorted((path.stem for path in configs.glob("*.yaml")), key=lambda name: (name != first, name))
    if not names:
        raise ContrasepError(f"{configs}: expected configurations, got none")
    if unknown := sorted({*(only or ())} - {*names}):
        raise ContrasepError(f"--only: expected names among {', '.join(names)}, got '{unknown[0]}'")
    return [name for name in names if name in (only or names)]


def train_in_turn(
    folder: Path, data: Path, runs: Mapping[str, tuple[Path, Sequence[str]]], minutes: float, core: int
) -> None:
    """Trainings one after another, each until its CPU time is up; what is done already is left alone.

    Args:
        folder: holds the frozen ``code``, and receives ``NAME`` and ``NAME.out`` of each.
        data: folder that holds ``dump``.
        runs: configuration and further options of ``contrasep train`` by name.
        minutes: of CPU time of each.
        core: number of the core.

    Raises:
        ContrasepError: a training ended with an error.
    """
    budget = ("--set", f"finetune.budget_minutes={minutes:g}", "--set", "finetune.budget_clock=cpu")
    for name, (config, options) in runs.items():
        out = folder / name
        if _minutes(out) >= minutes and (out / "model.pth").is_file():
            print(f"{name}: done", flush=True)
            continue
        print(f"{name}: {minutes:g} minutes", flush=True)
        command = training(folder / "code", config, data, out, core, *budget, *options)
        with open(folder / f"{name}.out", "ab") as file:
            status = subprocess.run(**command, stdout=file, stderr=file).returncode
        if status:
            raise ContrasepError(f"{folder / name}.out: training ended with status {status}; its last lines say why")


def _minutes(folder: Path) -> float:
    try:
        return states_of(folder)["seconds"] / 60
    except ContrasepError:
        return 0.0


# ------------------------------------------------------------------ state


def states_of(folder: Path) -> dict[str, Any]:
    """The last whole checkpoint of a training, its configuration and statistics by today's names.

    Args:
        folder: ``--out`` of the training.

    Raises:
        ContrasepError: none yet.
    """
    from contrasep_lib.config import legacy
    from contrasep_lib.models.checkpoint import read_states
    from contrasep_lib.train.session import CHECKPOINT, PREVIOUS, SAFE

    try:
        states = read_states(folder / CHECKPOINT, safe=SAFE)
    except ContrasepError:
        states = read_states(folder / PREVIOUS, safe=SAFE)
    reporter = {**states["reporter"], "stats": legacy.statistics_of_today(states["reporter"]["stats"])}
    return {**states, "identity": legacy.identity_of_today(states["identity"]), "reporter": reporter}


def hours_heard(states: Mapping[str, Any]) -> float:
    """Hours of the segments of all batches that were learned from."""
    options, reporter = states["identity"]["train"], states["reporter"]
    batches = reporter["stats"][reporter["epoch"]]["train"]["total_count"]
    return int(batches) * options["batch_size"] * options["segment_seconds"] / 3600


def progress(states: Mapping[str, Any]) -> dict[str, Any]:
    """Core hours, epochs, and statistics of the last validation."""
    stats, epoch = states["reporter"]["stats"], states["reporter"]["epoch"]
    valid = stats[epoch]["valid"]
    return {
        "core_hours": round(states["seconds"] / 3600, 2), "epoch": epoch,
        **{name: round(float(valid[name]), 3) for name in VALIDATION if name in valid},
    }


def weights_of(states: Mapping[str, Any]) -> dict[str, Any]:
    """State dict with the running average in place of parameters."""
    return {**states["model"], **(states["average"]["average"] if states["average"] else {})}


def options_of(states: Mapping[str, Any]) -> tuple[Any, Any]:
    """Options of the model and of the features."""
    from contrasep_lib.config import build
    from contrasep_lib.models.options import ModelOptions
    from contrasep_lib.nodes.options import FeatureOptions

    identity = states["identity"]
    return build(ModelOptions, identity["model"], "model"), build(FeatureOptions, identity["features"], "features")


def model_of(states: Mapping[str, Any], **backbone: Any) -> Any:
    """The model with averaged weights, in evaluation mode; options of its backbone that are free may be given."""
    from contrasep_lib.models.separation import SeparationModel

    options, features = options_of(states)
    if backbone:
        options = dataclasses.replace(options, backbone=dataclasses.replace(options.backbone, **backbone))
    model = SeparationModel(options, features)
    model.load_state_dict({name: value for name, value in weights_of(states).items() if not name.startswith("objectives.")})
    return model.eval()


# ------------------------------------------------------------------ scores


@dataclasses.dataclass(frozen=True)
class Score:
    """How one mixture of a set was separated.

    Attributes:
        set: of the mixture, e.g. ``commonvoice_2mix``.
        speakers: of the mixture.
        seconds: of the mixture.
        counted: whether the counter finds their number.
        si_snri: dB, the number given; None for one speaker.
        spent: seconds of computation for analysis, clustering and decoding.
    """

    set: str
    speakers: tuple[str, ...]
    seconds: float
    counted: bool
    si_snri: float | None
    spent: float


def development(model: Any, data: Path, limit: int) -> Iterator[Score]:
    """Scores of the first mixtures of each development set ``dump/CORPUS/dev_Kmix``, separated by k-means.

    Args:
        model: of `model_of`.
        data: folder that holds ``dump``.
        limit: mixtures of each set.
    """
    from contrasep_lib.io.dumpset import DumpSet

    folders = sorted((data / "dump").glob("*/dev_[1-9]*mix*"))
    if not folders:
        raise ContrasepError(f"{data}/dump: expected development sets CORPUS/dev_Kmix, got none")
    for folder in folders:
        dump = DumpSet(folder)
        for key in dump.keys[:limit]:
            mixture, sources = dump.mixture(key), dump.sources(key)
            yield Score(
                f"{folder.parent.name}_{folder.name.partition('_')[2]}", dump.speakers[key],
                len(mixture) / dump.rate, *_separated(model, mixture, sources),
            )


def _separated(model: Any, mixture: Any, sources: Any) -> tuple[bool, float | None, float]:
    """The last three of `Score`."""
    import torch

    from contrasep_lib.decode.attractor import centroids_of
    from contrasep_lib.modularity.graphs import KernelGraph
    from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
    from contrasep_lib.score.ratios import improvements

    with torch.inference_mode():
        begun = time.process_time()
        nodes, seen = model.analyse(torch.from_numpy(mixture)[None])
        assign = KMeansSolver().solve(nodes, len(sources), KernelGraph()).assign
        centroids = centroids_of(nodes.z, assign, nodes.weight * nodes.valid)
        outputs = model.decode(seen, centroids, len(mixture))[0].double().numpy()
        spent = time.process_time() - begun
        counted = int(model.count(nodes, seen).argmax()) + 1 == len(sources)
    if len(sources) == 1:
        return counted, None, spent
    return counted, float(improvements(outputs, mixture, sources).mean()), spent
