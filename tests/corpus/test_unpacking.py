"""Packs and archives from anyone cost no more memory than their size allows, and leave nothing outside their folder."""

import io
import json
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from contrasep_lib.corpus.download import FEW_BYTES, MOST_EXPANSION, unpack_part
from contrasep_lib.corpus.packing import encode
from contrasep_lib.corpus.unpacking import read_index, unpack
from contrasep_lib.errors import ContrasepError

ROW = {"set": "tr", "utt": "a-1", "speaker": "a", "gender": "f", "samples": 8000}
HEAD = {"format": "contrasep pack", "version": 1, "rate": 8000, "kbits": 16}
# what imports and the index take
LITTLE = 20 * 2**20


def pack(path, index, entries, how=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", how) as file:
        file.writestr("index.json", index if isinstance(index, bytes) else json.dumps(index))
        for name, content in entries.items():
            file.writestr(name, content)
    return path


@pytest.fixture
def memory():
    """``memory()``: the most that was allocated since the test began, bytes."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


@pytest.fixture(scope="module")
def silence():
    """Two minutes of nothing, 8 MB of samples."""
    return encode(np.zeros(8000 * 120), 6)


def test_a_compressed_pack_is_not_expanded(tmp_path, memory):
    path = pack(tmp_path / "p.zip", b" " * 2**26 + b"{}", {}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**17
    before = memory()
    tracemalloc.reset_peak()
    with pytest.raises(ContrasepError, match="compressed"):
        unpack(path, tmp_path / "out")
    assert memory() < LITTLE < before and not (tmp_path / "out").exists()


def test_no_more_is_decoded_than_the_index_says(tmp_path, silence, memory):
    path = pack(tmp_path / "p.zip", {**HEAD, "utterances": [ROW]}, {"tr/a-1.ogg": silence})
    tracemalloc.reset_peak()
    held = tracemalloc.get_traced_memory()[0]
    with pytest.raises(ContrasepError, match="'a-1': expected 8000 samples by the index, got more than 8000"):
        unpack(path, tmp_path / "out")
    assert memory() - held < 2**22
    assert not list((tmp_path / "out").glob("*"))


def test_an_index_announces_no_more_than_speech_takes(tmp_path):
    speech = encode(0.1 * np.random.default_rng(0).standard_normal(8000))
    whole = {**HEAD, "utterances": [ROW]}
    assert read_index(pack(tmp_path / "p.zip", whole, {"tr/a-1.ogg": speech}))["utterances"] == [ROW]
    many = {**HEAD, "utterances": [{**ROW, "samples": 2**30}]}
    with pytest.raises(ContrasepError, match="134218 s of audio in"):
        read_index(pack(tmp_path / "q.zip", many, {"tr/a-1.ogg": speech}))


@pytest.mark.parametrize("index", [
    [], "x", 3, None, {}, HEAD, {**HEAD, "utterances": 3}, {**HEAD, "utterances": []}, {**HEAD, "utterances": [3]},
    {**HEAD, "utterances": [None]}, {**HEAD, "utterances": {"a": 1}}, {**HEAD, "utterances": [{"set": "tr"}]},
    {**HEAD, "version": True}, {**HEAD, "format": ["contrasep pack"]},
    *({**{k: v for k, v in HEAD.items() if k != key}, "utterances": [ROW]} for key in HEAD),
    *({**HEAD, "utterances": [{k: v for k, v in ROW.items() if k != key}]} for key in ROW),
    *({**HEAD, "utterances": [{**ROW, key: value}]} for key in ROW for value in (None, [], {}, -1, 1.5, True, "", "a b")
      if (key, value) != ("gender", None)),
    *({**HEAD, key: value, "utterances": [ROW]} for key in HEAD for value in (None, [], {}, -1, "x", 10**400)),
])
def test_malformed_indexes_are_an_error_of_one_line(tmp_path, index):
    with pytest.raises(ContrasepError) as error:
        unpack(pack(tmp_path / "p.zip", index, {}), tmp_path / "out")
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"\xff\xfe", b'{"a": ' * 50_000])
def test_indexes_that_are_no_json(tmp_path, content):
    with pytest.raises(ContrasepError, match="no pack, or a damaged one"):
        read_index(pack(tmp_path / "p.zip", content, {}))


def test_truncated_and_flipped_packs(tmp_path):
    speech = encode(0.1 * np.random.default_rng(0).standard_normal(8000))
    whole = pack(tmp_path / "p.zip", {**HEAD, "utterances": [ROW]}, {"tr/a-1.ogg": speech}).read_bytes()
    rng = np.random.default_rng(1)
    for number in range(150):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path = tmp_path / f"{number}.zip"
        path.write_bytes(damaged if number % 2 else whole[: rng.integers(len(whole))])
        try:
            unpack(path, tmp_path / f"out{number}")
        except ContrasepError as error:
            assert "\n" not in str(error)


def archive(path, *entries, mode="w:gz"):
    """``entries``: name, content, further attributes."""
    with tarfile.open(path, mode) as tar:
        for name, content, changed in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for attribute, value in changed.items():
                setattr(entry, attribute, value)
            tar.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name, changed", [
    ("/tmp/ESCAPED", {}), ("../ESCAPED", {}), ("Top/../../ESCAPED", {}),
    ("Top/part/a", {"type": tarfile.SYMTYPE, "linkname": ".."}),
    ("Top/part/a", {"type": tarfile.LNKTYPE, "linkname": "b"}),
    ("Top/part/a", {"type": tarfile.FIFOTYPE}), ("Top/part/a", {"type": tarfile.CHRTYPE}),
    ("Top/part/a", {"type": tarfile.BLKTYPE}),
])
def test_archives_write_below_their_folder_alone(tmp_path, name, changed):
    path = archive(tmp_path / "a.tgz", ("Top/part/good", b"1", {}), (name, b"", changed))
    with pytest.raises(ContrasepError, match="unsafe entry"):
        unpack_part(path, tmp_path / "deep/out", "part")
    assert not list(tmp_path.glob("**/ESCAPED")) and not list((tmp_path / "deep/out").iterdir())


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_archives_that_expand_are_not_expanded(tmp_path, memory, mode):
    zeros = bytes(2**24)
    kinds = {"file": {}, "header": {"type": tarfile.XHDTYPE}}
    for name, changed in kinds.items():
        path = archive(tmp_path / name, ("Top/part/a", zeros, changed), mode=mode)
        if mode == "w":
            # an archive that is not compressed holds all that it announces
            continue
        assert MOST_EXPANSION * path.stat().st_size + FEW_BYTES < len(zeros)
        tracemalloc.reset_peak()
        held = tracemalloc.get_traced_memory()[0]
        with pytest.raises(ContrasepError, match="announces 16777216 bytes|unpacks to more than"):
            unpack_part(path, tmp_path / "out", "part")
        assert memory() - held < LITTLE and not list((tmp_path / "out").iterdir())
    whole = archive(tmp_path / "whole", ("Top/part/a", b"1", {}), ("Top/README", b"2", {}), mode=mode)
    top = unpack_part(whole, tmp_path / "out", "part")
    assert sorted(path.name for path in top.rglob("*")) == ["README", "a", "part"]
