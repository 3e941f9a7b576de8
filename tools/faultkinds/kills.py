"""Processes that are killed or get a signal."""

from __future__ import annotations

import signal
import time

from faultkinds.base import Met, end, fault


def _moment(scene, process, chance, words):
    """Wait for a random part of the stage's time, then for a process of these words; its id, or none."""
    seconds = scene.workshop.seconds[scene.tag == "toy", scene.stage]
    time.sleep(chance.uniform(0.05, 0.8) * seconds)
    while process.poll() is None:
        if found := scene.processes(words) if words else [process.pid]:
            return chance.choice(found)
        time.sleep(0.005)
    return None


def _killed(scene, chance, words):
    process = scene.start()
    pid = _moment(scene, process, chance, words)
    hit = pid is not None and end(pid, signal.SIGKILL)
    return Met([scene.finish(process, stopped=hit and not words)], hit)


@fault("kills", "SIGKILL to run.sh")
def kill_run(scene, chance):
    return _killed(scene, chance, "")


@fault("kills", "SIGKILL to run.py", stages=(0, 2, 3, 4, 5, 6))
def kill_jobs(scene, chance):
    return _killed(scene, chance, "run.py ")


@fault("kills", "SIGKILL to a program of a stage")
def kill_worker(scene, chance):
    return _killed(scene, chance, "stand_in.py" if scene.workshop.programs == "stand-in" else "bin/contrasep ")


@fault("kills", "SIGKILL to all processes at once, as a machine that goes down")
def kill_all(scene, chance):
    process = scene.start()
    hit = _moment(scene, process, chance, "") is not None
    while left := scene.processes():
        for pid in left:
            end(pid, signal.SIGKILL)
    return Met([scene.finish(process, stopped=hit)], hit)


def _signalled(scene, chance, number):
    process = scene.start()
    pid = _moment(scene, process, chance, "")
    hit = pid is not None and end(pid, number)
    begun = time.monotonic()
    done = scene.finish(process, stopped=True)
    if done.status != 128 + number:
        # it may have ended of itself meanwhile
        return Met([done], hit=False) if done.status == 0 else Met([done], wrong=f"status {done.status} after signal {number}: {done.err}")
    if not done.out and not done.words:
        # before it had begun: nothing is to be ended, and no shell says what ended it
        return Met([done], hit=False)
    wrong = "" if time.monotonic() - begun < 30 else "it took more than 30 s to end"
    wrong = wrong or ("" if len(done.words) == 1 else f"expected one line, got {done.words}")
    return Met([done], hit, wrong or ("" if not scene.processes() else "processes were left as run.sh ended"))


@fault("signals", "SIGINT to run.sh")
def sigint(scene, chance):
    return _signalled(scene, chance, signal.SIGINT)


@fault("signals", "SIGTERM to run.sh, as a scheduler does")
def sigterm(scene, chance):
    return _signalled(scene, chance, signal.SIGTERM)


@fault("signals", "SIGHUP to run.sh, as a terminal that closes")
def sighup(scene, chance):
    return _signalled(scene, chance, signal.SIGHUP)
