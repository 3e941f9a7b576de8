#!/usr/bin/env python3
"""Large sets: how time and memory of tables, validation and done markers grow with the number of utterances.

    tools/bench/large_sets.py [--utterances 12500,25000,50000] [--work DIR] [--json FILE]

For each size a set of single speakers and one of mixtures of two talkers are made, of 40 utterances a speaker, with tables
as stages 0 and 1 write them. All utterances share 100 short files, so that neither disk nor duration counts; each is opened
and read as often as it is named. Each step runs in a process of its own: processor time and clock from its start to its end,
imports included, and its largest resident set (at least this program's own, by Linux's way of counting):

- write: the tables of both sets;
- validate tables, validate audio: contrasep validate-data, with and without --no-audio, one process;
- merge: contrasep dump --merge of shards that are there (their arks are not read);
- read dump: a dump's tables, speakers and lengths, and where each ark lies;
- mark, check, lost: utils/markers.sh writes .done over twice as many audio files as utterances, finds all of it there, and
  names a tenth that is not.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np

RATE, SAMPLES, FILES, PER_SPEAKER, SHARD = 8000, 400, 100, 40, 500
CONFIG = f"dump: {{shard: {SHARD}}}\n"
MARKERS = "".join(f". {ROOT}/utils/{part}.sh; " for part in ("options", "locks", "markers")) + "recipe=bench key_separate=1; "
# the most that a step of 50,000 utterances may take
MOST_SECONDS, MOST_BYTES = 60, 2**30


def utterances(count: int) -> dict[str, str]:
    """Utterance id -> speaker."""
    names = (f"speaker{number // PER_SPEAKER:06d}" for number in range(count))
    return {f"{speaker}-{number:08d}": speaker for number, speaker in enumerate(names)}


def make_audio(folder: Path) -> None:
    """Sources and mixtures of a moment, which the utterances share."""
    from contrasep_lib.io.audio import write_wav

    rng = np.random.default_rng(0)
    for number in range(FILES):
        sources = rng.integers(-3000, 3000, (2, SAMPLES)).astype(np.int16)
        for name, track in zip(("mix", "s1", "s2"), (sources.sum(0, dtype=np.int16), *sources)):
            write_wav(folder / f"{name}/{number}.wav", track, RATE)


def write(count: int) -> None:
    """The step write: ``tr_single`` by `write_single_set`, ``tr_2mix`` by `write_mixture_dir`."""
    from contrasep_lib.corpus.single import Utterance, write_single_set
    from contrasep_lib.io.datadir import write_mixture_dir

    made, audio = utterances(count), Path("audio").resolve()
    write_single_set("data/tr_single", [
        Utterance(utt, speaker, f"{audio}/mix/{number % FILES}.wav", "WORDS", "f", SAMPLES, RATE)
        for number, (utt, speaker) in enumerate(made.items())
    ])
    names = list(made)
    pairs = {f"{one}_1_{names[number - PER_SPEAKER]}_-1": (number, one) for number, one in enumerate(names)}
    write_mixture_dir(
        "data/tr_2mix",
        {name: [audio / f"{track}/{number % FILES}.wav" for track in ("mix", "s1", "s2")] for name, (number, _) in pairs.items()},
        {name: [made[one], made[names[number - PER_SPEAKER]]] for name, (number, one) in pairs.items()},
    )


def make_shards(count: int) -> None:
    """Tables of shards as stage 2 leaves them, before ``merge``; the arks are named and not there."""
    import kaldiio

    from contrasep_lib.io.scp import read_table, write_table

    keys, folder = list(read_table("data/tr_2mix/wav.scp")), Path("dump/tr_2mix")
    folder.mkdir(parents=True)
    for shard in range(1, math.ceil(count / SHARD) + 1):
        part = keys[(shard - 1) * SHARD : shard * SHARD]
        for track in ("wav", "spk1", "spk2"):
            table = {key: f"{folder}/{track}.{shard}.ark:{900 * place + 60}" for place, key in enumerate(part)}
            write_table(folder / f"{track}.{shard}.scp", table)
            (folder / f"{track}.{shard}.ark").touch()
        write_table(folder / f"utt2num_samples.{shard}", dict.fromkeys(part, str(SAMPLES)))
        write_table(folder / f"utt2checksum.{shard}", dict.fromkeys(part, "1a2b3c4d 5e6f7a8b 9c0d1e2f"))
        kaldiio.save_ark(str(folder / f"stats.{shard}.ark"), {"global": np.ones((2, 130))})


def make_outputs(count: int) -> None:
    """As many files as stage 5 writes."""
    for speaker in ("spk1", "spk2"):
        folder = Path("out/wavs") / speaker
        folder.mkdir(parents=True)
        for utt in utterances(count):
            (folder / f"{utt}.wav").write_bytes(b"x")
    Path("out/.begun").write_text(f"separate {'0' * 64}\n")


def lose_outputs(count: int) -> None:
    """Remove a tenth of one speaker's outputs."""
    for number, utt in enumerate(utterances(count)):
        if number % 10 == 0:
            Path(f"out/wavs/spk2/{utt}.wav").unlink()


