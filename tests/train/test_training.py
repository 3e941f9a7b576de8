"""The task end to end on a tiny model: what it writes, resuming, errors."""

import dataclasses
import os
import re
import time

import pytest
import torch
import yaml

from contrasep_lib.config import as_tree, build
from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.checkpoint import load_model, read_model, read_states, save_model
from contrasep_lib.models.options import ModelOptions
from tests.train.running import TREE, assert_same_result, losses, statistics


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


def test_embeddings_that_are_all_alike_are_reported(task, phase, undisturbed, tmp_path):
    content = read_model(undisturbed / "model.pth")
    state = {**content["state"], "backbone.output.weight": torch.zeros_like(content["state"]["backbone.output.weight"])}
    state["backbone.output.bias"] = torch.ones_like(state["backbone.output.bias"])
    save_model(tmp_path / "model.pth", state, content["features"], content["model"], {})
    folder = task.train(phase("alike", epochs=1, init=str(tmp_path / "model.pth"), learning_rate=1e-8)).parent
    [line] = [line for line in (folder / "train.log").read_text().splitlines() if "alike" in line and "epoch 1" in line]
    assert "1.0000 within speakers, 1.0000 between them" in line and "lower learning_rate" in line
    assert "are alike" not in (undisturbed / "train.log").read_text()


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


def test_an_output_for_noise_begins_with_a_decoder(task, phase, undisturbed):
    objectives = {"deep_clustering": 1.0, "si_snr": {"weight": 0.1, "share": 0.5}}
    decoder = {"name": "attractor", "layers": 1, "width": 4}
    options = {"num_spk": [1, 2], "epochs": 1, "average": 1}
    model = {"decoder": decoder, "objectives": objectives}
    plain = task.train(phase("plain", model=model, init=undisturbed / "model.pth", **options))
    model["decoder"] = {**decoder, "noise": True}
    noise = {"noise": {"kinds": ["white"], "snr": [0, 5], "probability": 0.8}, "best": "noise_snr", "best_mode": "max"}
    folder = task.train(phase("noise", model=model, init=plain, **options, **noise)).parent
    assert "not in it: decoder.noise." in (folder / "train.log").read_text()
    assert 0 < statistics(folder)[1]["valid"]["noise_snr"] <= 30
    made = load_model(folder / "model.pth")
    assert made.has_noise and made.decoder.noise.output.weight.abs().sum() > 0 and not load_model(plain).has_noise
    with pytest.raises(ContrasepError, match="decoder.noise"):
        model["decoder"] = decoder
        task.train(phase("back", model=model, init=folder / "model.pth", **options))


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


def test_a_batch_that_teaches_nothing_is_a_step_without_gradient(task, phase, undisturbed):
    """Single speakers teach a decoder nothing, and all else is frozen: training goes on, and nothing moves."""
    decoder = {"name": "attractor", "layers": 1, "width": 4}
    model = {"decoder": decoder, "objectives": {"deep_clustering": 1.0, "si_snr": 0.1}}
    options = {"num_spk": [1], "best": "loss", "epochs": 1, "optim": "sgd", "learning_rate": 0.01}
    folder = task.train(phase("idle", model=model, freeze=["backbone"], **options)).parent
    assert statistics(folder)[1]["train"]["si_snr"] == 0


@pytest.mark.slow
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
        (("pretrain", "--valid-sets", ","), "--valid-sets: expected at least one set"),
        (("pretrain", "--train-sets", "none"), "none/wav.scp: not there; run stage 2"),
    ):
        done = contrasep(*arguments, *extra)
        assert done.returncode == 1 and words in done.stderr, done.stderr
        assert len([line for line in done.stderr.splitlines() if "contrasep train:" in line]) == 1
