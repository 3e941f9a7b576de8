#!/usr/bin/env python3
"""Finished mixtures: how long `contrasep import-mixtures` takes for how many files.

    tools/bench/import_mixtures.py [--files 50000] [--seconds 4] [--work DIR] [--json FILE]

A tree SET/{mix,s1,s2} of so many files of so many seconds at 8 kHz is made, of 50 recordings under many names (hard links),
and imported by one process: every file is opened, all its samples are read, and sources are added up. Disks are not
measured: the recordings are in memory after the first. Processor time counts where other programs share the core.
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
from pathlib import Path

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from contrasep_lib.bin.common import positive, within
from contrasep_lib.config.bounds import Seconds

RATE, RECORDINGS, TRACKS = 8000, 50, ("mix", "s1", "s2")


def make_tree(folder: Path, mixtures: int, seconds: float) -> None:
    """``folder/tr/{mix,s1,s2}``."""
    import numpy as np

    from contrasep_lib.io.audio import write_wav

    rng = np.random.default_rng(0)
    for track in TRACKS:
        (folder / "tr" / track).mkdir(parents=True)
    for number in range(mixtures):
        name = f"{100 + number % 250}-1-{number:06d}_{400 + number % 251}-2-{number:06d}.wav"
        if number < RECORDINGS:
            sources = rng.integers(-3000, 3000, (2, int(RATE * seconds))).astype(np.int16)
            for track, samples in zip(TRACKS, (sources.sum(0, dtype=np.int16), *sources)):
                write_wav(folder / "kept" / f"{track}{number}.wav", samples, RATE)
        for track in TRACKS:
            os.link(folder / "kept" / f"{track}{number % RECORDINGS}.wav", folder / "tr" / track / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=positive, default=50000, help="files, three of each mixture")
    parser.add_argument("--seconds", type=within(Seconds), default=4.0, help="of a mixture")
    parser.add_argument("--work", metavar="DIR", help="where the tree is made (default: a temporary folder)")
    parser.add_argument("--json", metavar="FILE", help="write the figures")
    args = parser.parse_args()
    mixtures = -(-args.files // len(TRACKS))
    with tempfile.TemporaryDirectory(dir=args.work) as work:
        make_tree(Path(work) / "tree", mixtures, args.seconds)
        command = [sys.executable, "-m", "contrasep_lib.bin.main", "import-mixtures", "--corpus", "tree", "--out", "out"]
        begun = time.monotonic()
        done = subprocess.run(command, cwd=work, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        clock = time.monotonic() - begun
        if done.returncode:
            sys.exit(done.stderr)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = {
        "files": mixtures * len(TRACKS), "seconds": args.seconds, "clock": round(clock, 1),
        "processor": round(used.ru_utime + used.ru_stime, 1), "mib": round(used.ru_maxrss / 1024),
    }
    print("| files | processor, s | clock, s | memory, MiB |\n| ---: | ---: | ---: | ---: |")
    print(f"| {figures['files']} | {figures['processor']} | {figures['clock']} | {figures['mib']} |")
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
