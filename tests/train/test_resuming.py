"""Training that was killed, moved, damaged or out of time goes on as if it had not been."""

import glob
import multiprocessing
import os
import re
import shutil
import signal
import time

import pytest
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io import atomic
from contrasep_lib.models.checkpoint import read_model, read_states
from tests.train.running import assert_same_result, losses, statistics, truncate, wait_for


def test_killed_training_ends_as_undisturbed_training(task, phase, undisturbed):
    args = phase("killed")
    folder, killed = args.output_dir, 0
    for sign in ("train.log", "1epoch.pth", "checkpoint.pth", ".contrasep-*.pth", "3epoch.pth"):
        process = multiprocessing.get_context("fork").Process(target=task.train, args=(args,))
        process.start()
        wait_for(lambda: glob.glob(os.path.join(folder, sign)), process)
        time.sleep(0.02)
        # does nothing where training ended before its sign was seen
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
    assert killed >= 3
    # the rest with two processes for data, which changes nothing
    args = phase("killed", num_workers=2)
    task.train(args)
    assert_same_result(undisturbed.parent / "killed", undisturbed)
    # once more: nothing is left to do, and nothing changes
    task.train(args)
    assert_same_result(undisturbed.parent / "killed", undisturbed)


# what a long training has beside the options of `TREE`
LONG = {
    "optim": "muon", "learning_rate": 0.01, "scheduler": "warmupconstant", "scheduler_conf": {"warmup_steps": 5},
    "num_spk": [1, 2, 3], "best": "si_snr", "best_mode": "max", "epochs": 100_000,
    "augment": {"silence": 0.5, "edge": 0.5, "pause": 0.5, "noise": 0.5},
}


DECODER = {
    "name": "dual_path", "band": 8, "decoder": {"name": "attractor", "layers": 1, "width": 4}, "counter": "classifier",
    "objectives": {"deep_clustering": 1.0, "si_snr": {"weight": 0.1, "share": 0.5}, "count": 0.1},
}


@pytest.mark.slow
def test_long_training_that_is_killed_ends_as_undisturbed_training(task, phase):
    whole = task.train(phase("long", DECODER, **LONG | {"epochs": 4})).parent
    args = phase("long_killed", DECODER, **LONG)
    process = multiprocessing.get_context("fork").Process(target=task.train, args=(args,))
    process.start()
    # the checkpoint of epoch 2, whatever comes after
    wait_for(lambda: os.path.exists(os.path.join(args.output_dir, "checkpoint.previous.pth")), process)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL and not os.path.exists(os.path.join(args.output_dir, "model.pth"))
    reached = max(statistics(whole.parent / "long_killed"))
    if reached > 4:
        pytest.skip("this machine trains faster than it kills")
    task.train(phase("long_killed", DECODER, num_workers=1, **LONG | {"epochs": 4}))
    assert_same_result(whole.parent / "long_killed", whole)
    # a model of what there is, from a copy, while training goes on
    shutil.copytree(whole, whole.parent / "long_copy", symlinks=True)
    assert read_model(task.train(phase("long_copy", DECODER, **LONG | {"epochs": 1})))["training"]["of"] == 4
    # a decay is a phase of its own
    options = {
        "epochs": 1,
        "scheduler": "onecyclelr",
        "scheduler_conf": {"max_lr": 0.01, "total_steps": 3, "cycle_momentum": False},
    }
    with pytest.raises(ContrasepError, match="train.scheduler"):
        task.train(phase("long", DECODER, **LONG | options))
    task.train(phase("decay", DECODER, init=whole / "model.pth", **LONG | options))