def read_dump(count: int) -> None:
    """The step read dump."""
    from contrasep_lib.io.dumpset import DumpSet, located

    dump = DumpSet("dump/tr_2mix")
    assert len(dump.speakers) == len(dump._lengths) == count
    for entry in dump.wav.values():
        located(dump.folder / "wav.scp", entry)


def contrasep(*words: str) -> list[str]:
    return [sys.executable, "-m", "contrasep_lib.bin.main", *words]


def own(step: str, count: int) -> list[str]:
    return [sys.executable, __file__, "--step", step, "--utterances", str(count)]


def bash(command: str) -> list[str]:
    return ["bash", "-euo", "pipefail", "-c", MARKERS + command]


def steps(count: int) -> dict[str, tuple[list[str], Callable[[int], None] | None]]:
    """Step -> its command, and what is made for it before."""
    merge = contrasep("dump", "--config", "c.yaml", "--data", "data/tr_2mix", "--out", "dump/tr_2mix", "--merge")
    sets = ("data/tr_single", "data/tr_2mix")
    return {
        "write": (own("write", count), None),
        "validate tables": (contrasep("validate-data", "--no-audio", *sets), None),
        "validate audio": (contrasep("validate-data", *sets), None),
        "merge": (merge, make_shards),
        "read dump": (own("read dump", count), None),
        "mark": (bash("lock out; mark out"), make_outputs),
        "check": (bash('[ -z "$(lost_outputs separate out)" ]'), None),
        "lost": (bash(f'[ "$(lost_outputs separate out | wc -l)" = {math.ceil(count / 10)} ]'), lose_outputs),
    }


def measured(command: list[str], folder: Path) -> dict[str, float]:
    """Seconds of a command, by the processor and by the clock, and MiB of the largest process in it."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}\n{said.decode()[-500:]}")
    clock = time.perf_counter() - begun
    return {"seconds": round(usage.ru_utime + usage.ru_stime, 2), "clock": round(clock, 2), "mib": round(usage.ru_maxrss / 1024)}


def measure(count: int, folder: Path) -> dict[str, dict[str, float]]:
    """Step -> seconds and MiB of one size."""
    before, found = Path.cwd(), {}
    folder.mkdir(parents=True)
    (folder / "c.yaml").write_text(CONFIG)
    os.chdir(folder)
    try:
        make_audio(folder / "audio")
        for name, (command, prepare) in steps(count).items():
            if prepare:
                prepare(count)
            found[name] = measured(command, folder)
            print(f"{count} {name}: {found[name]}", flush=True)
    finally:
        os.chdir(before)
    return found


def table(found: dict[int, dict[str, dict[str, float]]]) -> str:
    """Markdown: a row for each step, seconds of the processor (by the clock) and MiB of each size."""
    sizes = sorted(found)
    head = ["step", *(f"{size:,}: s (clock)" for size in sizes), *(f"{size:,}: MiB" for size in sizes)]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for step in found[sizes[0]]:
        rows = [found[size][step] for size in sizes]
        cells = [*(f"{row['seconds']:.1f} ({row['clock']:.1f})" for row in rows), *(f"{row['mib']:.0f}" for row in rows)]
        lines.append(f"| {step} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; exit status 1 where a step takes more than 60 s of the processor or 1 GiB."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", default="12500,25000,50000", metavar="N,N,..", help="sizes of the sets")
    parser.add_argument("--work", metavar="DIR", help="folder for all files (default: a temporary one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    sizes = [int(size) for size in args.utterances.split(",")]
    if args.step:
        {"write": write, "read dump": read_dump}[args.step](sizes[0])
        return 0
    found: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(dir=args.work) as work:
        for size in sizes:
            found[size] = measure(size, Path(work) / str(size))
            shutil.rmtree(Path(work) / str(size))
    print(table(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    large = [cell for steps_of in found.values() for cell in steps_of.values()]
    return int(any(cell["seconds"] > MOST_SECONDS or cell["mib"] * 2**20 > MOST_BYTES for cell in large))


if __name__ == "__main__":
    sys.exit(main())
