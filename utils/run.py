#!/usr/bin/env python3
"""Run jobs on this machine, with the interface of Kaldi's run.pl.

    run.py [--max-jobs-run N] JOB=1:4 exp/log/mix.JOB.log PROGRAM ARGUMENT.JOB ...
    run.py exp/log/train.log PROGRAM ...

JOB (any name) is replaced in the log's name and in the arguments by each number of the range.
A log begins with the command and ends with its status. Options meant for a grid (--mem 4G,
--gpu 1, --num-threads 2, --time 1:00:00) are accepted and have no effect here.
Exit status 0 when all jobs succeeded.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

GRID_OPTIONS = {"--mem", "--gpu", "--num-threads", "--time", "--config"}


def fail(message):
    print(f"run.py: {message}", file=sys.stderr)
    sys.exit(2)


def parse(arguments):
    """Returns (most jobs at once, name of the job variable or None, numbers, log, command)."""
    at_once = os.cpu_count() or 1
    arguments = list(arguments)
    while arguments and arguments[0].startswith("-"):
        option = arguments.pop(0)
        if option in ("-h", "--help"):
            print(__doc__.strip())
            sys.exit(0)
        if not arguments:
            fail(f"{option} needs a value")
        value = arguments.pop(0)
        if option == "--max-jobs-run":
            if not value.isdigit() or int(value) < 1:
                fail(f"--max-jobs-run: expected a whole number of at least 1, got '{value}'")
            at_once = int(value)
        elif option not in GRID_OPTIONS:
            fail(f"unknown option '{option}'; see run.py --help")
    variable, numbers = None, [1]
    if arguments and (match := re.fullmatch(r"([A-Za-z_]\w*)=(\d+)(?::(\d+))?", arguments[0])):
        variable, first, last = match[1], int(match[2]), int(match[3] or match[2])
        if not 1 <= first <= last:
            fail(f"expected a range like JOB=1:4, got '{arguments[0]}'")
        numbers = list(range(first, last + 1))
        arguments.pop(0)
    if len(arguments) < 2:
        fail("expected a log file and a command; see run.py --help")
    if variable and variable not in arguments[0] and len(numbers) > 1:
        fail(f"the log '{arguments[0]}' must hold {variable}, or the jobs would share it")
    return at_once, variable, numbers, arguments[0], arguments[1:]


def run_job(log, command):
    """Run one command with its output in ``log``; returns its exit status."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with open(log, "w", encoding="utf-8") as file:
        print(f"# {shlex.join(command)}", file=file)
        print(f"# Started at {datetime.now():%Y-%m-%d %H:%M:%S}", file=file, flush=True)
        try:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file).returncode
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=file)
            status = 127
        print(f"# Ended (code {status}) after {time.monotonic() - begun:.0f} s", file=file)
    return status


def tail(log):
    """The last lines of a log, as far as there is one."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.path.getsize(log) - 400))
            return file.read().decode("utf-8", "replace").replace("\r", "\n")
    except OSError:
        return ""


def percent(log):
    """The last percentage that a progress bar wrote into a log, or 0."""
    found = re.findall(r"(\d+)%\|", tail(log))
    return int(found[-1]) if found else 0


def last_line(log):
    """The last whole line of a log that the command wrote, or nothing."""
    lines = [line for line in tail(log).split("\n")[:-1] if line.strip() and not line.startswith("#")]
    return lines[-1].strip() if lines else ""


def main(arguments):
    at_once, variable, numbers, log_name, command = parse(arguments)
    substitute = (lambda text, number: text.replace(variable, str(number))) if variable else (lambda text, _: text)
    logs = [substitute(log_name, number) for number in numbers]
    with ThreadPoolExecutor(at_once) as pool:
        jobs = [
            pool.submit(run_job, log, [substitute(word, number) for word in command])
            for number, log in zip(numbers, logs)
        ]
        draw = sys.stderr.isatty()
        width = shutil.get_terminal_size().columns - 1
        while not all(job.done() for job in jobs):
            if draw:
                share = sum(100 if job.done() else percent(log) for job, log in zip(jobs, logs)) / len(jobs)
                words = f"  {share:3.0f} %  {sum(job.done() for job in jobs)}/{len(jobs)} jobs"
                # one that draws no bar, as training into a log, has lines to show
                if len(jobs) == 1 and not share:
                    words = f"  {last_line(logs[0]) or words.strip()}"
                print(f"\r{words[:width]:{width}}", end="", file=sys.stderr, flush=True)
            time.sleep(0.2 if draw else 0.02)
        if draw:
            print("\r" + " " * width + "\r", end="", file=sys.stderr)
    failed = [log for job, log in zip(jobs, logs) if job.result() != 0]
    if not failed:
        return 0
    said = [line for line in Path(failed[0]).read_text(errors="replace").replace("\r", "\n").splitlines()
            if line.strip() and not line.startswith("#") and not re.search(r"\d+%\|", line)]
    for line in said[-10:]:
        print(line, file=sys.stderr)
    print(f"run.py: {len(failed)} of {len(jobs)} jobs failed, log is in {failed[0]}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
