#!/usr/bin/env python3
"""Throughput of training: waiting for data, the loader alone, and ESPnet's deep clustering beside ours.

    tools/bench/training.py --out docs/experiments/bench_training.json
    tools/bench/training.py --dump egs/mini_librispeech_2mix/dump/tr_single --ngpu 1 --out gpu.json
    tools/bench/training.py --table docs/experiments/bench_training.json

Batches are mixtures of two talkers, mixed on the fly from a dumped set of single speakers. What is
timed, in blocks of --seconds that take turns, each with its median, least and most:

- waiting: the real loader and the real trainer's step (transfer, forward, backward, clipping,
  optimiser), for several numbers of processes that prepare data; a step is timed from batch to
  batch, and what it waits for the next one is the share. ``in memory`` are batches made before.
- loader: the same loader with nobody to train. From it follows how many steps per second a trainer
  could make before it waits for more than 10 % of its time.
- comparison: steps per second of our model and of ESPnet's DPCLSeparator with its own loss, of the
  same layers, width and embedding dimension, on the same spectra of the same batches in memory, by
  the same trainer; parameters; peak memory, each in a process of its own; parts of a step.

Levels of utterances, which training measures once, are measured before. Wall time throughout.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

# torch has its own option; what else computes in threads would compete with the processes of the loader
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from contrasep_lib.bin.common import Parser, positive, within
from contrasep_lib.config.bounds import Items, Jobs, Layers, Processes, Range, Seconds, Width

DEFAULT_DUMP = ROOT / "egs" / "mini_2mix" / "dump" / "tr_single"
NAMES = {"ours": "contrasep", "espnet": "ESPnet"}
PARTS = ("transfer", "features", "backbone", "unit norm", "loss", "statistics", "backward", "clipping", "optimiser")
# share of its time that a trainer may wait
TOLERATED = 0.1
MEMORY_STEPS = 4


def digits(value: float) -> float:
    """Rounded to four digits."""
    return float(f"{value:.4g}")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    named = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: digits(value) for name, value in named.items()}


def find_dump(path: Path | None) -> Path:
    """The set, from the folder that the entries of its tables are relative to, which is entered.

    Returns:
        the set's absolute path.
    """
    if path is None and not (DEFAULT_DUMP / "wav.scp").is_file():
        expected = DEFAULT_DUMP.relative_to(ROOT)
        sys.exit(
            f"training.py: {expected} is not there; egs/mini_2mix/run.sh --stop-stage 2 makes it, "
            "or name another set with --dump"
        )
    path = (path or DEFAULT_DUMP).resolve()
    if not (path / "wav.scp").is_file():
        sys.exit(f"training.py: {path}/wav.scp is not there; run stage 2 of the recipe, or name another --dump")
    with open(path / "wav.scp", encoding="utf-8") as table:
        entry = table.readline().split(maxsplit=1)[1].strip().rpartition(":")[0]
    for folder in path.parents:
        if (folder / entry).is_file():
            os.chdir(folder)
            return path
    sys.exit(f"training.py: {entry}, which {path}/wav.scp names, is not there; run stage 2 again")


def machine(args: argparse.Namespace) -> str:
    """What it ran on, in words."""
    import torch

    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "CPU")
    threads = f"{args.threads} thread{'s' * (args.threads > 1)}"
    gpu = f"{torch.cuda.get_device_name()}; " if args.ngpu else "no GPU; "
    return f"{gpu}{model}, {cores()} cores, {threads}; torch {torch.__version__}"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Bench:
    """All measurements of one command line; see this file's first lines."""

    def __init__(self, args: argparse.Namespace) -> None:
        # here, so that tables and help do without torch
        import training_parts

        self.args, self.parts = args, training_parts
        self.task = training_parts.task_arguments(args)
        self.dataset = training_parts.mixtures(self.task)
        self.rate = self.dataset.mix.rate
        batches = iter(self.loader(0))
        self.kept = [training_parts.sorted_batch(next(batches)) for _ in range(args.batches)]

    def loader(self, workers: int):
        """Batches of an epoch that no block comes to the end of, prepared by ``workers`` processes."""
        return self.parts.loader(self.dataset, self.task, workers)

    def in_memory(self):
        """The batches that were made before, over and over."""
        return self.parts.in_turn(self.kept)

    def data(self) -> dict[str, Any]:
        """Measure the level of every utterance; what the set holds, and how long that took."""
        begun, samples = time.perf_counter(), 0
        for number, (dump, key) in enumerate(self.dataset.utterances):
            signal = dump.mixture(key)
            samples += len(signal)
            self.dataset.level(number, signal)
        seconds, hours = time.perf_counter() - begun, samples / self.rate / 3600
        return {
            "set": shown(self.args.dump), "utterances": len(self.dataset), "speakers": len(self.dataset.speakers),
            "hours": round(hours, 3), "seconds_for_levels_of_an_hour": round(seconds / hours, 2),
            "padded_share_in_memory": digits(self.parts.padding([batch for _, batch in self.kept])),
        }

    def alone(self) -> list[dict[str, Any]]:
        """Rates of the loader by number of processes."""
        clocks: dict[int, list] = {workers: [] for workers in self.args.workers}
        for _, workers in itertools.product(range(self.args.blocks), self.args.workers):
            # after a batch of each process all of them are at work
            clock = self.parts.Clock(self.loader(workers), self.args.seconds, skip=workers + 1)
            for _ in clock:
                pass
            clocks[workers].append(clock)
        rows = []
        for workers, made in clocks.items():
            rate = statistics.median(clock.rate for clock in made)
            hours = statistics.median(clock.samples / self.rate / 3600 / clock.seconds for clock in made)
            # processes work while a step is made, and a trainer waits for what they cannot keep up
            # with; without any, it waits for each batch in full
            tolerable = rate * (1.0 if workers else TOLERATED) / (1 - TOLERATED)
            rows.append({
                "workers": workers,
                "items_per_second": spread([clock.rate * self.args.batch_size for clock in made]),
                "items_per_second_and_worker": digits(rate * self.args.batch_size / max(1, workers)),
                "speech_hours_per_second_and_worker": digits(hours / max(1, workers)),
                "batches_per_second": digits(rate),
                "steps_per_second_before_waiting": digits(tolerable),
            })
        return rows

    def waiting(self) -> list[dict[str, Any]]:
        """Steps per second and share of waiting by number of processes."""
        learner = self.parts.Learner("ours", self.task)
        sources: list[int | None] = [None, *self.args.workers]
        clocks: dict[int | None, list] = {source: [] for source in sources}
        for _, source in itertools.product(range(self.args.blocks), sources):
            batches = self.in_memory() if source is None else self.loader(source)
            clock = self.parts.Clock(batches, self.args.seconds, skip=1 + (source or 0))
            learner.steps(clock)
            clocks[source].append(clock)
        return [
            {
                "workers": source, "steps_per_second": spread([clock.rate for clock in made]),
                "waiting_percent": spread([100 * clock.waiting for clock in made]),
            }
            for source, made in clocks.items()
        ]

    def comparison(self) -> dict[str, Any]:
        """Our model and ESPnet's, block by block."""
        learners = [self.parts.Learner(name, self.task) for name in NAMES]
        rates: dict[str, list[float]] = {name: [] for name in NAMES}
        for _, learner in itertools.product(range(self.args.blocks), learners):
            clock = self.parts.Clock(self.in_memory(), self.args.seconds)
            learner.steps(clock)
            rates[learner.name].append(clock.rate)
        found: dict[str, Any] = {}
        for learner in learners:
            steps = 1 + max(2, math.ceil(self.args.seconds * statistics.median(rates[learner.name])))
            parts = learner.breakdown(itertools.islice(self.in_memory(), steps))
            found[learner.name] = {
                "parameters": learner.parameters, "steps_per_second": spread(rates[learner.name]),
                "peak_mib": self.memory_of(learner.name),
                "milliseconds": {part: digits(1000 * parts[part]) for part in PARTS if part in parts},
            }
        ratios = [ours / theirs for ours, theirs in zip(*(rates[name] for name in NAMES))]
        return {**found, "ours_over_espnet": spread(ratios)}

    def memory_of(self, name: str) -> float:
        """MiB at the peak of a few steps, in a process of its own."""
        line = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:]]
        line += ["--dump", str(self.args.dump), "--memory-of", name]
        done = subprocess.run(line, capture_output=True, text=True, cwd=self.args.begun_in)
        if done.returncode:
            sys.exit(f"training.py: {(done.stderr.strip().splitlines() or ['a process was killed'])[-1]}")
        return float(done.stdout.splitlines()[-1])

    def own_memory(self, name: str) -> float:
        """MiB at the peak of a few steps above what there was before the model was made."""
        from modularity import reset_peak, resident

        before = resident("VmRSS")
        learner = self.parts.Learner(name, self.task)
        reset_peak()
        learner.steps(list(itertools.islice(self.in_memory(), MEMORY_STEPS)))
        if self.args.ngpu:
            return digits(self.parts.torch.cuda.max_memory_allocated() / 2**20)
        return digits((resident("VmHWM") - before) / 2**20)


