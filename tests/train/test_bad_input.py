"""Bad input through the commands of stages 3 to 5: one line on stderr that names it, no traceback."""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.checkpoint import read_model, read_states, write_states
from contrasep_lib.separate.writer import RECORDS

CONFIG = {
    "features": {"win": 64, "hop": 32},
    "model": {"backbone": {"name": "blstm", "layers": 1, "width": 6}, "embedding_dim": 4},
    "finetune": {
        "data": "single", "segment_seconds": 0.2, "batch_size": 4, "batches_per_epoch": 2, "valid_batches": 1,
        "epochs": 2, "num_workers": 0, "probe": 0, "average": 1,
    },
    "modularity": {
        "solver": {"name": "network", "train_pool": 2, "train_steps": 3, "train_nodes": 64, "refine_steps": 2},
        "counting": {"name": "recursive_split", "null_model": "isotropic", "utterances": 2},
    },
    "separate": {"separator": "model", "count": "given"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory, single_dump, mixture_dumps):
    """A configuration, and links to the dumps."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "dump").mkdir()
    for dump in (single_dump, mixture_dumps[2]):
        (folder / "dump" / dump.name).symlink_to(dump)
    return folder


@pytest.fixture(scope="module")
def commands(place):
    """Command -> its arguments, for files below ``place``; ``trained`` holds what stage 4 makes."""
    config = ["--config", place / "c.yaml"]
    model = ["--model", place / "trained/model.pth"]
    return {
        "train": [
            "train",
            *config,
            "--phase",
            "finetune",
            "--dump",
            place / "dump",
            "--train-sets",
            "tr_single",
            "--valid-sets",
            "tr_single",
        ],
        "train-modularity": [
            "train-modularity",
            *config,
            *model,
            "--mixtures",
            place / "dump/tr_2mix",
            "--singles",
            place / "dump/tr_single",
        ],
        "separate-set": [
            "separate-set",
            *config,
            *model,
            "--modularity",
            place / "trained/modularity",
            "--dump",
            place / "dump/tr_2mix",
        ],
    }


@pytest.fixture
def call(contrasep, place, commands, tmp_path):
    """``call('separate-set', ...)``: a command on what stage 4 made, which is trained on first use."""

    def run(name, *extra, check=False):
        return contrasep(*commands[name], "--out", tmp_path / "out", *extra, check=check)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    if not (place / "trained").exists():
        # options that come later count
        run("train", "--out", place / "trained", check=True)
        run("train-modularity", "--out", place / "trained/modularity", check=True)
    yield run
    torch.set_num_threads(threads)


def assert_one_line(done, name, *words):
    assert done.returncode == 1, done.stderr
    # training tells its progress beside it
    [line] = [line for line in done.stderr.splitlines() if line.startswith("contrasep")]
    assert line.startswith(f"contrasep {name}: ") and done.stderr.endswith(line + "\n")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in line, line


class Code:
    """Unpickled, it makes a file in the current folder."""

    def __reduce__(self):
        return Path.touch, (Path("executed"),)


def damage(kind, path):
    whole = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "random bytes":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "list":
        torch.save([1, torch.zeros(2)], path)
    elif kind == "code":
        path.write_bytes(pickle.dumps({"format": "contrasep model", "state": Code()}))
    elif kind == "code in a checkpoint":
        torch.save({"format": "contrasep model", "version": 1, "state": Code()}, path)
    elif kind == "nothing in it":
        torch.save({"format": "contrasep model", "version": 1}, path)


DAMAGES = ["truncated", "random bytes", "list", "code", "code in a checkpoint", "nothing in it"]


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name, option, file", [
    ("train", "--init-param", "model.pth"),
    ("train-modularity", "--model", "model.pth"),
    ("separate-set", "--model", "model.pth"),
    ("separate-set", "--modularity", "modularity/network.pth"),
])
def test_checkpoints_that_are_none(call, place, tmp_path, name, option, file, kind):
    shutil.copytree(place / "trained", tmp_path / "bad", symlinks=True)
    bad = tmp_path / "bad" / file
    damage(kind, bad)
    done = call(name, option, bad if option != "--modularity" else bad.parent)
    assert_one_line(done, name, str(bad))
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_that_runs_code_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    damage("code in a checkpoint", tmp_path / "x") if (tmp_path / "x").write_bytes(b"") else None
    torch.save(Code(), tmp_path / "x")
    torch.load(tmp_path / "x", weights_only=False)
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("name, setting, words", [
    ("train-modularity", "model.embedding_dim=5", "model.embedding_dim is 4 there, 5 here"),
    ("separate-set", "features.hop=16", "features.hop is 32 there, 16 here"),
    ("separate-set", "modularity.k_max=4", "4"),
])
def test_checkpoints_of_another_configuration(call, name, setting, words):
    assert_one_line(call(name, "--set", setting), name, words, "again")


def test_initial_weights_of_another_configuration(call, place):
    done = call("train", "--init-param", place / "trained/model.pth", "--set", "model.backbone.width=7")
    assert_one_line(done, "train", "checkpoint of another configuration", str(place / "trained/model.pth"))


@pytest.mark.parametrize("name", ["train", "train-modularity", "separate-set"])
def test_a_dump_of_another_rate(call, name):
    done = call(name, "--set", "mix.rate=16000")
    assert_one_line(done, name, "8000 Hz, mix.rate is 16000 Hz; run stage 2 again", "tr_")


def test_slots_learn_from_drawn_mixtures(call, place, tmp_path):
    singles = place / "dump/tr_single"
    done = call("train-modularity", "--train-singles", singles)
    assert_one_line(done, "train-modularity", "--train-singles: expected finetune.data 'dynamic' with it, got 'single'")
    slots = "modularity.solver={name: slots, width: 4, layers: 1, train_pool: 6, train_steps: 1, train_mixtures: 2}"
    data = ["--set", "finetune.data=dynamic", "--set", "finetune.num_spk=[1, 3]", "--set", slots]
    for corpus, more in ("", ()), ("one=", ("--set", "finetune.balance={one: 1.0}")):
        call("train-modularity", *data, *more, "--train-singles", f"{corpus}{singles}", check=True)
        assert (tmp_path / "out/slots.pth").is_file()
    done = call("train-modularity", *data, "--set", "modularity.k_max=2", "--train-singles", singles)
    assert_one_line(done, "train-modularity", "modularity.k_max: expected at least 3", "got 2")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("name", ["train", "separate-set"])
def test_a_gpu_that_is_absent(call, name):
    assert_one_line(call(name, "--ngpu", 1), name, "--ngpu", "GPU")


@pytest.mark.parametrize("samples", [1, 40])
def test_mixtures_shorter_than_a_frame_work(call, tmp_path, samples):
    from .conftest import write_dump

    rng = np.random.default_rng(0)
    tracks = {name: {key: rng.uniform(0.1, 0.4, samples) for key in ("p_q-1", "p_q-2")} for name in ("spk1", "spk2")}
    tracks["wav"] = {key: tracks["spk1"][key] + tracks["spk2"][key] for key in tracks["spk1"]}
    write_dump(tmp_path / "dump/mix", tracks, dict.fromkeys(tracks["wav"], "p_q"))
    call("separate-set", "--dump", tmp_path / "dump/mix", check=True)
    assert len((tmp_path / "out/parts/evidence.1.tsv").read_text().splitlines()) == 2
    call("train-modularity", "--mixtures", tmp_path / "dump/mix", "--out", tmp_path / "modularity", check=True)
    call(
        "train",
        "--dump",
        tmp_path / "dump",
        "--train-sets",
        "mix",
        "--valid-sets",
        "mix",
        "--set",
        "finetune.data=fixed",
        "--out",
        tmp_path / "phase",
        check=True,
    )
    weights = read_model(tmp_path / "phase/model.pth")["state"].values()
    assert all(torch.isfinite(value).all() for value in weights)


def test_a_mixture_of_silence_is_named(call, tmp_path):
    from .conftest import write_dump

    write_dump(tmp_path / "mix", {name: {"p_q-1": np.zeros(900)} for name in ("wav", "spk1", "spk2")}, {"p_q-1": "p_q"})
    assert_one_line(call("separate-set", "--dump", tmp_path / "mix"), "separate-set", "'p_q-1'", "nothing but silence")


def test_a_loss_that_is_not_a_number_stops_training(call, tmp_path, monkeypatch):
    from contrasep_lib.train.espnet_model import EspnetModel

    forward, calls = EspnetModel.forward, []

    def spoilt(self, *arguments, **batch):
        calls.append(batch["utt_id"])
        loss, stats, weight = forward(self, *arguments, **batch)
        # 2 batches of training and 1 of validation, then the first of epoch 2
        return (loss * float("nan") if len(calls) == 4 else loss), stats, weight

    with monkeypatch.context() as patch:
        patch.setattr(EspnetModel, "forward", spoilt)
        assert_one_line(call("train"), "train", "the loss is nan", *calls[-1], "the last good checkpoint is kept")
    # which the same command goes on from
    done = call("train", check=True)
    assert "resumed after epoch 1" in done.stderr
    assert all(torch.isfinite(value).all() for value in read_model(tmp_path / "out/model.pth")["state"].values())


@pytest.mark.parametrize("name, words", [
    ("train", ["batch_size of 4", "segment_seconds of 0.2"]),
    ("train-modularity", ["modularity.solver network", "train_pool 2", "train_nodes 64", "utterances 2"]),
    ("separate-set", ["'p0_p1_m0'", "0.2 s of speech"]),
])
@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("alloc_cpu.cpp] can't allocate memory: 1 bytes"),
])
def test_memory_that_does_not_suffice(call, monkeypatch, name, words, error):
    from contrasep_lib.models.separation import SeparationModel
    from contrasep_lib.train.espnet_model import EspnetModel

    def fail(self, *arguments, **batch):
        raise error

    monkeypatch.setattr(*((EspnetModel, "forward") if name == "train" else (SeparationModel, "analyse")), fail)
    assert_one_line(call(name), name, "out of memory", *words)


def test_separation_goes_on_where_it_was_stopped(call, tmp_path, monkeypatch):
    from contrasep_lib.separate.model_separator import ModelSeparator

    separate, calls = ModelSeparator.separate, []

    def stopped(self, key, *arguments):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(key)
        return separate(self, key, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ModelSeparator, "separate", stopped)
        assert call("separate-set").returncode == 130
    assert {path.stem for path in (tmp_path / "out" / RECORDS).iterdir()} == set(calls)
    done = call("separate-set", check=True)
    assert "3 utterances of an interrupted run kept" in done.stdout
    # under other settings nothing of it is kept
    done = call("separate-set", "--set", "separate.mask=soft", check=True)
    assert "kept" not in done.stdout


def test_a_flipped_bit_of_a_checkpoint_is_found(tmp_path):
    """Within a tensor, which torch reads as it is."""
    path = tmp_path / "model.pth"
    write_states(path, {"weights": torch.zeros(1000)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)["weights"].count_nonzero() == 1
    with pytest.raises(ContrasepError, match="truncated or damaged; delete it and train again"):
        read_states(path)


def test_a_checkpoint_on_a_full_disk(tmp_path, monkeypatch):
    """What torch says of it is its own state ("unexpected pos")."""
    def save(states, path):
        os.unlink(path)
        os.symlink("/dev/full", path)
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 832 vs 726")

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_states(tmp_path / "model.pth", {"weights": torch.zeros(10)})
    assert caught.value.filename == str(tmp_path / "model.pth")
