"""Jobs on this machine: logs, exit statuses, retries, signals, and no process that outlives them."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "utils/run.py"


def run(tmp_path, *arguments):
    return subprocess.run([sys.executable, RUN, *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True)


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def test_jobs_have_a_log_each(tmp_path):
    done = run(tmp_path, "--mem", "1G", "JOB=1:3", "log/x.JOB.log", "sh", "-c", "echo this is job JOB; printf err >&2")
    assert done.returncode == 0 and done.stdout == "" and done.stderr == ""
    for job in (1, 2, 3):
        lines = (tmp_path / f"log/x.{job}.log").read_text().splitlines()
        assert lines[0].startswith("# sh -c") and f"job {job}" in lines[0]
        assert lines[1].startswith("# Started at 2") and lines[1].endswith(f" on {os.uname().nodename}")
        assert lines[2:4] == [f"this is job {job}", "err"]
        assert lines[4].startswith("# Ended (code 0) at 2") and lines[4].endswith(" s") and len(lines) == 5


def test_failed_jobs_are_reported(tmp_path):
    done = run(tmp_path, "J=1:4", "x.J.log", "sh", "-c", "echo trouble in J; exit $((J % 2))")
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["trouble in 1", "run.py: 2 of 4 jobs failed, log is in x.1.log"]
    assert "code 1" in (tmp_path / "x.3.log").read_text() and "code 0" in (tmp_path / "x.2.log").read_text()


def test_the_last_lines_of_a_failed_log(tmp_path):
    done = run(tmp_path, "x.log", "sh", "-c", r"seq 30; printf 'mixing:  40%%|##\rerror: y\n'; exit 7")
    assert done.stderr.splitlines() == [
        *map(str, range(22, 31)),
        "error: y",
        "run.py: 1 of 1 jobs failed, log is in x.log",
    ]
    assert "# Ended (code 7)" in (tmp_path / "x.log").read_text()


@pytest.mark.parametrize(
    "command, says, words",
    [
        (["no-such-program"], "code 127", "no-such-program: No such file or directory"),
        (["/etc/passwd"], "code 126", "/etc/passwd: Permission denied"),
        (["sh", "-c", "kill -9 $$"], "code 137: SIGKILL", "x.log: killed (SIGKILL)"),
        (["sh", "-c", "kill -TERM $$"], "code 143: SIGTERM", "1 of 1 jobs failed"),
    ],
)
def test_ways_to_fail(tmp_path, command, says, words):
    done = run(tmp_path, "x.log", *command)
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr
    assert f"# Ended ({says}) at" in (tmp_path / "x.log").read_text()


def test_a_log_that_cannot_be_written(tmp_path):
    (tmp_path / "x.log").mkdir()
    done = run(tmp_path, "x.log", "true")
    assert done.returncode == 1 and done.stderr.splitlines()[0] == "x.log: cannot be written: Is a directory"


@pytest.mark.parametrize("place", ["JOBS/mix", "a/JOB/mix", "sp ace/ü"])
def test_folders_of_the_user_do_not_change(tmp_path, place):
    code = "import sys; open(sys.argv[1] + '/' + sys.argv[2].replace('/', '.'), 'x')"
    done = run(tmp_path, "--mark", 1, "JOB=1:2", f"{place}/log.JOB.txt", sys.executable, "-c", code, place, "JOB/2")
    assert done.returncode == 0, done.stderr
    made = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(map(str, made)) == [f"{place}/{name}" for name in ("1.2", "2.2", "log.1.txt", "log.2.txt")]


WORDS = ["a b", "it's", '"', "$(touch evil)", "; touch evil", "two\nlines", "\\n", "*", "", "é", "x\udcffy"]


def test_words_arrive_as_they_are(tmp_path):
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    done = run(tmp_path, "x.log", sys.executable, "-c", code, *WORDS)
    lines = (tmp_path / "x.log").read_text(errors="surrogateescape").splitlines()
    assert done.returncode == 0 and not (tmp_path / "evil").exists()
    assert json.loads(lines[2]) == WORDS and len(lines) == 4


def test_jobs_run_side_by_side_up_to_the_limit(tmp_path):
    begun = time.monotonic()
    assert run(tmp_path, "--max-jobs-run", 4, "JOB=1:4", "x.JOB.log", "sleep", 1.5).returncode == 0
    assert time.monotonic() - begun < 4 * 1.5
    begun = time.monotonic()
    assert run(tmp_path, "--max-jobs-run", 1, "JOB=1:3", "x.JOB.log", "sleep", 0.4).returncode == 0
    assert time.monotonic() - begun > 1.2


def test_the_next_job_begins_when_one_has_ended(tmp_path):
    """Ten in turn: waiting for a clock in place of the end would take seconds."""
    begun = time.monotonic()
    assert run(tmp_path, "--max-jobs-run", 1, "JOB=1:10", "x.JOB.log", "sleep", 0.05).returncode == 0
    assert time.monotonic() - begun < 8


def test_failed_jobs_are_run_again(tmp_path):
    script = "echo try; [ -e done.JOB ] || { touch done.JOB; exit $((JOB % 2)); }"
    done = run(tmp_path, "--retries", 1, "JOB=1:3", "x.JOB.log", "sh", "-c", script)
    assert done.returncode == 0 and done.stderr == ""
    first, second = [(tmp_path / f"x.{job}.log").read_text() for job in (1, 2)]
    assert (
        first.count("try\n") == 2
        and "attempt 2" in first
        and "(code 1)" in first
        and "(code 0)" in first.splitlines()[-1]
    )
    assert second.count("try\n") == 1
    done = run(tmp_path, "--retries", 2, "y.log", "sh", "-c", "exit 4")
    assert done.returncode == 1 and (tmp_path / "y.log").read_text().count("(code 4)") == 3
    # another attempt would overwrite nothing but its own log
    assert run(tmp_path, "y.log", "true").returncode == 0 and (tmp_path / "y.log").read_text().count("# Ended") == 1


# ---------------------------------------------------------------- signals
# a job with a child, and one in a session of its own
FAMILY = "echo $$ >>pids; (setsid sh -c 'echo $$ >>pids; exec sleep 300' &) ; sleep 300 & echo $! >>pids; wait"
# which ignores the polite signal
STUBBORN = FAMILY.replace("sh -c '", 'sh -c \'trap "" TERM; ')


def started(tmp_path, *options, prefix=(), jobs=2, job=FAMILY):
    """run.py with jobs that each have three processes, once these are there: (it, their numbers)."""
    command = [*prefix, sys.executable, str(RUN), *options, f"JOB=1:{jobs}", "x.JOB.log", "sh", "-c", job]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE, text=True)
    pids = tmp_path / "pids"
    until(lambda: pids.exists() and len(pids.read_text().split()) == 3 * jobs)
    return process, [int(pid) for pid in pids.read_text().split()]


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def no_orphans():
    pids = []
    yield pids
    left = [pid for pid in pids if lives(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_that_was_started(tmp_path, no_orphans, number):
    job = STUBBORN if number == signal.SIGTERM else FAMILY
    process, pids = started(tmp_path, "--max-jobs-run", "2", job=job)
    no_orphans += pids
    process.send_signal(number)
    assert process.wait(20) == -number
    # when it has ended, so has all else: the next run finds nobody in its folders
    assert not any(map(lives, pids))
    assert (tmp_path / "x.1.log").read_text().splitlines()[-1].startswith(f"# Ended (cancelled by {number.name}) at ")
    assert process.stderr.read() == ""


@pytest.mark.parametrize("whole_group", [False, True])
def test_nothing_outlives_a_killed_run(tmp_path, no_orphans, whole_group):
    process, pids = started(tmp_path, "--max-jobs-run", "2")
    no_orphans += pids
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    until(lambda: not any(map(lives, pids)), 5)


def test_a_killed_watcher_ends_nothing(tmp_path):
    """Who kills all processes of a user that are not his own may kill it alone."""
    command = [sys.executable, str(RUN), "x.log", "sh", "-c", "touch begun; until [ -e end ]; do sleep 0.05; done"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def watchers():
        return [pid for pid in children.read_text().split() if os.readlink(f"/proc/{pid}/cwd") == "/"]

    until(lambda: (tmp_path / "begun").exists() and watchers())
    os.kill(int(watchers()[0]), signal.SIGKILL)
    (tmp_path / "end").touch()
    assert process.communicate(timeout=20)[1] == "" and process.returncode == 0


def test_jobs_keep_the_locks_of_their_caller(tmp_path):
    """A folder that a run locked is not filled by two, where a job outlives the run by a moment."""
    command = shlex.join([sys.executable, str(RUN), "x.log", "readlink", "/proc/self/fd/9"])
    subprocess.run(["bash", "-c", f"exec 9<>lock; {command}"], cwd=tmp_path, check=True)
    assert f"{tmp_path}/lock\n" in (tmp_path / "x.log").read_text()


def test_it_ends_with_its_parent(tmp_path, no_orphans):
    shell = ["bash", "-c", '"$@"; true', "bash"]
    process, pids = started(tmp_path, "--end-with-parent", "--max-jobs-run", "2", prefix=shell)
    no_orphans += pids
    process.kill()
    process.wait()
    until(lambda: not any(map(lives, pids)), 15)
    until(lambda: "cancelled by SIGTERM" in (tmp_path / "x.1.log").read_text(), 5)


def test_signals_that_the_caller_ignores_stay_ignored(tmp_path):
    command = shlex.join([sys.executable, str(RUN), "x.log", "sh", "-c", "echo ready; sleep 1"])
    process = subprocess.Popen(["bash", "-c", f"trap '' HUP; exec {command}"], cwd=tmp_path)
    until(lambda: (tmp_path / "x.log").exists() and "ready" in (tmp_path / "x.log").read_text())
    process.send_signal(signal.SIGHUP)
    assert process.wait(20) == 0


def test_a_job_takes_what_it_started_along(tmp_path, no_orphans):
    done = run(tmp_path, "x.log", "sh", "-c", "sleep 300 & echo $!; exit 3")
    no_orphans.append(int((tmp_path / "x.log").read_text().splitlines()[2]))
    assert done.returncode == 1
    until(lambda: not lives(no_orphans[0]), 5)


def test_what_a_job_left_may_clean_up(tmp_path):
    """As the process of Python that removes semaphores; the last line of the log is the status."""
    done = run(tmp_path, "x.log", "sh", "-c", "(sleep 0.3; echo cleaned) & exit 0")
    lines = (tmp_path / "x.log").read_text().splitlines()
    assert done.returncode == 0 and lines[2] == "cleaned"
    assert lines[3].startswith("# Ended (code 0)") and len(lines) == 4


def test_a_run_within_a_run(tmp_path, no_orphans):
    inner = [sys.executable, str(RUN), "inner.log", "sh", "-c", FAMILY]
    process = subprocess.Popen([sys.executable, str(RUN), "outer.log", *inner], cwd=tmp_path)
    pids = tmp_path / "pids"
    until(lambda: pids.exists() and len(pids.read_text().split()) == 3)
    no_orphans += map(int, pids.read_text().split())
    process.terminate()
    assert process.wait(20) == -signal.SIGTERM
    assert not any(map(lives, no_orphans))
