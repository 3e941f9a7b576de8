#!/usr/bin/env python3
"""The long training: one core, for as long as there is one; its state, its development scores, its snapshots.

    tools/long_training.py data FOLDER --corpus librispeech=DIR --corpus commonvoice=DIR [--nj N]   makes FOLDER/data/dump
    tools/long_training.py start FOLDER [--core 1]    starts it, or goes on with it, in the background
    tools/long_training.py status FOLDER              one line: core hours, epochs, validation, last development scores
    tools/long_training.py score FOLDER [--limit 40]  separates the first development mixtures of each set, adds a line to curve.tsv
    tools/long_training.py score FOLDER --init-param FILE          the same for a model that it begins with
    tools/long_training.py snapshot FOLDER --out contrasep_lib/pretrained/next   weights in float16, and the curve
    tools/long_training.py finish FOLDER [--core 0]   for a release: the rate falls to nothing, then the counter hears 8 s

FOLDER receives `data/dump` (dumps of stage 2: CORPUS/tr_single and CORPUS/cv_single, CORPUS/dev_Kmix of the development speakers), `code`,
a frozen copy of the toolkit as committed, and `exp/finetune`. Where it is lost: `data`, then `start --init-param` with the last
snapshot (or another model, e.g. a released one), whose core hours and curve are taken over, with a seed of its own. Training is
`conf/long.yaml` (or --config) under nice 19; SIGSTOP and SIGCONT to the process in `pid` stop it and let it go on. The configuration's
schedule has no end. `finish` trains in the foreground what its state begins, FOLDER/finish/{begun,decay,count}/model.pth, and
leaves the training itself as it is; what is done is not done again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training_tools import (  # beside this file
    CORPORA,
    NICENESS,
    ROOT,
    THREADS,
    VALIDATION,
    ContrasepError,
    development,
    freeze,
    model_of,
    options_of,
    progress,
    states_of,
    training,
    weights_of,
)

from contrasep_lib.bin.common import Parser, positive, within
from contrasep_lib.config.bounds import Jobs, Processes

# development mixtures of each corpus and count
DEVELOPMENT, COUNTS = 100, (1, 2, 3, 4, 5)
CURVE, PHASE = "curve.tsv", Path("exp/finetune")
# core hours of the snapshot that the training began with
BEFORE = "hours_before"
FINISH, DECAY_STEPS = "finish", 800
# seconds in which a training ends whose command is wrong
AT_ONCE = 8
# its section finetune is the counter's phase; what is not in it stays as the training has it
COUNTER = "conf/attractor_count.yaml"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("data", "start", "status", "score", "snapshot", "finish"))
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of the training")
    parser.add_argument(
        "--corpus", action="append", default=[], metavar="NAME=DIR", help="data: local copy of " + " and ".join(CORPORA.values())
    )
    parser.add_argument("--nj", type=within(Jobs), default=1, metavar="N", help="data: processes (default 1)")
    parser.add_argument("--development", type=positive, default=DEVELOPMENT, metavar="N", help="data: mixtures of each development set (default %(default)s)")
    parser.add_argument("--core", type=within(Processes), default=1, metavar="N", help="start, finish: number of the core (default 1)")
    parser.add_argument("--config", default="conf/long.yaml", metavar="FILE", help="start, finish: configuration (default %(default)s)")
    parser.add_argument("--init-param", type=Path, metavar="FILE", help="start, score: model.pth to begin with, e.g. a snapshot")
    parser.add_argument("--limit", type=positive, default=40, metavar="N", help="score: mixtures of each set (default 40)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="snapshot: where to")
    return parser.parse_args(arguments)


# ------------------------------------------------------------------ data


def data(args: argparse.Namespace) -> None:
    """Single-speaker sets to train on, and mixtures of the development speakers; what is there already is kept."""
    given = dict(word.partition("=")[::2] for word in args.corpus)
    if sorted(given) != sorted(CORPORA.values()) or not all(given.values()):
        wanted = " ".join(f"--corpus {name}=DIR" for name in CORPORA.values())
        raise ContrasepError(f"--corpus: expected {wanted}, got {', '.join(args.corpus) or 'none'}")
    for name, corpus in given.items():
        options = [("--config", str(ROOT / args.config)), ("--set", f"mix.sets={{dev: {args.development}}}")]
        _dumps_of(name, Path(corpus).resolve(), args.folder / "data", str(args.nj), options)


def _dumps_of(name: str, corpus: Path, data: Path, jobs: str, options: list[tuple[str, str]]) -> None:
    """The stages 0 to 2 of one corpus: ``dump/NAME/{tr_single,cv_single,dev_1mix..dev_5mix}``."""
    options = [*options, ("--set", "mix.same_language=[dev]" if name == "commonvoice" else "mix.same_language=[]")]
    words = [word for option in options for word in option]
    sources, folder, dump = data / "sources" / name, data / "data" / name, data / "dump" / name
    extra = ["--extra-train"] if name == "librispeech" else []
    _run("prepare-corpus", name, *words, "--corpus", corpus, "--out", sources, "--nj", jobs, *extra)
    sets = {f"{part}_single": ["--sources", sources / part] for part in ("tr", "cv")}
    for count in COUNTS:
        tree = data / "mixtures" / name / f"{count}mix"
        _run("make-lists", *words, "--sources", sources, "--num-spk", count, "--sets", "dev", "--out", tree)
        _run("mix", *words, "--list", tree / "dev.txt", "--sources", sources / "dev", "--out", tree / "dev")
        sets[f"dev_{count}mix"] = ["--sources", sources / "dev", "--list", tree / "dev.txt", "--mixtures", tree / "dev"]
    for part, inputs in sets.items():
        _run("prepare-data", *inputs, "--out", folder / part)
        _run("dump", *words, "--data", folder / part, "--out", dump / part)
        _run("dump", *words, "--data", folder / part, "--out", dump / part, "--merge")


def _run(*words: object) -> None:
    """One command of the toolkit, which reports its own errors."""
    command = [sys.executable, "-m", "contrasep_lib.bin.main", *map(str, words)]
    if code := subprocess.run(command, cwd=ROOT, env={**os.environ, **THREADS}, check=False).returncode:
        raise ContrasepError(f"contrasep {words[0]} ended with code {code}")


# ------------------------------------------------------------------ start


def start(args: argparse.Namespace) -> None:
    """Freeze the code, once, and run the training in the background."""
    folder = args.folder.resolve()
    if _running(folder):
        raise ContrasepError(f"{folder}/pid: process {_running(folder)} is training already")
    if args.init_param is not None and not (folder / BEFORE).is_file():
        _go_on_from(folder, args.init_param)
    code, log = freeze(folder), folder / "train.out"
    init = ("--init-param", str(args.init_param)) if args.init_param else ()
    if hours := _hours_before(folder):
        # else it would hear again what the training before it has heard
        init += ("--set", f"finetune.seed={round(100 * hours)}")
    command = training(code, code / args.config, folder / "data", folder / PHASE, args.core, *init)
    with open(log, "ab") as file:
        process = subprocess.Popen(**command, stdout=file, stderr=file, start_new_session=True)
    # a session of its own is a group of its own to Linux's scheduler, whose urgency is set apart from the process's
    with contextlib.suppress(OSError):
        Path(f"/proc/{process.pid}/autogroup").write_text(str(NICENESS))
    (folder / "pid").write_text(f"{process.pid}\n")
    with contextlib.suppress(subprocess.TimeoutExpired):
        status, said = process.wait(AT_ONCE), log.read_text(encoding="utf-8", errors="replace").split("\n")
        raise ContrasepError(f"{log}: the training ended at once with status {status}: {' '.join(said[-2:])[:300]}")
    print(f"process {process.pid}, log in {log}")


def _go_on_from(folder: Path, model: Path) -> None:
    """Take over the core hours and the curve of the snapshot that a training begins with."""
    from contrasep_lib.models.checkpoint import read_model

    folder.mkdir(parents=True, exist_ok=True)
    if (model.parent / CURVE).is_file() and not (folder / CURVE).is_file():
        (folder / CURVE).write_text((model.parent / CURVE).read_text())
    (folder / BEFORE).write_text(f"{_hours_of(read_model(model)['training'])}\n")


def _hours_of(record: Mapping[str, Any]) -> float:
    """Core hours of a model, by the record of its training: a snapshot's, or the phases of a released one."""
    if "core_hours" in record:
        return float(record["core_hours"])
    # "2 cores of .."; other devices have no cores to count
    phases = [(phase["minutes"], phase["device"].split()) for phase in record.get("spent", [])]
    minutes = sum(spent * int(words[0]) for spent, words in phases if words[0].isdecimal() and words[1].startswith("core"))
    return round(minutes / 60, 2)


