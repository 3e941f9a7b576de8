"""Which recordings are asked for: folders, standard input, what is skipped; and the command's options."""

import io
import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.errors import ContrasepError
from contrasep_lib.separate.inputs import inputs_of, skipped_words, spooled

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path):
    for name in ("a/x.wav", "a/deep/x.M4A", "a/notes.txt", "a/.hidden.wav", "a/out/x_spk1.wav", "a/deep/more/y.webm"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "a"


def names(found, root):
    return [(str(each.path.relative_to(root)), str(each.folder), each.name) for each in found]


def test_folders(tree):
    found, skipped = inputs_of([str(tree)], tree / "out")
    assert names(found, tree) == [("x.wav", ".", "x")]
    assert [path.name for path in skipped] == ["deep", "notes.txt"]
    assert skipped_words(skipped) == f"skipped, no audio by name or a folder: {tree}/deep/ {tree}/notes.txt"
    found, skipped = inputs_of([str(tree)], tree / "out", recursive=True)
    assert names(found, tree) == [
        ("x.wav", ".", "x"), ("deep/x.M4A", "deep", "x"), ("deep/more/y.webm", "deep/more", "y"),
    ]
    assert [path.name for path in skipped] == ["notes.txt"] and skipped_words([]) == ""
    assert skipped_words(map(Path, "abc"), 2).endswith("a b and 1 more")
    with pytest.raises(ContrasepError, match="take its folders too by --recursive"):
        inputs_of([str(tree.parent)], "out")
    # what is named is taken, whatever its name
    found, _ = inputs_of([str(tree / "notes.txt"), str(tree / "nowhere")], "out")
    assert [each.name for each in found] == ["notes", "nowhere"]


def test_standard_input(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"sound")))
    found = spooled(str(tmp_path))
    assert found.path.read_bytes() == b"sound" and (found.name, found.label) == ("stdin", "-")
    with pytest.raises(ContrasepError, match="nothing came from standard input"):
        spooled(str(tmp_path))


def test_the_command(contrasep, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    (tmp_path / "in/deep").mkdir(parents=True)
    for name in ("in/x.wav", "in/deep/x.wav"):
        soundfile.write(name if Path(name).parent.is_dir() else tmp_path / name, 0.1 * rng.standard_normal(9000), 16000)
    (tmp_path / "in/notes.txt").touch()
    content = io.BytesIO()
    soundfile.write(content, 0.1 * rng.standard_normal(9000), 16000, format="WAV")
    # streamed: the length is not known
    streamed = bytearray(content.getvalue())
    streamed[40:44] = b"\xff" * 4
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(bytes(streamed))))
    done = contrasep(
        "separate", "in", "-", "--recursive", "--out", "out", "--num-spk", 2, "--model", "small", "--format", "flac",
        "--rate", "original", "--rest", "--normalize", "--threads", 2, check=True,
    )
    assert "skipped, no audio by name or a folder: in/notes.txt" in done.stderr
    assert "warning: -: no speech is heard in it" in done.stderr and "Traceback" not in done.stderr
    for name in ("x", "deep/x", "stdin"):
        said = json.loads((tmp_path / f"out/{name}.json").read_text())
        for each in [*said["outputs"], said["rest"]]:
            info = soundfile.info((tmp_path / f"out/{name}").with_name(each))
            assert (info.frames, info.samplerate, info.format) == (9000, 16000, "FLAC")
    assert json.loads((tmp_path / "out/stdin.json").read_text())["file"] == "stdin"
    import torch

    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, contrasep_lib; from contrasep_lib import separate; assert contrasep_lib.separate is separate;"
        "assert not {'torch', 'numpy', 'av'} & set(sys.modules); from contrasep_lib.separate.inputs import Input"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
