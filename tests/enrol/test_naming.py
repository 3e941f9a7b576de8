"""Names of outputs after voices: outputs of earlier runs make room, no other file does."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.enrol import naming
from contrasep_lib.enrol.naming import Naming
from contrasep_lib.enrol.voices import Voice, samples_kept
from contrasep_lib.errors import ContrasepError
from contrasep_lib.separate.earlier import named_outputs, outputs_of, recordings_kept
from contrasep_lib.separate.inputs import Input
from tests.separate.test_files import RATE, run, separator, voice


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with a recording ``m.wav``; scores say that every voice is on the first output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(naming, "scores_of", lambda separator, sample, outputs, which: np.array([1.0 - which[0]]))
    soundfile.write("m.wav", voice(0, 1) + voice(2, 1), RATE)
    return tmp_path


def enrolled(name="alice", file="alice.wav"):
    return Voice(name, np.ones(9, np.float32), Path(file))


def named(files, voices, out="out", threshold=0.5, **options):
    """Separate, and name outputs after voices: reported lines, errors and lines of names."""
    by, inputs = separator(), [Input(Path(file), label=str(file)) for file in files]
    kept = {**samples_kept(voices), **recordings_kept(inputs)}
    places = [Path(out) / each.name for each in inputs]
    made = Naming(by, voices, threshold, places, options.get("overwrite", False), kept)
    lines, errors, _ = run(inputs, Path(out), by, num_spk=2, kept=kept, **options)
    return lines, errors, list(made.lines())


def there(out="out"):
    return sorted(path.name for path in Path(out).iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["m_alice.wav", "m_alice.flac"])
def test_a_sample_in_the_place_of_its_output_stays(folder, name, overwrite):
    Path(name).write_bytes(b"the sample")
    with pytest.raises(ContrasepError) as error:
        named(["m.wav"], [enrolled(file=f"{folder}/{name}")], ".", overwrite=overwrite)
    assert str(error.value) == f"{name} is the sample of 'alice', and is not replaced; use another --out"
    assert there(".") == sorted(["m.wav", name]) and Path(name).read_bytes() == b"the sample"


def test_a_link_to_a_sample_stays(folder):
    Path("alice.wav").write_bytes(b"the sample")
    Path("m_alice.wav").symlink_to("alice.wav")
    with pytest.raises(ContrasepError, match="m_alice.wav is the sample of 'alice', and is not replaced"):
        named(["m.wav"], [enrolled()], ".", overwrite=True)
    assert Path("m_alice.wav").is_symlink()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_recording_in_the_place_of_an_output_stays(folder, overwrite):
    before = Path("m_alice.wav").write_bytes(Path("m.wav").read_bytes())
    with pytest.raises(ContrasepError) as error:
        named(["m_alice.wav", "m.wav"], [enrolled()], ".", overwrite=overwrite)
    assert str(error.value) == "m_alice.wav is a recording to separate, and is not replaced; use another --out"
    assert Path("m_alice.wav").stat().st_size == before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["m_spk1.wav", "m_spk9.flac", "m_rest.wav"])
def test_a_sample_in_the_place_of_any_output_stays(folder, name, overwrite):
    Path(name).write_bytes(b"the sample")
    _, [error], names = named(["m.wav"], [enrolled(file=name)], ".", overwrite=overwrite)
    assert error == f"m.wav: {name} is the sample of 'alice', and is not replaced; use another --out"
    assert names == [] and there(".") == sorted(["m.wav", name]) and Path(name).read_bytes() == b"the sample"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_is_no_earlier_output_stays(folder, overwrite):
    Path("out").mkdir()
    Path("out/m_alice.wav").write_bytes(b"another's")
    with pytest.raises(ContrasepError) as error:
        named(["m.wav"], [enrolled()], overwrite=overwrite)
    expected = "out/m_alice.wav is there, and m.json lists no such output; move it, or use another --out"
    assert str(error.value) == expected and there() == ["m_alice.wav"]
    # of another voice it is in nobody's way
    assert named(["m.wav"], [enrolled("bob")])[2] == ["m: bob: out/m_bob.wav (1.00, threshold 0.5)"]
    assert Path("out/m_alice.wav").read_bytes() == b"another's"


def test_earlier_outputs_make_room_when_new_ones_are_there(folder):
    _, _, names = named(["m.wav"], [enrolled()])
    assert names == ["m: alice: out/m_alice.wav (1.00, threshold 0.5)"]
    first = {name: Path("out", name).read_bytes() for name in there()}
    assert sorted(first) == ["m.json", "m.rttm", "m_alice.wav", "m_spk2.wav"]
    with pytest.raises(ContrasepError, match="m_alice.wav is already there; use --overwrite, or another --out"):
        named(["m.wav"], [enrolled()])
    named(["m.wav"], [enrolled()], overwrite=True)
    assert {name: Path("out", name).read_bytes() for name in there()} == first
    # a separation that fails leaves all of it
    Path("m.wav").rename("kept.wav")
    Path("m.wav").write_bytes(b"no audio")
    assert len(named(["m.wav"], [enrolled()], overwrite=True)[1]) == 1
    assert {name: Path("out", name).read_bytes() for name in there()} == first
    Path("kept.wav").rename("m.wav")
    # one who is not there any more, and a run without voices, leave nothing of the name
    assert "not there" in named(["m.wav"], [enrolled()], threshold=1.5, overwrite=True)[2][0]
    assert there() == ["m.json", "m.rttm", "m_spk1.wav", "m_spk2.wav"]
    named(["m.wav"], [enrolled()], overwrite=True)
    run(["m.wav"], Path("out"), num_spk=2, overwrite=True)
    assert there() == ["m.json", "m.rttm", "m_spk1.wav", "m_spk2.wav"]
    named(["m.wav"], [enrolled()], overwrite=True)
    named(["m.wav"], [enrolled("bob")], overwrite=True)
    assert there() == ["m.json", "m.rttm", "m_bob.wav", "m_spk2.wav"]


def test_an_output_of_another_recording_is_not_written_over(folder):
    os.link("m.wav", "m_a.wav")
    # both would be m_a_b.wav
    names = named(["m.wav", "m_a.wav"], [enrolled("a_b"), enrolled("b")], threshold=0.0)[2]
    assert len(names) == 4 and ["not renamed, as out/m_a_b.wav is there" in line for line in names].count(True) == 1
    content = {name: json.loads(Path(f"out/{name}.json").read_text()) for name in ("m", "m_a")}
    outputs = [output for each in content.values() for output in each["outputs"]]
    assert len(set(outputs)) == 4 and all(Path("out", output).is_file() for output in outputs)


def test_a_name_that_is_taken_meanwhile_is_reported(folder):
    os.link("m.wav", "m_a.wav")
    names = named(["m.wav", "m_a.wav"], [enrolled("a_spk1")])[2]
    assert names == [
        "m: a_spk1: out/m_spk1.wav (1.00, threshold 0.5), not renamed, as out/m_a_spk1.wav is there",
        "m_a: a_spk1: out/m_a_a_spk1.wav (1.00, threshold 0.5)",
    ]
    content = json.loads(Path("out/m.json").read_text())
    assert content["outputs"][0] == content["enrolled"]["a_spk1"]["output"] == "m_spk1.wav"
    assert "a_spk1" not in Path("out/m.rttm").read_text()


@pytest.mark.parametrize("content", [
    b"", b"\xff", b"[]", b"{}", b'{"enrolled": []}', b'{"enrolled": {"alice": "m_alice.wav"}}',
    b'{"enrolled": {"alice": {}}}', b'{"enrolled": {"alice": {"output": null}}}',
    b'{"enrolled": {"alice": {"output": ["m_alice.wav"]}}}', b'{"enrolled": {"../x": {"output": "m_../x.wav"}}}',
    b'{"enrolled": {"alice": {"output": "../x.wav"}}}', b'{"enrolled": {"alice": {"output": "m_other.wav"}}}',
    b'{"enrolled": {"alice": {"output": "x_alice.wav"}}}', b'{"enrolled": {"alice": {"output": "m_alice.json"}}}',
])
def test_what_is_no_list_of_outputs_names_no_file(tmp_path, content):
    out = tmp_path / "out"
    (out / "m_..").mkdir(parents=True)
    files = [out / name for name in ("m_alice.wav", "m_alice.json", "m_other.wav", "x_alice.wav", "m_bob.wav")]
    for path in (*files, tmp_path / "x.wav", out / "x.wav"):
        path.write_bytes(b"x")
    (out / "m.json").write_bytes(content)
    assert named_outputs(out, "m") == [] and outputs_of(out, "m") == [out / "m.json"]


def test_outputs_are_those_that_are_there(tmp_path):
    assert outputs_of(tmp_path / "none", "m") == []
    (tmp_path / "m.json").write_text('{"enrolled": {"a": {"output": "m_a.flac"}, "b": {"output": "m_b.wav"}}}')
    for name in ("m_a.flac", "m_a.wav", "m_spk2.wav"):
        (tmp_path / name).write_bytes(b"x")
    assert outputs_of(tmp_path, "m") == [tmp_path / name for name in ("m.json", "m_a.flac", "m_spk2.wav")]


def test_the_command_refuses_before_anything_is_written(contrasep, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("meeting", "meeting_alice"):
        soundfile.write(f"{name}.wav", 0.1 * rng.standard_normal(2 * 8000), 8000)
    before = Path("meeting_alice.wav").read_bytes()
    words = ["separate", "meeting.wav", "--model", "small", "--num-spk", 2, "--out", ".", "--overwrite"]
    done = contrasep(*words, "--enroll", "alice=meeting_alice.wav")
    assert done.returncode == 1 and done.stderr == (
        "contrasep separate: meeting_alice.wav is the sample of 'alice', and is not replaced; use another --out\n"
    )
    assert Path("meeting_alice.wav").read_bytes() == before and not Path("meeting.json").exists()