def _progress(folder: Path, states: Mapping[str, Any]) -> dict[str, Any]:
    """As `progress`, with the core hours of the snapshot that the training began with."""
    row = progress(states)
    return {**row, "core_hours": round(row["core_hours"] + _hours_before(folder), 2)}


def _hours_before(folder: Path) -> float:
    return float((folder / BEFORE).read_text()) if (folder / BEFORE).is_file() else 0.0


def _running(folder: Path) -> int | None:
    """The process that trains, or None."""
    try:
        pid = int((folder / "pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    return pid if b"contrasep_lib.bin.main" in words else None


# ------------------------------------------------------------------ state


def status(args: argparse.Namespace) -> None:
    """Print one line."""
    folder = args.folder
    try:
        words = [f"{name} {value}" for name, value in _progress(folder, states_of(folder / PHASE)).items()]
    except ContrasepError:
        # before its first epoch a training has no checkpoint
        if not _running(folder):
            raise
        words = ["no epoch yet"]
    curve = folder / CURVE
    if curve.is_file():
        header, *rows = [line.split("\t") for line in curve.read_text().splitlines()]
        words.append("development: " + ", ".join(f"{name} {value}" for name, value in zip(header, rows[-1])))
    pid = _running(folder)
    print(f"{'training, process ' + str(pid) if pid else 'not running'}; " + "; ".join(words))


# ------------------------------------------------------------------ scores


def score(args: argparse.Namespace) -> None:
    """Separate development mixtures by k-means, the count given, and count them; one line of the curve."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    if args.init_param is not None:
        from contrasep_lib.models.checkpoint import load_model, read_model

        # what the training begins with, before its first epoch
        hours = _hours_of(read_model(args.init_param)["training"])
        row: dict[str, Any] = {"core_hours": hours, "epoch": 0, **dict.fromkeys(VALIDATION, "")}
        model = load_model(args.init_param).eval()
    else:
        states = states_of(args.folder / PHASE)
        row, model = _progress(args.folder, states), model_of(states)
    scores = list(development(model, args.folder / "data", args.limit))
    for label in dict.fromkeys(score.set for score in scores):
        part = [score for score in scores if score.set == label]
        gains = [score.si_snri for score in part if score.si_snri is not None]
        if gains:
            row[f"{label}_si_snri"] = round(float(np.mean(gains)), 2)
        row[f"{label}_count"] = round(100 * float(np.mean([score.counted for score in part])), 1)
    curve = args.folder / CURVE
    new = not curve.is_file()
    with open(curve, "a", encoding="utf-8") as file:
        print(*([("\t".join(row))] if new else []), "\t".join(map(str, row.values())), sep="\n", file=file)
    print(json.dumps(row, indent=1))


# ------------------------------------------------------------------ snapshot


def snapshot(args: argparse.Namespace) -> None:
    """Write averaged weights in float16 as a model.pth that training can begin with, and the curve."""
    if args.out is None:
        raise ContrasepError("--out: expected a folder, e.g. contrasep_lib/pretrained/next")
    record = _snapshot(args.folder, args.out)
    if (args.folder / CURVE).is_file():
        (args.out / CURVE).write_text((args.folder / CURVE).read_text())
    print(f"{args.out}/model.pth: {(args.out / 'model.pth').stat().st_size / 2**20:.1f} MB; {json.dumps(record)}")


def _snapshot(folder: Path, out: Path) -> dict[str, Any]:
    """Write ``out/model.pth``; returns its record."""
    import torch

    from contrasep_lib.io.machine import device_words
    from contrasep_lib.models.checkpoint import save_model

    states = states_of(folder / PHASE)
    half = {
        name: value.half() if value.is_floating_point() else value for name, value in weights_of(states).items()
    }
    if any(not bool(torch.isfinite(value).all()) for value in half.values() if value.is_floating_point()):
        raise ContrasepError("weights that float16 cannot hold; keep them in float32")
    out.mkdir(parents=True, exist_ok=True)
    row = _progress(folder, states)
    spent = [{"phase": "finetune", "minutes": round(60 * row["core_hours"], 1), "device": device_words(0, 1)}]
    record = {**row, "commit": (folder / "commit").read_text().strip(), "state_of": "running average", "spent": spent}
    options, features = options_of(states)
    save_model(out / "model.pth", half, features, options, record)
    return record


# ------------------------------------------------------------------ finish


def finish(args: argparse.Namespace) -> None:
    """Phases of a release, one after another, each from the weights of the one before."""
    import yaml

    folder, place = args.folder, args.folder / FINISH
    if _running(folder):
        raise ContrasepError(f"{folder}/pid: process {_running(folder)} is training; stop it first (kill {_running(folder)})")
    states = states_of(folder / PHASE)
    rate = states["identity"]["train"]["learning_rate"]
    schedule = {"max_lr": rate, "total_steps": DECAY_STEPS + 1, "pct_start": 0.05, "cycle_momentum": False}
    counter = yaml.safe_load((ROOT / COUNTER).read_text(encoding="utf-8"))["finetune"]
    phases: dict[str, Mapping[str, Any]] = {
        "decay": {
            "epochs": 1, "batches_per_epoch": DECAY_STEPS, "scheduler": "onecyclelr", "scheduler_conf": schedule, "ema_decay": 0.98,
        },
        "count": {**counter, "scheduler": "onecyclelr"},
    }  # fmt: skip
    before = place / "begun/model.pth"
    if not before.is_file():
        _snapshot(folder, before.parent)
    code = freeze(folder)
    for name, values in phases.items():
        out = place / name
        if not (out / "model.pth").is_file():
            sets = [word for key, value in values.items() for word in ("--set", f"finetune.{key}={json.dumps(value)}")]
            command = training(code, code / args.config, folder / "data", out, args.core, "--init-param", str(before), *sets)
            if status := subprocess.run(**command, check=False).returncode:
                raise ContrasepError(f"{out}: training ended with status {status}")
        before = out / "model.pth"
        print(f"{name}: {before}", flush=True)


def main() -> None:
    """Run an action; errors of the user in one line."""
    args = parse()
    args.folder = args.folder.resolve()
    args.out = args.out.resolve() if args.out else None
    args.init_param = args.init_param.resolve() if args.init_param else None
    try:
        {"data": data, "start": start, "status": status, "score": score, "snapshot": snapshot, "finish": finish}[args.action](args)
    except ContrasepError as error:
        sys.exit(f"long_training.py: {error}")


if __name__ == "__main__":
    main()
