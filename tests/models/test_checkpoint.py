"""Checkpoints: a device that is not there is an error of its own, and not one of the file."""

import pytest
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.checkpoint import load_model, read_states, require_device, write_states
from contrasep_lib.separate.shipped import FOLDER, load_separator

MODEL = FOLDER / "small/finetune/model.pth"
# beyond what any machine has
ABSENT = ["gpu", "cuda:99", "meta", "", "cpu ", None, 2.5, torch.device("cuda:99")]


@pytest.mark.parametrize("device", ABSENT)
def test_a_device_that_is_not_there_is_named_and_not_the_file(device):
    for read in (require_device, lambda device: load_model(MODEL, device), lambda device: read_states(MODEL, device)):
        with pytest.raises(ContrasepError) as error:
            read(device)
        words = str(error.value)
        assert words.startswith(f"device '{device}': not usable here (") and words.endswith("where there is a GPU")
        assert "\n" not in words and "train again" not in words and len(words) < 300


def test_a_model_by_name_says_so_too():
    with pytest.raises(ContrasepError, match="^device 'gpu': not usable here"):
        load_separator("small", "gpu")


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_a_device_that_is_there_is_taken(device):
    require_device(device)
    assert {value.device.type for value in load_model(MODEL, device).state_dict().values()} == {"cpu"}


def test_a_full_device_stays_an_error_of_memory(monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "ones", full)
    with pytest.raises(torch.OutOfMemoryError):
        require_device("cpu")


def test_a_damaged_file_is_still_one(tmp_path):
    write_states(tmp_path / "x.pth", {"a": torch.ones(1000)})
    (tmp_path / "x.pth").write_bytes((tmp_path / "x.pth").read_bytes()[:900])
    with pytest.raises(ContrasepError, match="x.pth: truncated or damaged; delete it and train again"):
        read_states(tmp_path / "x.pth")
