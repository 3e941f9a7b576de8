"""Work on several processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import time
from concurrent.futures import ProcessPoolExecutor
from contrasep_lib.io.parallel import spawning

def work(number):
    print(number, flush=True)
    time.sleep(60)

if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=spawning()) as pool:
        list(pool.map(work, (1, 2, 3)))
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="signals a group of processes as the scripts do")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_without_a_word(number, tmp_path):
    """The tracker of semaphores outlives the signal; it has nothing to say."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline().strip() in "12"
        os.killpg(process.pid, number)
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == -number and "resource_tracker" not in said and "Traceback" not in said
