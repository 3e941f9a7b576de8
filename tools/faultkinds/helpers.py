"""Programs that the stage scripts call: each may die at any call."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from faultkinds.base import Met, fault

HELPERS = ("awk", "cat", "cksum", "cp", "cut", "dirname", "find", "flock", "getconf", "head", "mkdir", "mv", "paste", "ps", "realpath",
           "rm", "sed", "sha256sum", "sort", "tail", "tr", "uniq", "wc", "contrasep", "run.py")
# calls whose end nobody needs to know: they tell, or look for what is left to end
SHRUGGED = ("ps", "sleep")
SHIM = """#!/bin/bash
# notes each call; the one that is named dies by SIGKILL
exec 9>>{calls}.lock
{flock} 9 2>/dev/null || true
first=${{1-}}
printf '%s\\n' "{name} ${{first%%$'\\n'*}}" >>{calls}
number=0
while IFS= read -r _; do number=$((number + 1)); done <{calls}
exec 9>&-
[ "$number" != "${{CONTRASEP_FAULT_CALL-}}" ] || kill -KILL $$
exec {program} "$@"
"""


def shimmed(scene) -> tuple[dict[str, str], Path]:
    """Environment in which every helper is a shim, and the file of their calls."""
    folder, calls = scene.folder.parent / "shims", scene.folder.parent / "calls"
    if not folder.exists():
        shutil.copytree(scene.workshop.bin.parent, folder)
        for name in HELPERS:
            real = scene.workshop.bin / name if name == "contrasep" else shutil.which(name)
            if name == "run.py":
                real = Path(__file__).resolve().parents[2] / "utils/run.py"
            if real is None:
                continue
            # the shim itself needs the real flock
            words = {"calls": calls, "program": real, "flock": shutil.which("flock") or "true"}
            body = SHIM.format(name=name, **{word: shlex.quote(str(value)) for word, value in words.items()})
            (folder / "bin" / name).write_text(body)
            (folder / "bin" / name).chmod(0o755)
    calls.unlink(missing_ok=True)
    return {"CONTRASEP_VENV": str(folder), "PATH": f"{folder}/bin:{os.environ['PATH']}"}, calls


def calls_of(scene) -> list[str]:
    """The helpers that an undisturbed run of the scene's command calls, in order; cached for a stage."""
    known = scene.workshop.__dict__.setdefault("calls", {})
    key = (scene.tag, scene.stage)
    if key not in known:
        other = scene.workshop.scene(scene.stage, scene.tag == "toy")
        environment, calls = shimmed(other)
        done = other.run(environment=environment)
        assert done.status == 0, done.err
        known[key] = calls.read_text().splitlines()
        shutil.rmtree(other.folder.parent)
    return known[key]


def kill_call(scene, number) -> Met:
    """The run whose call of this number, from 1, dies."""
    environment, calls = shimmed(scene)
    done = scene.run(environment={**environment, "CONTRASEP_FAULT_CALL": str(number)})
    # the shell says which program died, in lines of its own
    done.stopped = True
    made = calls.read_text().splitlines()
    if len(made) < number:
        return Met([done], hit=False)
    victim = made[number - 1]
    if done.status == 0 and victim.split()[0] not in SHRUGGED:
        return Met([done], wrong=f"exit status 0 though '{victim}' was killed (call {number})")
    return Met([done])


@fault("helpers", "a program that the scripts call (sed, sha256sum, contrasep, run.py, ..) dies at one of its calls")
def helper_dies(scene, chance):
    return kill_call(scene, chance.randint(1, len(calls_of(scene))))
