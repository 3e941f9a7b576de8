"""Jobs of Slurm that are killed, cancelled, queued again, lose their node; and a waiting run.py that dies before its jobs.

They have a Slurm of one node to themselves, in a temporary folder: a node that is down disturbs no jobs of anybody else.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from faultkinds.base import ROOT, Met, end, fault

PROGRAM = ROOT / "tools/cluster/slurm_node.sh"
STAGES = (0, 2, 3, 4, 5, 6)
# a marker is late by no more than this on one machine: a site's minute would be waited for at each fault
PATIENCE = "setting late_seconds=1\nsetting ask_seconds=5\n"


# ---------------------------------------------------------------- a Slurm of their own
@functools.cache
def started() -> tuple[str, str]:
    """Folder of the Slurm, and why there is none."""
    folder = tempfile.mkdtemp(prefix="contrasep-faults-slurm-")
    # what its daemons inherit must not keep a pipe open
    with tempfile.TemporaryFile("w+") as errors:
        status = subprocess.call([PROGRAM, "start", "--dir", folder, "--cpus", "4"], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=errors)
        errors.seek(0)
        said = errors.read().strip().splitlines()
    if status:
        shutil.rmtree(folder, ignore_errors=True)
        return "", f"no Slurm: {said[-1] if said else f'slurm_node.sh ends with {status}'}"
    atexit.register(stop)
    return folder, ""


def stop() -> None:
    """End the Slurm, where one was started."""
    if started.cache_info().currsize and (folder := started()[0]):
        subprocess.run([PROGRAM, "stop", "--dir", folder], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
    started.cache_clear()


def slurm_fault(does, stages=STAGES):
    return fault("slurm", does, stages, available=lambda: started()[1])


def _call(*words) -> str:
    """Output of one of Slurm's programs; that a job or a state is gone already is no error."""
    environment = {**os.environ, "SLURM_CONF": f"{started()[0]}/slurm.conf"}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60).stdout


def _node(state) -> None:
    name = _call("sinfo", "--noheader", "--format=%n").strip()
    _call("scontrol", "update", f"NodeName={name}", f"State={state}", "Reason=fault")


def _queue() -> list[list[str]]:
    """``[job, state, reason]`` of all that runs or waits."""
    return [line.split("|") for line in _call("squeue", "--noheader", "--array", "--format=%F_%K|%T|%r").splitlines()]


