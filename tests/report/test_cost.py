"""What systems cost: times of all trainings behind a model and of separation, in a table of the recipe."""

import json

import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.machine import device_words
from contrasep_lib.report.cost import cost_cells, of_system, read_cost, write_cost

SYSTEM = {"parameters": 840_000, "minutes": 9.0, "device": "1 core of X"}


def speed(exp, name, seconds, audio):
    (exp / f"separate_{name}").mkdir(parents=True)
    values = {"seconds": seconds, "audio_seconds": audio, "device": "1 core of X"}
    (exp / f"separate_{name}/speed.json").write_text(json.dumps(values))


def test_a_factor_is_of_all_sets_together(tmp_path):
    speed(tmp_path, "tt_2mix", 10.0, 100.0)
    speed(tmp_path, "tt_3mix", 20.0, 100.0)
    write_cost(tmp_path, of_system(SYSTEM), ["tt_2mix", "tt_3mix", "tt_4mix"])
    assert cost_cells(read_cost(tmp_path)) == ["0.84", "9 minutes on 1 core of X", "0.150", "1 core of X"]


def test_what_was_not_measured_is_reported(tmp_path):
    assert read_cost(tmp_path) is None
    unknown = {"phase": "before", "minutes": None, "device": None}
    write_cost(tmp_path, {"parameters": 5, "training": [unknown]}, ["tt_2mix"])
    assert cost_cells(read_cost(tmp_path)) == ["0.00", "not recorded", "-", "-"]
    known = [{"phase": phase, "minutes": minutes, "device": device} for phase, minutes, device in (
        ("pretrain", 10.0, "1 core of X"), ("finetune", 20.5, "1 core of X"), ("finetune", 3.0, "a GPU"))]
    write_cost(tmp_path, {"parameters": 5, "training": [unknown, *known]}, [])
    words = "30 minutes on 1 core of X, 3 minutes on a GPU, some time before that was not recorded"
    assert cost_cells(read_cost(tmp_path))[1] == words


@pytest.mark.parametrize(
    "text, error",
    (("{", "cannot be read"), ('{"parameters": 1}', "'training' missing"), ("[]", "'parameters' missing")),
)
def test_a_file_that_is_no_cost_is_reported(tmp_path, text, error):
    (tmp_path / "cost.json").write_text(text)
    with pytest.raises(ContrasepError, match=error):
        read_cost(tmp_path)


def test_a_processor_is_named_with_no_more_cores_than_there_are(monkeypatch, tmp_path):
    table = tmp_path / "cpuinfo"
    table.write_text("processor : 0\nmodel name : Chip 9\nprocessor : 1\nmodel name : Chip 9\n")
    monkeypatch.setattr("contrasep_lib.io.machine.CPU_TABLE", table)
    monkeypatch.setattr("contrasep_lib.io.machine._cores", lambda: 4)
    assert [device_words(0, cores) for cores in (1, 2, 9)] == [
        "1 core of Chip 9",
        "2 cores of Chip 9",
        "4 cores of Chip 9",
    ]
    table.unlink()
    assert device_words() == "1 core of CPU"
