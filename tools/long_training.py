#!/usr/bin/env python3
"""The long training: one core, for as long as there is one; its state, its development scores, its snapshots.

    tools/long_training.py start FOLDER [--core 1]    starts it, or goes on with it, in the background
    tools/long_training.py status FOLDER              one line: core hours, epochs, validation, last development scores
    tools/long_training.py score FOLDER [--limit 40]  separates the first development mixtures of each set, adds a line to curve.tsv
    tools/long_training.py snapshot FOLDER --out contrasep_lib/pretrained/next   weights in float16, and the curve

FOLDER holds `data/dump` (dumps of stage 2: CORPUS/tr_single and CORPUS/cv_single, CORPUS/dev_Kmix), and receives `code`, a frozen copy
of the toolkit as committed, and `exp/finetune`. Training is `conf/long.yaml` (or --config) under nice 19; SIGSTOP and SIGCONT to
the process in `pid` stop it and let it go on. The configuration's schedule has no end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from contrasep_lib.errors import ContrasepError  # noqa: E402

# corpus of the configuration's balance -> folder of its dumps
CORPORA = {"mini_librispeech": "librispeech", "commonvoice": "commonvoice"}
CURVE = "curve.tsv"
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("start", "status", "score", "snapshot"))
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of the training")
    parser.add_argument("--core", type=int, default=1, metavar="N", help="start: number of the core (default 1)")
    parser.add_argument(
        "--config", default="conf/long.yaml", metavar="FILE", help="start: configuration (default %(default)s)"
    )
    parser.add_argument(
        "--init-param", type=Path, metavar="FILE", help="start: model.pth to begin with, e.g. a snapshot"
    )
    parser.add_argument("--limit", type=int, default=40, metavar="N", help="score: mixtures of each set (default 40)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="snapshot: where to")
    return parser.parse_args(arguments)


# ------------------------------------------------------------------ start


def start(args: argparse.Namespace) -> None:
    """Freeze the code, once, and run the training in the background."""
    folder = args.folder.resolve()
    code, log = folder / "code", folder / "train.out"
    if _running(folder):
        raise ContrasepError(f"{folder}/pid: process {_running(folder)} is training already")
    if not code.is_dir():
        code.mkdir(parents=True)
        commit = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
        )
        archive = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD"], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", str(code)], input=archive, check=True)
        (folder / "commit").write_text(commit.stdout)
    dump = folder / "data" / "dump"
    sets = {
        part: ",".join(f"{name}={corpus}/{part}_single" for name, corpus in CORPORA.items()) for part in ("tr", "cv")
    }
    command = [
        "taskset", "-c", str(args.core), "nice", "-n", "19", sys.executable, "-m", "contrasep_lib.bin.main", "train",
        "--config", str(code / args.config), "--phase", "finetune", "--dump", str(dump), "--train-sets", sets["tr"],
        "--valid-sets", sets["cv"], "--out", str(folder / "exp" / "finetune"),
        *(["--init-param", str(args.init_param)] if args.init_param else []),
    ]
    with open(log, "ab") as file:
        process = subprocess.Popen(
            command, cwd=folder / "data", stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            env={**os.environ, **THREADS, "PYTHONPATH": str(code), "PYTHONUNBUFFERED": "1"},
        )
    (folder / "pid").write_text(f"{process.pid}\n")
    print(f"process {process.pid}, log in {log}")


def _running(folder: Path) -> int | None:
    """The process that trains, or None."""
    try:
        pid = int((folder / "pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    return pid if b"contrasep_lib.bin.main" in words else None


# ------------------------------------------------------------------ state


def states_of(folder: Path) -> dict[str, Any]:
    """The last whole checkpoint.

    Raises:
        ContrasepError: none yet.
    """
    from contrasep_lib.models.checkpoint import read_states
    from contrasep_lib.train.session import CHECKPOINT, PREVIOUS, SAFE

    training = folder / "exp" / "finetune"
    try:
        return read_states(training / CHECKPOINT, safe=SAFE)
    except ContrasepError:
        return read_states(training / PREVIOUS, safe=SAFE)


def progress(states: dict[str, Any]) -> dict[str, Any]:
    """Core hours, epochs, and statistics of the last validation."""
    stats, epoch = states["reporter"]["stats"], states["reporter"]["epoch"]
    valid = stats[epoch]["valid"]
    kept = ("si_snr", "counted", "si_snri", "affinity", "deep_clustering")
    return {
        "core_hours": round(states["seconds"] / 3600, 2), "epoch": epoch,
        **{name: round(float(valid[name]), 3) for name in kept if name in valid},
    }


def status(args: argparse.Namespace) -> None:
    """Print one line."""
    folder = args.folder
    words = [f"{name} {value}" for name, value in progress(states_of(folder)).items()]
    curve = folder / CURVE
    if curve.is_file():
        header, *rows = [line.split("\t") for line in curve.read_text().splitlines()]
        words.append("development: " + ", ".join(f"{name} {value}" for name, value in zip(header, rows[-1])))
    pid = _running(folder)
    print(f"{'training, process ' + str(pid) if pid else 'not running'}; " + "; ".join(words))


# ------------------------------------------------------------------ scores


def model_of(states: dict[str, Any]) -> Any:
    """The model with averaged weights, in evaluation mode."""
    from contrasep_lib.config import build, legacy
    from contrasep_lib.models.options import ModelOptions
    from contrasep_lib.models.separation import SeparationModel
    from contrasep_lib.nodes.options import FeatureOptions

    identity = legacy.identity_of_today(states["identity"])
    model = SeparationModel(
        build(ModelOptions, identity["model"], "model"), build(FeatureOptions, identity["features"], "features")
    )
    model.load_state_dict(weights_of(states))
    return model.eval()


def weights_of(states: dict[str, Any]) -> dict[str, Any]:
    """State dict with the running average in place of parameters."""
    return {**states["model"], **(states["average"]["average"] if states["average"] else {})}


def score(args: argparse.Namespace) -> None:
    """Separate development mixtures by k-means, the count given, and count them; one line of the curve."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    os.chdir(args.folder / "data")
    states = states_of(args.folder)
    model, row = model_of(states), progress(states)
    for folder in sorted(Path("dump").glob("*/dev_[1-9]*mix*")):
        gains, right = [], []
        for gain, counted in development(model, folder, args.limit):
            gains += [] if gain is None else [gain]
            right.append(counted)
        label = f"{folder.parent.name}_{folder.name.partition('_')[2]}"
        if gains:
            row[f"{label}_si_snri"] = round(float(np.mean(gains)), 2)
        row[f"{label}_count"] = round(100 * float(np.mean(right)), 1)
    curve = args.folder / CURVE
    new = not curve.is_file()
    with open(curve, "a", encoding="utf-8") as file:
        print(*([("\t".join(row))] if new else []), "\t".join(map(str, row.values())), sep="\n", file=file)
    print(json.dumps(row, indent=1))


