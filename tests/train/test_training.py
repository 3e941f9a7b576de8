"""The task end to end on a tiny model: what it writes, resuming, errors."""

import dataclasses
import multiprocessing
import os
import re
import shutil
import signal
import time

import pytest
import torch
import yaml

from contrasep_lib.config import as_tree, build, load_config
from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.checkpoint import load_model, read_model, read_states
from contrasep_lib.models.options import ModelOptions

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


@pytest.fixture(scope="module")
def task():
    from contrasep_lib.train import task

    threads = torch.get_num_threads()
    # forked children must not find threads that they do not have
    torch.set_num_threads(1)
    yield task
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def phase(task, tmp_path_factory, single_dump):
    """Arguments of a phase in a folder, with some options replaced: ``phase('a', epochs=2)``."""
    folder = tmp_path_factory.mktemp("exp")

    def make(name, model=(), init=None, ngpu=0, processes=1, **options):
        model, backbone = dict(model), TREE["model"]["backbone"]
        backbone = {**backbone, **{key: model.pop(key) for key in ("name", "width", "dropout", "band") if key in model}}
        model = {**TREE["model"], "backbone": backbone, **model}
        tree = {**TREE, "model": model, "finetune": {**TREE["finetune"], **options}}
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(tree))
        sets = [single_dump]
        return task.build_arguments(
            load_config(path), "finetune", sets, sets, folder / name, init, ngpu, processes=processes
        )

    return make


@pytest.fixture(scope="module")
def undisturbed(task, phase):
    """Folder of a whole run of `TREE`."""
    return task.train(phase("whole", probe=2)).parent


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


def test_a_phase_leaves_its_product(undisturbed):
    names = {path.name for path in undisturbed.iterdir()}
    assert names > {
        "config.yaml", "train.log", "checkpoint.pth", "checkpoint.previous.pth", "model.pth", "images",
        "tensorboard", "latest.pth", "valid.loss.best.pth",
    }
    images = {path.name for path in (undisturbed / "images").iterdir()}
    assert images == {"learning_curves.png", "embeddings.png"}
    assert sum(path.stat().st_size for path in (undisturbed / "tensorboard").rglob("events*")) > 1000
    # the two best and the last
    assert 2 <= sum(bool(re.fullmatch(r"\d+epoch.pth", name)) for name in names) <= 3
    log = (undisturbed / "train.log").read_text()
    assert re.search(r"epoch 4/4, batch 4/4: loss [-\d.]+, [\d.e+]+ hours of speech an hour, 0 s left", log)
    assert os.uname()[1] not in log
    model = load_model(undisturbed / "model.pth")
    nodes = model.embed(torch.randn(2, 1000))
    assert not model.training and nodes.z.shape[-1] == 4


def test_a_model_tells_what_it_began_with_and_no_folder(task, phase, undisturbed):
    args = phase("second", epochs=1, init=str(undisturbed / "model.pth"))
    training = read_model(task.train(args))["training"]
    assert training["init_param"] == "/".join((undisturbed / "model.pth").parts[-3:])
    first, second = training["spent"]
    assert [first] == read_model(undisturbed / "model.pth")["training"]["spent"]
    assert second["phase"] == args.contrasep["phase"] and second["minutes"] >= 0 and " of " in second["device"]
    assert training["train_sets"] == ["tr_single"]


def test_averages_are_those_of_the_best(undisturbed):
    content = read_model(undisturbed / "model.pth")
    assert "si_snri" in statistics(undisturbed)[1]["valid"]
    valid = {epoch: loss for (epoch, part), loss in losses(undisturbed).items() if part == "valid"}
    best = sorted(valid, key=valid.get)[:2]
    assert content["training"]["epochs"] == best and content["training"]["of"] == 4
    weights = [read_states(undisturbed / f"{epoch}epoch.pth") for epoch in best]
    for name, value in content["state"].items():
        assert torch.allclose(value, (weights[0][name] + weights[1][name]) / 2, atol=1e-6)


def test_averaged_weights_are_validated_and_kept(undisturbed):
    from contrasep_lib.train.session import SAFE

    states = read_states(undisturbed / "checkpoint.pth", safe=SAFE)
    last = read_states(undisturbed / "4epoch.pth")
    assert states["average"]["steps"] == 8
    for name, value in states["average"]["average"].items():
        assert torch.equal(last[name], value) and not torch.equal(states["model"][name], value)


def test_processes_share_each_batch(task, phase):
    # the mean over a batch is that of its halves
    alone, shared = (
        task.train(phase(f"by{count}", {"dropout": 0.0}, processes=count, epochs=1, num_spk=[2])).parent
        for count in (1, 2)
    )
    assert losses(shared) == pytest.approx(losses(alone), rel=1e-4)
    this, that = (read_model(folder / "model.pth")["state"] for folder in (alone, shared))
    assert all(torch.allclose(this[name], that[name], atol=1e-4) for name in this)
    # each process prepares data of its own, the log is one
    assert (shared / "train.log").read_text().count("epoch 1/1 in validation") == 1


