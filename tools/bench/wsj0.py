#!/usr/bin/env python3
"""WSJ0-mix at scale: stage 0 of the recipe against a plain loop over the list, and stage 2 by storage.

    tools/bench/wsj0.py [--scale 0.02] [--nj 2] [--tree DIR] [--corpus DIR] [--plain-lines N] [--no-dump]
                        [--work DIR] [--json FILE]

A rehearsal tree (tools/rehearse_wsj0.py) of the scale is made first, or taken from --tree. Then, timed by
the clock:

- the stage: contrasep prepare-corpus wsj0, make-lists, and NJ jobs of contrasep mix per set, min mode at 8 kHz, as
  the recipe calls them; also its largest process, as the system tells it;
- the plain loop: one process that takes the list line by line, decodes and resamples each source, scales,
  mixes and writes by soundfile, as such scripts do. With --plain-lines it takes so many lines of each list,
  evenly spread, and the time is multiplied up; the figures say so. Its bytes must be those of the stage;
- stage 2: contrasep dump of the training set by each kind of storage, and its size.

Run it on an idle machine, twice for a warm page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from contrasep_lib.bin.common import Parser, positive, within
from contrasep_lib.config.bounds import Jobs, Range

CONFIG = "mix: {sets: {tr: 20000, cv: 5000, tt: 3000}, active_level: published}\n"
SETS = ("tr", "cv", "tt")
STORAGE = {
    "wav audio": [],
    "flac audio": ["dump.audio=flac"],
    "wav audio, compressed spectra": ["dump.spectra=compressed"],
    "wav audio, float32 spectra": ["dump.spectra=float32"],
}


def contrasep(*arguments: Any) -> list[str]:
    """Command line of a subcommand."""
    return [sys.executable, "-m", "contrasep_lib.bin.main", *map(str, arguments)]


def run_together(commands: Sequence[list[str]]) -> None:
    """Run commands side by side; the first that fails ends the benchmark."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
    running = [subprocess.Popen(command, **quiet) for command in commands]
    for process, command in zip(running, commands):
        if process.wait():
            raise SystemExit(f"failed: {' '.join(command)}")


def make_stage(work: Path, tree: Path, config: Path, nj: int) -> None:
    """Stage 0 as the recipe runs it."""
    whole = ["--config", config]
    run_together(
        [
            contrasep(
                "prepare-corpus",
                "wsj0",
                *whole,
                "--corpus",
                tree,
                "--mix-lists",
                tree / "lists",
                "--num-spk",
                2,
                "--out",
                work / "sources",
                "--nj",
                nj,
            )
        ]
    )
    run_together(
        [contrasep("make-lists", *whole, "--sources", work / "sources", "--num-spk", 2, "--out", work / "lists")]
    )
    for name in SETS:
        run_together([
            contrasep("mix", *whole, "--list", work / f"lists/{name}.txt", "--sources", work / "sources" / name,
                      "--out", work / "wav" / name, "--cache", work / "cache" / name, "--part", f"{job}/{nj}")
            for job in range(1, nj + 1)
        ])
        subprocess.run(["rm", "-rf", "--", work / "cache"], check=True)


