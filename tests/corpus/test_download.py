"""Downloads against a local server with every error that a real one has shown."""

from __future__ import annotations

import hashlib
import io
import tarfile

import numpy as np
import pytest

from contrasep_lib.corpus import download as module
from contrasep_lib.corpus.download import download, md5_of, unpack_part
from contrasep_lib.errors import ContrasepError

CONTENT = np.random.default_rng(0).bytes(700_001)
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server(server):
    server.files["/file"] = CONTENT
    return server


@pytest.fixture
def get(tmp_path):
    def fetch(*urls: str, md5: str = MD5, attempts: int = 3):
        return download(urls, tmp_path / "folder" / "file.bin", md5, attempts=attempts, pause=0.01)

    return fetch


def test_plain(server, get, tmp_path):
    path = get(server.url())
    assert path.read_bytes() == CONTENT and md5_of(path) == MD5
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]
    get(server.url())
    assert len(server.requests) == 1, "a whole file is not fetched again"


def test_a_damaged_file_is_fetched_again(server, get):
    path = get(server.url())
    path.write_bytes(CONTENT[:-1] + b"?")
    assert get(server.url()).read_bytes() == CONTENT


def test_goes_on_where_a_transfer_broke(server, get):
    # more breaks than attempts: what brings bytes is progress
    server.plan = [("break", 100_000)] * 5
    assert get(server.url()).read_bytes() == CONTENT
    assert [expected for _, expected in server.requests] == [None] + [f"bytes={k}00000-" for k in range(1, 6)]


def test_goes_on_with_what_an_earlier_run_left(server, get, tmp_path):
    server.plan = [("break", 300_000), ("status", 503), ("status", 503), ("status", 503)]
    with pytest.raises(
        ContrasepError, match=r"file\.bin: cannot be downloaded \(.*503.*part is kept .*--corpus DIR"
    ):
        get(server.url())
    assert (tmp_path / "folder" / "file.bin.part").stat().st_size == 300_000
    assert not (tmp_path / "folder" / "file.bin").exists()
    assert get(server.url()).read_bytes() == CONTENT
    assert server.requests[-1][1] == "bytes=300000-"


def test_server_without_ranges_starts_anew(server, get):
    server.ranges = False
    server.plan = [("break", 300_000)]
    assert get(server.url()).read_bytes() == CONTENT


def test_whole_part_file_needs_no_transfer(server, get, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file.bin.part").write_bytes(CONTENT)
    assert get(server.url()).read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"x" * 1000, b"x" * 800_000])
def test_foreign_part_file_is_replaced(server, get, tmp_path, part):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file.bin.part").write_bytes(part)
    assert get(server.url()).read_bytes() == CONTENT


def test_wrong_checksum(server, get, tmp_path):
    with pytest.raises(ContrasepError, match=f"MD5 {MD5} where {'0' * 32} is right, twice"):
        get(server.url(), md5="0" * 32)
    assert len(server.requests) == 2 and not any((tmp_path / "folder").iterdir())


def test_404_is_reported_at_once_and_the_next_address_is_tried(server, get):
    with pytest.raises(ContrasepError, match=r"/gone: 404 Not Found"):
        get(server.url("gone"))
    assert len(server.requests) == 1
    assert get(server.url("gone"), server.url()).read_bytes() == CONTENT


def test_no_connection(server, get):
    with pytest.raises(ContrasepError, match="refused.*--corpus DIR"):
        get("http://127.0.0.1:9/file")
    assert get("http://127.0.0.1:9/file", server.url()).read_bytes() == CONTENT


def test_full_disk(server, get, monkeypatch):
    class Full(io.BytesIO):
        def write(self, block: bytes) -> int:
            return len(block) // 2

    monkeypatch.setattr(module, "_opened", lambda path, mode: Full())
    with pytest.raises(ContrasepError, match="cannot be written .*No space left.*; make room"):
        get(server.url())


def pack(path, entries) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


def test_unpack(tmp_path):
    pack(tmp_path / "a.tgz", [("Top/part/1/a.txt", b"1"), ("Top/NOTES", b"2")])
    assert unpack_part(tmp_path / "a.tgz", tmp_path / "out", "part") == tmp_path / "out" / "Top"
    files = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert files == ["Top/NOTES", "Top/part/1/a.txt"]
    # a second part joins the first
    pack(tmp_path / "b.tgz", [("Top/other/b.txt", b"3"), ("Top/NOTES", b"4")])
    unpack_part(tmp_path / "b.tgz", tmp_path / "out", "other")
    assert sorted(p.name for p in (tmp_path / "out" / "Top").iterdir()) == ["NOTES", "other", "part"]


@pytest.mark.parametrize(
    "name, content", [("../evil", b"x"), ("Top/../../evil", b"x"), ("/tmp/evil", b"x"), ("Top/l", None)]
)
def test_unpack_refuses_ways_out(tmp_path, name, content):
    pack(tmp_path / "a.tgz", [("Top/part/a", b"1"), (name, content)])
    with pytest.raises(ContrasepError, match="a.tgz: unsafe entry"):
        unpack_part(tmp_path / "a.tgz", tmp_path / "out", "part")
    assert not any((tmp_path / "out").iterdir())


def test_unpack_is_whole_or_nothing(tmp_path):
    pack(tmp_path / "a.tgz", [("Top/part/a", CONTENT), ("Top/part/b", CONTENT[::-1])])
    whole = (tmp_path / "a.tgz").read_bytes()
    (tmp_path / "a.tgz").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ContrasepError, match="a.tgz: cannot be unpacked .*; remove it"):
        unpack_part(tmp_path / "a.tgz", tmp_path / "out", "part")
    pack(tmp_path / "b.tgz", [("Top/else/a", b"1")])
    with pytest.raises(ContrasepError, match="b.tgz: no folder 'part' in it"):
        unpack_part(tmp_path / "b.tgz", tmp_path / "out", "part")
    assert not any((tmp_path / "out").iterdir())
