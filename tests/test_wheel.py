"""The wheel holds all files of the package, and what it declares suffices to separate a recording."""

import ast
import json
import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.extras import EXTRA_OF
from contrasep_lib.io.decode import decode_audio
from tests.wheel import build_wheel, declared, fresh_environment, required

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "contrasep_lib"


def imported(path):
    """Top names of the modules that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def provided(distributions):
    """Modules that distributions bring."""
    found = set()
    for name in distributions:
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            # optional, and not installed here
            found.add(name.replace("-", "_"))
            continue
        # empty for a module that is a library alone
        listed = (distribution.read_text("top_level.txt") or "").split()
        files = [file for file in distribution.files or () if file.suffix in (".py", ".so", ".pyd")]
        found |= set(listed) or {file.parts[0].partition(".")[0] for file in files}
    return found


def test_all_that_the_package_imports_is_declared():
    core = provided(line.name for line in required())
    assert {"numpy", "torch", "yaml", "soundfile"} <= core
    wrong, known = [], {"contrasep_lib", *sys.stdlib_module_names}
    # what an extra's packages require themselves comes with it, as typeguard with ESPnet
    brought = {extra: provided(declared(extra)) for extra in set(EXTRA_OF.values())}
    for path in sorted(PACKAGE.rglob("*.py")):
        for module in set(imported(path)) - known - core:
            if module not in EXTRA_OF or module not in brought[EXTRA_OF[module]]:
                wrong.append(f"{path.relative_to(ROOT)}: {module}")
    assert not wrong
    # what is not declared would be found
    assert "pytest" not in core and "pytest" not in EXTRA_OF


def test_extras_hold_what_they_are_for():
    assert "av" in declared("media") and "av" not in declared()
    assert "espnet" not in declared("media")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
def test_the_wheel_holds_all_files_of_the_package(wheel):
    """Also those that are no modules: py.typed, sentences, models, licence."""
    listed = subprocess.run(["git", "ls-files", "contrasep_lib"], cwd=ROOT, capture_output=True, text=True)
    files = set(listed.stdout.split()) or {
        str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }
    with zipfile.ZipFile(wheel) as file:
        held = set(file.namelist())
    assert len(files) > 200 and not files - held
    for name in ("LICENSE", "NOTICE", "THIRD_PARTY.md"):
        assert any(path.endswith(name) and ".dist-info/" in path for path in held)
    assert not [path for path in held if not path.startswith("contrasep")]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """An m4a file of 2 s, encoded by PyAV: its path."""
    av = pytest.importorskip("av", reason="PyAV, which encodes the recording, is not installed")
    path, rate = tmp_path_factory.mktemp("audio") / "f.m4a", 16000
    rng = np.random.default_rng(0)
    time = np.arange(2 * rate) / rate
    sound = 0.01 * rng.standard_normal(len(time))
    for pitch, turn in ((120, 2.1), (215, 3.3)):
        for harmonic in range(1, 15):
            sound += 0.1 / harmonic * np.sin(2 * np.pi * pitch * harmonic * time) * (np.sin(turn * 2 * time) > -0.3)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


@pytest.mark.slow
def test_a_fresh_installation_separates_an_m4a(wheel, recording, tmp_path):
    python = fresh_environment(tmp_path, wheel, "media")
    program = python.parent / "contrasep"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CONTRASEP"))}
    environment |= {"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}

    def run(*words):
        done = subprocess.run([program, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # it is the wheel that runs, without what is not declared
    code = "import contrasep_lib, importlib.util as u; print(contrasep_lib.__file__, u.find_spec('pytest'))"
    said = subprocess.run([python, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True).stdout
    assert said.startswith(str(tmp_path)) and said.endswith(" None\n")
    assert run("models").splitlines()[1].startswith("best ")
    run("separate", recording, "--out", "out", "--model", "small")
    content = json.loads((tmp_path / "out/f.json").read_text())
    seconds = len(decode_audio(recording)[0]) / 16000
    assert content["seconds"] == pytest.approx(seconds, abs=1e-3)
    for name in content["outputs"]:
        samples, rate = soundfile.read(tmp_path / "out" / name)
        assert len(samples) / rate == pytest.approx(seconds, abs=0.01) and np.abs(samples).max() > 0.01
