"""Commands in wav.scp run with --allow-pipes alone, and what they write is read as a file of that content is."""

import numpy as np
import pytest

from contrasep_lib.io.audio import read_audio
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.io.scp import read_table, write_table


@pytest.fixture
def piped(sources_dir):
    """A data directory whose entries are commands, which leave a file each time that they run."""
    table = read_table(sources_dir / "wav.scp")
    write_table(sources_dir / "wav.scp", {key: f"echo >>ran; cat '{path}' |" for key, path in table.items()})
    return sources_dir


def test_nothing_runs_without_the_option(piped, contrasep, config, tmp_path):
    dump = ("dump", "--config", config, "--data", piped, "--out", "dump/tt")
    contrasep("make-lists", "--config", config, "--sources", piped.parent, "--num-spk", 2, "--out", "lists", check=True)
    mix = ("mix", "--config", config, "--list", "lists/tt.txt", "--sources", piped, "--out", "tree")
    for command in (("validate-data", piped), dump, mix):
        done = contrasep(*command)
        assert done.returncode == 1 and "commands in tables are never run" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_with_the_option_they_are_files(piped, contrasep, config, tmp_path):
    plain = {key: entry.split("'")[1] for key, entry in read_table(piped / "wav.scp").items()}
    contrasep("validate-data", piped, "--allow-pipes", check=True)
    dump = ("dump", "--config", config, "--data", piped, "--out", "dump/tt")
    contrasep(*dump, "--allow-pipes", check=True)
    contrasep(*dump, "--merge", "--allow-pipes", check=True)
    dumped = DumpSet(tmp_path / "dump/tt")
    for key, path in plain.items():
        assert np.array_equal(dumped.mixture(key), read_audio(path)[0].astype(np.float32))
    assert len((tmp_path / "ran").read_text()) == 2 * len(plain)
    contrasep("make-lists", "--config", config, "--sources", piped.parent, "--num-spk", 2, "--out", "lists", check=True)
    mix = ("mix", "--config", config, "--list", "lists/tt.txt", "--sources", piped, "--out", "tree")
    contrasep(*mix, "--allow-pipes", check=True)
    assert len(list((tmp_path / "tree/mix").iterdir())) == 5


def test_a_dump_has_no_such_option(contrasep, config):
    done = contrasep("separate-set", "--config", config, "--dump", "dump/tt", "--out", "out", "--allow-pipes")
    assert done.returncode == 2 and "--allow-pipes" in done.stderr


def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path):
    from contrasep_lib.io.audio import write_wav

    samples = np.arange(1, 4001, dtype=np.int16)
    write_wav(tmp_path / "a.wav", samples, 8000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    # what a program writes that cannot go back: the largest sizes, as sox has them
    content[4:8], content[40:44] = (0x7FFFFFFF).to_bytes(4, "little"), (0x7FFFFFFF - 36).to_bytes(4, "little")
    (tmp_path / "stream.wav").write_bytes(content)
    read, rate = read_audio(f"cat {tmp_path}/stream.wav |", pipes=True)
    assert rate == 8000 and np.array_equal((read * 2**15).astype(np.int16), samples)
