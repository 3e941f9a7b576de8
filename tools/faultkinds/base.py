"""What kinds of faults share: their registry, the folder that a fault happens in, and the verdict."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
MARK = "CONTRASEP_FAULT"
STAGES = range(7)
# what each stage makes, from the recipe's folder
MADE = {
    0: ("mixtures",), 1: ("data",), 2: ("dump",), 3: ("exp/{tag}/pretrain",),
    4: ("exp/{tag}/finetune", "exp/{tag}/modularity"), 5: ("exp/{tag}/separate_tt_2mix",),
    6: ("exp/{tag}/score_tt_2mix", "exp/{tag}/results.json", "exp/{tag}/RESULTS.md"),
}
# hold times, or stand beside what a score depends on
NOT_COMPARED = re.compile(r"(^|/)(\.|log/|parts/|RESULTS\.md$|cost\.json$|speed.*\.json$|.*\.png$)")
# bars, counts, and which program was killed, as the shell tells
NOISE = re.compile(r"\d+%\||: line \d+: +\d+ Killed |^run\.py: .*jobs failed, log is in|: --nj \d+ capped at|^$")
ADVICE = re.compile(r"; .*(run|delete|make|name|wait|end|use|choose|change|raise|free|goes on|again)")
OUTCOMES = ("same", "told", "wrong", "lost", "traceback")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of fault: its name, what is done, where, and the function that does it."""

    family: str
    name: str
    does: str
    stages: tuple[int, ...]
    inject: Callable[[Scene, Random], Met]
    programs: tuple[str, ...]
    available: Callable[[], str]


KINDS: dict[str, Kind] = {}


def fault(family: str, does: str, stages: Sequence[int] = STAGES, programs: Sequence[str] = ("real", "stand-in"),
          available: Callable[[], str] = lambda: ""):
    """Register a kind under its function's name; ``available`` says why it cannot be done here, or nothing."""
    def register(inject):
        KINDS[inject.__name__] = Kind(family, inject.__name__, does, tuple(stages), inject, tuple(programs), available)
        return inject
    return register


def needs_root() -> str:
    return "" if os.geteuid() == 0 else "mounts and other users need root"


@dataclasses.dataclass
class Done:
    """A run that ended."""

    status: int
    out: str
    err: str
    stopped: bool = False  # by a signal that was sent: no words are asked for

    @property
    def words(self) -> list[str]:
        """Lines of errors, without bars and counts; of a job's log, whose end run.py shows, the last."""
        lines = [line for line in re.split(r"[\r\n]+", self.err) if not NOISE.search(line.strip())]
        return lines[-1:] if "log is in" in self.err else lines


@dataclasses.dataclass
class Met:
    """What a fault met: the runs under it, and whether there was anything to disturb."""

    runs: list[Done] = dataclasses.field(default_factory=list)
    hit: bool = True
    wrong: str = ""


