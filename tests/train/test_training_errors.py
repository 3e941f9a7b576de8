"""Errors of training are one line, and keep the last good checkpoint."""

import dataclasses
import multiprocessing
import os
import shutil

import pytest
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.checkpoint import load_model, read_model, read_states
from tests.train.running import truncate


@pytest.mark.slow
def test_an_error_in_one_of_several_processes_is_one_line(task, phase):
    args = phase("faulty", processes=2, best="nonsense", epochs=1)
    with pytest.raises(ContrasepError, match="best: no statistic 'nonsense'"):
        task.train(args)


def test_checkpoints_that_cannot_be_used_are_one_line(task, phase, undisturbed, tmp_path):
    folder = undisturbed.parent / "bad"
    shutil.copytree(undisturbed, folder, symlinks=True)
    with pytest.raises(ContrasepError, match=r"configuration \(model.backbone.width is 6 there, 7 here\); delete"):
        task.train(phase("bad", model={"width": 7}))
    with pytest.raises(ContrasepError, match=r"\(train.learning_rate is 0.001 there, 0.1 here\)"):
        task.train(phase("bad", learning_rate=0.1))
    for file in ("checkpoint.pth", "checkpoint.previous.pth", "model.pth"):
        truncate(folder / file)
    with pytest.raises(ContrasepError, match="checkpoint.previous.pth: truncated"):
        task.train(phase("bad"))
    with pytest.raises(ContrasepError, match="model.pth: truncated"):
        load_model(folder / "model.pth")
    for content in (b"RIFF....", b""):
        (folder / "model.pth").write_bytes(content)
        with pytest.raises(ContrasepError, match="model.pth: (not a checkpoint|truncated)"):
            load_model(folder / "model.pth")
    torch.save({"state": {}}, folder / "model.pth")
    with pytest.raises(ContrasepError, match="expected a model.pth"):
        load_model(folder / "model.pth")
    torch.save({"format": multiprocessing.Process}, folder / "model.pth")
    with pytest.raises(ContrasepError, match="holds objects other than tensors and plain values"):
        load_model(folder / "model.pth")
    with pytest.raises(ContrasepError, match="no such checkpoint"):
        load_model(folder / "none.pth")
    content = read_model(undisturbed / "model.pth")
    with pytest.raises(ContrasepError, match=r"\(model.embedding_dim is 4 there, 5 here\)"):
        load_model(
            undisturbed / "model.pth", options=dataclasses.replace(content["model"], embedding_dim=5)
        )


def test_a_loss_that_is_not_finite_stops(task, phase, monkeypatch):
    from contrasep_lib.train.espnet_model import EspnetModel

    args = phase("nan", epochs=2, budget_minutes=None)
    forward, calls = EspnetModel.forward, []

    def spoilt(self, *arguments, **batch):
        calls.append(batch["utt_id"])
        loss, stats, weight = forward(self, *arguments, **batch)
        return (loss * float("nan") if len(calls) == 11 else loss), stats, weight

    monkeypatch.setattr(EspnetModel, "forward", spoilt)
    with pytest.raises(ContrasepError, match="the loss is nan at the batch of") as error:
        task.train(args)
    # 4 batches of training and 5 of validation, then the second of epoch 2
    assert all(utterance in str(error.value) for utterance in calls[-1]) and "\n" not in str(error.value)
    states = read_states(f"{args.output_dir}/1epoch.pth")
    assert all(torch.isfinite(value).all() for value in states.values())