def _left(seconds=20.0) -> str:
    """What is wrong where jobs are in the queue that nobody waits for."""
    deadline = time.monotonic() + seconds
    while (jobs := _queue()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return f"jobs were left in the queue: {jobs}" if jobs else ""


def _prepare(scene, state="RESUME") -> None:
    """The scene's runs use the Slurm, which is empty, with a node in a state."""
    _call("scancel", f"--user={os.getuid()}")
    _left()
    _node("RESUME")
    if state != "RESUME":
        _node(state)
    own = scene.folder / "conf/slurm.conf"
    own.write_text((ROOT / "conf/slurm.conf").read_text() + PATIENCE)
    scene.environment |= {"cmd_backend": "slurm", "SLURM_CONF": f"{started()[0]}/slurm.conf"}
    scene.left_elsewhere = _left


# ---------------------------------------------------------------- jobs, by their processes
def _variables(pid) -> dict[str, str]:
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(word.decode(errors="replace").partition("=")[::2] for word in words)


def _caught(scene, process, chance):
    """A running job, stopped so that it does not end before the fault comes: ``(process, job's words for Slurm)``, or none."""
    skipped, most = set(), chance.randint(0, 1) if scene.stage in (4, 5) else 0
    while process.poll() is None:
        for pid in chance.sample(found := scene.processes(" --worker "), len(found)):
            known = _variables(pid)
            job = known.get("SLURM_ARRAY_JOB_ID")
            if job is None:
                continue
            if len(skipped | {job}) <= most:
                skipped.add(job)
            elif end(pid, signal.SIGSTOP):
                time.sleep(chance.uniform(0, 0.05))
                return pid, f"{job}_{known['SLURM_ARRAY_TASK_ID']}"
        time.sleep(0.002)
    return None, None


def _awaited(scene, process):
    """The run that ends; what Slurm begins again only after two minutes begins soon."""
    since = {}
    while process.poll() is None:
        for job, state, reason in _queue():
            # a node takes no job again in the second in which it ended it
            if state == "PENDING" and reason == "BeginTime" and time.monotonic() > since.setdefault(job, time.monotonic()) + 2:
                _call("scontrol", "update", f"JobId={job}", "StartTime=now")
        time.sleep(0.5)
    return scene.finish(process)


def _disturbed(scene, chance, act) -> Met:
    """A run with ``act(process, job)`` on one of its jobs."""
    _prepare(scene)
    process = scene.start()
    pid, job = _caught(scene, process, chance)
    if pid is not None:
        act(pid, job)
        end(pid, signal.SIGCONT)
    return Met([_awaited(scene, process)], hit=pid is not None)


@slurm_fault("SIGKILL to a job of Slurm, or to its command")
def slurm_job_killed(scene, chance):
    def act(pid, job):
        own = _variables(pid).get("SLURM_JOB_ID")
        others = [other for other in scene.processes() if other != pid and _variables(other).get("SLURM_JOB_ID") == own]
        end(chance.choice([pid, *others[:1]]), signal.SIGKILL)

    return _disturbed(scene, chance, act)


@slurm_fault("scancel of a job of Slurm, or of its whole array")
def slurm_job_cancelled(scene, chance):
    return _disturbed(scene, chance, lambda pid, job: _call("scancel", chance.choice([job, job.partition("_")[0]])))


@slurm_fault("scontrol requeue of a job of Slurm, or of its whole array")
def slurm_job_requeued(scene, chance):
    return _disturbed(scene, chance, lambda pid, job: _call("scontrol", "requeue", chance.choice([job, job.partition("_")[0]])))


@slurm_fault("the node goes down under the jobs of Slurm, and is up again later")
def slurm_node_down(scene, chance):
    def act(pid, job):
        _node("DOWN")
        # it registers again by itself, and would be up at once
        _node("DRAIN")
        end(pid, signal.SIGCONT)
        time.sleep(chance.uniform(0, 6))
        _node("RESUME")

    return _disturbed(scene, chance, act)


# ---------------------------------------------------------------- who waits for them
def _queued(scene, process, waits, chance) -> bool:
    """Wait for jobs in the queue: waiting for their node, or running."""
    while process.poll() is None:
        if _queue() if waits else scene.processes(" --worker "):
            time.sleep(chance.uniform(0, 0.1))
            return process.poll() is None
        time.sleep(0.01)
    return False


@slurm_fault("SIGKILL to the run.py that waits for jobs of Slurm, which run or wait for a node")
def slurm_wait_killed(scene, chance):
    waits = chance.random() < 0.5
    _prepare(scene, "DRAIN" if waits else "RESUME")
    process = scene.start()
    hit = _queued(scene, process, waits, chance)
    if hit:
        # its watcher, a fork of it, has the same words, and a later number
        hit = bool(found := scene.processes("run.py --backend")) and end(found[0], signal.SIGKILL)
    done = scene.finish(process)
    left = _left() if hit else ""
    _node("RESUME")
    return Met([done], hit, left)


@slurm_fault("SIGKILL to all processes but the jobs of Slurm, as a login node that goes down; the command is started again at once")
def slurm_login_down(scene, chance):
    waits = chance.random() < 0.5
    _prepare(scene, "DRAIN" if waits else "RESUME")
    process = scene.start()
    hit = _queued(scene, process, waits, chance)
    while hit and (found := [pid for pid in scene.processes() if "SLURM_JOB_ID" not in _variables(pid)]):
        for pid in found:
            end(pid, signal.SIGKILL)
    again = scene.start()
    _node("RESUME")
    return Met([scene.finish(process, stopped=hit), scene.finish(again)], hit)
