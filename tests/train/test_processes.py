"""Several training processes, of one node and of two, learn what one does, and end together."""

import functools
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import forkserver

import pytest
import torch
import yaml

from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.checkpoint import read_model
from tests.train.running import TREE, alive, assert_same_result, descendants, losses, ranks_of, statistics, wait_for

# a batch of five is two items and three
COMMON = {
    "batch_size": 5, "batches_per_epoch": 2, "valid_batches": 2, "epochs": 2, "learning_rate": 0.01, "ema_decay": 0.5,
    "average": 1,
}
SINGLE = {**COMMON, "data": "single"}
MIXED = {
    **COMMON, "num_spk": [1, 2, 3], "optim": "muon", "probe": 3, "best": "si_snri", "best_mode": "max",
    "noise": {"kinds": ["white"], "probability": 0.7},
}
CONTRASTIVE = {"dropout": 0.0, "objectives": {"nt_xent": 1.0, "supcon": 1.0, "deep_clustering": 0.5}, "projection": 4}
DECODER = {
    "name": "dual_path", "dropout": 0.0, "band": 8, "counter": "classifier",
    "decoder": {"name": "attractor", "layers": 1, "width": 4, "noise": True},
    "objectives": {
        "deep_clustering": 1.0, "whitened_deep_clustering": 0.1, "si_snr": {"weight": 0.1, "share": 0.5}, "count": 0.1,
        "supcon": 0.2, "slots": 0.2, "gap": 0.2,
    },
}


@pytest.fixture(scope="module")
def two(task, phase):
    """Folder of a finetuning by two processes."""
    return task.train(phase("two", DECODER, processes=2, **MIXED)).parent


def assert_alike(folder, other, names):
    """The same losses within 1e-3, and the same weights."""
    for epoch in (1, 2):
        for part in ("train", "valid"):
            this, that = statistics(folder)[epoch][part], statistics(other)[epoch][part]
            assert {name: float(this[name]) for name in names} == pytest.approx(
                {name: float(that[name]) for name in names}, abs=1e-3
            ), (epoch, part)
    assert abs(losses(folder)[1, "train"] - losses(folder)[2, "train"]) > 2e-3
    this, that = (read_model(path / "model.pth")["state"] for path in (folder, other))
    differences = torch.cat([(this[name] - that[name]).flatten() for name in this]).abs()
    # some weights have no gradient but that of rounding, which Adam makes a step of
    assert differences.max() < 5e-3 and differences.mean() < 5e-5


def test_pretraining_with_negatives_of_both_processes_is_that_of_one(task, phase):
    one, both = (
        task.train(phase(f"single{count}", CONTRASTIVE, processes=count, **SINGLE)).parent for count in (1, 2)
    )
    assert_alike(both, one, ("loss", "nt_xent", "supcon", "deep_clustering"))
    log = (both / "train.log").read_text()
    assert "train: batches of 5 items, 2 to 3 for each of 2 training processes" in log
    assert log.count("epoch 1/2 in validation") == 1


def test_finetuning_with_every_objective_is_that_of_one(task, phase, two):
    one = task.train(phase("one", DECODER, **MIXED)).parent
    assert_alike(two, one, ("loss", "within", "between", "counted", "noise_snr", *DECODER["objectives"]))
    values = [float(statistics(folder)[2]["valid"]["si_snri"]) for folder in (one, two)]
    assert values[0] == pytest.approx(values[1], abs=0.05)


def test_a_training_of_one_process_goes_on_in_two(task, phase):
    objectives = {"supcon": 0.5, "deep_clustering": 1.0, "si_snr": 0.1, "count": 0.1}
    model = {**DECODER, "negatives": "batch", "objectives": objectives}
    one = task.train(phase("batch", model, **MIXED)).parent
    first = task.train(phase("grows", model, **MIXED | {"epochs": 1})).parent
    assert_alike(task.train(phase(first.name, model, processes=2, **MIXED)).parent, one, ("loss",))


def test_a_process_that_is_killed_ends_the_run_in_one_line_and_the_next_goes_on(task, phase, two):
    args, killed = phase("killed_rank", DECODER, processes=2, **MIXED), []

    def kill():
        wait_for(lambda: os.path.exists(os.path.join(args.output_dir, "1epoch.pth")), threading.main_thread())
        victim = ranks_of(forkserver._forkserver._forkserver_pid)[-1]
        os.kill(victim, signal.SIGKILL)
        killed.append(time.monotonic())

    helper = threading.Thread(target=kill)
    helper.start()
    with pytest.raises(ContrasepError, match=r"training process was (ended by SIGKILL|lost).* goes on from") as caught:
        task.train(args)
    helper.join()
    assert time.monotonic() - killed[0] < 20 and "\n" not in str(caught.value)
    assert not any(map(alive, ranks_of(forkserver._forkserver._forkserver_pid)))
    task.train(args)
    assert_same_result(two.parent / "killed_rank", two)


