"""Schedulers of one node, tools/cluster: what a start that fails leaves, and whose folders are taken."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

def slurm(folder, *words):
    environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
    command = [ROOT / "tools/cluster/slurm_node.sh", *words, "--dir", folder / "node"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def programs(tmp_path):
    """``programs(slurmd='exit 5')``: stand-ins for Slurm's, on PATH."""
    (tmp_path / "bin").mkdir()

    def make(**scripts):
        for name, text in scripts.items():
            path = tmp_path / "bin" / name
            path.write_text(f"#!/bin/bash\n{text}\n")
            path.chmod(0o755)

    return make


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_start_that_fails_ends_what_it_started(programs, tmp_path):
    daemon = """
        cp "$(command -v sleep)" {0}/{1}d
        {0}/{1}d 100 </dev/null >/dev/null 2>&1 &
        echo $! | tee -a {0}/pids >{0}/node/{1}d.pid
    """
    programs(
        munged=daemon.format(tmp_path, "munge"), slurmctld=daemon.format(tmp_path, "slurmctl"), slurmd="exit 5",
        sinfo="exit 1", scancel="exit 1", sbatch="exit 1",
    )
    done = slurm(tmp_path, "start")
    pids = (tmp_path / "pids").read_text().split()
    assert done.returncode == 5 and done.stdout == "" and len(pids) == 2
    assert not any(map(lives, pids))
    assert slurm(tmp_path, "status").returncode == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_folder_of_somebody_else_is_not_used(tmp_path):
    (tmp_path / "node").mkdir()
    os.chown(tmp_path / "node", 12345, 12345)
    done = slurm(tmp_path, "start")
    assert done.returncode == 2 and done.stderr.endswith("node: belongs to somebody else; name another folder\n")