@pytest.mark.parametrize("error, words", [
    (torch.OutOfMemoryError("CUDA out of memory"), "out of memory with a batch_size of 4 and segment.* 0.2;"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory: 1 bytes"), "out of memory"),
    (RuntimeError("DataLoader worker (pid 3) is killed by signal: Killed."), "lower num_workers"),
])
def test_errors_of_memory_are_one_line(task, phase, monkeypatch, error, words):
    from contrasep_lib.train.espnet_model import EspnetModel

    def fail(self, **batch):
        raise error

    monkeypatch.setattr(EspnetModel, "forward", fail)
    with pytest.raises(ContrasepError, match=words):
        task.train(phase("memory"))


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("alloc_cpu.cpp] can't allocate memory: 1 bytes")])
def test_a_model_that_does_not_fit_memory_is_one_line(task, phase, monkeypatch, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr("contrasep_lib.train.task.EspnetModel", fail)
    with pytest.raises(ContrasepError, match="^model: out of memory; lower width, layers or other sizes of its parts$"):
        task.train(phase("large"))


def test_errors_of_data_processes_are_one_line(task, phase, monkeypatch):
    from contrasep_lib.train.data import DynamicMixtures

    args, original, parent = phase("worker", num_workers=1), DynamicMixtures.__getitem__, os.getpid()

    def fail(self, key):
        if os.getpid() != parent:
            raise ContrasepError("x.ark: corrupt at the entry of 'u'")
        return original(self, key)

    monkeypatch.setattr(DynamicMixtures, "__getitem__", fail)
    with pytest.raises(ContrasepError, match=r"^x.ark: corrupt at the entry of 'u'$"):
        task.train(args)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"optim_conf": {"moment": 1.0}}, "finetune.optim_conf: .*moment"),
        ({"optim": "muon", "optim_conf": {"moment": 1.0}}, "finetune.optim_conf: .*moment"),
        ({"optim": "muon", "optim_conf": {"betas": [0.9, 1.0]}}, "finetune.optim_conf: .*beta"),
        ({"scheduler_conf": {"warm": 1}}, "finetune.scheduler_conf: .*warm"),
        (
            {"scheduler": "warmupconstant", "scheduler_conf": {"warmup_steps": 0}},
            "finetune.scheduler_conf: .*at least 1, got 0",
        ),
        ({"num_spk": [9]}, "talkers in a mixture, the speakers of"),
        ({"freeze": ["decoder"]}, "finetune.freeze: this model has no 'decoder'; its parts are backbone"),
        ({"freeze": ["backbone"]}, "finetune.freeze: every part of the model is frozen"),
        ({"epochs": 0}, "finetune.epochs: 0 leaves this phase out"),
    ],
)
def test_options_that_do_not_fit_are_one_line(task, phase, options, words):
    with pytest.raises(ContrasepError, match=words):
        task.train(phase("misfit", **options))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_absent_is_one_line(task, phase):
    with pytest.raises(ContrasepError, match="--ngpu 2: 0 GPUs found here"):
        task.train(phase("gpu", ngpu=2))


def test_errors_of_the_system_come_from_other_processes_too():
    from contrasep_lib.train.processes import last_os_error

    line = "OSError: [Errno 28] No space left on device"
    text = f"Traceback (most recent call last):\n{line}\n\nDuring handling ..\n{line}: 'a b/checkpoint.pth'\n"
    error = last_os_error(text)
    assert (error.errno, error.strerror, error.filename) == (28, "No space left on device", "a b/checkpoint.pth")
    assert last_os_error("ValueError: 3") is None


def test_more_talkers_than_the_counter_knows(task, phase):
    model = {"counter": {"name": "classifier", "count_max": 2}, "objectives": ["deep_clustering", "count"]}
    with pytest.raises(ContrasepError, match=r"at most 2 talkers \(model.counter.count_max\), got 3; --set model.c"):
        task.train(phase("crowd", model=model, num_spk=[1, 3]))


def test_a_plateau_is_that_of_the_statistic(task, phase):
    def rates(values, **options):
        """The learning rate after epochs with these values."""
        conf = {"patience": 1, "factor": 0.5}
        args = phase("plateau", scheduler="reducelronplateau", scheduler_conf=conf, **options)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **args.scheduler_conf)
        for value in values:
            scheduler.step(value)
        return optimizer.param_groups[0]["lr"]

    rising = [5.0, 6.0, 7.0, 8.0]
    assert rates(rising, best="si_snr", best_mode="max") == 1 and rates(rising) < 1
    assert rates(rising[::-1], best="si_snr", best_mode="max") < 1 and rates(rising[::-1]) == 1
    with pytest.raises(ContrasepError, match="scheduler_conf: mode is best_mode, 'max', got 'min'"):
        phase("plateau", scheduler="reducelronplateau", scheduler_conf={"mode": "min"}, best="si_snr", best_mode="max")


def test_an_unknown_statistic_is_one_line_with_any_schedule(task, phase):
    conf = {"patience": 1}
    args = phase("unknown", scheduler="reducelronplateau", scheduler_conf=conf, best="si_snrr", epochs=1)
    with pytest.raises(ContrasepError, match="best: no statistic 'si_snrr' in validation; known: .*loss"):
        task.train(args)


def test_other_initial_weights_are_another_training(task, phase, undisturbed, tmp_path):
    first, second = tmp_path / "first.pth", tmp_path / "second.pth"
    shutil.copy(undisturbed / "model.pth", first)
    task.train(phase("begun", init=first, epochs=1))
    # more of the same, from the same weights wherever they lie, or without naming them again
    moved = tmp_path / "moved.pth"
    shutil.copy(first, moved)
    task.train(phase("begun", init=moved, epochs=2))
    task.train(phase("begun", epochs=2))
    second.write_bytes(first.read_bytes() + b" ")
    with pytest.raises(ContrasepError, match="checkpoint of another configuration .init_param is"):
        task.train(phase("begun", init=second, epochs=3))