def shown(path: Path) -> str:
    """A path without what is particular to this machine."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All figures of a command line."""
    bench = Bench(args)
    figures: dict[str, Any] = {
        "command": args.command, "machine": machine(args),
        "layers": args.layers, "width": args.width, "embedding_dim": args.embedding_dim,
        "batch_size": args.batch_size, "segment_seconds": args.segment_seconds, "blocks": args.blocks,
        "seconds": args.seconds,
    }
    for part in ("data", "alone", "waiting", "comparison"):
        begun = time.monotonic()
        figures[part] = getattr(bench, part)()
        print(f"{part}: done in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return figures


def cell(values: dict[str, float], form: str) -> str:
    """``median (least to most)``."""
    return "{} ({} to {})".format(*(format(values[name], form) for name in ("median", "min", "max")))


def tables(figures: dict[str, Any]) -> str:
    """The figures in Markdown."""
    data, found = figures["data"], figures["comparison"]
    free = figures["waiting"][0]["steps_per_second"]["median"]
    alone = {row["workers"]: row for row in figures["alone"]}
    lines = [
        f"`{figures['command']}`",
        "",
        f"{figures['machine']}. Data: {data['set']}, {data['utterances']} utterances of {data['speakers']} speakers, "
        f"{data['hours']:.2f} hours. BLSTM of {figures['layers']} layers of {figures['width']} cells in each direction, "
        f"embeddings of dimension {figures['embedding_dim']}, batches of {figures['batch_size']} mixtures of "
        f"{figures['segment_seconds']:g} s ({100 * data['padded_share_in_memory']:.2g} % of the batches in memory are "
        f"padding). Medians over {figures['blocks']} blocks of {figures['seconds']:g} s, in brackets the least and the "
        "most.",
        "",
        "| processes that prepare data | steps/s | waiting, % |",
        "| --- | ---: | ---: |",
    ]
    for row in figures["waiting"]:
        name = "none: batches in memory" if row["workers"] is None else row["workers"]
        lines.append(f"| {name} | {cell(row['steps_per_second'], '.3g')} | {cell(row['waiting_percent'], '.2g')} |")
    lines += [
        "", "| processes, nobody training | items/s | items/s per process | hours of speech per second and process | "
        "steps/s before a trainer waits over 10 % |", "| --- | ---: | ---: | ---: | ---: |",
    ]
    for workers, row in alone.items():
        lines.append(
            f"| {workers} | {cell(row['items_per_second'], '.4g')} | {row['items_per_second_and_worker']:.3g} | "
            f"{row['speech_hours_per_second_and_worker']:.3g} | {row['steps_per_second_before_waiting']:.3g} |"
        )
    if 1 in alone:
        each = alone[1]["steps_per_second_before_waiting"]
        lines += [
            "",
            f"So one process feeds up to {each:.3g} steps/s, and this machine's {free:.3g} steps/s want "
            f"{max(1, math.ceil(free / each))}. Levels are measured once, in {data['seconds_for_levels_of_an_hour']:.2g} s "
            "per hour of speech.",
        ]
    lines += [
        "", "| | parameters | steps/s | peak memory, MiB |", "| --- | ---: | ---: | ---: |",
        *(
            f"| {NAMES[name]} | {found[name]['parameters']:,} | {cell(found[name]['steps_per_second'], '.3g')} | "
            f"{found[name]['peak_mib']:.0f} |"
            for name in NAMES
        ),
        "", f"Ours makes {cell(found['ours_over_espnet'], '.3g')} times ESPnet's steps. Milliseconds of a step:", "",
        "| | " + " | ".join(PARTS) + " |", "| --- |" + " ---: |" * len(PARTS),
    ]
    for name in NAMES:
        parts = found[name]["milliseconds"]
        shown_parts = [f"{parts[part]:.3g}" if part in parts else "" for part in PARTS]
        lines.append(f"| {NAMES[name]} | {' | '.join(shown_parts)} |")
    return "\n".join(lines)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; exits with a message where it makes no sense."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dump", type=Path, metavar="DIR", help=f"single speakers ({shown(DEFAULT_DUMP)})")
    parser.add_argument("--layers", type=within(Layers), default=2, metavar="N", help="LSTM layers (2)")
    parser.add_argument("--width", type=within(Width), default=300, metavar="N", help="cells in each direction (300)")
    parser.add_argument("--embedding-dim", type=within(Annotated[int, Range(2, 4096)]), default=20, metavar="N", help="dimension of embeddings (20)")
    parser.add_argument("--batch-size", type=within(Items), default=8, metavar="N", help="mixtures in a batch (8)")
    parser.add_argument("--segment-seconds", type=within(Seconds), default=3.0, metavar="S", help="length of mixtures (3)")
    parser.add_argument("--batches", type=within(Items), default=4, metavar="N", help="batches kept in memory (4)")
    parser.add_argument(
        "--workers", type=within(Processes), nargs="+", default=[0, 1, 2, 4], metavar="N",
        help="processes that prepare data; more than cores are left out (0 1 2 4)",
    )
    parser.add_argument("--seconds", type=within(Seconds), default=20.0, metavar="S", help="of a block (20)")
    parser.add_argument("--blocks", type=positive, default=5, metavar="N", help="of each kind (5)")
    parser.add_argument("--threads", type=within(Jobs), default=cores(), metavar="N", help="of the trainer (all cores)")
    parser.add_argument("--ngpu", type=int, default=0, choices=(0, 1), help="train on the GPU (0)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the figures there")
    parser.add_argument("--table", type=Path, metavar="FILE.json", help="print the tables of figures, measure nothing")
    parser.add_argument("--memory-of", choices=tuple(NAMES), help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    for name in ("layers", "width", "batch_size", "batches", "blocks", "threads"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: expected at least 1, got {getattr(args, name)}")
    if min(args.workers) < 0 or args.seconds <= 0 or args.segment_seconds <= 0 or args.embedding_dim < 2:
        parser.error("expected --workers from 0, --embedding-dim from 2, and positive seconds")
    args.workers = sorted({workers for workers in args.workers if workers <= cores()})
    return args


def main() -> None:
    """Entry point."""
    args = parse()
    if args.table:
        print(tables(json.loads(args.table.read_text(encoding="utf-8"))))
        return
    out = args.out and args.out.resolve()
    if out and not out.parent.is_dir():
        sys.exit(f"training.py: {args.out.parent} is not there; make it first")
    args.begun_in = Path.cwd()
    words = [shown(Path(word).resolve()) if "/" in word else word for word in sys.argv[1:]]
    args.command = shlex.join(["tools/bench/training.py", *words])
    args.dump = find_dump(args.dump)

    import torch

    from contrasep_lib.errors import ContrasepError

    torch.set_num_threads(args.threads)
    if args.ngpu and not torch.cuda.is_available():
        sys.exit("training.py: --ngpu 1: no GPU found here; use --ngpu 0")
    try:
        if args.memory_of:
            print(Bench(args).own_memory(args.memory_of))
            return
        figures = measure(args)
    except ContrasepError as error:
        sys.exit(f"training.py: {error}")
    print(tables(figures))
    if out:
        out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