def plain_loop(work: Path, tree: Path, lines: int | None) -> tuple[float, int, int]:
    """What a script does that knows nothing of caches and jobs.

    Returns:
        seconds, lines mixed, lines in all.
    """
    import numpy as np
    import soundfile
    from scipy.signal import resample_poly

    from contrasep_lib.corpus.wsj0_tree import file_key, find_files
    from contrasep_lib.io.sphere import read_sphere
    from contrasep_lib.mix.levels import parse_levels
    from contrasep_lib.mix.lists import read_list
    from contrasep_lib.mix.mixer import mixture_files

    levels: dict[str, float] = {}
    for path in (tree / "lists").glob("activlev_*.txt"):
        levels.update(parse_levels(path))
    lists = {name: read_list(tree / "lists" / f"mix_2_spk_{name}.txt") for name in SETS}
    files = find_files(tree, {file_key(s) for mixtures in lists.values() for m in mixtures for s in m.sources}).files
    chosen = {}
    for name, mixtures in lists.items():
        count = len(mixtures) if lines is None else min(lines, len(mixtures))
        chosen[name] = [mixtures[index * len(mixtures) // count] for index in range(count)]
    begun = time.perf_counter()
    for name, mixtures in chosen.items():
        for track in ("mix", "s1", "s2"):
            (work / name / track).mkdir(parents=True, exist_ok=True)
        for mixture in mixtures:
            scaled = []
            for source, utt, gain in zip(mixture.sources, mixture.utterances, mixture.gains):
                pcm, _ = read_sphere(files[file_key(source)])
                scaled.append(resample_poly(pcm / 32768, 1, 2) / np.sqrt(levels[utt]) * 10 ** (float(gain) / 20))
            samples = min(map(len, scaled))
            sources = np.stack([s[:samples] for s in scaled])
            tracks = np.vstack([sources.sum(axis=0), sources])
            tracks *= 0.9 / np.abs(tracks).max()
            for path, track in zip(mixture_files(work / name, mixture), tracks):
                soundfile.write(path, np.round(2**15 * track).astype(np.int16), 8000, subtype="PCM_16")
    taken = time.perf_counter() - begun
    return taken, sum(map(len, chosen.values())), sum(map(len, lists.values()))


def differing_files(plain: Path, stage: Path) -> int:
    """Files of the plain loop that are not byte for byte those of the stage."""
    return sum(
        path.read_bytes() != (stage / path.relative_to(plain)).read_bytes() for path in plain.rglob("*.wav")
    )


def size_of(folder: Path, pattern: str = "*") -> int:
    """Bytes of the files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def measure_dumps(work: Path, config: Path, nj: int) -> list[dict[str, Any]]:
    """Stage 2 of the training set by each kind of storage."""
    data = work / "data"
    run_together([contrasep("prepare-data", "--sources", work / "sources/tr", "--list", work / "lists/tr.txt",
                            "--mixtures", work / "wav/tr", "--out", data)])
    seconds = sum(float(line.split()[1]) for line in (data / "utt2dur").read_text().splitlines())
    figures = []
    for what, settings in STORAGE.items():
        out = work / "dump"
        options = ["--config", config, "--data", data, "--out", out]
        options += [word for setting in settings for word in ("--set", setting)]
        begun = time.perf_counter()
        run_together([contrasep("dump", *options, "--part", f"{job}/{nj}") for job in range(1, nj + 1)])
        run_together([contrasep("dump", *options, "--merge")])
        taken = time.perf_counter() - begun
        figures.append({"what": what, "seconds": taken, "times_real_time_per_core": seconds / taken / nj,
                        "gb": size_of(out, "*.ark") / 1e9, "hours_of_mixtures": seconds / 3600})
        subprocess.run(["rm", "-rf", "--", out], check=True)
    return figures


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=within(Annotated[float, Range(0, 1, "(]")]), default=0.02)
    parser.add_argument("--nj", type=within(Jobs), default=2)
    parser.add_argument("--tree", metavar="DIR", help="a rehearsal tree that is there already; --scale is its own then")
    parser.add_argument("--corpus", metavar="DIR", help="recordings for the rehearsal tree (default: eSpeak NG)")
    parser.add_argument(
        "--plain-lines", type=positive, metavar="N", help="lines of each list for the plain loop (default: all)"
    )
    parser.add_argument("--no-dump", action="store_true", help="leave stage 2 out")
    parser.add_argument("--work", metavar="DIR", help="where all of it goes (default: a temporary folder)")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=args.work) as name:
        work = Path(name)
        tree = Path(args.tree).resolve() if args.tree else work / "tree"
        if not args.tree:
            made = [
                str(ROOT / "tools/rehearse_wsj0.py"),
                "--out",
                str(tree),
                "--scale",
                str(args.scale),
                "--num-spk",
                "2",
                "--nj",
                str(args.nj),
                *(["--corpus", args.corpus] if args.corpus else []),
            ]
            begun = time.perf_counter()
            run_together([[sys.executable, *made]])
            print(f"rehearsal tree: {time.perf_counter() - begun:.0f} s")
        config = work / "config.yaml"
        config.write_text(CONFIG)
        begun = time.perf_counter()
        make_stage(work, tree, config, args.nj)
        staged = time.perf_counter() - begun
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        taken, mixed, lines = plain_loop(work / "plain", tree, args.plain_lines)
        differing = differing_files(work / "plain", work / "wav")
        plain = taken * lines / mixed
        figures: dict[str, Any] = {
            "tree": (tree / "REHEARSAL.txt").read_text().strip(), "jobs": args.nj, "mixtures": lines,
            "stage_seconds": staged, "largest_process_gib": largest, "mixtures_gb": size_of(work / "wav") / 1e9,
            "decoded_gb": size_of(work / "sources/wsj0") / 1e9, "plain_seconds": plain, "plain_lines_timed": mixed,
            "plain_over_stage": plain / staged, "differing_files": differing,
        }
        print(f"{figures['tree']}: {lines} mixtures")
        print(f"stage 0: {staged:.1f} s with {args.nj} jobs, largest process {largest:.2f} GiB; "
              f"{figures['decoded_gb']:.2f} GB decoded, {figures['mixtures_gb']:.2f} GB of mixtures")
        how = "" if mixed == lines else f" (multiplied up from {mixed} lines)"
        print(f"plain loop: {plain:.1f} s{how}, {plain / staged:.2f} times the stage; {differing} files differ")
        if not args.no_dump:
            figures["dump"] = measure_dumps(work, config, args.nj)
            for dump in figures["dump"]:
                print(
                    f"stage 2, tr, {dump['what']}: {dump['seconds']:.1f} s, {dump['times_real_time_per_core']:.0f} times "
                    f"real time per core, {dump['gb']:.3f} GB for {dump['hours_of_mixtures']:.2f} h"
                )
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
