"""What stage 5 writes: whole utterances are kept over a kill, and nothing else is."""

import dataclasses
import json

import numpy as np
import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.scp import read_table
from contrasep_lib.score.tables import read_evidence
from contrasep_lib.separate import writer as writer_module
from contrasep_lib.separate.separation import Separation
from contrasep_lib.separate.writer import RECORDS, SPEED, Writer, merge_parts

KEYS = ["a", "b", "c", "d"]


def separation(key, count=2):
    rng = np.random.default_rng(ord(key))
    assignment = np.eye(count, dtype=np.float32)[rng.integers(count, size=6)]
    assignment[0] = 0
    return Separation(
        0.1 * rng.standard_normal((count, 80)).astype(np.float32), assignment, (3, 2), False, 0.25, None,
        (0.5, 0.5), "two  words",
    )


def everything(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes().replace(str(folder).encode(), b"")
        for path in sorted(folder.rglob("*")) if path.is_file()
    }


def write(folder, keys=KEYS, identity="same", stop=None):
    """Returns the utterances that were separated; ``stop`` is one at which the run dies."""
    made = []
    with Writer(folder, 1, 8000, identity, "1 core of X") as writer:
        for key in keys:
            if not writer.has(key):
                if key == stop:
                    raise KeyboardInterrupt
                writer.write(key, separation(key, 3 if key == "b" else 2), 0.25)
                made.append(key)
    return made


@pytest.fixture
def undisturbed(tmp_path):
    folder = tmp_path / "undisturbed"
    assert write(folder) == KEYS and merge_parts(folder, 1) == 4
    return everything(folder)


def test_a_run_goes_on_where_another_ended(tmp_path, undisturbed):
    folder = tmp_path / "out"
    for stop in "bd":
        with pytest.raises(KeyboardInterrupt):
            write(folder, stop=stop)
        assert not (folder / "parts").exists()
    assert write(folder) == ["d"]
    # all is there, but not joined
    assert write(folder) == []
    merge_parts(folder, 1)
    assert everything(folder) == undisturbed and not (folder / RECORDS).exists()


def test_what_is_not_whole_is_made_again(tmp_path, undisturbed):
    folder = tmp_path / "out"
    write(folder)
    (folder / "wavs/spk3/b.wav").unlink()
    record = folder / RECORDS / "c.npz"
    record.write_bytes(record.read_bytes()[:50])
    (folder / RECORDS / "d.npz").write_bytes(b"")
    assert write(folder) == ["b", "c", "d"]
    merge_parts(folder, 1)
    assert everything(folder) == undisturbed


def test_records_of_other_settings_are_passed_over(tmp_path):
    write(tmp_path / "out")
    assert write(tmp_path / "out", identity="other") == KEYS


def with_noise(key, count, noise):
    made = separation(key, count)
    return dataclasses.replace(made, noise=made.outputs.sum(0)) if noise else made


def one_run(folder, identity, utterances, part=1):
    """Utterances: key -> outputs, whether there is noise."""
    with Writer(folder, part, 8000, identity, "1 core of X") as writer:
        for key, (count, noise) in utterances.items():
            assert not writer.has(key)
            writer.write(key, with_noise(key, count, noise), 0.25)


def test_a_run_after_one_with_more_outputs_is_as_the_first(tmp_path):
    few = {"a": (2, False), "b": (1, False)}
    one_run(tmp_path / "new", "B", few)
    merge_parts(tmp_path / "new", 1)
    folder = tmp_path / "again"
    one_run(folder, "A", {"a": (4, True), "b": (3, True)})
    merge_parts(folder, 1)
    assert (folder / "spk4.scp").is_file() and (folder / "noise.scp").is_file()
    one_run(folder, "B", few)
    merge_parts(folder, 1)
    assert everything(folder) == everything(tmp_path / "new")
    assert not (folder / "spk3.scp").exists() and not (folder / "noise.scp").exists()


