#!/usr/bin/env python3
"""Memory and time of long recordings, each separated in a process of its own.

    tools/conversations.py make hour --corpus LIBRISPEECH --part test --number 1 --talkers 3 --minutes 60 --seed 1
    tools/bench/long_recordings.py hour/*.wav --out separated [--json FILE] [-- --speakers resemblyzer --precision bfloat16]

Options behind -- go to `contrasep separate`. A line for each recording: outputs, peak resident memory of the process,
processor time and the share of it in the recording's length (real-time factor), imports and reading included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from contrasep_lib.bin.common import Parser  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402
from contrasep_lib.io.atomic import write_text  # noqa: E402
from contrasep_lib.report.markdown import markdown_table  # noqa: E402

THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}


def measured(file: Path, out: Path, options: list[str]) -> dict[str, Any]:
    """Separate a recording; what it cost.

    Raises:
        ContrasepError: the separation failed.
    """
    import soundfile

    minutes = soundfile.info(file).duration / 60
    command = [sys.executable, "-m", "contrasep_lib.bin.main", "separate", str(file), "--out", str(out), *options]
    environment = {**os.environ, **THREADS, "PYTHONPATH": str(ROOT)}
    begun = time.monotonic()
    process = subprocess.Popen(command, env=environment)
    # of this child alone, where getrusage has the largest of all
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ContrasepError(f"{file}: contrasep separate ended with status {process.returncode}")
    spent = usage.ru_utime + usage.ru_stime
    outputs = list(out.glob(f"{file.stem}_spk*"))
    return {
        "recording": file.name, "minutes": round(minutes, 1), "outputs": len(outputs),
        "memory_gb": round(usage.ru_maxrss * 1024 / 1e9, 2), "processor_seconds": round(spent, 1),
        "real_time_factor": round(spent / 60 / minutes, 3), "clock_seconds": round(time.monotonic() - begun, 1),
    }


def main() -> None:
    """Print the table; errors of the user in one line."""
    words = sys.argv[1:]
    place = words.index("--") if "--" in words else len(words)
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the outputs go; a folder of each run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    args = parser.parse_args(words[:place])
    try:
        rows = [measured(file, args.out, words[place + 1 :]) for file in args.recordings]
    except (ContrasepError, RuntimeError) as error:
        sys.exit(f"long_recordings.py: {error}")
    head = ["recording", "minutes", "outputs", "memory, GB", "processor time, s", "real-time factor", "clock, s"]
    print("\n".join(markdown_table(head, [list(map(str, row.values())) for row in rows])))
    if args.json:
        write_text(args.json, json.dumps({"options": words[place + 1 :], "recordings": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
