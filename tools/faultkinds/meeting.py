"""Runs that meet, and folders that move."""

from __future__ import annotations

import signal
import time

from faultkinds.base import Met, end, fault


@fault("meeting", "two runs of one command at once")
def two_at_once(scene, chance):
    first = scene.start()
    time.sleep(chance.uniform(0, 0.5) * scene.workshop.seconds[scene.tag == "toy", scene.stage])
    second = scene.start()
    return Met([scene.finish(first), scene.finish(second)])


@fault("meeting", "two experiments at once that need the same data", stages=(0, 1, 2))
def two_tags(scene, chance):
    first = scene.start()
    time.sleep(chance.uniform(0, 0.3) * scene.workshop.seconds[False, scene.stage])
    second = scene.start(None, "--tag", "other")
    return Met([scene.finish(first), scene.finish(second)])


@fault("meeting", "a run is killed and started again at once, before its jobs are gone")
def restarted_at_once(scene, chance):
    process = scene.start()
    time.sleep(chance.uniform(0.1, 0.8) * scene.workshop.seconds[scene.tag == "toy", scene.stage])
    hit = process.poll() is None and end(process.pid, signal.SIGKILL)
    again = scene.start()
    return Met([scene.finish(process, stopped=hit), scene.finish(again)], hit)


@fault("meeting", "a run is killed, and the recipe's folder moved before the next")
def moved(scene, chance):
    done = scene.killed(chance)
    there = scene.folder.parent / "elsewhere/mini_2mix"
    there.parent.mkdir()
    scene.folder.rename(there)
    scene.folder = there
    return Met([done])