class Scene:
    """A copy of the reference's recipe as it was before a stage, and the command that goes on from there."""

    def __init__(self, workshop, folder: Path, stage: int, model: bool, environment: dict[str, str]) -> None:
        self.workshop, self.folder, self.stage = workshop, folder, stage
        self.tag = "toy" if model else "toy_oracle_ibm"
        self.mark = uuid.uuid4().hex
        self.environment = {**os.environ, **environment, MARK: self.mark}
        self.options = [] if model else ["--separator", "oracle_ibm"]
        self.prefix: list[str] = []
        self.preparation: Callable[[], None] | None = None
        # what the runs left where no process shows it (a scheduler's queue), in words
        self.left_elsewhere: Callable[[], str] = str

    def made_by(self, stage: int) -> list[Path]:
        return [self.folder / name.format(tag=self.tag) for name in MADE[stage]]

    def command(self, stage: int | None = None, *further: str) -> list[str]:
        first = self.stage if stage is None else stage
        last = 6 if first == 5 and stage is None else first
        words = [str(self.folder / "run.sh"), "--nj", "2", *self.options, "--stage", str(first), "--stop-stage", str(last)]
        return [*self.prefix, *words, *further]

    def start(self, stage: int | None = None, *further: str, **how) -> subprocess.Popen:
        """The run, in a session of its own as a terminal or a scheduler gives it."""
        return subprocess.Popen(
            self.command(stage, *further), cwd=self.folder, env={**self.environment, **how.pop("environment", {})}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, errors="replace",
            preexec_fn=how.pop("preparation", self.preparation), **how,
        )

    def finish(self, process: subprocess.Popen, stopped: bool = False, timeout: float = 900) -> Done:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            for pid in [process.pid, *self.processes()]:
                end(pid, signal.SIGKILL)
            out, err = process.communicate()
            return Done(-9, out, err + "\nstill running after its time")
        return Done(process.returncode, out, err, stopped)

    def run(self, stage: int | None = None, *further: str, **how) -> Done:
        return self.finish(self.start(stage, *further, **how))

    def killed(self, chance: Random) -> Done:
        """A run of which all processes are killed part of the way."""
        process = self.start()
        time.sleep(chance.uniform(0.2, 0.8) * self.workshop.seconds[self.tag == "toy", self.stage])
        for pid in self.processes():
            end(pid, signal.SIGKILL)
        return self.finish(process, stopped=True)

    def processes(self, words: str = "") -> list[int]:
        """Processes that the scene's runs started, directly or not, whose command holds the words."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() not in (path / "environ").read_bytes().split(b"\0"):
                    continue
                state = (path / "stat").read_text().rpartition(")")[2].split()[0]
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if words in command and state not in "ZX":
                found.append(int(path.name))
        return sorted(found)

    def orphans(self, seconds: float = 20.0) -> list[int]:
        """What still runs after this time."""
        deadline = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def digest(self, last: int) -> dict[str, str]:
        """Contents of all that stages up to ``last`` made and that a score depends on."""
        found = {}
        for stage in range(last + 1):
            if self.tag != "toy" and stage in (3, 4):
                continue
            for made in self.made_by(stage):
                for path in sorted(made.rglob("*")) if made.is_dir() else [made]:
                    name = str(path.relative_to(self.folder))
                    training = stage in (3, 4) and "modularity" not in name
                    if path.is_file() and not NOT_COMPARED.search(name) and (not training or path.name == "model.pth"):
                        found[name] = self.workshop.content(path)
        return found

    def expected(self, last: int) -> dict[str, str]:
        """What `digest` of an undisturbed run says."""
        made = [folder for stage in range(last + 1) for folder in self.made_by(stage)]
        return {name: value for name, value in self.workshop.expected[self.tag == "toy"].items()
                if any((self.folder / name).is_relative_to(folder) for folder in made)}

    @property
    def last(self) -> int:
        """The last stage of the command."""
        return 6 if self.stage == 5 else self.stage


def end(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


class Workshop:
    """The undisturbed run, once, and copies of it.

    Args:
        folder: for everything; emptied.
        programs: ``real``, or ``stand-in`` (`stand_in`) for faults of the shell alone.
        model: whether stages 3 and 4 are run too.
    """

    def __init__(self, folder: Path, programs: str, model: bool = True) -> None:
        self.folder, self.programs, self.count = folder, programs, 0
        venv = Path(os.environ.get("CONTRASEP_VENV") or ROOT / ".venv")
        self.real = venv
        self.environment = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        folder.mkdir(parents=True, exist_ok=True)
        self.bin = folder / "venv/bin"
        self.bin.mkdir(parents=True)
        shutil.copy(venv / ".contrasep", folder / "venv/.contrasep")
        self.reference = folder / "reference/mini_2mix"
        self._recipe(self.reference)
        if programs == "stand-in":
            shutil.copy(Path(__file__).with_name("stand_in.py"), self.bin / "stand_in.py")
            self._script("contrasep", f'exec {shlex.quote(sys.executable)} -IS {shlex.quote(str(self.bin / "stand_in.py"))} "$@"')
            for name, further in (("model", []), ("oracle", ["--set", "separate.separator=oracle_ibm"])):
                text = subprocess.run([venv / "bin/contrasep", "resolve", "--config", "conf/toy.yaml", *further],
                                      cwd=self.reference, capture_output=True, text=True, check=True).stdout
                (self.bin / f"resolved.{name}").write_text(text)
        else:
            self._script("contrasep", f'exec {shlex.quote(str(venv / "bin/contrasep"))} "$@"')
        for name in ("python", "python3"):
            self._script(name, f'exec {shlex.quote(str(venv / "bin" / name))} "$@"')
        self.environment["CONTRASEP_VENV"] = str(folder / "venv")
        self.seconds: dict[tuple[bool, int], float] = {}
        for with_model in (False, True) if model else (False,):
            for stage in STAGES:
                if not with_model and stage in (3, 4):
                    continue
                scene, begun = Scene(self, self.reference, stage, with_model, self.environment), time.monotonic()
                done = scene.run(stage)
                if done.status:
                    raise RuntimeError(f"the undisturbed run failed:\n{done.out}{done.err}")
                self.seconds[with_model, stage] = time.monotonic() - begun
        self.expected = {with_model: Scene(self, self.reference, 0, with_model, {}).digest(6)
                         for with_model in ((False, True) if model else (False,))}

    def _script(self, name: str, body: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.bin / name).chmod(0o755)

    def _recipe(self, folder: Path) -> None:
        """A recipe of its own that is wholly in its folder, so that it can be copied and moved."""
        root = shlex.quote(str(ROOT))
        run = f"""#!/usr/bin/env bash
