"""The command line of run.py and a site's configuration."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from utils.jobs.base import UsageError
from utils.jobs.main import main
from utils.jobs.options import parse
from utils.jobs.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
SITE = """
# a site
command sbatch --export=ALL   # submits
option mem=* --mem-per-cpu $0
option mem=0
option num_threads=* --cpus-per-task $0 --ntasks 1
option gpu=0
option gpu=* -p gpu --gres gpu:$0
option comment=* --comment "for $0"
default gpu=0
default mem=2G
setting late_seconds=5
"""


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.conf"
    path.write_text(SITE)
    return path


@pytest.mark.parametrize("options, flags", [
    ({}, "--mem-per-cpu 2G"),
    ({"mem": "4G", "gpu": "2"}, "-p gpu --gres gpu:2 --mem-per-cpu 4G"),
    ({"mem": "0", "num_threads": "3"}, "--cpus-per-task 3 --ntasks 1"),
])
def test_options_become_flags(site, options, flags):
    assert sorted(" ".join(read_settings(str(site)).flags_of(options)).split(" ")) == sorted(flags.split(" "))


def test_a_value_is_one_word(site):
    settings = read_settings(str(site))
    assert settings.command == ["sbatch", "--export=ALL"] and settings.values["late_seconds"] == 5
    assert settings.flags_of({"comment": "a b; $0", "mem": "0"}) == ["--comment", "for a b; $0"]


@pytest.mark.parametrize("line, says", [
    ("comand x", "expected command, option, default or setting, got 'comand'"),
    ("option mem", "expected 'option NAME=VALUE FLAGS', got 'option mem'"),
    ("default gpu=0 -x", "expected 'default NAME=VALUE', got"),
    ("setting late=3", "unknown setting 'late'; known: late_seconds"),
    ("setting late_seconds=-1", "late_seconds: expected a positive number, got '-1'"),
    ('option x=* "a', "No closing quotation"),
])
def test_wrong_lines_of_a_configuration(site, line, says):
    site.write_text(SITE + line + "\n")
    with pytest.raises(UsageError) as error:
        read_settings(str(site))
    assert f"{site}:{SITE.count(chr(10)) + 1}: " in str(error.value) and says in str(error.value)


def test_the_toolkits_own_configurations():
    for name, program in (("slurm", "sbatch"), ("sge", "qsub")):
        settings = read_settings(str(ROOT / f"conf/{name}.conf"))
        assert settings.command[0] == program
        common = {"mem": "4G", "gpu": "1", "num_threads": "2", "time": "1:00:00"}
        flags = " ".join(settings.flags_of(common)).replace("=", " ").split()
        assert {"4G", "2", "1:00:00"} <= set(flags)
        assert not settings.flags_of({"gpu": "0"})


def test_the_sample_of_the_manual_serves_all_stages(tmp_path):
    lines = (ROOT / "docs/howto/cluster.md").read_text().split("## A site's options")[1].splitlines()
    sample = [line.strip() for line in lines if line.startswith("    ") and line.split()[0] in
              ("command", "option", "default", "setting")]
    (tmp_path / "slurm.conf").write_text("\n".join(sample) + "\n")
    settings = read_settings(str(tmp_path / "slurm.conf"))
    # what stages say, and what the manual adds to them
    cpu = settings.flags_of({"gpu": "0", "num_threads": "8", "time": "24:00:00", "mem": "2G"})
    assert not any("gpu" in flag for flag in cpu) and {"8", "24:00:00", "2G"} <= set(cpu)
    assert "12:00:00" in settings.flags_of({"gpu": "0", "num_threads": "1"})
    gpu = settings.flags_of({"gpu": "1", "num_nodes": "2", "queue": "long"})
    assert "gpu:1" in gpu and "2" in gpu and "long" in gpu


def test_kaldis_options(site):
    call = parse(["--backend", "slurm", "--config", str(site), "--mem", "4G", "--gpu=1", "--num_threads", "2",
                  "--max-jobs-run", "8", "--retries", "2", "--mark", "1", "J=2:3", "a/J/x.J.log", "p", "--mem", "J"])
    assert call.settings.path == str(site) and call.resources == {"mem": "4G", "gpu": "1", "num_threads": "2"}
    assert (call.at_once, call.retries, call.marked, call.name, call.numbers) == (8, 2, 1, "J", [2, 3])
    assert call.log == "a/J/x.J.log" and call.command == ["p", "--mem", "J"]
    assert parse(["JOB=7", "x.log", "p"]).numbers == [7] and parse(["x.log", "A=1"]).name is None


def test_the_recipes_configuration_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse(["--backend", "slurm", "x.log", "p"]).settings.path == str(ROOT / "conf/slurm.conf")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/slurm.conf").write_text("command mine\n")
    assert parse(["--backend", "slurm", "x.log", "p"]).settings.command == ["mine"]


@pytest.mark.parametrize("arguments, says", [
    (["--nonsense", "1", "x.log", "true"], "unknown option '--nonsense'"),
    (["-q", "1", "x.log", "true"], "unknown option '-q'"),
    (["--backend", "lsf", "x.log", "true"], "unknown backend 'lsf'; known: local, slurm, sge"),
    (["JOB=1:2", "x.log", "true"], "must hold JOB"),
    (["--mark", "1", "JOB=1:2", "JOB/x.log", "true"], "must hold JOB in its last component"),
    (["--mark", "1", "JOB=1:2", "xJOB.log", "true"], "must hold JOB in its last component"),
    (["--mark", "3", "JOB=1:2", "x.JOB.log", "true"], "expected at most the 1 words"),
    (["JOB=2:1", "x.JOB.log", "true"], "expected a range like JOB=1:4"),
    (["JOB=0:1", "x.JOB.log", "true"], "expected a range like JOB=1:4"),
    (["JOB=1:99999999", "x.JOB.log", "true"], "expected a range like JOB=1:4"),
    (["x.log"], "expected a log file and a command"),
    ([], "expected a log file and a command"),
    (["--max-jobs-run", "0", "x.log", "true"], "--max-jobs-run: expected a whole number of at least 1, got '0'"),
    (["--num-threads", "1\u0663", "x.log", "true"], "--num-threads: expected a whole number of at least 1"),
    (["--retries", "-1", "x.log", "true"], "--retries: expected a whole number, got '-1'"),
    (["--mem", "much", "x.log", "true"], "--mem: expected a size as 4G, got 'much'"),
    (["--time", "1:0 --x", "x.log", "true"], "--time: expected a time as 1:00:00"),
    (["--mem"], "--mem needs a value"),
    (["--backend", "slurm", "--config", "none.conf", "x.log", "true"], "none.conf: No such file"),
    (["--backend", "slurm", "--queue", "long", "x.log", "true"], "unknown option '--queue'"),
])
def test_wrong_calls(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert main(arguments, "") == 2
    told = capsys.readouterr().err
    assert told.startswith("run.py: ") and told.count("\n") == 1 and says in told
    assert not list(tmp_path.iterdir())


def test_an_option_without_a_line_names_the_file(site, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    site.write_text("command true\noption mem=1G\n")
    for option, says in (("--time=1:00", "no line for --time; add 'option time=* FLAGS'"),
                         ("--mem=2G", "no line for the value '2G' of --mem; add 'option mem=* FLAGS'")):
        assert main(["--backend=slurm", f"--config={site}", option, "x.log", "true"], "") == 2
        assert capsys.readouterr().err == f"run.py: {site}: {says}\n"


def test_login_nodes_have_old_pythons_and_no_packages():
    code = ("import sys; before = set(sys.modules); sys.path.insert(0, 'utils')\n"
            "import jobs.main, jobs.local, jobs.cluster, jobs.slurm, jobs.sge, jobs.worker\n"
            "print(*{name.split('.')[0] for name in set(sys.modules) - before})")
    command = [sys.executable, "-S", "-E", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - set(sys.stdlib_module_names) == {"jobs"}
    for path in (ROOT / "utils/jobs").glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))


def test_it_starts_fast(tmp_path):
    """CPU time, as cores are shared; less the interpreter's own, whose packages are not ours."""
    code = ("import resource, subprocess, sys\nfor words in (['-c', '1'], sys.argv[1:]):\n"
            "    for _ in range(5): subprocess.run([sys.executable, *words], check=True)\n"
            "    used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime)")
    command = [sys.executable, "-S", "-c", code, str(ROOT / "utils/run.py"), "x.log", "true"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    bare, both = map(float, done.stdout.split())
    assert (both - 2 * bare) / 5 < 0.1