def alive(pid):
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_processes_end_with_their_parent(task, phase):
    args = phase("orphans", processes=2, epochs=1000)

    def train():
        # as a shell starts what runs in the background
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        task.train(args)

    process = multiprocessing.get_context("fork").Process(target=train)
    process.start()
    wait_for(lambda: os.path.exists(os.path.join(args.output_dir, "1epoch.pth")), process)
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        ranks = [int(word) for word in file.read().split()]
    assert sum(map(alive, ranks)) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    limit = time.monotonic() + 60
    while any(map(alive, ranks)) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not any(map(alive, ranks))


def test_no_more_processes_than_items(phase):
    assert phase("many", processes=64).processes == TREE["finetune"]["batch_size"]
    assert phase("gpu", ngpu=1, processes=64).processes == 1


def test_a_error_in_one_of_several_processes_is_one_line(task, phase):
    args = phase("faulty", processes=2, best="nonsense", epochs=1)
    with pytest.raises(ContrasepError, match="best: no statistic 'nonsense'"):
        task.train(args)


def test_bfloat16_on_the_cpu(task, phase, monkeypatch, capsys):
    monkeypatch.setattr(task, "_computes_bfloat16", lambda: True)
    # oneDNN has convolutions in bfloat16 for any processor, LSTMs only for those with instructions for it
    model = {"name": "conv", "dropout": 0.0}
    wide, narrow = (
        task.train(phase(precision, model, epochs=1, precision=precision)).parent
        for precision in ("float32", "bfloat16")
    )
    this, that = losses(wide)[1, "train"], losses(narrow)[1, "train"]
    assert this != that and that == pytest.approx(this, rel=0.02)
    state = read_model(narrow / "model.pth")["state"]
    assert {value.dtype for value in state.values()} == {torch.float32}
    # a processor that would be slow with it
    monkeypatch.setattr(task, "_computes_bfloat16", lambda: False)
    args = phase("old", model, epochs=1, precision="bfloat16")
    assert_same_result(task.train(args).parent, wide)
    assert "no bfloat16" in capsys.readouterr().out


def wait_for(condition, process):
    for _ in range(12000):
        if condition() or not process.is_alive():
            return
        time.sleep(0.005)
    raise AssertionError("nothing happened")


def test_killed_training_ends_as_undisturbed_training(task, phase, undisturbed):
    args = phase("killed")
    folder, killed = args.output_dir, 0
    for sign in ("train.log", "1epoch.pth", "checkpoint.pth", ".checkpoint.pth.tmp.pth", "3epoch.pth"):
        process = multiprocessing.get_context("fork").Process(target=task.train, args=(args,))
        process.start()
        wait_for(lambda: os.path.exists(os.path.join(folder, sign)), process)
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


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["checkpoint.pth", "4epoch.pth"])
def test_damaged_checkpoints_fall_back(task, phase, undisturbed, name):
    folder = undisturbed.parent / f"damaged_{name}"
    shutil.copytree(undisturbed, folder, symlinks=True)
    truncate(folder / name)
    task.train(phase(folder.name))
    assert_same_result(folder, undisturbed)
    assert re.search("going on from|written again", (folder / "train.log").read_text())


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
    with pytest.raises(ContrasepError, match="not a checkpoint of contrasep"):
        load_model(folder / "model.pth")
    with pytest.raises(ContrasepError, match="no such checkpoint"):
        load_model(folder / "none.pth")
    content = read_model(undisturbed / "model.pth")
    with pytest.raises(ContrasepError, match=r"\(model.embedding_dim is 4 there, 5 here\)"):
        load_model(
            undisturbed / "model.pth", options=dataclasses.replace(content["model"], embedding_dim=5)
        )


def test_a_trained_model_may_have_learned_in_another_way_but_is_what_it_is(undisturbed):
    options = read_model(undisturbed / "model.pth")["model"]
    tree = as_tree(options)
    learned = {"objectives": {"supcon": {"temperature": 0.1}, "deep_clustering": 0.1}, "seed": 4, "negatives": "batch"}
    other = build(ModelOptions, {**tree, **learned}, "model")
    assert load_model(undisturbed / "model.pth").options == options
    assert load_model(undisturbed / "model.pth", options=other).options.trained() == options.trained()
    for values, words in (
        ({"counter": "classifier", "objectives": ["deep_clustering", "count"]}, "model.counter is None there"),
        ({"backbone": {**tree["backbone"], "width": 5}}, "model.backbone.width is 6 there, 5 here"),
    ):
        with pytest.raises(ContrasepError, match=words):
            load_model(undisturbed / "model.pth", options=build(ModelOptions, {**tree, **values}, "model"))
    with pytest.raises(ContrasepError, match="features.silence_db is 40.0 there, 30.0 here"):
        features = dataclasses.replace(read_model(undisturbed / "model.pth")["features"], silence_db=30.0)
        load_model(undisturbed / "model.pth", features=features)


def test_initial_weights(task, phase, undisturbed):
    options = {"epochs": 1, "learning_rate": 1e-12, "ema_decay": None, "average": 1}
    args = phase("init", init=undisturbed / "model.pth", **options)
    state = read_model(task.train(args))["state"]
    for name, value in read_model(undisturbed / "model.pth")["state"].items():
        assert torch.allclose(state[name], value, atol=1e-6)
    with pytest.raises(ContrasepError, match="another configuration"):
        task.train(phase("init2", model={"width": 9}, init=undisturbed / "model.pth"))


