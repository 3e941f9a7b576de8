"""One program at a time in a folder."""

import os
import signal
import subprocess
import sys

import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.lock import alone_in

HOLD = """
import sys
from contrasep_lib.io.lock import alone_in
with alone_in(sys.argv[1], together="together" in sys.argv):
    print("ready", flush=True)
    input()
"""


def test_another_program_is_named_and_its_death_frees_the_folder(tmp_path):
    folder = tmp_path / "exp"
    program = [sys.executable, "-c", HOLD, folder]
    other = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "ready\n"
        words = rf"exp: in use by process {other.pid} of \S+ since .*; wait until it has ended, or end it"
        with pytest.raises(ContrasepError, match=words), alone_in(folder, patience=0.1):
            pass
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.communicate()
    with alone_in(folder, patience=0.1):
        pass
    with alone_in(folder, patience=0.1):
        pass


def test_nodes_of_one_training_share_a_folder_and_keep_others_out(tmp_path):
    program = [sys.executable, "-c", HOLD, tmp_path, "together"]
    other = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "ready\n"
        with alone_in(tmp_path, patience=0.1, together=True):
            pass
        with pytest.raises(ContrasepError, match="in use by process"), alone_in(tmp_path, patience=0.1):
            pass
    finally:
        other.communicate("\n")
    with alone_in(tmp_path, patience=0.1), pytest.raises(ContrasepError), alone_in(tmp_path, 0.1, together=True):
        pass
