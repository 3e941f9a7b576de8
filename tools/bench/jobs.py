#!/usr/bin/env python3
"""What jobs cost: the time of an array of short tasks beside the ideal, and questions to the scheduler.

    tools/bench/jobs.py                                             # 200 tasks of 1 s, 2 at once, on this machine
    eval "$(tools/cluster/slurm_node.sh start --cpus 2)"
    tools/bench/jobs.py --backend slurm
    tools/bench/jobs.py --backend slurm --tasks 20 --seconds 20

The ideal is tasks / at once * seconds. Tasks sleep: what is measured is starting, ending and waiting, by utils/run.py
and by the scheduler. Calls of the scheduler's programs are counted on their way: questions (squeue, sacct, qstat,
qacct) and submissions.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from contrasep_lib.bin.common import Parser, positive, within  # noqa: E402
from contrasep_lib.config.bounds import Jobs, Seconds  # noqa: E402

QUESTIONS, SUBMISSIONS = ("squeue", "sacct", "qstat", "qacct"), ("sbatch", "qsub")


def count_calls(folder: Path) -> Path:
    """Put programs before those of the scheduler that note each call; returns their folder."""
    place = folder / "bin"
    place.mkdir()
    for name in (*QUESTIONS, *SUBMISSIONS):
        real = shutil.which(name)
        if real:
            (place / name).write_text(f'#!/bin/sh\necho {name} "$(date +%s.%N)" >>{folder}/calls\nexec {real} "$@"\n')
            (place / name).chmod(0o755)
    return place


def measure(args: argparse.Namespace) -> dict[str, object]:
    """Run an array once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "PATH": f"{count_calls(folder)}:{os.environ['PATH']}"}
        command = [
            sys.executable,
            str(ROOT / "utils/run.py"),
            "--backend",
            args.backend,
            "--max-jobs-run",
            str(args.at_once),
            f"JOB=1:{args.tasks}",
            "log/x.JOB.log",
            "sleep",
            str(args.seconds),
        ]
        begun = time.monotonic()
        subprocess.run(command, cwd=folder, env=environment, check=True)
        wall = time.monotonic() - begun
        calls = folder / "calls"
        calls = [line.split() for line in calls.read_text().splitlines()] if calls.exists() else []
    asked = [float(when) for program, when in calls if program in QUESTIONS]
    ideal = args.tasks / args.at_once * args.seconds
    return {
        "backend": args.backend,
        "tasks": args.tasks,
        "seconds": args.seconds,
        "at_once": args.at_once,
        "wall": round(wall, 1),
        "ideal": ideal,
        "over_percent": round(100 * (wall / ideal - 1), 1),
        "questions": len(asked),
        "submissions": len(calls) - len(asked),
        "shortest_gap": round(min((later - earlier for earlier, later in itertools.pairwise(asked)), default=0), 1),
        # of the machine; tasks that sleep add nothing to it
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Print a row of a table, or JSON."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("local", "slurm", "sge"), default="local", help="(local)")
    parser.add_argument("--tasks", type=positive, default=200, metavar="N", help="(200)")
    parser.add_argument("--seconds", type=within(Seconds), default=1.0, metavar="S", help="of each (1)")
    parser.add_argument("--at-once", type=within(Jobs), default=2, metavar="N", help="at most (2)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    made = measure(parser.parse_args())
    if "--json" in sys.argv:
        print(json.dumps(made))
        return
    rate = made["questions"] / made["wall"]
    print("| where | tasks | wall time | ideal | over | questions | a second | shortest gap | load |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    print(
        f"| {made['backend']} | {made['tasks']} of {made['seconds']:g} s, {made['at_once']} at once | {made['wall']} s | {made['ideal']:g} s "
        f"| {made['over_percent']} % | {made['questions']} | {rate:.2f} | {made['shortest_gap']} s | {made['load']} |"
    )


if __name__ == "__main__":
    main()
