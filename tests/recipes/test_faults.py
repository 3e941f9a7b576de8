"""Faults of `tools/faults.py`, of every kind that concerns the scripts, with a stand-in for the programs."""

import functools
import json
import random
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import faultkinds.slurm  # noqa: E402
import faults  # noqa: E402
from faultkinds.base import KINDS, Met, judge  # noqa: E402
from faultkinds.base import Workshop as _Workshop  # noqa: E402

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc")

# kind and stage; seeds are the stage
FAULTS = [(name, int(stage)) for name, stages in {
    "kill_run": "24", "kill_jobs": "5", "kill_worker": "2", "kill_all": "05", "sigint": "3", "sigterm": "4",
    "sighup": "2", "full_disk": "24", "read_only": "2", "no_tmpdir": "1", "few_files": "5", "other_user": "2",
    "truncated_table": "5", "flipped_table": "4", "damaged_model": "5", "deleted_output": "0", "truncated_output": "6",
    "clock_moved": "3", "two_at_once": "24", "two_tags": "2", "restarted_at_once": "3", "moved": "2", "spaces": "2",
    "scripts": "1", "job": "3", "places_named": "0", "locale_c": "5", "locale_turkish": "5", "locale_unknown": "1",
    "helper_dies": "25", "slurm_job_killed": "2", "slurm_job_cancelled": "3", "slurm_job_requeued": "6",
    "slurm_node_down": "0", "slurm_wait_killed": "3", "slurm_login_down": "6",
}.items() for stage in stages]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    return _Workshop(tmp_path_factory.mktemp("faults") / "work", "stand-in")


# ten seconds each, most of them waiting for the next question to Slurm; others test the same on run.py alone
SLOW = {"slurm_job_killed", "slurm_job_cancelled"}


@pytest.fixture(scope="module", autouse=True)
def own_slurm():
    """Ends the Slurm of the kinds, started by the first; no other tests use it: a node that is down disturbs none."""
    yield
    faultkinds.slurm.stop()


@pytest.mark.parametrize("hard, line", [
    (20, "x: expected at least 64 open files to be allowed, got 20; raise the limit (ulimit -n)\n"), (4096, "")])
def test_few_open_files(hard, line):
    """One line at the start where the limit may not be raised; later bash says two in its own words."""
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (20, hard))
    script = ["bash", "-euc", f". '{ROOT}/utils/signals.sh'; guarded x true"]
    done = subprocess.run(script, preexec_fn=limit, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1 if line else 0, line)


