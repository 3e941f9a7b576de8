"""Jobs of a cluster by their markers: a scheduler, a clock and jobs that a test moves by hand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from utils.jobs import cluster as module
from utils.jobs import folders
from utils.jobs.base import JobError
from utils.jobs.cluster import Cluster, job_name
from utils.jobs.main import tasks_of
from utils.jobs.options import parse
from utils.jobs.scheduler import Scheduler, State
from utils.jobs.sge import Sge
from utils.jobs.slurm import Slurm, _state

ROOT = Path(__file__).resolve().parents[2]
RUNNING, DONE = State(False, "RUNNING"), State(True, "COMPLETED")
CANCELLED = State(True, "CANCELLED", sure=True, final=True)
AGAIN = "; run the same command again"


class Fake(Scheduler):
    """Knows what a test says; counts questions."""

    title, index = "Fake", "INDEX"

    def __init__(self):
        self.states, self.submitted, self.asked, self.explained = {}, [], [], 0
        self.silent = False

    def submit(self, script, name, count, at_once, flags):
        self.submitted.append((Path(script).parent, count, at_once, flags))
        job = str(len(self.submitted))
        self.states.update({(job, place): RUNNING for place in range(1, count + 1)})
        return job

    def ask(self, name):
        self.asked.append(self.clock())
        if self.silent:
            raise JobError("fake: no answer")
        return self.states

    def explain(self, tasks):
        self.explained += 1
        self.asked.append(self.clock())
        return dict.fromkeys(tasks[:1], State(True, "NODE_FAIL"))

    def cancel(self, name):
        self.states = {key: CANCELLED for key in self.states}


class World:
    """A cluster of the fake, whose time passes by ``after``."""

    def __init__(self, tmp_path, monkeypatch, options, script="p"):
        (tmp_path / "site.conf").write_text(
            "command fake\noption gpu=* -g $0\nsetting late_seconds=20\nsetting max_array=3\n")
        monkeypatch.chdir(tmp_path)
        self.now = 0.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        self.call = parse(["--backend", "slurm", "--config", "site.conf", *options, script])
        self.fake = Fake()
        self.fake.clock = lambda: self.now
        self.cluster = Cluster(self.fake, self.call, folders.new_folder(str(tmp_path / self.call.log)))
        self.waiting = tasks_of(self.call)
        self.outcomes = {}

    def after(self, seconds, step=1.0):
        for _ in range(round(seconds / step)):
            self.now += step
            self.cluster.start(self.waiting)
            for task, outcome in self.cluster.ended():
                self.outcomes[task.number] = (outcome.status, outcome.words)
        return self.outcomes

    def mark(self, submission, place, status):
        (self.fake.submitted[submission - 1][0] / f"done.{place}").write_text(f"{status}\n")


@pytest.fixture
def world(tmp_path, monkeypatch):
    made = []

    def make(*options):
        made.append(World(tmp_path, monkeypatch, options))
        return made[-1]

    yield make
    for one in made:
        one.cluster.close()
        assert not list(tmp_path.glob(".jobs*"))


def test_markers_tell_and_the_scheduler_is_asked_seldom(world):
    one = world("JOB=1:3", "x.JOB.log")
    one.after(1)
    one.mark(1, 2, 0)
    assert one.after(1) == {2: (0, "")}
    one.after(300)
    gaps = [later - earlier for earlier, later in zip(one.fake.asked, one.fake.asked[1:])]
    assert min(gaps) >= 5 and 30 in gaps and len(one.fake.asked) < 16
    one.mark(1, 1, 0)
    one.mark(1, 3, 9)
    assert one.after(1) == {1: (0, ""), 2: (0, ""), 3: (9, "")}
    asked = len(one.fake.asked)
    one.after(100)
    assert len(one.fake.asked) == asked


def test_a_marker_may_be_late(world):
    one = world("JOB=1:2", "x.JOB.log")
    one.after(1)
    one.fake.states = {("1", 1): DONE, ("1", 2): DONE}
    assert one.after(18) == {}
    one.mark(1, 1, 0)
    one.mark(1, 2, 3)
    assert one.after(1) == {1: (0, ""), 2: (3, "")}


def test_half_a_marker_is_none(world):
    one = world("x.log")
    one.after(1)
    folder = one.fake.submitted[0][0]
    (folder / "done.1.77.tmp").write_text("0\n")
    (folder / "done.\u00b2").write_text("0\n")
    (folder / "done.1").write_text("")
    assert one.after(2) == {}
    (folder / "done.1").write_text("5\n")
    assert one.after(1) == {1: (5, "")}


def test_a_job_that_vanished_is_told_with_the_schedulers_words(world, tmp_path):
    one = world("JOB=1:3", "log/x.JOB.log")
    one.after(1)
    (one.fake.submitted[0][0] / "output.1").write_text("python: not found\n")
    one.fake.states = {("1", 1): DONE, ("1", 2): CANCELLED}
    one.after(10)
    assert one.outcomes == {2: (None, f"Fake job 1.2 left no status; Fake says CANCELLED{AGAIN}")}
    one.after(40)
    said = "Fake says COMPLETED; it said: python: not found"
    assert one.outcomes[1] == (None, f"Fake job 1.1 left no status; {said}{AGAIN}")
    assert one.outcomes[3] == (None, f"Fake job 1.3 left no status; Fake says NODE_FAIL{AGAIN}")
    assert one.fake.explained == 1
    assert min(later - earlier for earlier, later in zip(one.fake.asked, one.fake.asked[1:])) >= 5
    log = (tmp_path / "log/x.2.log").read_text().splitlines()
    assert log[0] == "# p" and log[-1].startswith("# Ended (Fake job 1.2 left no status; Fake says CANCELLED) at ")


def test_what_was_too_little_is_told_with_the_option_that_gives_more(world):
    one = world("JOB=1:3", "x.JOB.log")
    one.fake.remedies = Slurm.remedies
    one.after(1)
    for place, words in enumerate(("TIMEOUT (TimeLimit)", "OUT_OF_MEMORY", "NODE_FAIL"), 1):
        one.fake.states["1", place] = State(True, words, sure=True)
    one.after(10)
    assert one.outcomes[1][1].endswith("TIMEOUT (TimeLimit); give it more by --time, then run the same command again")
    assert one.outcomes[2][1].endswith("OUT_OF_MEMORY; give it more by --mem, then run the same command again")
    assert one.outcomes[3][1].endswith(f"NODE_FAIL{AGAIN}")


def test_many_vanished_jobs_are_one_question(world):
    """With ask_seconds at its least, questions for states must not crowd out those for accounts."""
    one = world("JOB=1:3", "x.JOB.log")
    one.cluster._values["ask_seconds"] = 5.0
    one.after(1)
    one.fake.states = {}
    one.after(40)
    assert one.fake.explained == 1 and one.outcomes[1][1].endswith(f"Fake says NODE_FAIL{AGAIN}")
    assert one.outcomes[2] == (None, f"Fake job 1.2 left no status; Fake knows nothing of it any more{AGAIN}")


def test_tasks_that_are_not_listed_one_by_one(world):
    one = world("JOB=1:2", "x.JOB.log")
    one.after(1)
    one.fake.states = {("1", 1): RUNNING, ("1", 0): CANCELLED}
    assert one.after(30) == {2: (None, f"Fake job 1.2 left no status; Fake says CANCELLED{AGAIN}")}


def test_a_job_that_is_back_has_not_vanished(world):
    """Slurm takes what ran on a node that went down up again."""
    one = world("x.log")
    one.after(1)
    one.fake.states = {}
    one.after(10)
    one.fake.states = {("1", 1): State(False, "PENDING")}
    one.after(200)
    one.mark(1, 1, 0)
    assert one.after(1) == {1: (0, "")}


def test_a_scheduler_that_does_not_answer(world, capsys):
    one = world("x.log")
    one.after(1)
    one.fake.silent, one.fake.states = True, {}
    assert one.after(300) == {}
    assert capsys.readouterr().err == "run.py: Fake does not answer: fake: no answer; waiting\n"
    one.mark(1, 1, 0)
    assert one.after(1) == {1: (0, "")}


def test_held_jobs_are_told_once(world, capsys):
    one = world("JOB=1:2", "x.JOB.log")
    one.after(1)
    one.fake.states = dict.fromkeys(one.fake.states, _state("PENDING", "JobHeldUser"))
    one.after(100)
    assert capsys.readouterr().err == "run.py: Fake holds 2 jobs: PENDING (JobHeldUser); waiting\n"


def test_arrays_are_as_long_as_the_site_allows(world):
    one = world("--gpu", "2", "JOB=1:7", "x.JOB.log")
    one.after(30)
    assert [(count, at_once, flags) for _, count, at_once, flags in one.fake.submitted] == [
        (3, None, ["-g", "2"]), (3, None, ["-g", "2"]), (1, None, ["-g", "2"])]
    one.mark(3, 1, 4)
    assert one.after(1) == {7: (4, "")}


def test_a_limit_holds_over_several_arrays(world):
    one = world("--max-jobs-run", "2", "JOB=1:4", "x.JOB.log")
    one.after(20)
    assert [submitted[1:3] for submitted in one.fake.submitted] == [(3, 2)]
    for place in (1, 2, 3):
        one.mark(1, place, 0)
    one.after(20)
    assert [submitted[1:3] for submitted in one.fake.submitted] == [(3, 2), (1, 2)]


def test_a_folder_that_cannot_be_seen_for_a_while(world):
    one = world("x.log")
    one.after(1)
    folder = one.fake.submitted[0][0]
    folder.rename(folder.with_name("away"))
    assert one.after(30) == {}
    folder.with_name("away").rename(folder)
    one.mark(1, 1, 0)
    assert one.after(1) == {1: (0, "")}


def test_logs_of_earlier_runs_tell_nothing(world, tmp_path):
    (tmp_path / "x.1.log").write_text("# Ended (code 0)\n")
    world("JOB=1:2", "x.JOB.log").after(1)
    assert not (tmp_path / "x.1.log").exists()


@pytest.mark.parametrize("log, name", [
    ("a/mix.JOB.log", "mix"), ("train.log", "train"), ("1.JOB.log", "job1"), ("a b;c.JOB.log", "a-b-c"),
    ("JOB.log", "job"),
])
def test_names_of_jobs(log, name):
    found = job_name(parse(["JOB=1:2", log, "p"]) if "JOB" in log else parse([log, "p"]))
    assert found[:-9] == name and found[-9] == "-"


# ---------------------------------------------------------------- what the programs of schedulers print
@pytest.fixture
def programs(tmp_path, monkeypatch):
    """``programs(name=script)``: on PATH."""
    def make(**scripts):
        for name, script in scripts.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "s.conf").write_text("command submit --site\n")
    return make


def settings(tmp_path):
    from utils.jobs.settings import read_settings

    return read_settings(str(tmp_path / "s.conf"))


def test_words_for_slurm(tmp_path, programs, monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "1")
    programs(submit='echo "$SLURM_MEM_PER_CPU|$*" >told; echo "71;cluster"',
             squeue="printf '71|%s\\n' '1|RUNNING|None' '2|PENDING|JobHeldUser' '3|TIMEOUT|Limit' 'N/A|CANCELLED|None'")
    monkeypatch.chdir(tmp_path)
    slurm = Slurm(settings(tmp_path))
    assert slurm.submit("job.sh", "mix-1", 8, 2, ["--mem", "1G"]) == "71"
    told = (tmp_path / "told").read_text()
    assert told.startswith("|--site --mem 1G --parsable --job-name=mix-1 --array=1-8%2 ") and told.endswith(" job.sh\n")
    states = slurm.ask("mix-1")
    assert states[("71", 1)] == RUNNING and states[("71", 2)].held and len(states) == 4
    assert states[("71", 3)] == State(True, "TIMEOUT (Limit)", True) and states[("71", 0)] == CANCELLED
    assert slurm.explain([("71", 1)]) == {}
    programs(sacct="echo '71_1|CANCELLED by 1000'; echo '71_2|NODE_FAIL'")
    assert slurm.explain([("71", 1)])["71", 1] == State(True, "CANCELLED by 1000", True, True)


def test_slurm_that_is_busy_is_tried_again(tmp_path, programs, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("utils.jobs.slurm.time.sleep", lambda seconds: None)
    busy = "[ -e tried ] && { echo 5; exit; }; touch tried; echo 'Socket timed out on send' >&2; exit 1"
    programs(submit=busy, squeue="echo 'Unable to contact controller' >&2; exit 1")
    slurm = Slurm(settings(tmp_path))
    assert slurm.submit("job.sh", "mix-1", 1, None, []) == "5"
    # what was accepted all the same does not run twice
    (tmp_path / "tried").unlink()
    programs(squeue="echo '5|1|RUNNING|None'; echo '6|1|RUNNING|None'")
    assert slurm.submit("job.sh", "mix-1", 1, None, []) == "6"
    programs(submit="echo 'sbatch: error: invalid partition' >&2; exit 1")
    with pytest.raises(JobError, match="submit: sbatch: error: invalid partition"):
        Slurm(settings(tmp_path)).submit("job.sh", "mix-1", 1, None, [])


@pytest.mark.parametrize("command, says", [
    ("no-sbatch",
     "run.py: no-sbatch: No such file or directory; --backend slurm needs the scheduler's programs on PATH\n"),
    ("sh -c 'echo no such partition >&2; exit 1'", "run.py: sh: no such partition\n"),
])
def test_a_scheduler_that_takes_nothing(tmp_path, command, says):
    (tmp_path / "s.conf").write_text(f"command {command}\n")
    words = [sys.executable, ROOT / "utils/run.py", "--backend", "slurm", "--config", "s.conf", "x.log", "p"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == says
    assert [path.name for path in tmp_path.iterdir()] == ["s.conf"]


ENTRY = """<job_list state="{}"><JB_job_number>{}</JB_job_number><JAT_prio>0.5</JAT_prio><JB_name>{}</JB_name>
<state>{}</state><slots>1</slots><tasks>{}</tasks></job_list>"""
QSTAT = "\n".join([
    "<?xml version='1.0'?><job_info><queue_info>", ENTRY.format("running", 8, "mix-1", "r", "2"),
    ENTRY.format("running", 9, "other", "r", "1"), "</queue_info><job_info>",
    ENTRY.format("pending", 8, "mix-1", "qw", "5-9:2,12"), ENTRY.format("pending", 8, "mix-1", "Eqw", "3"),
    "</job_info></job_info>",
])
QACCT = "====\\nqname test\\ntaskid 2\\ndeleted_by root@vm\\nexit_status 137\\nfailed 100 : after job\\nmaxvmem 1.5G\\n"


def test_words_for_grid_engine(tmp_path, programs, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qstat.xml").write_text(QSTAT)
    programs(submit='echo "$*" >told; echo "8.1-12:1"', qstat=f"cat {tmp_path}/qstat.xml", qacct=f'printf "{QACCT}"')
    sge = Sge(settings(tmp_path))
    assert sge.submit("job.sh", "mix-1", 12, 2, ["-l", "gpu=1"]) == "8"
    assert (tmp_path / "told").read_text() == "--site -l gpu=1 -terse -N mix-1 -t 1-12 -tc 2 -j y -o /dev/null job.sh\n"
    states = sge.ask("mix-1")
    assert sorted(place for job, place in states if job == "8") == [2, 3, 5, 7, 9, 12] and len(states) == 6
    assert states[("8", 3)].over and not states[("8", 5)].over
    said = sge.explain([("8", 2)])["8", 2]
    assert said.words == "exit_status 137, failed 100 : after job, maxvmem 1.5G, deleted by root@vm" and said.final
