"""What tests of training share: a tiny configuration, and how results compare."""

import contextlib
import time

import torch

from contrasep_lib.models.checkpoint import read_model, read_states

TREE = {
    "features": {"win": 64, "hop": 32},
    "model": {"backbone": {"name": "blstm", "layers": 1, "width": 6, "dropout": 0.1}, "embedding_dim": 4},
    "finetune": {
        "data": "dynamic", "num_spk": [1, 2], "segment_seconds": 0.2, "batch_size": 4, "batches_per_epoch": 4,
        "epochs": 4, "accumulate": 2, "ema_decay": 0.9, "average": 2, "num_workers": 0, "speed": [0.9, 1.0],
        "probe": 0,
        "scheduler": "warmuplr", "scheduler_conf": {"warmup_steps": 3},
    },
}


def statistics(folder):
    from contrasep_lib.train.session import SAFE

    return read_states(folder / "checkpoint.pth", safe=SAFE)["reporter"]["stats"]


def losses(folder):
    stats = statistics(folder)
    return {(epoch, part): float(parts[part]["loss"]) for epoch, parts in stats.items() for part in parts}


def assert_same_result(folder, other):
    assert losses(folder) == losses(other)
    this, that = (read_model(f / "model.pth")["state"] for f in (folder, other))
    assert this.keys() == that.keys() and all(torch.equal(this[name], that[name]) for name in this)


def alive(pid):
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, process):
    """Until it holds, or the process (a thread, a program) has ended; two minutes at most."""
    runs = process.is_alive if hasattr(process, "is_alive") else lambda: process.poll() is None
    limit = time.monotonic() + 120
    while not condition() and runs():
        if time.monotonic() > limit:
            raise AssertionError("nothing happened")
        time.sleep(0.005)


def ranks_of(server):
    """Training processes that a launcher's server of forks has started."""
    with open(f"/proc/{server}/task/{server}/children") as file:
        return [int(word) for word in file.read().split()]


def descendants(pid):
    """All processes below one."""
    below = []
    with contextlib.suppress(FileNotFoundError):
        for child in ranks_of(pid):
            below += [child, *descendants(child)]
    return below


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
