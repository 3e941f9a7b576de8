#!/usr/bin/env python3
"""Hours of speech that training takes in per hour of one CPU core, with one measure for speed after another.

    tools/bench/training_speed.py --dump DIR --json docs/experiments/bench_training_speed.json
    tools/bench/training_speed.py --table docs/experiments/bench_training_speed.json

The real loader, without processes of its own, and the real trainer's step, on the batches of a configuration. Each
measure is added to those before it. Each variant runs in a process of its own, for what is done to the allocator cannot
be undone; the variants take turns in every block, on the same core, the same weights and the same mixtures. The first steps, in
which the heap grows, are not timed. The time is that of the processor, system calls included, so a machine
with other work may be used; processes that share its caches still slow it down.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import json
import multiprocessing
import os
import resource
import shlex
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from contrasep_lib.bin.common import Parser, positive, within
from contrasep_lib.config.bounds import Processes, Steps

DEFAULT_CONFIG = ROOT / "egs" / "mini_librispeech_mixed" / "conf" / "attractor_many.yaml"
VARIANTS = (
    "as it was", "padded sequences are not packed", "freed memory is kept", "recurrences in parts", "decoder on half of the frames"
)


class Timed:
    """Hands batches on; CPU time and samples after the first ``skip`` of them."""

    def __init__(self, batches: Iterator[Any], skip: int, steps: int) -> None:
        self.batches, self.skip, self.steps = batches, skip, steps
        self.seconds, self.samples, self.faults = 0.0, 0, 0

    def __len__(self) -> int:
        return self.skip + self.steps

    def __iter__(self) -> Iterator[Any]:
        for number, (ids, batch) in enumerate(self.batches):
            if number == self.skip:
                begun, faults = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            if number >= self.skip:
                self.samples += int(batch["mixture_lengths"].sum())
            yield ids, batch
        self.seconds = time.process_time() - begun
        self.faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults


class Bench:
    """All variants over the same batches; see this file's first lines."""

    def __init__(self, args: argparse.Namespace) -> None:
        # here, so that tables and help do without torch
        import torch
        import training_parts

        from contrasep_lib.train.espnet import trainer as espnet_trainer
        from contrasep_lib.train.task import build_arguments

        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {args.core})
        torch.set_num_threads(1)
        self.args, self.parts = args, training_parts
        self.tasks = {
            share: build_arguments(self.config(share), "finetune", [args.dump], [args.dump], "unused")
            for share in (1.0, 0.5)
        }
        self.dataset = training_parts.mixtures(self.tasks[1.0])
        self.bfloat16 = self.tasks[1.0].bfloat16
        if self.bfloat16:
            # as in `SafeTrainer.run`
            espnet_trainer.autocast = lambda *_, **__: torch.autocast("cpu", torch.bfloat16)
        # levels of utterances, which are measured once
        for _ in self.batches():
            pass

    def config(self, share: float) -> dict[str, Any]:
        """The configuration, but for what is measured."""
        from contrasep_lib.config import load_config

        return load_config(self.args.config, ["finetune.num_workers=0", f"model.objectives.si_snr.share={share}"])

    def batches(self) -> Iterator[Any]:
        """The same batches each time, mixed anew."""
        steps = self.args.skip + self.args.steps
        return itertools.islice(self.parts.loader(self.dataset, self.tasks[1.0], 0), steps)

    def variant(self, number: int) -> dict[str, float]:
        """Train with the first ``number`` measures; in a process of its own."""
        from contrasep_lib.embedding.backbones import base
        from contrasep_lib.io.machine import keep_freed_memory

        if number < 1:
            base._both_ways = base.packed
        if number >= 2 and not keep_freed_memory():
            raise OSError("the C library here is not glibc, whose allocator this measures")
        if number < 3:
            base.SEQUENCES = sys.maxsize
        learner = self.parts.Learner("ours", self.tasks[1.0 if number < 4 else 0.5])
        timed = Timed(self.batches(), self.args.skip, self.args.steps)
        learner.steps(timed)
        return {
            "hours_per_hour": timed.samples / self.dataset.mix.rate / timed.seconds,
            "page_faults_per_step": timed.faults / self.args.steps,
            "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All variants in turn, block by block, each in a process that is forked for it."""
    bench, rows = Bench(args), [[] for _ in VARIANTS]
    context = multiprocessing.get_context("fork")
    for block, number in itertools.product(range(args.blocks), range(len(VARIANTS))):
        # the bench is the child's by the fork, not by pickling
        with concurrent.futures.ProcessPoolExecutor(1, context, initializer=_keep, initargs=(bench,)) as pool:
            rows[number].append(pool.submit(_variant, number).result())
        print(
            f"block {block + 1}, {VARIANTS[number]}: {rows[number][-1]['hours_per_hour']:.3g}",
            file=sys.stderr,
            flush=True,
        )
    from contrasep_lib.io.machine import device_words

    figures: dict[str, Any] = {
        "command": shlex.join(["tools/bench/training_speed.py", *args.words]), "machine": device_words(),
        "config": args.config.name, "bfloat16": bench.bfloat16, "steps": args.steps, "blocks": args.blocks,
        "variants": [],
    }
    for number, name in enumerate(VARIANTS):
        values = {key: [row[key] for row in rows[number]] for key in rows[number][0]}
        for key, other in (("over_the_one_before", number - 1), ("over_the_first", 0)):
            before = [row["hours_per_hour"] for row in rows[max(other, 0)]]
            values[key] = [here / there for here, there in zip(values["hours_per_hour"], before)]
        spread = {
            key: {"median": round(statistics.median(of), 3), "min": round(min(of), 3), "max": round(max(of), 3)}
            for key, of in values.items()
        }
        figures["variants"].append({"name": name, **spread})
    return figures


def _keep(bench: Bench) -> None:
    _variant.bench = bench


def _variant(number: int) -> dict[str, float]:
    return _variant.bench.variant(number)


def table(figures: dict[str, Any]) -> str:
    """The figures in Markdown."""
    precision = "bfloat16" if figures["bfloat16"] else "float32"
    lines = [
        f"`{figures['command']}`",
        "",
        f"{figures['machine']}, {figures['config']}, {precision}; medians over {figures['blocks']} blocks of {figures['steps']} steps, "
        "in brackets the least and the most.",
        "",
        "| each with those above it | hours of speech per hour of a core | times the one above | times the first | page faults per step | "
        "resident set, MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
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
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dump", type=Path, metavar="DIR", help="dumped set of single speakers")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE")
    parser.add_argument("--core", type=within(Processes), default=0, metavar="N", help="core to run on (default 0)")
    parser.add_argument(
        "--steps", type=positive, default=20, metavar="N", help="timed steps of a block (default %(default)s)"
    )
    parser.add_argument("--skip", type=within(Steps), default=6, metavar="N", help="steps before them (default %(default)s)")
    parser.add_argument("--blocks", type=positive, default=3, metavar="N", help="default %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the table of such a file, measure nothing")
    args = parser.parse_args()
    if args.table:
        print(table(json.loads(args.table.read_text(encoding="utf-8"))))
        return
    if args.dump is None:
        parser.error("--dump DIR is needed")
    args.words = sys.argv[1:]
    figures = measure(args)
    print(table(figures))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
