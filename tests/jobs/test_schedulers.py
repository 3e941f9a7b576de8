"""run.py with a real Slurm and a real Grid Engine of one node; skipped where their programs are missing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "utils/run.py"
both = pytest.mark.parametrize("cluster", ["slurm", "sge"], indirect=True)
slurm_alone = pytest.mark.parametrize("cluster", ["slurm"], indirect=True)


class Running:
    """A cluster, and run.py on it in a folder of its own."""

    def __init__(self, name, environment, folder):
        self.name, self.folder = name, folder
        submit, ask = {"slurm": ("sbatch --export=ALL", "squeue"), "sge": ("qsub -V -S /bin/sh", "qstat")}[name]
        real = subprocess.run(["which", ask], capture_output=True, text=True, check=True).stdout.strip()
        # questions are noted with their times
        (folder / "bin").mkdir()
        (folder / "bin" / ask).write_text(f'#!/bin/sh\ndate +%s.%N >>{folder}/asked\nexec {real} "$@"\n')
        (folder / "bin" / ask).chmod(0o755)
        self.real = environment
        self.environment = {**environment, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        (folder / "site.conf").write_text(
            f"command {submit}\noption num_threads=1\noption mem=0\nsetting late_seconds=2\nsetting ask_seconds=5\n"
        )

    def start(self, *words):
        command = [sys.executable, RUN, "--backend", self.name, "--config", "site.conf", *map(str, words)]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words):
        process = self.start(*words)
        out, errors = process.communicate(timeout=120)
        return process.returncode, errors

    def tool(self, *words):
        return subprocess.run(words, env=self.real, capture_output=True, text=True, check=True).stdout

    def log(self, name):
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def until(self, condition, seconds=40):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "not in time"
            time.sleep(0.1)

    def job(self, name):
        """Number of the job whose log this is."""
        self.until(lambda: "Started at" in self.log(name))
        return self.log(name).split("(")[1].split()[-1].split(".")[0]

    def jobs(self):
        if self.name == "slurm":
            return self.tool("squeue", "--noheader", "--format=%i").split()
        return [line for line in self.tool("qstat").splitlines()[2:] if " dr " not in line]

    def questions(self):
        return [float(line) for line in self.log("asked").split()]


@pytest.fixture
def cluster(request, node, tmp_path):
    one = Running(request.param, node(request.param), tmp_path)
    yield one
    assert not list(tmp_path.glob("log/.jobs*")), "folders of jobs are removed"


@both
def test_an_array_of_jobs_that_end_in_all_ways(cluster):
    script = """case JOB in
        1) echo "$0" "$1"; sleep 7 ;;
        2) echo trouble; exit 3 ;;
        3) sleep 100 ;;
        4) kill -9 $PPID; sleep 100 ;;
        5) kill -9 $$ ;;
        6) echo nothing is said >&2; exec 1>&- ;;
    esac"""
    process = cluster.start("JOB=1:6", "log/x.JOB.log", "bash", "-c", script, "it's $HOME", "two\nlines")
    job = cluster.job("log/x.3.log")
    if cluster.name == "slurm":
        cluster.tool("scancel", f"{job}_3")
    else:
        cluster.tool("qdel", f"{job}.3")
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    logs = {number: cluster.log(f"log/x.{number}.log").splitlines() for number in range(1, 7)}
    title = {"slurm": "Slurm", "sge": "Grid Engine"}[cluster.name]
    for number, lines in logs.items():
        assert lines[0].startswith("# bash -c") and lines[1].startswith("# Started at ")
        assert lines[1].endswith(f" on {os.uname().nodename} ({title} {job}.{number})"), lines[1]
        assert lines[-1].startswith("# Ended (")
    assert logs[1][2:4] == ["it's $HOME two", "lines"] and "(code 0)" in logs[1][-1] and "(code 0)" in logs[6][-1]
    assert logs[2][2] == "trouble" and "(code 3)" in logs[2][-1] and "(code 137: SIGKILL)" in logs[5][-1]
    lines = errors.splitlines()
    assert lines[0] == "trouble" and lines[-1] == "run.py: 4 of 6 jobs failed, log is in log/x.2.log"
    assert "log/x.5.log: job 5: killed (SIGKILL), by somebody or for want of memory: see --mem" in lines
    said = {
        number: [line for line in lines if line.startswith(f"log/x.{number}.log: job {number}: ")] for number in (3, 4)
    }
    assert all(
        len(found) == 1 and f"{title} job {job}.{number} left no status; {title} says " in found[0]
        for number, found in said.items()
    ), errors
    assert ("CANCELLED" if cluster.name == "slurm" else "exit_status 137") in said[3][0]
    assert ("FAILED" if cluster.name == "slurm" else "exit_status 137") in said[4][0]
    # the child of a job whose leader was killed is gone too
    assert not cluster.jobs()
    asked = cluster.questions()
    assert asked and all(later - earlier > 4.9 for earlier, later in zip(asked, asked[1:]))


@both
def test_failed_jobs_are_submitted_again(cluster):
    script = "[ -e done.JOB ] || { touch done.JOB; exit $((JOB % 2)); }"
    status, errors = cluster.run("--retries", 1, "JOB=1:3", "log/x.JOB.log", "sh", "-c", script)
    assert status == 0 and errors == ""
    first = cluster.log("log/x.1.log").splitlines()
    assert "(code 1)" in first[2] and first[4].endswith(", attempt 2") and "(code 0)" in first[5]
    assert cluster.log("log/x.2.log").count("# Ended") == 1


@slurm_alone
def test_a_job_that_slurm_begins_again(cluster):
    """After a node failed, for one."""
    process = cluster.start("log/x.log", "sh", "-c", "[ -e begun ] && exit 0; touch begun; sleep 100")
    cluster.until((cluster.folder / "begun").exists)
    job = cluster.job("log/x.log")
    cluster.tool("scontrol", "requeue", job)
    time.sleep(1)
    assert process.poll() is None
    # Slurm lets some time pass before it begins a job again
    cluster.until(lambda: cluster.log("log/x.log").count("Started") == 2 or not release(cluster, job), 150)
    assert process.wait(60) == 0 and process.stderr.read() == ""
    log = cluster.log("log/x.log")
    assert "SIGTERM from the scheduler" in log and "attempt 2" in log and "(code 0)" in log.splitlines()[-1]


def release(cluster, job):
    """Let a requeued job begin at once."""
    subprocess.run(["scontrol", "update", f"jobid={job}", "starttime=now"], env=cluster.real, capture_output=True)
    return True


@both
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_the_end_of_the_waiting_program_cancels_its_jobs(cluster, number):
    process = cluster.start("--max-jobs-run", 1, "JOB=1:3", "log/x.JOB.log", "sh", "-c", "echo $$; sleep 300")
    cluster.job("log/x.1.log")
    cluster.until(lambda: len(cluster.log("log/x.1.log").splitlines()) == 3)
    job = int(cluster.log("log/x.1.log").splitlines()[2])
    process.send_signal(number)
    assert process.wait(60) == -number
    cluster.until(lambda: not cluster.jobs(), 40 if number == signal.SIGKILL else 0.2)
    cluster.until(lambda: not os.path.exists(f"/proc/{job}"), 10)
    if number == signal.SIGTERM:
        assert cluster.log("log/x.1.log").splitlines()[-1].startswith("# Ended (c") and not cluster.log("log/x.2.log")
    else:
        # the folder tells the next run
        assert list(cluster.folder.glob("log/.jobs*"))
        status, errors = cluster.run("JOB=1:3", "log/x.JOB.log", "true")
        assert status == 0 and "cancelling jobs of an earlier run that was killed" in errors


@slurm_alone
def test_jobs_of_a_login_node_that_crashed(cluster):
    """Neither run.py nor what watches it could cancel them; the next run does."""
    process = cluster.start("log/x.log", "sh", "-c", "echo $$; sleep 300")
    cluster.job("log/x.log")
    watchers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    second = cluster.start("log/x.log", "true")
    assert second.wait(60) == 1 and f"process {process.pid} runs these jobs" in second.stderr.read()
    for pid in [*map(int, watchers), process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert len(cluster.jobs()) == 1
    status, errors = cluster.run("log/x.log", "sh", "-c", "echo new")
    assert status == 0 and "cancelling jobs of an earlier run" in errors and not cluster.jobs()
    assert "new" in cluster.log("log/x.log") and "sleep" not in cluster.log("log/x.log")
