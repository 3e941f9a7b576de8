"""Files that are damaged, gone, or of another time."""

from __future__ import annotations

import os
import signal
import time

from faultkinds.base import Met, end, fault


def _truncated(path, chance):
    size = path.stat().st_size
    os.truncate(path, chance.randrange(size))


def _flipped(path, chance, first=0.0):
    content = bytearray(path.read_bytes())
    content[chance.randrange(int(first * len(content)), len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _ark(scene, chance):
    """An ark that stages 5 and 6 read: of the mixtures or of the sources."""
    return chance.choice(sorted((scene.folder / "dump/tt_2mix").glob("*.ark" if scene.workshop.programs == "stand-in" else "[ws]*.ark")))


@fault("damage", "an ark of the test set is truncated", stages=(5, 6), programs=("real",))
def truncated_ark(scene, chance):
    _truncated(_ark(scene, chance), chance)
    return Met([scene.run()])


@fault("damage", "a bit of an ark of the test set is flipped", stages=(5, 6), programs=("real",))
def flipped_ark(scene, chance):
    _flipped(_ark(scene, chance), chance)
    return Met([scene.run()])


@fault("damage", "a table of the dump is truncated", stages=(3, 4, 5, 6))
def truncated_table(scene, chance):
    _truncated(_table(scene, chance), chance)
    return Met([scene.run()])


@fault("damage", "a bit of a table of the dump is flipped", stages=(3, 4, 5, 6))
def flipped_table(scene, chance):
    _flipped(_table(scene, chance), chance)
    return Met([scene.run()])


def _table(scene, chance):
    folder = scene.folder / "dump" / ("tt_2mix" if scene.stage > 4 else "cv_single")
    return chance.choice([path for path in sorted(folder.iterdir()) if path.suffix != ".ark" and not path.name.startswith(".")])


@fault("damage", "the trained model is truncated or a bit of it is flipped", stages=(4, 5))
def damaged_model(scene, chance):
    path = scene.folder / "exp/toy" / ("pretrain" if scene.stage == 4 else "finetune") / "model.pth"
    chance.choice([_truncated, _flipped])(path, chance)
    return Met([scene.run()])


@fault("damage", "training is killed and its last checkpoint truncated, or a bit of it flipped", stages=(4,), programs=("real",))
def damaged_checkpoint(scene, chance):
    process, checkpoint = scene.start(), scene.folder / "exp/toy/finetune/checkpoint.pth"
    while process.poll() is None and not checkpoint.is_file():
        time.sleep(0.01)
    for pid in scene.processes():
        end(pid, signal.SIGKILL)
    done = scene.finish(process, stopped=True)
    if not checkpoint.is_file():
        return Met([done], hit=False)
    chance.choice([_truncated, _flipped])(checkpoint, chance)
    return Met([done])


@fault("damage", "an output of a finished stage is deleted")
def deleted_output(scene, chance):
    return _after(scene, chance, lambda path: path.unlink())


@fault("damage", "an output of a finished stage is truncated")
def truncated_output(scene, chance):
    return _after(scene, chance, lambda path: _truncated(path, chance))


def _after(scene, chance, damage):
    first = scene.run()
    names = [name for name in scene.digest(scene.stage) if not name.endswith("results.json")
             and any((scene.folder / name).is_relative_to(made) for made in scene.made_by(scene.stage))]
    path = scene.folder / chance.choice(names)
    if path.stat().st_size == 0:
        return Met([first], hit=False)
    damage(path)
    return Met([first, scene.run()])


@fault("damage", "the clock is set back, or forward, between a stage that was killed and the next run (times of files)")
def clock_moved(scene, chance):
    done = scene.killed(chance)
    for path in scene.folder.rglob("*"):
        if path.is_file():
            moment = time.time() + chance.choice([-1, 1]) * chance.uniform(1, 4e8)
            os.utime(path, (moment, moment))
    return Met([done])