set -euo pipefail
here=$(dirname "${{BASH_SOURCE[0]}}")
here=$(CDPATH='' cd -- "$here" && pwd)
exec {root}/utils/recipe.sh --recipe-dir "$here" --label "synthetic speech (eSpeak NG)" --num-spk 2 --config conf/toy.yaml --- "$@"
"""
        files = {
            "run.sh": run, "path.sh": f". {root}/utils/path.sh\n", "cmd.sh": f". {root}/conf/cmd.sh\n",
            "conf/toy.yaml": f"base: {json.dumps(str(ROOT / 'egs/mini_2mix/conf/toy.yaml'))}\nscore: {{plots: 0}}\n",
            "local/prepare_sources.sh": (ROOT / "egs/mini_2mix/local/prepare_sources.sh").read_text(),
        }
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
            if name.endswith("sh"):
                (folder / name).chmod(0o755)

    def scene(self, stage: int, model: bool | None = None, name: str = "mini_2mix") -> Scene:
        """The recipe as it was before a stage; with a model where the stage trains one."""
        self.count += 1
        folder = self.folder / str(self.count) / name
        shutil.copytree(self.reference, folder, symlinks=True)
        scene = Scene(self, folder, stage, stage in (3, 4) if model is None else model, self.environment)
        for later in range(stage, 7):
            for made in scene.made_by(later):
                if made.is_dir():
                    shutil.rmtree(made)
                else:
                    made.unlink(missing_ok=True)
        return scene

    def content(self, path: Path) -> str:
        """Hash of a file; of what torch wrote, of its weights: it also holds a random name, and how long training took."""
        if path.suffix == ".pth" and self.programs == "real":
            import torch

            digest = hashlib.sha256()
            try:
                weights = torch.load(path, weights_only=True)["state"]
                for name, value in sorted(weights.items()):
                    digest.update(name.encode() + value.numpy().tobytes())
            except Exception as error:
                return f"not read: {error}"
            return digest.hexdigest()
        return hashlib.sha256(path.read_bytes()).hexdigest()


# ---------------------------------------------------------------- the verdict
def judge(scene: Scene, met: Met) -> tuple[str, str]:
    """What became of a fault, one of `OUTCOMES`, and the words that go with it."""
    expected, told = scene.expected(scene.last), ""
    if met.wrong:
        return "lost", met.wrong
    if left := scene.orphans():
        for pid in left:
            end(pid, signal.SIGKILL)
        return "lost", f"{len(left)} processes were left running"
    for attempt, done in enumerate([*met.runs, None, None, None]):
        last_try = attempt >= len(met.runs)
        done = done or scene.run()
        if "Traceback" in done.err + done.out:
            return "traceback", done.err[-2000:]
        if done.status == 0:
            found = scene.digest(scene.last)
            if found != expected:
                names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
                return "wrong", f"{len(names)} files differ, first {names[0]}"
            if last_try:
                if left := scene.left_elsewhere():
                    return "lost", left
                return ("told", told) if told else ("same", "")
            continue
        if done.stopped:
            continue
        if len(done.words) > 1 or not ((done.words and ADVICE.search(done.words[0])) or "log is in" in done.err):
            return "lost", f"status {done.status}, {len(done.words)} lines: {done.err[-2000:]}"
        if done.words:
            told = done.words[0]
            follow(scene, told)
    return "lost", f"the same command does not finish: {told or done.err[-2000:]}"


def follow(scene: Scene, line: str) -> None:
    """Do what an error says."""
    if "delete it" in line:
        # the file is the last that the line names before it says what is wrong with it; before it may stand set and mixture
        files = [path for part in line.split("; ")[0].split(": ") if (path := scene.folder / part).is_file()]
        if files:
            files[-1].unlink()
    if stage := re.search(r"run stage (\d) again", line):
        scene.run(int(stage[1]))
    if pid := re.search(r"kill ([0-9 ]+)", line):
        for number in pid[1].split():
            end(int(number), signal.SIGTERM)
        scene.orphans()
