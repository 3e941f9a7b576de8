"""The console command and the job runner."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

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


def run_py(tmp_path, *arguments):
    return subprocess.run([sys.executable, ROOT / "utils/run.py", *map(str, arguments)], cwd=tmp_path,
                          capture_output=True, text=True)


def test_jobs_have_a_log_each(tmp_path):
    done = run_py(tmp_path, "--mem", "1G", "JOB=1:3", "log/x.JOB.log", "sh", "-c", "echo this is job JOB; echo err >&2")
    assert done.returncode == 0 and done.stdout == ""
    for job in (1, 2, 3):
        lines = (tmp_path / f"log/x.{job}.log").read_text().splitlines()
        assert lines[0].startswith("# sh -c") and f"job {job}" in lines[0]
        assert f"this is job {job}" in lines and "err" in lines and "code 0" in lines[-1]


def test_failed_jobs_are_reported(tmp_path):
    done = run_py(tmp_path, "J=1:4", "x.J.log", "sh", "-c", "echo trouble in J; exit $((J % 2))")
    assert done.returncode == 1
    assert "trouble in 1" in done.stderr and "2 of 4 jobs failed, log is in x.1.log" in done.stderr
    assert "code 1" in (tmp_path / "x.3.log").read_text() and "code 0" in (tmp_path / "x.2.log").read_text()


def test_no_shell_sees_the_arguments(tmp_path):
    done = run_py(tmp_path, "x.log", "echo", "$(touch evil)", "; touch evil")
    assert done.returncode == 0 and not (tmp_path / "evil").exists()
    assert "$(touch evil) ; touch evil" in (tmp_path / "x.log").read_text()


def test_jobs_run_side_by_side_up_to_the_limit(tmp_path):
    begun = time.monotonic()
    assert run_py(tmp_path, "--max-jobs-run", "4", "JOB=1:4", "x.JOB.log", "sleep", "1.5").returncode == 0
    assert time.monotonic() - begun < 4 * 1.5
    begun = time.monotonic()
    assert run_py(tmp_path, "--max-jobs-run", "1", "JOB=1:3", "x.JOB.log", "sleep", "0.4").returncode == 0
    assert time.monotonic() - begun > 1.2


@pytest.mark.parametrize("arguments", [
    ["--nonsense", "1", "x.log", "true"], ["JOB=1:2", "x.log", "true"], ["JOB=2:1", "x.JOB.log", "true"],
    ["x.log"], ["--max-jobs-run", "0", "x.log", "true"], ["--mem"],
])
def test_wrong_calls_of_the_job_runner(tmp_path, arguments):
    done = run_py(tmp_path, *arguments)
    assert done.returncode == 2 and done.stderr.startswith("run.py: ") and "Traceback" not in done.stderr


def test_a_missing_program_is_a_failed_job(tmp_path):
    done = run_py(tmp_path, "x.log", "no-such-program")
    assert done.returncode == 1 and "no-such-program" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["list", "solvers"]], ids=" ".join)
def test_a_reader_that_has_seen_enough(arguments):
    command = [sys.executable, "-m", "contrasep_lib.bin.main", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait() == 1
