"""Where nodes meet, what is said of processes that died, and one checkpoint for all."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.train.rendezvous import ADDRESS, meeting_point

ROOT = Path(__file__).resolve().parents[2]


def test_the_first_writes_an_address_and_the_others_read_it(tmp_path):
    path = tmp_path / "new" / "rendezvous"
    with meeting_point(path) as (address, first):
        assert first and ADDRESS.fullmatch(address) and path.read_text().strip() == address
        with meeting_point(path) as (other, second):
            assert other == address and not second
        # who leaves takes it away, for all leave together; nothing else is left
        assert not path.exists()
        path.write_text("elsewhere:7\n")
    assert path.read_text() == "elsewhere:7\n" and [entry.name for entry in path.parent.iterdir()] == ["rendezvous"]


def test_an_address_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with meeting_point("node-3.cluster:29400") as found:
        assert found == ("node-3.cluster:29400", None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "a b:1", "host:port", "host", "x" * 500])
def test_a_file_of_something_else_is_refused_and_left(tmp_path, content):
    path = tmp_path / "file"
    path.write_text(content)
    words = "expected HOST:PORT in it, got '.{0,40}'; name a new file"
    with pytest.raises(ContrasepError, match=words), meeting_point(path):
        pass
    assert path.read_text() == content


def test_links_are_not_followed_and_folders_are_reported(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(ContrasepError, match="--rendezvous .*link"), meeting_point(link):
        pass
    assert not target.exists()
    with pytest.raises(ContrasepError, match="a file that can be written"), meeting_point(tmp_path):
        pass


def reason(task, folder, code, *words):
    """What is said where processes left these words, the first first."""
    from contrasep_lib.train.processes import _reason

    for rank, text in enumerate(words):
        path = folder / str(rank) / "error.json"
        path.parent.mkdir()
        path.write_text(text if text.startswith("{") else json.dumps(
            {"message": {"message": text, "extraInfo": {"py_callstack": f"Traceback of {text}", "timestamp": "1"}}}
        ))
        os.utime(path, (rank, rank))
    return _reason(folder, code)


def test_the_cause_is_told_and_not_its_consequences(task, tmp_path):
    lost = "RuntimeError: [pair.cc:534] Connection closed by peer [10.0.0.1]:5"
    cases = (
        ((1, lost, "ContrasepError: the loss is nan"), ContrasepError, "^the loss is nan$"),
        ((1, lost, "KeyError: 'x'"), RuntimeError, "Traceback of KeyError"),
        ((-signal.SIGKILL, lost), ContrasepError, "ended by SIGKILL, out of memory.* goes on from the last checkpoint"),
        ((-signal.SIGTERM,), ContrasepError, "ended by SIGTERM, and with it all others"),
        ((1, lost, "DistBackendError: NCCL error in: x"), ContrasepError, "another training process was lost"),
        ((-signal.SIGKILL, "ConnectionResetError: [Errno 104] Connection reset by peer"), ContrasepError, "by SIGKILL"),
        ((1, "OSError: [Errno 28] No space left on device: 'gloo.pth'", lost), OSError, "No space left on device"),
        ((1, '{"message": {"mess'), ContrasepError, "another training process was lost"),
    )
    for number, (given, kind, words) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        error = reason(task, folder, *given)
        assert type(error) is kind
        with pytest.raises(kind, match=words):
            raise error


def test_processes_wait_for_the_checkpoint_that_the_first_one_has(task, tmp_path, monkeypatch):
    from contrasep_lib.train import agreement

    checkpoint, seen = tmp_path / "checkpoint.pth", []
    monkeypatch.setattr(agreement, "STEP", 0.01)
    monkeypatch.setattr(agreement, "LATEST", 0.05)
    monkeypatch.setattr(agreement, "of_first", lambda value: seen.append(value) or 3)
    # the file system shows it late
    monkeypatch.setattr(agreement.time, "sleep", lambda _: checkpoint.touch())
    agreement.seen_by_all(checkpoint)
    assert checkpoint.exists() and seen == [False]
    epochs = iter([1, 2, 3])
    assert agreement.of_one_epoch(lambda: {"reporter": {"epoch": next(epochs)}})["reporter"]["epoch"] == 3
    monkeypatch.undo()
    monkeypatch.setattr(agreement, "LATEST", 0.05)
    monkeypatch.setattr(agreement, "of_first", lambda value: 0)
    with pytest.raises(ContrasepError, match=r"checkpoint.pth: expected none here, .* got one; all nodes have to see"):
        agreement.seen_by_all(checkpoint)
    with pytest.raises(ContrasepError, match="expected that of epoch 0, .* got epoch 4"):
        agreement.of_one_epoch(lambda: {"reporter": {"epoch": 4}})


@pytest.mark.parametrize("nodes", [1, 3])
def test_a_stage_starts_a_job_for_each_node(nodes):
    script = """
        set -euo pipefail
        num_nodes=$1 nj=2 ngpu=4 model=exp/a dumpdir=dump settings=(--config c.yaml)
        job() { printf '%s\\n' "$@"; }
        train_cmd=job
        . utils/stages_model.sh
        train_phase finetune tr cv --init-param m.pth
    """
    started = ["bash", "-c", script, "bash", str(nodes)]
    words = subprocess.run(started, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    command = words.index("contrasep")
    options, log, rest = words[: command - 1], words[command - 1], words[command:]
    assert options[:4] == ["--gpu", "4", "--num-threads", "2"] and rest[-2:] == ["--init-param", "m.pth"]
    if nodes == 1:
        assert len(options) == 4 and log == "exp/a/finetune/log/train.log" and "--num-nodes" not in rest
        return
    assert options[4:] == ["--max-jobs-run", "3", "--retries", "0", "--mark", "0", "JOB=1:3"]
    assert log == "exp/a/finetune/log/train.JOB.log"
    assert rest[rest.index("--num-nodes") + 1] == "3"
    assert rest[rest.index("--rendezvous") + 1].startswith("exp/a/finetune/log/rendezvous.")