def test_no_shell_tells_of_programs_that_ended_before_it(tmp_path):
    """A signal reaches the processes of a group one after another, the newest first; here with time between."""
    script = tmp_path / "run.sh"
    script.write_text(
        f"set -euo pipefail; . '{ROOT}/utils/signals.sh'\n"
        "kill() { case $* in '-TERM -- -'*) pkill -TERM -n -g \"$group\"; sleep 0.2 ;; esac; builtin kill \"$@\"; }\n"
        "body() { trap true EXIT; sh -c 'echo; exec sleep 20'; }\nguarded x body\n"
    )
    with subprocess.Popen(["bash", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        run.stdout.readline()
        # a program that was started in the background may have to ignore SIGINT
        run.send_signal(signal.SIGTERM)
        assert run.communicate(timeout=60)[1] == "x: ended by SIGTERM; the same command goes on from there\n"
        assert run.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("name, stage", [
    pytest.param(name, stage, marks=pytest.mark.slow if name in SLOW else ()) for name, stage in FAULTS])
def test_the_same_command_ends_as_undisturbed(workshop, name, stage):
    kind = KINDS[name]
    if reason := kind.available():
        pytest.skip(reason)
    scene = workshop.scene(stage, True if name == "damaged_model" else None)
    met = kind.inject(scene, random.Random(stage))
    outcome, words = judge(scene, met)
    assert outcome in ("same", "told"), words
    # these wait for a job before they disturb it
    assert met.hit or kind.family != "slurm"


def test_kinds_of_slurm_say_why_they_cannot_be_done(monkeypatch, tmp_path):
    program = tmp_path / "slurm_node.sh"
    program.write_text("#!/bin/sh\necho 'slurm_node.sh: munge: not installed' >&2\nexit 3\n")
    program.chmod(0o755)
    # by the program that started it
    faultkinds.slurm.stop()
    monkeypatch.setattr(faultkinds.slurm, "PROGRAM", program)
    try:
        assert KINDS["slurm_node_down"].available() == "no Slurm: slurm_node.sh: munge: not installed"
    finally:
        faultkinds.slurm.stop()


def test_every_kind_of_the_scripts_is_tested():
    assert {name for name, _ in FAULTS} == {name for name, kind in KINDS.items() if "stand-in" in kind.programs}
    assert all(KINDS[name].stages.count(stage) for name, stage in FAULTS)


def test_the_page_is_that_of_the_outcomes():
    assert faults.PAGE.read_text() == faults.page(json.loads(faults.DATA.read_text()))


# ---------------------------------------------------------------- the verdict can be bad
def test_verdicts(workshop):
    scene = workshop.scene(2)
    done = scene.run()
    assert judge(scene, Met([done])) == ("same", "")
    scene.left_elsewhere = lambda: "jobs were left"
    assert judge(scene, Met([done])) == ("lost", "jobs were left")
    scene.left_elsewhere = str
    ark = scene.folder / "dump/tt_2mix/wav.1.ark"
    ark.write_bytes(ark.read_bytes()[:-2] + b"x\n")
    assert judge(scene, Met([scene.run()])) == ("wrong", "1 files differ, first dump/tt_2mix/wav.1.ark")
    done.err, done.status = "Traceback (most recent call last)\n", 1
    assert judge(scene, Met([done]))[0] == "traceback"
    done.err = "one line without advice\n"
    assert judge(scene, Met([done]))[0] == "lost"
    left = scene.start()
    left.send_signal(signal.SIGSTOP)
    scene.orphans = functools.partial(type(scene).orphans, scene, 0.3)
    outcome, words = judge(scene, Met())
    left.communicate(timeout=10)
    assert outcome == "lost" and "left running" in words


# ---------------------------------------------------------------- errors in the shell
# the node that tools/cluster makes for tests asks what runs in conditions, and says so
SHELL = sorted(path for folder in ("utils", "egs", "tools", ".ci", "conf") for path in (ROOT / folder).rglob("*")
               if path.is_file() and (path.suffix == ".sh" or path.parts[-2:] == (".ci", "run"))
               and path.parts[-2] != "cluster")
FUNCTION = re.compile(r"^\s*(\w+)\(\) [{(]", re.M)
# functions of builtins alone, whose status is the answer
ANSWERS = {"selected", "is_training", "group_lives", "leader_lives", "claim"}


def code_of(path):
    """Lines with code, without comments and texts that are printed."""
    text = re.sub(r"<<'?(E\w+)'?\n.*?\n\1\n", "\n", path.read_text(), flags=re.S)
    text = re.sub(r"awk '.*?'\n", "awk\n", text, flags=re.S)
    return [line for line in text.splitlines() if not line.lstrip().startswith("#")]


def swallowed(line, functions):
    """What in a line of shell would hide an error, or nothing."""
    if "<(" in line:
        return "a process substitution, whose status nobody sees"
    bare = re.sub(r"\$\(\(.*?\)\)", "", line)
    for found in re.finditer(r"\$\((?!<)", bare):
        before = bare[: found.start()]
        if not re.search(r"(^|[;&|({]|\bthen|\belse|\bdo|\|\||&&)\s*(\w+=\S*\s+)*[\w\[\]$]+\+?=\"?$", before):
            return "a command substitution that is no assignment of its own"
        if re.search(r"\b(local|declare|export|readonly)\b[^;]*$", before):
            return "an assignment whose status is that of local or export"
    names = "|".join(sorted(functions - ANSWERS))
    if re.search(rf"(\b(if|while|until|elif)\s+(!\s+)?|!\s+)({names})\b", bare):
        return "a function in a condition, where no error ends it"
    if re.search(rf"(^|[;{{]|then|else|do)\s*({names})\b[^;|&]*(\|\||&&)", bare):
        return "a function in front of || or &&, where no error ends it"
    return ""


@pytest.mark.parametrize("line", [
    "for set in $(sets_of 2); do", "local x=$(f)", 'if [ -n "$(f x)" ]; then', "if due a; then", "! brings a || b",
    "comm <(a) <(b)", 'echo "$(date)"', "due a && b", "case $(f) in",
])
def test_what_hides_an_error_is_found(line):
    assert swallowed(line, {"due", "brings"})


def test_no_error_is_hidden():
    functions = {name for path in SHELL for name in FUNCTION.findall(path.read_text())} - {"sha256", "usage", "die"}
    assert len(SHELL) > 30 and {"due", "mark", "lock"} <= functions
    found = [f"{path.relative_to(ROOT)}: {line.strip()}: {why}" for path in SHELL for line in code_of(path)
             if (why := swallowed(line, functions))]
    assert not found, "\n".join(found)