def test_a_run_of_fewer_parts_and_utterances(tmp_path):
    one_run(tmp_path, "A", {"a": (2, False)})
    one_run(tmp_path, "A", {"b": (5, False)}, part=2)
    one_run(tmp_path, "A", {"c": (3, True)}, part=11)
    before = {path.name for path in (tmp_path / "parts").glob("*.11.*")}
    one_run(tmp_path, "B", {"b": (1, False)})
    # a part leaves the others alone, also one whose number ends alike
    assert {path.name for path in (tmp_path / "parts").glob("*.11.*")} == before
    assert merge_parts(tmp_path, 1) == 1
    assert sorted(path.name for path in tmp_path.glob("*.scp")) == ["assign.scp", "spk1.scp"]
    assert [path.name for path in tmp_path.glob("*.ark")] == ["assign.1.ark"]
    assert read_table(tmp_path / "spk1.scp") == {"b": str(tmp_path / "wavs/spk1/b.wav")}


def test_noise_is_that_of_the_utterances_that_have_some(tmp_path):
    one_run(tmp_path, "A", {"a": (2, True), "b": (2, True)})
    merge_parts(tmp_path, 1)
    one_run(tmp_path, "B", {"a": (2, False), "b": (2, True)})
    merge_parts(tmp_path, 1)
    assert set(read_table(tmp_path / "noise.scp")) == {"b"} and not (tmp_path / "wavs/noise/a.wav").exists()


def test_an_interrupted_run_says_nothing_of_what_another_wrote_over(tmp_path, monkeypatch):
    Writer(tmp_path, 1, 8000, "A").write("a", with_noise("a", 2, True), 1.0)
    assert Writer(tmp_path, 1, 8000, "A").has("a")
    # killed before its record is written
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(writer_module.np, "savez_compressed", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        Writer(tmp_path, 1, 8000, "B").write("a", with_noise("a", 2, True), 1.0)
    assert not Writer(tmp_path, 1, 8000, "A").has("a")
    # noise belongs to what is whole
    Writer(tmp_path, 1, 8000, "A").write("a", with_noise("a", 2, True), 1.0)
    (tmp_path / "wavs/noise/a.wav").unlink()
    assert not Writer(tmp_path, 1, 8000, "A").has("a")


def test_evidence_says_which_solver_made_the_partition(tmp_path):
    with Writer(tmp_path, 1, 8000) as writer:
        writer.write("a", separation("a"), 1.0)
        measured = {"normalised_modularity": 0.5, "solver": "network", "fallback": "kmeans"}
        writer.write("b", dataclasses.replace(separation("b"), **measured), 1.0)
    merge_parts(tmp_path, 1)
    header, *rows = [line.split("\t") for line in (tmp_path / "evidence.tsv").read_text().splitlines()]
    first, second = (dict(zip(header, row)) for row in rows)
    assert [first[name] for name in (*measured, "words")] == ["", "", "", "two words"]
    assert [second[name] for name in measured] == ["0.500000", "network", "kmeans"]
    assert read_evidence(tmp_path / "evidence.tsv")["b"].fallback == "kmeans"


def test_records_of_other_columns_are_passed_over(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, stop="c")
    monkeypatch.setattr(writer_module, "EVIDENCE", (*writer_module.EVIDENCE, "another"))
    assert not Writer(tmp_path, 1, 8000, "same").has("a")


def test_parts_that_are_missing_are_one_line(tmp_path):
    write(tmp_path)
    with pytest.raises(ContrasepError, match="part 2 of 2 is missing"):
        merge_parts(tmp_path, 2)
    with pytest.raises(ContrasepError, match="an output of 'a' has NaN"), Writer(tmp_path, 1, 8000) as writer:
        writer.write("a", Separation(np.full((1, 9), np.nan), np.ones((2, 1)), (1, 2), True), 1.0)


def test_time_counts_once_over_kills_and_parts(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, "ab", stop="b")
    write(tmp_path, "ab")
    with Writer(tmp_path, 2, 8000, "same", "1 core of Y") as writer:
        writer.write("c", separation("c"), 1.0)
    merge_parts(tmp_path, 2)
    # three utterances of 80 samples
    expected = {"seconds": 1.5, "audio_seconds": 0.03, "device": "1 core of X, 1 core of Y"}
    assert json.loads((tmp_path / SPEED).read_text()) == expected