def test_a_decoder_begins_with_an_embedding(task, phase, undisturbed):
    decoder = {
        "decoder": {"name": "attractor", "layers": 1, "width": 4},
        "objectives": {"deep_clustering": 1.0, "si_snr": 0.1},
    }
    options = {"num_spk": [1, 2, 3], "best": "si_snri", "best_mode": "max", "probe": 2}
    folder = task.train(phase("decoder", model=decoder, init=undisturbed / "model.pth", **options)).parent
    text = (folder / "train.log").read_text()
    assert "initial weights from" in text and "decoder.output.weight" in text
    stats = statistics(folder)[1]["valid"]
    assert {"deep_clustering", "si_snr", "si_snri"} <= set(stats)
    assert load_model(folder / "model.pth").decoder is not None
    # and once more, killed by the clock in between
    task.train(phase("decoder2", model=decoder, init=undisturbed / "model.pth", **options, budget_minutes=1e-6))
    assert set(losses(folder.parent / "decoder2")) == {(1, "train"), (1, "valid")}


def test_frozen_parts_keep_their_weights_and_objectives_that_teach_nothing_are_left_out(task, phase, undisturbed):
    counter = {"counter": "classifier", "objectives": {"deep_clustering": 1.0, "count": 1.0}}
    options = {"num_spk": [1, 2, 3], "best": "counted", "best_mode": "max", "epochs": 2, "learning_rate": 0.01}
    folder = task.train(
        phase("frozen", model=counter, init=undisturbed / "model.pth", freeze=["backbone"], **options)
    ).parent
    before, after = (read_model(path / "model.pth")["state"] for path in (undisturbed, folder))
    assert all(torch.equal(after[name], value) for name, value in before.items())
    stats = statistics(folder)
    assert all("count" in part and "deep_clustering" not in part for part in (stats[2]["train"], stats[2]["valid"]))
    # and the counter learns
    first, last = (read_states(folder / f"{epoch}epoch.pth") for epoch in (1, 2))
    moved = {name.partition(".")[0] for name, value in first.items() if not torch.equal(value, last[name])}
    assert moved == {"counter"}


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


def test_time_of_the_processor_is_not_that_of_the_wall(task, phase, monkeypatch):
    from contrasep_lib.train import session
    from contrasep_lib.train.data import DynamicMixtures

    draw = DynamicMixtures.__getitem__

    def late(self, index):
        time.sleep(0.3)
        return draw(self, index)

    monkeypatch.setattr(DynamicMixtures, "__getitem__", late)
    spent = {}
    for clock in ("wall", "cpu"):
        begun = time.process_time()
        task.train(phase(clock, budget_clock=clock, epochs=1))
        used = time.process_time() - begun
        spent[clock] = read_states(phase(clock).output_dir + "/checkpoint.pth", safe=session.SAFE)["seconds"]
    assert spent["wall"] > 16 * 0.3 and 0 < spent["cpu"] <= used


def test_patience_best_and_statistics(task, phase):
    # weights that hardly move: after the first epochs nothing gets better by validation
    options = {"best": "between", "best_mode": "max", "learning_rate": 1e-30, "ema_decay": None}
    args = phase("patience", epochs=30, patience=0, **options)
    epochs = read_model(task.train(args))["training"]["of"]
    assert epochs < 30
    # the same command again does not go on
    assert read_model(task.train(args))["training"]["of"] == epochs
    with pytest.raises(ContrasepError, match="best: no statistic 'acc' in validation; known: .*loss"):
        task.train(phase("best", best="acc", epochs=1))


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


def test_the_command(contrasep, tmp_path, single_dump):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(TREE))
    arguments = (
        "train", "--config", "c.yaml", "--dump", single_dump.parent, "--train-sets", single_dump.name,
        "--valid-sets", single_dump.name, "--out", "exp/t/pretrain", "--phase",
    )
    values = ("pretrain.epochs=1", "pretrain.data=single", "pretrain.segment_seconds=0.1")
    settings = [word for value in values for word in ("--set", value)]
    done = contrasep(*arguments, "pretrain", "--num_workers", 0, *settings)
    assert done.returncode == 0 and done.stdout == "train: exp/t/pretrain/model.pth\n", done.stderr
    assert read_model(tmp_path / "exp/t/pretrain/model.pth")["training"]["phase"] == "pretrain"
    for extra, words in (
        (("finetune",), "checkpoint of another configuration"),
        (("pretrain", "--ngpu", -1), "--ngpu: expected 0 or more"),
        (("pretrain", "--valid-sets", ","), "--valid-sets: expected at least one set"),
        (("pretrain", "--train-sets", "none"), "none/wav.scp: not there; run stage 2"),
    ):
        done = contrasep(*arguments, *extra)
        assert done.returncode == 1 and words in done.stderr, done.stderr
        assert len([line for line in done.stderr.splitlines() if "contrasep train:" in line]) == 1
