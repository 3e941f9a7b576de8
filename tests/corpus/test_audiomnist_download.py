"""AudioMNIST: the download, from a local repository."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess

import pytest

from contrasep_lib.corpus import audiomnist as module
from contrasep_lib.corpus.audiomnist import META, fetch
from contrasep_lib.errors import ContrasepError
from tests.corpus.files import contents


@pytest.fixture
def repository(audiomnist, tmp_path):
    """The corpus in a git repository, as upstream has it; its address."""
    folder = tmp_path / "upstream"
    shutil.copytree(audiomnist, folder)
    (folder / "README.md").write_text("AudioMNIST\n")
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        [*identity, "commit", "-qm", "corpus"],
        ["config", "uploadpack.allowFilter", "true"],
    ):
        subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True)
    return f"file://{folder}"


def test_download(repository, audiomnist, tmp_path):
    data = fetch(tmp_path / "downloads", ["01", "02", "04"], repository)
    assert data == tmp_path / "downloads" / "AudioMNIST" / "data"
    assert sorted(path.name for path in data.iterdir()) == ["01", "02", "04", META]
    for speaker in ("01", "02", "04"):
        assert contents(data / speaker) == contents(audiomnist / "data" / speaker)
    # nothing is left of the clone, and what is there needs no server
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["AudioMNIST"]
    shutil.rmtree(tmp_path / "upstream")
    assert fetch(tmp_path / "downloads", ["01", "04"], repository) == data


class Stop(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("fatal", range(1, 8))
def test_download_goes_on_after_a_kill(repository, audiomnist, tmp_path, monkeypatch, fatal):
    """Killed after each call of git in turn; half-written files and a stale lock are in the way then."""
    real, calls, asked = module._git, itertools.count(1), []

    def git(arguments):
        error = real(arguments)
        if next(calls) == fatal:
            clone = tmp_path / "downloads" / ".AudioMNIST.git"
            for path in sorted(clone.glob("data/*/*.wav"))[::2]:
                os.truncate(path, 10)
            if clone.is_dir():
                (clone / ".git" / "index.lock").touch()
            raise Stop
        return error

    monkeypatch.setattr(module, "_git", git)
    with pytest.raises(Stop):
        fetch(tmp_path / "downloads", ["01", "02", "03"], repository)
    kept = sorted(path.name for path in (tmp_path / "downloads" / "AudioMNIST" / "data").glob("0*"))
    assert kept == ["01", "02", "03"][: max(0, fatal - 2) // 2]
    monkeypatch.setattr(module, "_git", lambda arguments: (asked.append(arguments[-1]), real(arguments))[1])
    data = fetch(tmp_path / "downloads", ["01", "02", "03"], repository)
    assert not any(f"data/{speaker}" in asked for speaker in kept), "what is there is not fetched again"
    for speaker in ("01", "02", "03"):
        assert contents(data / speaker) == contents(audiomnist / "data" / speaker)
    assert (data / META).read_bytes() == (audiomnist / "data" / META).read_bytes()


def test_a_server_that_fails_is_tried_again_and_reported(repository, tmp_path, monkeypatch):
    real, tries = module._git, []

    def flaky(arguments):
        tries.append(arguments)
        return "fatal: the remote end hung up" if len(tries) % 3 else real(arguments)

    monkeypatch.setattr(module, "_git", flaky)
    fetch(tmp_path / "a", ["01"], repository, pause=0.001)
    assert len(tries) == 9
    monkeypatch.setattr(module, "_git", lambda arguments: real(arguments) if "clone" in arguments else "fatal: gone")
    with pytest.raises(
        ContrasepError, match=r"git fails \(fatal: gone\); 0 speakers are in .*/data and the next run goes on"
    ):
        fetch(tmp_path / "b", ["01"], repository, attempts=2, pause=0.001)


def test_errors_of_the_download_are_one_line(repository, tmp_path, monkeypatch):
    with pytest.raises(ContrasepError, match=r"file:///nowhere: git fails \(.*\); .*--corpus DIR"):
        fetch(tmp_path / "a", ["01"], "file:///nowhere", attempts=1)
    with pytest.raises(ContrasepError, match="no data/07 in it; take a local copy with --corpus DIR"):
        fetch(tmp_path / "b", ["07"], repository)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ContrasepError, match="git: no such program; install it, or take a local copy"):
        fetch(tmp_path / "c", ["01"], repository)