def development(model: Any, folder: Path, limit: int) -> Any:
    """SI-SNRi in dB (None for one speaker) and whether the count is right, of the first mixtures of a set."""
    import numpy as np
    import torch

    from contrasep_lib.decode.attractor import centroids_of
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.modularity.graphs import KernelGraph
    from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
    from contrasep_lib.score.ratios import best_matching, pairwise_si_snr, si_snr

    dump = DumpSet(folder)
    for key in dump.keys[:limit]:
        mixture, sources = dump.mixture(key), dump.sources(key)
        with torch.inference_mode():
            nodes, seen = model.analyse(torch.from_numpy(mixture)[None])
            counted = int(model.count(nodes, seen).argmax()) + 1 == len(sources)
            if len(sources) == 1:
                yield None, counted
                continue
            assign = KMeansSolver().solve(nodes, len(sources), KernelGraph()).assign
            centroids = centroids_of(nodes.z, assign, nodes.weight * nodes.valid)
            outputs = model.decode(seen, centroids, len(mixture))[0].double().numpy()
        pairs = pairwise_si_snr(outputs, sources)
        before = si_snr(np.broadcast_to(mixture, sources.shape), sources)
        yield float(np.mean([pairs[k, m] - before[k] for k, m in enumerate(best_matching(pairs))])), counted


# ------------------------------------------------------------------ snapshot


def snapshot(args: argparse.Namespace) -> None:
    """Write averaged weights in float16 as a model.pth that training can begin with, and the curve."""
    import torch

    from contrasep_lib.config import build, legacy
    from contrasep_lib.models.checkpoint import save_model
    from contrasep_lib.models.options import ModelOptions
    from contrasep_lib.nodes.options import FeatureOptions

    if args.out is None:
        raise ContrasepError("--out: expected a folder, e.g. contrasep_lib/pretrained/next")
    states = states_of(args.folder)
    identity = legacy.identity_of_today(states["identity"])
    half = {
        name: value.half() if value.is_floating_point() else value for name, value in weights_of(states).items()
    }
    if any(not bool(torch.isfinite(value).all()) for value in half.values() if value.is_floating_point()):
        raise ContrasepError("weights that float16 cannot hold; keep them in float32")
    args.out.mkdir(parents=True, exist_ok=True)
    record = {**progress(states), "commit": (args.folder / "commit").read_text().strip(), "state_of": "running average"}
    save_model(
        args.out / "model.pth", half, build(FeatureOptions, identity["features"], "features"),
        build(ModelOptions, identity["model"], "model"), record,
    )
    if (args.folder / CURVE).is_file():
        (args.out / CURVE).write_text((args.folder / CURVE).read_text())
    print(f"{args.out}/model.pth: {(args.out / 'model.pth').stat().st_size / 2**20:.1f} MB; {json.dumps(record)}")


def main() -> None:
    """Run an action; errors of the user in one line."""
    args = parse()
    args.folder = args.folder.resolve()
    args.out = args.out.resolve() if args.out else None
    try:
        {"start": start, "status": status, "score": score, "snapshot": snapshot}[args.action](args)
    except ContrasepError as error:
        sys.exit(f"long_training.py: {error}")


if __name__ == "__main__":
    main()