def launch(folder, out, model, options, dump, *words, **how):
    """Start `contrasep train` by itself; its configuration and its log are in the folder."""
    config, log = folder / "c.yaml", folder / "train.log"
    config.write_text(yaml.safe_dump({**TREE, "model": model, "finetune": {**TREE["finetune"], **options}}))
    words = (
        "train", "--config", config, "--phase", "finetune", "--dump", dump.parent,
        "--train-sets", dump.name, "--valid-sets", dump.name, "--out", out, *words,
    )
    with open(log, "w") as file:
        command = [sys.executable, "-m", "contrasep_lib.bin.main", *map(str, words)]
        return subprocess.Popen(command, stdout=file, stderr=file, **how), log


def test_two_nodes_train_together_and_end_together(task, phase, two, tmp_path, single_dump):
    """Two launchers that know nothing of each other but a file."""
    meeting = tmp_path / "log" / "rendezvous"
    options = {**MIXED, "epochs": 1000}
    args = phase("nodes", DECODER, nodes=2, rendezvous=meeting, **options)
    other, log = launch(
        tmp_path, args.output_dir, args.contrasep["model"], options, single_dump, "--num_nodes", 2,
        "--rendezvous", meeting,
    )
    started = []

    def end():
        wait_for(lambda: os.path.exists(os.path.join(args.output_dir, "checkpoint.pth")), threading.main_thread())
        started.extend(descendants(other.pid))
        other.terminate()

    helper = threading.Thread(target=end)
    helper.start()
    try:
        with pytest.raises(ContrasepError, match="another training process was lost") as caught:
            task.train(args)
        assert other.wait(20) == 128 + signal.SIGTERM, log.read_text()
    finally:
        other.kill()
    helper.join()
    assert "\n" not in str(caught.value) and len(started) >= 2
    limit = time.monotonic() + 20
    while any(map(alive, started)) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not any(map(alive, started)) and not meeting.exists()
    epoch = [(1, "train"), (1, "valid")]
    reached, expected = losses(two.parent / "nodes"), losses(two)
    # sums in another order where the two have other numbers of threads
    assert [reached[key] for key in epoch] == pytest.approx([expected[key] for key in epoch], abs=1e-6)


def test_processes_end_with_their_parent(tmp_path, single_dump):
    out, ignore = tmp_path / "out", functools.partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
    parent, log = launch(
        tmp_path, out, TREE["model"], {"epochs": 1000}, single_dump, "--processes", 2,
        preexec_fn=ignore,  # as a shell starts what runs in the background
    )
    try:
        wait_for((out / "checkpoint.pth").exists, parent)
        below = descendants(parent.pid)
        assert sum(map(alive, below)) >= 3, log.read_text()
    finally:
        parent.kill()
    parent.wait()
    limit = time.monotonic() + 60
    while any(map(alive, below)) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not any(map(alive, below))


def test_few_open_files(tmp_path, single_dump):
    """As many as are allowed where the limit may be raised, and one line at once where it may not."""
    for hard, expected in ((48, "--processes 2: expected at least 80 open files to be allowed, got 48"), (4096, None)):
        limit = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (48, hard))
        options = {"epochs": 1, "num_workers": 2}
        started = time.monotonic()
        process, log = launch(
            tmp_path, tmp_path / "out", TREE["model"], options, single_dump, "--processes", 2, preexec_fn=limit
        )
        assert process.wait(120) == (1 if expected else 0), log.read_text()
        if expected:
            assert expected in log.read_text().splitlines()[-1] and time.monotonic() - started < 30
    assert (tmp_path / "out" / "model.pth").exists()


def test_as_many_processes_as_items(task, phase):
    assert phase("many", processes=64).processes == TREE["finetune"]["batch_size"]
    assert phase("many", processes=64, nodes=3).processes == 1
    assert phase("gpu", ngpu=1, processes=64).processes == 1
    with pytest.raises(ContrasepError, match="finetune.batch_size: expected at least 5, an item for each of 5 nodes"):
        task.train(phase("many", nodes=5, rendezvous="somewhere"))
    with pytest.raises(ContrasepError, match="--num-nodes 2: expected --rendezvous too"):
        task.train(phase("many", nodes=2))
