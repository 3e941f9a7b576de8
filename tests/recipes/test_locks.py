"""Locks of folders, utils/locks.sh: who is alone, who waits, who is told what, with flock and without."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCED = f"""
set -euo pipefail
shopt -s inherit_errexit
. {ROOT}/utils/options.sh
. {ROOT}/utils/locks.sh
recipe=toy seconds_to_end=0
trap release_owners EXIT
mkdir -p a b
"""
WITHOUT = "flock_works=false\n"


def start(folder, body):
    pipe = subprocess.PIPE
    command = ["bash", "-c", SOURCED + body]
    return subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture
def shell(tmp_path):
    """``shell('lock_run a; ..')`` runs to its end, ``shell(.., wait=False)`` until it says ``ready``."""
    started = []

    def run(body, wait=True):
        process = start(tmp_path, body)
        started.append(process)
        if not wait:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            return process
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    yield run
    for process in started:
        process.kill()
        process.communicate()


HOLD = "lock_run a; echo ready; read -r _"


@pytest.mark.parametrize("how", ["", WITHOUT])
def test_a_second_run_is_told_of_the_first(shell, how):
    first = shell(how + HOLD, wait=False)
    status, _, err = shell(how + HOLD)
    assert status == 2 and err.count("\n") == 1
    assert err.startswith(f"toy/run.sh: a: in use by process {first.pid} since 2")
    assert err.endswith(f"; wait until it has ended, or end it: kill {first.pid}\n")
    first.communicate("go\n")
    assert shell(how + "lock_run a")[0] == 0


@pytest.mark.parametrize("how", ["", WITHOUT])
def test_the_lock_of_a_process_that_was_killed_is_taken_over(shell, how):
    first = shell(how + HOLD, wait=False)
    first.kill()
    first.wait()
    assert shell(how + "lock_run a")[::2] == (0, "")


def test_jobs_that_outlived_their_run_are_named(shell, tmp_path):
    first = shell("lock_run a; sleep 100 & echo $! >job; echo ready; read -r _", wait=False)
    first.kill()
    first.wait()
    status, _, err = shell(HOLD)
    found = err.partition("end it: kill ")[2].strip()
    assert status == 2 and err == (
        f"toy/run.sh: a: in use by process {found}, a job whose run was killed; wait until it has ended, or end it: "
        f"kill {found}\n"
    )
    assert found == (tmp_path / "job").read_text().strip()
    os.kill(int(found), signal.SIGKILL)
    time.sleep(0.2)
    assert shell("lock_run a")[0] == 0


def test_what_another_host_left_is_for_the_user_to_judge(shell, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/.owner").write_text("node7 123 2026-01-02 03:04:05\n")
    status, _, err = shell(WITHOUT + "lock_run a")
    assert status == 2 and err == (
        "toy/run.sh: a: in use by process 123 of node7 since 2026-01-02 03:04:05; wait until it has ended, or end it "
        "there; if it no longer runs, delete a/.owner\n"
    )
    # flock knows better than a note
    (tmp_path / "a/.lock").write_text("node7 123 2026-01-02 03:04:05\n")
    assert shell("lock_run a")[0] == 0
    assert (tmp_path / "a/.lock").read_text().startswith(f"{socket.gethostname()} ")


def test_a_file_system_without_locks(shell, tmp_path):
    """flock ends with 69 where the system refuses it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/flock").write_text("#!/bin/sh\nexit 69\n")
    (tmp_path / "bin/flock").chmod(0o755)
    without = f"PATH={tmp_path}/bin:$PATH\n"
    first = shell(without + HOLD, wait=False)
    assert (tmp_path / "a/.owner").is_file()
    assert "in use by process" in shell(without + "lock_run a")[2]
    first.communicate("go\n")
    assert not (tmp_path / "a/.owner").exists()


@pytest.mark.parametrize("how", ["", WITHOUT])
def test_a_reader_waits_for_who_fills(shell, tmp_path, how):
    filled = "lock a; lock_to_fill a; echo ready; read -r _; "
    first = shell(how + filled + "lock_to_read a; echo ready; read -r _", wait=False)
    second = start(tmp_path, how + "lock a; lock_to_read a; echo mine; read -r _")
    assert f"a: waiting for process {first.pid} since" in second.stdout.readline()
    first.stdin.write("go\n")
    first.stdin.flush()
    assert first.stdout.readline() == "ready\n" and second.stdout.readline() == "mine\n"
    if not how:
        # both read: nobody makes it again
        third = shell("lock a; lock_to_fill a")
        assert third[0] == 2 and "a: in use by process" in third[2]
    second.communicate("go\n")
    first.communicate("go\n")
    assert shell(how + "lock a; lock_to_fill a")[0] == 0


def test_who_fills_another_folder_does_not_wait(shell):
    shell("lock a; lock_to_fill a; echo ready; read -r _", wait=False)
    status, _, err = shell("lock b; lock_to_fill b; lock a")
    assert status == 2 and "a: in use by process" in err and err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else_is_read_without_a_lock(shell, tmp_path):
    (tmp_path / "a").mkdir(mode=0o555)
    assert shell("lock_to_read a")[::2] == (0, "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_lock_of_somebody_else_in_a_folder_of_several_users(shell, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/.lock").touch(mode=0o444)
    first = shell(HOLD, wait=False)
    status, _, err = shell("lock_run a")
    assert status == 2 and err.count("\n") == 1
    assert err.startswith(f"toy/run.sh: a: in use by process {first.pid}; wait")
    first.communicate("go\n")
    assert shell("lock_run a")[::2] == (0, "")
    # in a folder to read alone, runs do not keep each other out
    (tmp_path / "a").chmod(0o555)
    first = shell("lock a; echo ready; read -r _", wait=False)
    assert shell("lock a; lock_to_read a")[::2] == (0, "")
