"""Ids name files: those that would lead out of a folder are refused at every door, those of corpora are not."""

import json
import zipfile

import numpy as np
import pytest

from contrasep_lib.corpus.packing import pack, read_spoken
from contrasep_lib.corpus.unpacking import unpack
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import write_wav
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.io.ids import is_id
from contrasep_lib.io.scp import write_table
from contrasep_lib.mix.lists import read_list
from contrasep_lib.mix.options import MixOptions
from tests.train.conftest import write_dump

ESCAPE = "../../../../ESCAPED"


@pytest.mark.parametrize("name", [
    "01t_02a_01to030v_0.76421_02aa010m_-0.76421", "84-121123-0000", "audiomnist05-0012", "es1f001-0003",
    "cv0a1b2c3d4e5f6071-common_voice_en_1", "0123456789abcdef-17296127", "x=1+2", "-a", "_", "Ünïcode", "中文", "हिन्दी",
    "u\u0308ber",
])
def test_ids_of_corpora_are_ids(name):
    assert is_id(name)


@pytest.mark.parametrize("name", [
    "", ".", "..", ".hidden", ESCAPE, "a/b", "a\\b", "a b", "a\tb", "a\nb", "a\0b", "a:b", "a|b", "a;b", "$a", "a*",
    "a'b", "\u0308a", "a\n", "a\u202eb", 7, None,
])
def test_what_leads_elsewhere_is_no_id(name):
    assert not is_id(name)


def directory(folder, key, speaker):
    """A data directory of one utterance, written around the checks of `write_table`."""
    wav = folder.parent / "a.wav"
    write_wav(wav, np.arange(1, 8001, dtype=np.int16), 8000)
    folder.mkdir()
    tables = {"wav.scp": (key, wav), "utt2spk": (key, speaker), "spk2utt": (speaker, key), "utt2dur": (key, 1)}
    for name, (first, second) in tables.items():
        (folder / name).write_text(f"{first} {second}\n")
    return folder


@pytest.mark.parametrize("key, speaker, named", [(ESCAPE, "..", ESCAPE), ("a-1", "a/..", "a/.."), (".a", ".a", ".a")])
def test_a_data_directory_that_leads_elsewhere_is_invalid(tmp_path, contrasep, config, key, speaker, named):
    data = directory(tmp_path / "data", key, speaker)
    done = contrasep("validate-data", data)
    assert done.returncode == 1 and f"got '{named}'" in done.stderr and "Traceback" not in done.stderr
    if named == key:
        done = contrasep("dump", "--config", config, "--data", data, "--out", "dump/tt")
        assert done.returncode == 1 and f"got '{named}'" in done.stderr and "Traceback" not in done.stderr


def test_a_dump_that_leads_elsewhere_is_not_separated(tmp_path, contrasep, config):
    folder = write_dump(tmp_path / "a/b/c/d/dump", {"wav": {"k": np.full(800, 0.1)}}, {"k": "k"})
    for name in ("wav.scp", "utt2spk"):
        (folder / name).write_text((folder / name).read_text().replace("k ", f"{ESCAPE} ", 1))
    with pytest.raises(ContrasepError, match="wav.scp:1: expected an id of letters, digits"):
        DumpSet(folder)
    done = contrasep("separate-set", "--config", config, "--dump", folder, "--out", tmp_path / "a/b/c/d/out")
    assert done.returncode == 1 and ESCAPE in done.stderr and not list(tmp_path.glob("**/ESCAPED*"))


def test_speakers_of_a_dump_are_ids(tmp_path):
    folder = write_dump(tmp_path / "tt", {"wav": {"k": np.full(800, 0.1)}}, {"k": "../k"})
    with pytest.raises(ContrasepError, match="utt2spk: expected an id"):
        DumpSet(folder).utt2spk
    write_table(folder / "utt2spk", {"k": "k"})
    write_table(folder / "utt2spks", {"k": ".."})
    with pytest.raises(ContrasepError, match="utt2spks: expected an id"):
        DumpSet(folder).speakers


def test_tables_are_not_written_with_other_ids(tmp_path):
    with pytest.raises(ContrasepError, match="expected an id of letters, digits"):
        write_table(tmp_path / "wav.scp", {ESCAPE: "a.wav"})
    assert not (tmp_path / "wav.scp").exists()


def test_lists_name_files_inside_the_folder(tmp_path):
    (tmp_path / "list").write_text(".. 0.5 b -0.5\n")
    with pytest.raises(ContrasepError, match="line 1: expected an id .*, got '..'"):
        read_list(tmp_path / "list")
    (tmp_path / "list").write_text("../../wsj0/si_tr_s/01t/01to030v.wav 0.5 b -0.5\n")
    assert read_list(tmp_path / "list")[0].name == "01to030v_0.5_b_-0.5"


def test_names_of_sets_are_ids():
    with pytest.raises(ValueError, match="sets: expected a name of letters, digits.*got '../tt'"):
        MixOptions(sets={"../tt": 3})


@pytest.mark.parametrize("field", ["set", "utt", "speaker"])
def test_a_pack_that_leads_elsewhere_is_not_unpacked(tmp_path, field):
    folder = write_dump(tmp_path / "tr", {"wav": {"k": np.full(8000, 0.1)}}, {"k": "k"})
    write_table(folder / "utt2dur", {"k": "1"})
    pack({"tr": read_spoken(folder, "tr")}, tmp_path / "a.pack", 100_000)
    with zipfile.ZipFile(tmp_path / "a.pack") as file:
        index = json.loads(file.read("index.json"))
    index["utterances"][0][field] = ESCAPE
    with zipfile.ZipFile(tmp_path / "b.pack", "w") as file:
        file.writestr("index.json", json.dumps(index))
    with pytest.raises(ContrasepError, match=f"b.pack: expected an id .*, got '{ESCAPE}'"):
        unpack(tmp_path / "b.pack", tmp_path / "out")
    assert not (tmp_path / "out").exists()
