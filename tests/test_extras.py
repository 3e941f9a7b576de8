"""Without an extra: what it serves ends in one line, everything else works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from contrasep_lib.errors import ContrasepError
from contrasep_lib.extras import EXTRA_OF
from contrasep_lib.io.decode import decode_audio

ROOT = Path(__file__).resolve().parents[1]

# the console command where no module of an extra can be imported
WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {modules!r}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
sys.meta_path.insert(0, Missing())
from contrasep_lib.bin.main import main
sys.exit(main(sys.argv[1:]))
"""


def without(*arguments, cwd):
    code = WITHOUT.format(modules=set(EXTRA_OF))
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=cwd, capture_output=True, text=True,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": ""},
    )


def test_the_core_separates_without_any_extra(tmp_path, rng):
    soundfile.write(tmp_path / "two.wav", 0.1 * rng.standard_normal(16000), 8000)
    done = without("separate", "two.wav", "--out", "out", "--num-spk", 2, "--model", "small", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    there = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert there == ["two.json", "two.rttm", "two_spk1.wav", "two_spk2.wav"]


@pytest.mark.parametrize(
    "arguments, extra",
    [
        (
            [
                "train",
                "--config",
                ROOT / "conf/tf.yaml",
                "--phase",
                "finetune",
                "--dump",
                ".",
                "--train-sets",
                "a",
                "--valid-sets",
                "b",
                "--out",
                "exp",
            ],
            "train",
        ),
        (["prepare-corpus", "espeak", "--config", ROOT / "conf/toy.yaml", "--out", "sources"], "synthetic"),
    ],
)
def test_a_missing_extra_is_named_in_one_line(tmp_path, arguments, extra):
    done = without(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert re.search(rf"pip install 'contrasep\[{extra}\]'", done.stderr) and done.stderr.count("\n") == 1, done.stderr


def test_a_file_that_pyav_alone_reads_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.m4a").write_bytes(b"ftyp")
    with pytest.raises(ContrasepError, match=r"a\.m4a: av is not installed; pip install 'contrasep\[media\]'"):
        decode_audio(tmp_path / "a.m4a")


def test_extras_of_setup_are_those_that_messages_name():
    setup = (ROOT / "setup.py").read_text()
    for module, extra in EXTRA_OF.items():
        assert f'"{extra}": [' in setup, (module, extra)
