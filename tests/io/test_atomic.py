"""Temporary files: names that nobody can foresee, no link followed, nothing left after a kill."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from contrasep_lib.corpus.single import Utterance, write_single_set
from contrasep_lib.io import atomic
from contrasep_lib.io.atomic import atomic_open, atomic_path, remove_tree, write_text

LEFT = ".contrasep-0123456789abcdef.txt"


@pytest.fixture(autouse=True)
def no_folder_seen():
    atomic._remove_leftovers.cache_clear()


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.write_text("precious")
    yield path
    assert path.read_text() == "precious"


def test_a_link_under_the_name_of_earlier_versions_is_not_followed(tmp_path, contrasep, victim):
    (tmp_path / "out").mkdir()
    for name in (".s.json.tmp.json", ".s_spk1.wav.tmp.wav", ".s_spk2.wav.tmp.wav"):
        (tmp_path / "out" / name).symlink_to(victim)
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "s.wav", 0.1 * rng.standard_normal(8000), 8000)
    done = contrasep("separate", "s.wav", "--out", "out", "--overwrite", "--model", "small", "--num-spk", "2")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/s.json").stat().st_size and victim.read_text() == "precious"


def test_a_name_that_was_foreseen_is_not_written_to(tmp_path, victim, monkeypatch):
    monkeypatch.setattr(atomic.secrets, "token_hex", lambda count: "0123456789abcdef"[: 2 * count])
    (tmp_path / LEFT).symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_text(tmp_path / "a.txt", "new")
    assert not (tmp_path / "a.txt").exists()


def test_names_differ_and_keep_the_suffix(tmp_path):
    seen = set()
    for _ in range(20):
        with atomic_path(tmp_path / "a.wav") as temporary:
            assert temporary.parent == tmp_path and temporary.suffix == ".wav" and temporary.name.startswith(".")
            assert temporary.is_file() and not temporary.stat().st_size
            seen.add(temporary)
    assert len(seen) == 20 and os.listdir(tmp_path) == ["a.wav"]


def test_a_target_that_is_a_link_is_replaced(tmp_path, victim):
    (tmp_path / "a.txt").symlink_to(victim)
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new" and not (tmp_path / "a.txt").is_symlink()


def test_rights_are_those_of_any_new_file(tmp_path):
    write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_an_exception_leaves_the_file_as_it_was(tmp_path):
    write_text(tmp_path / "a", "old")
    with pytest.raises(KeyError), atomic_open(tmp_path / "a") as file:
        file.write("new")
        raise KeyError
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"


def test_a_second_name_of_the_file_leaves_nothing(tmp_path):
    write_text(tmp_path / "a", "x")
    os.link(tmp_path / "a", tmp_path / "b")
    with atomic_path(tmp_path / "b") as temporary:
        temporary.unlink()
        os.link(tmp_path / "a", temporary)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_what_a_killed_process_left_is_removed_and_what_is_written_is_not(tmp_path, victim):
    program = (
        "import sys, time\nfrom contrasep_lib.io.atomic import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n    print(temporary.name, flush=True)\n    time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "a.txt")], stdout=subprocess.PIPE, text=True
    )
    try:
        name = process.stdout.readline().strip()
        write_text(tmp_path / "b.txt", "x")
        assert name in os.listdir(tmp_path)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (tmp_path / LEFT).symlink_to(victim)
    (tmp_path / ".contrasep-notes.txt").write_text("the user's own")
    atomic._remove_leftovers.cache_clear()
    write_text(tmp_path / "b.txt", "x")
    assert sorted(os.listdir(tmp_path)) == sorted(["b.txt", LEFT, ".contrasep-notes.txt", "victim"])


def test_links_in_place_of_temporary_folders_are_not_followed(tmp_path, victim):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").touch()
    (tmp_path / ".tr.tmp").symlink_to(tmp_path / "elsewhere")
    write_single_set(tmp_path / "tr", [Utterance("a-1", "a", "a.wav", None, None, 8000, 8000)])
    assert os.listdir(tmp_path / "elsewhere") == ["kept"] and (tmp_path / "tr/wav.scp").is_file()
    remove_tree(tmp_path / "tr")
    remove_tree(tmp_path / "tr")
    assert not (tmp_path / "tr").exists()


def test_markers_do_not_follow_links(tmp_path, victim):
    (tmp_path / "step").mkdir()
    for name in (".begun.tmp", ".done.tmp", ".lock"):
        (tmp_path / "step" / name).symlink_to(victim)
    utils = os.path.join(os.path.dirname(__file__), "../../utils")
    sourced = "".join(f". {utils}/{name}.sh; " for name in ("options", "locks", "markers"))
    script = f"{sourced}echo x >step/out; new_file step/.begun 'data 1'; lock step; echo y >step/a; mark step"
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, check=True)
    assert (tmp_path / "step/.done").read_text().startswith("data 1\n2:")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device without room")
def test_a_disk_without_room_is_named_by_the_file_that_was_asked_for(tmp_path):
    """A write that fails names no file."""
    with pytest.raises(OSError, match="No space left") as caught, atomic_path(tmp_path / "a.ark"):
        open("/dev/full", "wb", 0).write(b"x")
    assert caught.value.filename == str(tmp_path / "a.ark") and not list(tmp_path.iterdir())
