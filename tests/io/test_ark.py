"""Arks are read as data: nothing in them runs, values are kaldiio's bit for bit, damage is an error of one line."""

import io
import os
import pickle
import struct
import wave
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io import atomic
from contrasep_lib.io.ark import load_entry, load_first, parse_entry, save_ark
from contrasep_lib.io.dumpset import DumpSet, read_entry
from contrasep_lib.io.kaldi import RefusedError
from contrasep_lib.io.scp import read_table, write_table

FLAC = {"write_function": "soundfile", "write_kwargs": {"format": "flac", "subtype": "PCM_16"}}
WAV = {"write_function": "soundfile"}


def same(left, right):
    assert type(left) is type(right)
    if isinstance(left, tuple):
        assert left[0] == right[0]
        left, right = left[1], right[1]
    assert left.dtype == right.dtype and left.shape == right.shape
    assert left.tobytes() == right.tobytes()


def save(folder, entries, **how):
    kaldiio.save_ark(str(folder / "a.ark"), entries, scp=str(folder / "a.scp"), **how)
    return read_table(folder / "a.scp")


def matrices(rng, dtype, *low):
    return {f"k{number}": rng.normal(size=rng.integers(low, 40)).astype(dtype) for number in range(8)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("low", [(0,), (0, 1)])
def test_plain_matrices_and_vectors_are_those_of_kaldiio(tmp_path, dtype, low):
    for entry in save(tmp_path, matrices(np.random.default_rng(1), dtype, *low)).values():
        same(load_entry(entry), kaldiio.load_mat(entry))


@pytest.mark.parametrize("method", range(1, 8))
def test_compressed_matrices_are_those_of_kaldiio(tmp_path, method):
    entries = {key: abs(value) for key, value in matrices(np.random.default_rng(method), np.float32, 1, 1).items()}
    for entry in save(tmp_path, entries, compression_method=method).values():
        same(load_entry(entry), kaldiio.load_mat(entry))


def test_integers_are_those_of_kaldiio(tmp_path):
    rng = np.random.default_rng(2)
    entries = {f"k{n}": rng.integers(-(2**31), 2**31, n).astype(np.int32) for n in (0, 1, 2, 37)}
    for entry in save(tmp_path, entries).values():
        same(load_entry(entry), kaldiio.load_mat(entry))


@pytest.mark.parametrize("how", [{}, WAV, FLAC], ids=["riff", "wav", "flac"])
@pytest.mark.parametrize("shape", [(1,), (70001,), (33, 2)])
def test_audio_is_that_of_kaldiio(tmp_path, how, shape):
    samples = np.random.default_rng(3).integers(-(2**15), 2**15, shape).astype(np.int16)
    for entry in save(tmp_path, {"a": (8000, samples), "b": (16000, samples[::-1])}, **how).values():
        same(load_entry(entry), kaldiio.load_mat(entry))


def test_bytes_as_samples_and_files_of_their_own(tmp_path):
    entry = save(tmp_path, {"a": (8000, np.arange(9, dtype=np.uint8))})["a"]
    same(load_entry(entry), kaldiio.load_mat(entry))
    for name in ("plain.wav", "plain.flac", "a name: with 'signs' [1].wav"):
        path = str(tmp_path / name)
        soundfile.write(path, np.arange(-50, 50, dtype=np.int16), 8000)
        same(load_entry(path), kaldiio.load_mat(path))


def test_the_first_entry_of_an_archive(tmp_path):
    save(tmp_path, {"global": np.arange(6.0).reshape(2, 3), "other": np.ones(3)})
    key, value = load_first(tmp_path / "a.ark")
    same(value, np.arange(6.0).reshape(2, 3))
    assert key == "global"


def test_chunks_before_the_samples_are_passed_over(tmp_path):
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(struct.pack("<3h", 1, 2, 3))
    content = file.getvalue()
    odd = b"LIST" + struct.pack("<I", 5) + b"12345\0"
    content = content[:4] + struct.pack("<I", len(content) - 8 + len(odd)) + content[8:12] + odd + content[12:]
    (tmp_path / "a.wav").write_bytes(content)
    rate, samples = load_entry(str(tmp_path / "a.wav"))
    assert rate == 8000 and samples.tolist() == [1, 2, 3]


def test_entries_are_a_path_and_an_offset():
    assert parse_entry("a.ark:12") == ("a.ark", 12)
    assert parse_entry("a: b.wav") == ("a: b.wav", None)
    assert parse_entry("a.ark:-5") == ("a.ark:-5", None)
    for entry in ("touch x |", "| cat", " cat a | ", "a.ark:12[0:3]", "a.ark[0:3]"):
        with pytest.raises(RefusedError):
            parse_entry(entry)


@pytest.fixture
def dumped(tmp_path, monkeypatch):
    """A set of one utterance."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dump/tt").mkdir(parents=True)
    kaldiio.save_ark("dump/tt/wav.ark", {"k": (8000, np.arange(1, 801, dtype=np.int16))}, scp="dump/tt/wav.scp")
    return tmp_path / "dump/tt"


def test_a_pipe_in_a_dump_is_not_run(dumped, contrasep, config):
    (dumped / "wav.scp").write_text("k touch X; cat dump/tt/wav.ark |\n")
    for entry in ("touch X; cat dump/tt/wav.ark |", "| touch X"):
        with pytest.raises(ContrasepError, match="wav.scp: refused at the entry of 'k' .*command"):
            read_entry(dumped / "wav.scp", "k", entry)
    done = contrasep("separate-set", "--config", config, "--dump", dumped, "--out", "out")
    assert done.returncode == 1 and "command" in done.stderr and "Traceback" not in done.stderr
    assert not list(dumped.parent.parent.glob("**/X"))


def test_a_pipe_in_a_data_directory_is_not_run(tmp_path, contrasep, config):
    data = tmp_path / "data"
    for name, value in (("wav.scp", "touch X; cat a.wav |"), ("utt2spk", "k"), ("spk2utt", "k"), ("utt2dur", "1")):
        write_table(data / name, {"k": value})
    for command in (["validate-data", data], ["dump", "--config", config, "--data", data, "--out", "dump/d"]):
        done = contrasep(*command)
        assert done.returncode == 1 and "commands in tables are never run" in done.stderr
    assert not list(tmp_path.glob("**/X"))


class Attack:
    def __reduce__(self):
        return os.system, ("touch X",)


def test_a_pickle_is_not_loaded(dumped):
    (dumped / "wav.ark").write_bytes(b"k PKL" + pickle.dumps(Attack()))
    with pytest.raises(ContrasepError, match=r"wav.ark: refused at the entry of 'k' \(PKL: a pickled object"):
        DumpSet(dumped).mixture("k")
    assert not (dumped.parent.parent / "X").exists()


@pytest.mark.parametrize("content, says", [
    (b"NPY\x01\x80", "NPY"),
    (b" [\n 1 2 ]\n", "as text"),
    (b"AUDIO\x04\x04\0\0\0OggS", "flac or wav as AUDIO"),
    (b"\0BXM \4", "expected one of FM"),
    (b"\0B" + b"F" * 1000, "expected one of FM"),
    (b"", "nothing there"),
    (b"\0BFM \4" + struct.pack("<i", 2**31 - 1) + b"\4" + struct.pack("<i", 2**31 - 1), "more bytes"),
    (b"\0BDM \4" + struct.pack("<i", -1) + b"\4" + struct.pack("<i", -1), "shape"),
    (b"\0BFV \4" + struct.pack("<i", 2**31 - 1), "more bytes"),
    (b"\0B\4" + struct.pack("<i", 2**31 - 1), "more bytes"),
    (b"\0B\4" + struct.pack("<i", -1), "more bytes"),
    (b"\0BCM " + struct.pack("<ffii", 0, 1, 2**31 - 1, 2**31 - 1), "more bytes"),
    (b"\0BCM2 " + struct.pack("<ffii", 0, 1, 2**31 - 1, 1), "more bytes"),
    (b"\0BCM3 " + struct.pack("<ffii", 0, 1, 1, 2**31 - 1), "more bytes"),
    (b"AUDIO\xff" + b"\xff" * 255, "more bytes"),
    (b"RIFF\xff\xff\xff\xffWAVEfmt ", "truncated"),
])
def test_what_is_no_content_is_refused(tmp_path, content, says):
    (tmp_path / "a.ark").write_bytes(b"k " + content)
    with pytest.raises(ValueError, match=says) as error:
        load_entry(f"{tmp_path}/a.ark:2")
    assert "\n" not in str(error.value)


def test_big_endian_matrices_are_refused(tmp_path):
    for value in (np.ones((3, 4), np.float32), np.ones(5), np.arange(5, dtype=np.int32)):
        entry = save(tmp_path, {"k": value}, endian=">")["k"]
        with pytest.raises(ValueError, match="more bytes"):
            load_entry(entry)


def test_what_a_damaged_file_keeps_is_read_no_further(tmp_path):
    """A flac header that announces 2^36 samples costs no memory for them."""
    entry = save(tmp_path, {"k": (8000, np.arange(500, dtype=np.int16))}, **FLAC)["k"]
    content = bytearray((tmp_path / "a.ark").read_bytes())
    place = content.index(b"fLaC") + 8 + 13
    content[place] |= 0x0F
    content[place + 1:place + 5] = b"\xff" * 4
    (tmp_path / "a.ark").write_bytes(content)
    with pytest.raises(ValueError, match="truncated|not readable"):
        load_entry(entry)


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (str(tmp_path / "fifo"), "/dev/zero", str(tmp_path)):
        with pytest.raises(RefusedError, match="no regular file"):
            load_entry(path)
    (tmp_path / "a.ark").write_bytes(b"k ")
    with pytest.raises(ValueError, match="beyond the end"):
        load_entry(f"{tmp_path}/a.ark:{10**18}")


def contents(folder):
    """One short archive of each format."""
    rng = np.random.default_rng(4)
    samples = (8000, rng.integers(-99, 99, 300).astype(np.int16))
    for name, value, how in [
        ("riff", samples, {}), ("wav", samples, WAV), ("flac", samples, FLAC),
        ("ints", np.arange(5, dtype=np.int32), {}),
        *((f"float{size}", rng.normal(size=(6, 5)).astype(f"f{size}"), {}) for size in (4, 8)),
        ("vector", rng.normal(size=7), {}),
        *((f"cm{by}", rng.normal(size=(6, 5)).astype("f4"), {"compression_method": by}) for by in (2, 3, 5)),
    ]:
        path = folder / f"{name}.ark"
        kaldiio.save_ark(str(path), {"k": value}, **how)
        yield name, path, path.read_bytes()


def test_truncated_content_is_an_error_of_one_line(tmp_path):
    for name, path, content in contents(tmp_path):
        for length in {2, 3, 5, 8, 12, 20, len(content) // 2, len(content) - 1}:
            path.write_bytes(content[:length])
            with pytest.raises(ValueError) as error:
                print(name, length, load_entry(f"{path}:2"))
            assert "\n" not in str(error.value)


def test_flipped_bits_are_read_or_are_an_error_of_one_line(tmp_path):
    """No other exception, and never more values than the file could hold."""
    refused = 0
    for _, path, content in contents(tmp_path):
        for place in range(8 * 2, 8 * min(64, len(content))):
            damaged = bytearray(content)
            damaged[place // 8] ^= 1 << place % 8
            path.write_bytes(damaged)
            try:
                loaded = load_entry(f"{path}:2")
            except ValueError as error:
                refused += 1
                assert "\n" not in str(error)
            else:
                assert (loaded[1] if isinstance(loaded, tuple) else loaded).size <= 4 * len(content)
    assert refused > 500


def test_lengths_are_those_of_the_table(dumped):
    write_table(dumped / "utt2num_samples", {"k": "800"})
    assert len(DumpSet(dumped).mixture("k")) == 800
    write_table(dumped / "utt2num_samples", {"k": "801"})
    with pytest.raises(ContrasepError, match="'k': expected 801 samples by utt2num_samples, got 800; run stage 2"):
        DumpSet(dumped).mixture("k")


def test_a_second_writer_leaves_what_is_written_alone(tmp_path, monkeypatch):
    """Just before each rename another process comes into the folder, and removes what no writer holds."""
    replace, seen = os.replace, []

    def replaced(source, target):
        seen.append(Path(target).name)
        atomic._remove_leftovers.__wrapped__(tmp_path, 0)
        replace(source, target)

    monkeypatch.setattr(atomic.os, "replace", replaced)
    entries = {"a": np.ones((2, 3), np.float32), "b": np.zeros((1, 3), np.float32)}
    save_ark(tmp_path / "a.ark", tmp_path / "a.scp", entries)
    assert seen == ["a.ark", "a.scp"]
    names = [line.split()[0] for line in (tmp_path / "a.scp").read_text().splitlines()]
    assert names == ["a", "b"]
    assert {path.name for path in tmp_path.iterdir()} == {"a.ark", "a.scp"}