@pytest.mark.slow
def test_a_training_of_version_1_goes_on(task, phase, undisturbed):
    from contrasep_lib.train.session import SAFE

    folder = task.train(phase("version1", epochs=2)).parent
    states = read_states(folder / "checkpoint.pth", safe=SAFE)
    identity = states["identity"]
    # as it was written before parts were chosen by name
    identity["silence_db"] = identity["features"].pop("silence_db")
    identity["model"] = {
        "granularity": "tf", "backbone": "blstm", "layers": 1, "width": 6, "dropout": 0.1, "path": "rnn", "heads": 4,
        "band": 4, "embedding_dim": 4, "projection": 0, "objectives": {"affinity": 1.0}, "temperature": 0.5,
        "labels": "dominance", "negatives": "utterance", "sampled_nodes": 512, "node_weight": "magnitude",
        "neighbours": 3, "remix_db": 5.0, "seed": 0,
    }
    for epoch in states["reporter"]["stats"].values():
        for part in epoch.values():
            part["affinity"] = part.pop("deep_clustering")
    torch.save(states, folder / "checkpoint.pth")
    # the statistic that judges epochs has another name too
    task.train(phase("version1", best="affinity"))
    assert_same_result(folder, undisturbed)
    assert "deep_clustering" in statistics(folder)[1]["valid"]
    identity["model"]["width"] = 7
    torch.save(states, folder / "checkpoint.pth")
    with pytest.raises(ContrasepError, match=r"\(model.backbone.width is 7 there, 6 here\)"):
        task.train(phase("version1"))


def test_training_goes_on_elsewhere_from_its_folder_alone(task, phase, undisturbed, single_dump, tmp_path, monkeypatch):
    here = undisturbed.parent / "travels"
    task.train(phase("travels", epochs=2))
    there, data = tmp_path / "exp" / "travels", tmp_path / "data" / single_dump.name
    shutil.move(here, there)
    # as on another machine: the same data, elsewhere
    shutil.copytree(single_dump, data)
    for table in data.glob("*.scp"):
        table.write_text(table.read_text().replace(str(single_dump), str(data)))
    args = phase("travels")
    vars(args).update(output_dir=str(there))
    args.contrasep.update(train_sets=[str(data)], valid_sets=[str(data)])
    monkeypatch.chdir(tmp_path)
    task.train(args)
    assert not here.exists()
    assert_same_result(there, undisturbed)


@pytest.mark.parametrize("name", ["checkpoint.pth", "4epoch.pth"])
def test_damaged_checkpoints_fall_back(task, phase, undisturbed, name):
    folder = undisturbed.parent / f"damaged_{name}"
    shutil.copytree(undisturbed, folder, symlinks=True)
    truncate(folder / name)
    task.train(phase(folder.name))
    assert_same_result(folder, undisturbed)
    assert re.search("going on from|written again", (folder / "train.log").read_text())


def test_time_that_is_up_stops_and_can_go_on(task, phase, undisturbed):
    folder = undisturbed.parent / "budget"
    model = task.train(phase("budget", budget_minutes=1e-6))
    assert read_model(model)["training"]["of"] == 1 and "time is up" in (folder / "train.log").read_text()
    assert "batch 2/4" in (folder / "train.log").read_text()
    # the same time again: it was spent
    task.train(phase("budget", budget_minutes=1e-6))
    assert set(losses(folder)) == {(1, "train"), (1, "valid")}
    task.train(phase("budget", budget_minutes=60.0, epochs=2))
    assert read_model(model)["training"]["of"] == 2


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "none"])
def test_a_checkpoint_is_kept_while_another_process_comes_into_its_folder(tmp_path, monkeypatch, links):
    """Before each rename it removes what no writer holds."""
    from contrasep_lib.train import session

    replace = os.replace

    def replaced(source, target):
        atomic._remove_leftovers.__wrapped__(tmp_path, 0)
        replace(source, target)

    def refused(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "replace", replaced)
    if not links:
        monkeypatch.setattr(os, "link", refused)
    (tmp_path / "checkpoint.pth").write_text("weights")
    for _ in range(2):
        session._duplicate(tmp_path / "checkpoint.pth", tmp_path / "previous.pth")
        assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pth", "previous.pth"}
        assert (tmp_path / "previous.pth").read_text() == "weights"
