#!/usr/bin/env python3
"""Hours of speech that training takes in per hour of one CPU core, with one measure for speed after another.

    tools/bench/training_speed.py --dump DIR --json docs/bench_training_speed.json
    tools/bench/training_speed.py --table docs/bench_training_speed.json

The real loader, without processes of its own, and the real trainer's step, on the batches of a configuration. Each
measure is added to those before it. Each variant runs in a process of its own, for what is done to the allocator cannot
be undone; the variants take turns in every block, on the same core, the same weights and the same mixtures. The first steps, in
which the heap grows, are not timed. The time is that of the processor, system calls included, so a machine
with other work may be used; processes that share its caches still slow it down.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterable, Iterator

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
DEFAULT_CONFIG = ROOT / "egs" / "mini_librispeech_mixed" / "conf" / "attractor_many.yaml"
VARIANTS = ("as it was", "freed memory is kept", "recurrences in parts", "decoder on half of the frames")


class Timed:
    """Hands batches on; CPU time and samples after the first ``skip`` of them."""

    def __init__(self, batches: Iterable[Any], skip: int, steps: int) -> None:
        self.batches, self.skip, self.steps = batches, skip, steps
        self.seconds, self.samples, self.faults = 0.0, 0, 0

    def __len__(self) -> int:
        return self.skip + self.steps

    def __iter__(self) -> Iterator[Any]:
        for number, (ids, batch) in enumerate(itertools.islice(self.batches, len(self))):
            if number == self.skip:
                begun, faults = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            if number >= self.skip:
                self.samples += int(batch["mixture_lengths"].sum())
            yield ids, batch
        self.seconds = time.process_time() - begun
        self.faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults


def variant(args: argparse.Namespace) -> dict[str, float]:
    """Train with the first ``args.variant`` measures; in a process of its own."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {args.core})
    import torch

    import training_parts
    from contrasep_lib.config import load_config
    from contrasep_lib.io.machine import keep_freed_memory
    from contrasep_lib.models import backbones
    from contrasep_lib.train.espnet import trainer as espnet_trainer
    from contrasep_lib.train.task import build_arguments

    torch.set_num_threads(1)
    if args.variant >= 1 and not keep_freed_memory():
        sys.exit("training_speed.py: the C library here is not glibc, whose allocator this measures")
    if args.variant < 2:
        backbones.SEQUENCES = sys.maxsize
    overrides = ["finetune.num_workers=0", f"model.decoder_share={1.0 if args.variant < 3 else 0.5}"]
    config = load_config(args.config, overrides)
    task = build_arguments(config, "finetune", [args.dump], [args.dump], "unused")
    if task.bfloat16:
        espnet_trainer.autocast = lambda *_, **__: torch.autocast("cpu", torch.bfloat16)
    dataset = training_parts.mixtures(task)
    loader = functools.partial(training_parts.loader, dataset, task, 0)
    # levels of utterances are measured once
    for _ in itertools.islice(loader(), args.skip + args.steps):
        pass
    learner, timed = training_parts.Learner("ours", task), Timed(loader(), args.skip, args.steps)
    learner.steps(timed)
    return {
        "hours_per_hour": timed.samples / dataset.mix.rate / timed.seconds,
        "page_faults_per_step": timed.faults / args.steps,
        "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "bfloat16": task.bfloat16,
    }


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All variants in turn, block by block."""
    rows: list[list[dict[str, float]]] = [[] for _ in VARIANTS]
    line = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:]]
    for block, number in itertools.product(range(args.blocks), range(len(VARIANTS))):
        done = subprocess.run([*line, "--variant", str(number)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"training_speed.py: {(done.stderr.strip().splitlines() or ['a process was killed'])[-1]}")
        rows[number].append(json.loads(done.stdout.splitlines()[-1]))
        print(f"block {block + 1}, {VARIANTS[number]}: {rows[number][-1]['hours_per_hour']:.3g}", file=sys.stderr, flush=True)
    from contrasep_lib.io.machine import device_words

    figures: dict[str, Any] = {
        "command": shlex.join(["tools/bench/training_speed.py", *args.words]), "machine": device_words(),
        "config": args.config.name, "bfloat16": rows[0][0]["bfloat16"], "steps": args.steps, "blocks": args.blocks,
        "variants": [],
    }
    for number, name in enumerate(VARIANTS):
        values = {key: [row[key] for row in rows[number]] for key in ("hours_per_hour", "page_faults_per_step", "resident_mib")}
        for key, other in (("over_the_one_before", number - 1), ("over_the_first", 0)):
            before = [row["hours_per_hour"] for row in rows[max(other, 0)]]
            values[key] = [here / there for here, there in zip(values["hours_per_hour"], before)]
        spread = {
            key: {"median": round(statistics.median(of), 3), "min": round(min(of), 3), "max": round(max(of), 3)}
            for key, of in values.items()
        }
        figures["variants"].append({"name": name, **spread})
    return figures


def table(figures: dict[str, Any]) -> str:
    """The figures in Markdown."""
    precision = "bfloat16" if figures["bfloat16"] else "float32"
    lines = [
        f"`{figures['command']}`", "",
        f"{figures['machine']}, {figures['config']}, {precision}; medians over {figures['blocks']} blocks of {figures['steps']} steps, "
        "in brackets the least and the most.", "",
        "| each with those above it | hours of speech per hour of a core | times the one above | times the first | page faults per step | "
        "resident set, MiB |", "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in figures["variants"]:
        cells = [
            "{} ({} to {})".format(*(format(row[key][of], form) for of in ("median", "min", "max")))
            for key, form in (("hours_per_hour", ".3g"), ("over_the_one_before", ".3g"), ("over_the_first", ".3g"))
        ]
        cells += [f"{row['page_faults_per_step']['median']:,.0f}", f"{row['resident_mib']['median']:,.0f}"]
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dump", type=Path, metavar="DIR", help="dumped set of single speakers")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE")
    parser.add_argument("--core", type=int, default=0, metavar="N", help="core to run on (default 0)")
    parser.add_argument("--steps", type=int, default=40, metavar="N", help="timed steps of a block (default %(default)s)")
    parser.add_argument("--skip", type=int, default=8, metavar="N", help="steps before them (default %(default)s)")
    parser.add_argument("--blocks", type=int, default=3, metavar="N", help="default %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the table of such a file, measure nothing")
    parser.add_argument("--variant", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.table:
        print(table(json.loads(args.table.read_text(encoding="utf-8"))))
        return
    if args.dump is None:
        parser.error("--dump DIR is needed")
    if args.variant is not None:
        # what ESPnet says goes elsewhere
        print(json.dumps(variant(args)))
        return
    words = sys.argv[1:]
    args.words = [Path(word).name if word == str(args.dump) else word for word in words]
    figures = measure(args)
    print(table(figures))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
