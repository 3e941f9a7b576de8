"""The console command."""

import argparse
import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contrasep_lib.bin.common import Parser
from contrasep_lib.bin.main import COMMANDS, normalise

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_is_light(name):
    """--help imports neither torch nor scipy: it must come at once."""
    code = (
        "import sys\nfrom contrasep_lib.bin.main import main\n"
        f"try: main([{name!r}, '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'scipy', 'matplotlib', 'kaldiio', 'soundfile', 'espnet2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and f"contrasep {name}" in done.stdout, done.stderr


def test_reading_a_configuration_is_light(tmp_path):
    """Every command reads it, and the stage script asks for values many times."""
    (tmp_path / "c.yaml").write_text("mix: {seed: 1}")
    code = (
        "import sys\nfrom contrasep_lib.config import load_config\n"
        f"load_config({str(tmp_path / 'c.yaml')!r})\n"
        "heavy = {'torch', 'scipy', 'numpy', 'espnet2'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_overview_lists_commands_by_stage(contrasep):
    done = contrasep("--help")
    stages = [line for line in done.stdout.splitlines() if line.startswith("stage ")]
    assert done.returncode == 0 and stages == sorted(stages) and all(name in done.stdout for name in COMMANDS)


def test_underscores_do_as_well_as_dashes():
    assert normalise(["--num_spk", "a_b", "--stop_stage=x_y"]) == ["--num-spk", "a_b", "--stop-stage=x_y"]


@pytest.mark.parametrize("arguments, status", [
    (["nonsense"], 2), ([], 2), (["mix"], 2), (["mix", "--nonsense"], 2), (["mix", "--part", "3/2"], 2),
    (["check-config", "--config", "none.yaml"], 1),
])
def test_wrong_calls(contrasep, arguments, status):
    done = contrasep(*arguments)
    assert done.returncode == status and "Traceback" not in done.stderr


def test_a_full_disk_is_one_line(contrasep, sources_dir, config):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    done = contrasep("prepare-data", "--sources", sources_dir, "--out", "/dev/full/x")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "/dev/full" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["list", "solvers"]], ids=" ".join)
def test_a_reader_that_has_seen_enough(arguments):
    command = [sys.executable, "-m", "contrasep_lib.bin.main", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait() == 1


# what may be typed where a number is expected: beyond all bounds, or none
HOSTILE = ["nan", "inf", "-inf", "-1", "1e308", str(2**63), "9" * 5000, "", "1_0", "٣", "true", "[1]", "a\nb"]


def actions_of(name):
    """The arguments of a command."""
    parser = Parser()
    importlib.import_module(f"contrasep_lib.bin.{name.replace('-', '_')}").add_arguments(parser)
    return parser._actions


@pytest.mark.parametrize("name", COMMANDS)
def test_numbers_of_all_commands_are_within_bounds(name):
    for action in actions_of(name):
        assert action.type not in (int, float, complex), f"{name} {action.option_strings}: type=within(..) has bounds"
        if action.type is None or action.dest == "config":
            continue
        for word in HOSTILE:
            with pytest.raises(argparse.ArgumentTypeError, match="^expected .*, got ") as error:
                action.type(word)
            assert "\n" not in str(error.value) and len(str(error.value)) < 200


def test_numbers_of_all_tools_are_within_bounds():
    """Whatever parser is built in tools and utils."""
    found = 0
    for path in [*ROOT.glob("tools/**/*.py"), *ROOT.glob("utils/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for word in getattr(node, "keywords", ()):
                if word.arg == "type" and "choices" not in {other.arg for other in node.keywords}:
                    found += 1
                    assert ast.unparse(word.value) not in ("int", "float"), f"{path}:{node.lineno}: type=within(..)"
    assert found > 100


def test_a_wrong_number_is_one_line(contrasep):
    for words, says in (
        (["separate", "a.wav", "--window", "nan"], "--window: expected a whole number from 1 to 86400, got 'nan'"),
        (["separate", "a.wav", "--num-spk", "9" * 5000], "--num-spk: expected a whole number from 1 to 100, got '9"),
        (["score", "--part", "²/3"], "--part: expected J/N with 1 <= J <= N, got '²/3'"),
        (["report", "--seconds", "-inf"], "--seconds"),
    ):
        done = contrasep(*words)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and len(done.stderr) < 300, done.stderr
        assert done.stderr.startswith(f"contrasep {words[0]}: argument {says}"), done.stderr
